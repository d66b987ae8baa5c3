"""Pledges and money for those who manage and those who watch them (Plan I.2c, II.1c, II.2a, III.1h, III.3d)."""

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db.models import Q, Sum
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.services import find_or_create_user
from common import clock
from common.exports import csv_response
from common.refusals import refusals_on
from common.templatetags.vi import format_money, format_number, format_vnd
from common.vietnamese import search_key
from donations import codes, perms, services
from donations.forms import manage
from donations.models import (
    Device,
    Lot,
    MoneyReceipt,
    Pledge,
    PurchaseOrder,
)
from donations.rules import devices_for
from donations.services.money import balance_vnd
from donations.views.public import timeline
from schools.models import Office
from schools.reach import reach

PLEDGE_BADGE = {
    "made": "warning",
    "confirmed": "info",
    "receiving": "info",
    "fulfilled": "success",
    "cancelled": "neutral",
}
ORDER_BADGE = {"proposed": "warning", "ordered": "info", "delivered": "success", "cancelled": "neutral"}


def managing_offices(user):
    """Offices for which the person may record pledges and money."""
    return Office.objects.filter(
        reach(user, "clerk", kinds=perms.RESOURCE_KINDS), kind__in=perms.RESOURCE_KINDS
    ).order_by("path")


def _pledges(request: HttpRequest):
    return Pledge.objects.for_user(request.user).select_related(
        "donor", "office", "warehouse", "umbrella__donor", "earmark_unit__province", "earmark_school__province",
        "earmark_school__office",
    )  # fmt: skip


def _pledge(request: HttpRequest, code: str) -> Pledge:
    found = codes.read_code(codes.PLEDGE, code) or code
    return get_object_or_404(_pledges(request).with_progress(), code=found)


# --- pledges --------------------------------------------------------------------------------------------------------


def _filtered(request: HttpRequest):
    rows = _pledges(request)
    state, kind, source = (request.GET.get(k, "") for k in ("trang-thai", "hinh-thuc", "nguon"))
    if state in Pledge.State.values:
        rows = rows.filter(state=state)
    if kind in Pledge.Kind.values:
        rows = rows.filter(kind=kind)
    if source == "dia-phuong":
        rows = rows.filter(funding_source__in=Pledge.LOCAL_SOURCES)
    elif source in Pledge.FundingSource.values:
        rows = rows.filter(funding_source=source)
    if words := request.GET.get("q", "").strip():
        wanted = Q(code=codes.read_code(codes.PLEDGE, words) or "-")
        if key := search_key(words):
            wanted |= Q(donor__search_key__contains=key)
        rows = rows.filter(wanted)
    return rows.order_by("-made_at", "-pk")


@perms.resource_staff
@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """Pledges with promised, received and still missing; what waits for somebody."""
    rows = _filtered(request)
    mine = Pledge.objects.for_user(request.user)
    counted = mine.counted().aggregate(
        devices=Sum("quantity", filter=Q(kind="device")), money=Sum("amount_vnd", filter=Q(kind="money"))
    )
    receipts = MoneyReceipt.objects.for_user(request.user).aggregate(total=Sum("amount_vnd"))["total"] or 0
    tasks = [
        _task("Cam kết chờ xác nhận", mine.filter(state="made").count(), "?trang-thai=made"),
        _task(
            "Đơn mua chờ phê duyệt",
            PurchaseOrder.objects.for_user(request.user).filter(state="proposed").count(),
            reverse("donations:orders"),
        ),
    ]
    page = Paginator(rows.with_progress(), 25).get_page(request.GET.get("trang"))
    return render(
        request,
        "donations/resources.html",
        {
            "page_obj": page,
            "tasks": tasks,
            "promised_devices": format_number(counted["devices"] or 0),
            "promised_money": format_money(counted["money"] or 0),
            "received_devices": format_number(
                Device.objects.filter(lot__pledge__in=mine.order_by().values("pk")).count()
            ),
            "received_money": format_money(receipts),
            "selected_state": request.GET.get("trang-thai", ""),
            "selected_kind": request.GET.get("hinh-thuc", ""),
            "selected_source": request.GET.get("nguon", ""),
            "states": Pledge.State.choices,
            "kinds": Pledge.Kind.choices,
            "sources": [("dia-phuong", "Nguồn lực địa phương"), *Pledge.FundingSource.choices],
            "can_add": managing_offices(request.user).exists(),
        },
    )


