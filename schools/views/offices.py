"""Offices and the people in them, for whoever is in charge of them or above."""

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Count, Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods

from common import clock
from common.refusals import refusals_on
from common.templatetags.vi import format_date
from schools.forms.offices import CloseForm, ConfirmForm, InviteForm, RenameForm
from schools.models import Office, StaffRole
from schools.perms import can_manage_offices, can_manage_roles, staff
from schools.reach import reach
from schools.services import offices as office_services
from schools.services import roles as role_services
from schools.tasks import send_invitation

Role = StaffRole.Role
manager = staff(Role.MANAGER)


def _managed(request: HttpRequest):
    return Office.objects.filter(reach(request.user, Role.MANAGER))


@manager
@require_http_methods(["GET"])
def office_list(request: HttpRequest) -> HttpResponse:
    """The offices within reach, found by code or name."""
    words = request.GET.get("q", "").strip()
    offices = _managed(request).order_by("path")
    if words:
        offices = offices.filter(Q(code__iexact=words) | Q(name__icontains=words))
    offices = offices.annotate(
        people=Count("staff_roles__user", filter=Q(staff_roles__ended_at=None), distinct=True)
    )
    page = Paginator(offices, 50).get_page(request.GET.get("trang"))
    return render(request, "schools/offices/list.html", {"page_obj": page, "words": words})


@manager
@require_http_methods(["GET"])
def office(request: HttpRequest, code: str) -> HttpResponse:
    """One office: what it is, who works in it."""
    office = get_object_or_404(_managed(request).select_related("parent", "successor", "unit"), code=code)
    roles = StaffRole.objects.filter(office=office).select_related("user").order_by("role", "pk")
    return render(
        request,
        "schools/offices/detail.html",
        {
            "office": office,
            "live": [role for role in roles if role.ended_at is None],
            "ended": [role for role in roles if role.ended_at is not None],
            "can_manage_office": can_manage_offices(request.user, office),
            "rows": [
                {"key": "Mã", "value": office.code},
                {"key": "Loại", "value": office.get_kind_display()},
                {"key": "Cấp trên", "value": office.parent},
                {"key": "Địa bàn", "value": office.unit or "Cả nước"},
                {"key": "Hoạt động từ", "value": format_date(office.valid_from)},
                *(
                    [
                        {"key": "Ngừng từ", "value": format_date(office.valid_to)},
                        {"key": "Nơi tiếp nhận công việc", "value": office.successor},
                        {"key": "Căn cứ", "value": office.closing_reason},
                    ]
                    if office.valid_to
                    else []
                ),
            ],
        },
    )


@manager
@require_http_methods(["GET", "POST"])
def invite(request: HttpRequest, code: str) -> HttpResponse:
    """Invite a person into a role."""
    office = get_object_or_404(_managed(request), code=code)
    if not can_manage_roles(request.user, office):
        raise Http404
    form = InviteForm(request.POST or None, office=office)
    if request.method == "POST" and form.is_valid():
        with refusals_on(form):
            role = role_services.invite(by=request.user, office=office, at=clock.now(), **form.cleaned_data)
        if not form.errors:
            send_invitation.delay_on_commit(role_id=role.pk)
            messages.success(request, f"Đã cấp vai trò cho {role.user}. Lời mời đang được gửi qua thư.")
            return redirect("schools:office", code=office.code)
    return render(request, "schools/offices/invite.html", {"office": office, "form": form})


@manager
@require_http_methods(["GET", "POST"])
def end_role(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask, then end a role."""
    roles = StaffRole.objects.filter(reach(request.user, Role.MANAGER, through="office__"))
    role = get_object_or_404(roles.select_related("user", "office"), pk=pk)
    if not can_manage_roles(request.user, role.office):
        raise Http404
    # A confirmation carries no field: that it was posted is enough.
    form = ConfirmForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        with refusals_on(form):
            role_services.end_role(by=request.user, role=role, at=clock.now())
        if not form.errors:
            messages.success(request, f"Đã thu vai trò của {role.user} ở {role.office}.")
            return redirect("schools:office", code=role.office.code)
    return render(request, "schools/offices/end_role.html", {"role": role, "form": form})


@manager
@require_http_methods(["GET", "POST"])
def rename(request: HttpRequest, code: str) -> HttpResponse:
    """Give an office another name."""
    office = get_object_or_404(_managed(request).select_related("parent"), code=code)
    if not can_manage_offices(request.user, office):
        raise Http404
    form = RenameForm(request.POST or None, initial={"name": office.name})
    if request.method == "POST" and form.is_valid():
        with refusals_on(form):
            office_services.rename_office(by=request.user, office=office, name=form.cleaned_data["name"])
        if not form.errors:
            messages.success(request, "Đã đổi tên. Tên cũ còn trong nhật ký.")
            return redirect("schools:office", code=office.code)
    return render(request, "schools/offices/rename.html", {"office": office, "form": form})


@manager
@require_http_methods(["GET", "POST"])
def close(request: HttpRequest, code: str) -> HttpResponse:
    """Close an office or merge it into another; its open work moves."""
    office = get_object_or_404(_managed(request).select_related("parent"), code=code)
    if not can_manage_offices(request.user, office):
        raise Http404
    form = CloseForm(request.POST or None, offices=_managed(request))
    if request.method == "POST" and form.is_valid():
        with refusals_on(form):
            closed = office_services.close_office(
                by=request.user,
                office=office,
                successor=form.cleaned_data["successor"],
                reason=form.cleaned_data["reason"],
                at=clock.now(),
            )
        if not form.errors:
            moved = "; ".join(f"{name}: {count}" for name, count in closed.moved) or "không có việc dở dang"
            messages.success(
                request, f"{office} đã ngừng hoạt động. Đã chuyển sang {closed.successor}: {moved}."
            )
            return redirect("schools:office", code=closed.successor.code)
    return render(request, "schools/offices/close.html", {"office": office, "form": form})