def _task(text: str, count: int, href: str) -> dict:
    return {
        "text": text,
        "href": href,
        "status": format_number(count),
        "kind": "warning" if count else "success",
    }


@perms.resource_staff
@require_safe
def pledges_csv(request: HttpRequest) -> HttpResponse:
    """The filtered pledges, promised and received, without contacts."""
    rows = _filtered(request).with_progress().iterator(chunk_size=500)
    columns = [
        "Mã", "Nhà tài trợ", "Hình thức", "Nguồn", "Trạng thái", "Ngày", "Số máy hứa", "Máy đã nhận", "Máy đạt",
        "Số tiền hứa", "Tiền đã nhận", "Tiền đã chi", "Trong cam kết chung",
    ]  # fmt: skip
    return csv_response(
        "cam-ket.csv",
        columns,
        (
            (p.code, p.donor.name, p.get_kind_display(), p.get_funding_source_display(), p.get_state_display(),
             timezone.localdate(p.made_at), p.quantity, p.received_count, p.accepted_count, p.amount_vnd,
             p.received_vnd, p.spent_vnd, p.umbrella.code if p.umbrella else "")
            for p in rows
        ),
    )  # fmt: skip


@perms.resource_clerk
@require_http_methods(["GET", "HEAD", "POST"])
def pledge_new(request: HttpRequest) -> HttpResponse:
    """Record a pledge that came by letter or telephone, an umbrella, a province's initiative."""
    form = manage.StaffPledgeForm(request.POST or None, offices=managing_offices(request.user))
    if request.method == "POST" and form.is_valid():
        data = dict(form.cleaned_data)
        with refusals_on(form):
            umbrella = _umbrella(request, data.pop("umbrella_code"))
            donor = services.register_donor(
                by=request.user, kind=data.pop("donor_kind"), name=data.pop("name"), tax_code=data.pop("tax_code"),
                is_named_in_public=data.pop("is_named_in_public"), at=clock.now(),
            )  # fmt: skip
            made, _secret = services.make_pledge(
                by=request.user, donor=donor, at=clock.now(), is_verified=True, umbrella=umbrella, **data
            )
        if not form.errors:
            messages.success(request, f"Đã ghi nhận cam kết {made.code}.")
            return redirect("donations:manage_pledge", code=made.code)
    return render(request, "donations/resource_form.html", {
        "form": form, "title": "Ghi nhận cam kết", "back": reverse("donations:resources"), "back_text": "Nguồn lực", "action": "Ghi nhận",
    }, status=400 if form.is_bound else 200)  # fmt: skip


def _umbrella(request: HttpRequest, typed: str) -> Pledge | None:
    if not typed:
        return None
    found = (
        Pledge.objects.for_user(request.user).filter(code=codes.read_code(codes.PLEDGE, typed) or "-").first()
    )
    if found is None:
        raise ValidationError({"umbrella_code": "Không có cam kết chung nào mang mã này."})
    return found


def _rows_of(found: Pledge, *, with_contact: bool) -> list[dict]:
    """A pledge with its progress, as rows of a summary; whoever only watches needs no telephone number."""
    rows = [
        {"key": "Nhà tài trợ", "value": f"{found.donor.name} ({found.donor.get_kind_display()})"},
        {"key": "Mã số thuế", "value": found.donor.tax_code or "—"},
        {"key": "Hình thức", "value": found.get_kind_display()},
        {"key": "Nguồn", "value": found.get_funding_source_display()},
        {"key": "Dành cho", "value": found.earmark_text},
        {"key": "Nơi phụ trách", "value": found.office.name},
        {"key": "Kho sẽ tiếp nhận", "value": found.warehouse.name if found.warehouse else "—"},
        {"key": "Nêu tên công khai", "value": "Đồng ý" if found.donor.is_named_in_public else "Không"},
    ]
    if with_contact:
        contact = ", ".join(x for x in (found.contact_name, found.contact_email, found.contact_phone) if x)
        rows.insert(2, {"key": "Liên hệ", "value": contact or "—"})
    rows += _amounts_of(found)
    if found.description:
        rows.append({"key": "Mô tả", "value": found.description})
    return rows


def _amounts_of(found: Pledge) -> list[dict]:
    """What was promised, what has arrived, and what money bought."""
    if found.kind == Pledge.Kind.DEVICE:
        counts = (found.quantity, found.received_count, found.accepted_count)
        return [{"key": "Máy: hứa / đã nhận / đạt", "value": " / ".join(map(format_number, counts))}]
    if found.kind != Pledge.Kind.MONEY:
        return []
    sums = (found.amount_vnd, found.received_vnd, found.spent_vnd)
    rows = [
        {"key": "Tiền: hứa / đã nhận / đã chi", "value": " / ".join(map(format_vnd, sums))},
        {"key": "Tiền chưa dùng cho đơn mua nào", "value": format_vnd(balance_vnd(pledge=found))},
    ]
    if found.unit_price_vnd:
        count, rest = devices_for(found.amount_vnd, found.unit_price_vnd)
        price = format_vnd(found.unit_price_vnd)
        said = f"{format_number(count)} máy theo giá {price}, dư {format_vnd(rest)}"
        rows.append({"key": "Quy đổi", "value": said})
    return rows


@perms.resource_staff
@require_safe
def manage_pledge(request: HttpRequest, code: str) -> HttpResponse:
    """A pledge for those who manage it: contact, money, members, orders, and what to do next."""
    found = _pledge(request, code)
    can_manage = perms.can_manage_pledge(request.user, found)
    return render(
        request,
        "donations/manage_pledge.html",
        {
            "pledge": found,
            "rows": _rows_of(found, with_contact=can_manage),
            "items": timeline(found),
            "kind": PLEDGE_BADGE[found.state],
            "can_manage": can_manage,
            "can_order": can_manage and found.kind == Pledge.Kind.MONEY and found.received_vnd > 0,
            "takes_money": can_manage
            and found.kind != Pledge.Kind.DEVICE
            and found.state in ("confirmed", "receiving", "fulfilled"),
            "can_cancel": can_manage and found.state in ("made", "confirmed"),
            "receipts": found.money_receipts.select_related("office").order_by("-received_on"),
            "transfers": found.money_transfers.select_related("order", "to_office", "from_office").order_by(
                "-transferred_on"
            ),
            "orders": found.orders.select_related("agreement").order_by("-proposed_at"),
            "lots": Lot.objects.filter(pledge=found)
            .select_related("warehouse")
            .with_counts()
            .order_by("-received_at"),
            "members": _pledges(request).filter(umbrella=found).with_progress().order_by("made_at"),
        },
    )


def act(
    request: HttpRequest, *, form, title: str, action: str, back: str, do, done: str, lead: str = ""
) -> HttpResponse:
    """The one shape of these acts: a form, one service call, back to the page."""
    if request.method == "POST" and form.is_valid():
        with refusals_on(form):
            do(form.cleaned_data)
        if not form.errors:
            messages.success(request, done)
            return redirect(back)
    context = {
        "form": form,
        "title": title,
        "action": action,
        "back": back,
        "back_text": "Quay lại",
        "lead": lead,
    }
    return render(request, "donations/resource_form.html", context, status=400 if form.is_bound else 200)


def managed(request: HttpRequest, code: str) -> tuple[Pledge, str]:
    found = _pledge(request, code)
    if not perms.can_manage_pledge(request.user, found):
        raise Http404
    return found, reverse("donations:manage_pledge", args=[found.code])


@perms.resource_clerk
@require_http_methods(["GET", "HEAD", "POST"])
def pledge_confirm(request: HttpRequest, code: str) -> HttpResponse:
    """Staff have spoken with the donor."""
    found, back = managed(request, code)
    return act(
        request,
        form=manage.ConfirmForm(request.POST if request.method == "POST" else None, pledge=found),
        title=f"Xác nhận cam kết {found.code}",
        lead="Thầy/cô đã liên hệ và đúng là nhà tài trợ này. Sau khi xác nhận, tên hiện công khai nếu nhà tài trợ đồng ý.",
        action="Xác nhận",
        back=back,
        do=lambda data: services.confirm_pledge(by=request.user, pledge=found, at=clock.now(), **data),
        done=f"Đã xác nhận cam kết {found.code}.",
    )


@perms.resource_clerk
@require_http_methods(["GET", "HEAD", "POST"])
def pledge_withdraw(request: HttpRequest, code: str) -> HttpResponse:
    """Cancel a pledge for a reason."""
    found, back = managed(request, code)
    return act(
        request,
        form=manage.StaffCancelForm(request.POST or None),
        title=f"Ghi rút cam kết {found.code}",
        lead="Cam kết được ghi là đã rút trên sổ cái công khai và không khôi phục được.",
        action="Ghi rút cam kết",
        back=back,
        do=lambda data: services.cancel_pledge(by=request.user, pledge=found, at=clock.now(), **data),
        done=f"Đã ghi rút cam kết {found.code}.",
    )


@perms.resource_clerk
@require_http_methods(["GET", "HEAD", "POST"])
def pledge_receipt(request: HttpRequest, code: str) -> HttpResponse:
    """Money arrived."""
    found, back = managed(request, code)
    return act(
        request,
        form=manage.ReceiptForm(
            request.POST or None, offices=managing_offices(request.user), initial={"office": found.office_id}
        ),
        title=f"Ghi tiền đã nhận – {found.code}",
        action="Ghi vào hệ thống",
        back=back,
        do=lambda data: services.receive_money(by=request.user, pledge=found, at=clock.now(), **data),
        done="Đã ghi khoản tiền và đưa vào sao kê công khai.",
    )


@perms.resource_clerk
@require_http_methods(["GET", "HEAD", "POST"])
def pledge_transfer(request: HttpRequest, code: str) -> HttpResponse:
    """Money passed on."""
    found, back = managed(request, code)
    return act(
        request,
        form=manage.TransferForm(
            request.POST or None,
            offices=managing_offices(request.user),
            initial={"from_office": found.office_id},
        ),
        title=f"Chuyển tiền cho nơi khác mua – {found.code}",
        action="Ghi chuyển tiền",
        back=back,
        do=lambda data: services.transfer_money(by=request.user, pledge=found, at=clock.now(), **data),
        done="Đã ghi khoản chuyển và đưa vào sao kê công khai.",
    )


@perms.resource_clerk
@require_POST
def pledge_serve(request: HttpRequest, code: str) -> HttpResponse:
    """Infrastructure support has begun, or is complete."""
    found, back = managed(request, code)
    form = manage.CancelForm(request.POST)
    form.is_valid()
    with refusals_on(form):
        services.fulfil_infrastructure(
            by=request.user, pledge=found, is_complete="xong" in request.POST, at=clock.now()
        )
    if form.errors:
        messages.error(request, " ".join(form.non_field_errors()))
    else:
        messages.success(request, "Đã ghi tình trạng hỗ trợ.")
    return redirect(back)


@perms.resource_clerk
@require_http_methods(["GET", "HEAD", "POST"])
def pledge_member(request: HttpRequest, code: str) -> HttpResponse:
    """Let a person see every pledge of this donor in one place."""
    found, back = managed(request, code)
    return act(
        request,
        form=manage.MemberForm(request.POST or None),
        title=f"Người đại diện của {found.donor.name}",
        lead="Người này đăng nhập bằng mã gửi đến thư điện tử và xem được mọi cam kết của nhà tài trợ này.",
        action="Cấp quyền xem",
        back=back,
        do=lambda data: services.grant_membership(
            by=request.user, donor=found.donor, user=find_or_create_user(**data), at=clock.now()
        ),
        done="Đã cấp quyền xem cho người đại diện.",
    )


@perms.resource_clerk
@require_http_methods(["GET", "HEAD", "POST"])
def pledge_umbrella(request: HttpRequest, code: str) -> HttpResponse:
    """Put a pledge inside a common one, so that it is not counted twice."""
    found, back = managed(request, code)
    return act(
        request,
        form=manage.UmbrellaForm(
            request.POST or None, initial={"umbrella_code": found.umbrella.code if found.umbrella else ""}
        ),
        title=f"Cam kết chung của {found.code}",
        lead="Số máy của cam kết này khi đó đã nằm trong cam kết chung và không cộng hai lần.",
        action="Lưu",
        back=back,
        do=lambda data: services.attach_to_umbrella(
            by=request.user, pledge=found, umbrella=_umbrella(request, data["umbrella_code"]), at=clock.now()
        ),
        done="Đã lưu cam kết chung.",
    )
