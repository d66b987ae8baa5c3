"""Taking back: one allocation, or as many as the supply was cut by. Asked by one official, decided by another."""

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET

from accounts.services import record_reading
from allocation import notices, perms, taking_back
from allocation.forms import ReductionForm, RevocationForm
from allocation.models import Allocation, Reduction, Revocation
from allocation.views.decisions import decided
from allocation.views.runs import run_of
from allocation.views.students import whole
from common import clock
from common.access import may_open
from common.refusals import refusals_on
from common.templatetags.vi import format_number
from schools.perms import can_change_status

CODE_LENGTH = 40


def revocations_of(user):
    return Revocation.objects.for_user(user).select_related(
        "allocation__device",
        "allocation__run",
        "allocation__student__school__office",
        "requested_by",
        "approved_by",
        "refused_by",
        "reduction",
    )


def chain_of(user, code: str) -> list[dict[str, Any]]:
    """Every allocation of a device, oldest first, each with the decision that ended it; empty if none is in scope."""
    found = Allocation.objects.filter(device__code=code).select_related("run", "student__school__office")
    own = set(Allocation.objects.for_user(user).filter(device__code=code).values_list("pk", flat=True))
    decided = {
        row.allocation_id: row
        for row in Revocation.objects.filter(allocation__device__code=code, approved_at__isnull=False)
    }
    return [
        {"allocation": row, "revocation": decided.get(row.pk), "in_scope": row.pk in own}
        for row in (found.order_by("pk") if own else [])
    ]


@perms.visitor
@require_GET
def revocation_list(request: HttpRequest) -> HttpResponse:
    found = revocations_of(request.user).order_by("-pk")
    reduction = None
    if "cat-giam" in request.GET:
        cuts = Reduction.objects.for_user(request.user).select_related("run")
        reduction = get_object_or_404(cuts, pk=whole(request.GET["cat-giam"]))
        found = found.filter(reduction=reduction)
    page = Paginator(found, 25).get_page(request.GET.get("trang"))
    may_ask = perms.clerk.test(request.user)
    allocations = None
    code = request.GET.get("may", "").replace("-", "").replace(" ", "").upper()[:CODE_LENGTH]
    if code and may_ask:
        allocations = (
            Allocation.objects.for_user(request.user)
            .live()
            .filter(device__code=code)
            .select_related("device", "run", "student__school__office")
        )
    return render(
        request,
        "allocation/revocations.html",
        {
            "page": page,
            "reduction": reduction,
            "asked": code,
            "allocations": allocations,
            "may_ask": may_ask,
            "chain": chain_of(request.user, code) if code and may_ask else [],
            "reads_runs": perms.reader.test(request.user),
        },
    )


@perms.clerk
def revocation_new(request: HttpRequest, allocation: int) -> HttpResponse:
    found = get_object_or_404(
        Allocation.objects.for_user(request.user)
        .live()
        .select_related("device", "student__school__office", "run"),
        pk=allocation,
    )
    form = RevocationForm(request.POST or None)
    if form.is_valid():
        with refusals_on(form):
            taking_back.request_revocation(
                by=request.user, allocation=found, at=clock.now(), **form.cleaned_data
            )
        if not form.errors:
            messages.success(request, "Đã gửi đề nghị thu hồi. Một lãnh đạo khác sẽ quyết định.")
            return redirect("allocation:revocations")
    return render(
        request,
        "allocation/revocation_new.html",
        {"allocation": found, "form": form},
        status=422 if form.errors else 200,
    )


@perms.visitor
def revocation_page(request: HttpRequest, pk: int) -> HttpResponse:
    """One request: its notice for school and family, the log of the mail, and the decision for who may take it."""
    revocation = get_object_or_404(revocations_of(request.user), pk=pk)
    may_decide = perms.can_decide_revocation(request.user, revocation)

    def decide(agree: bool) -> str:
        taking_back.decide_revocation(by=request.user, revocation=revocation, agree=agree, at=clock.now())
        code = revocation.allocation.device.code
        if agree:
            return f"Đã thu hồi phân bổ máy {code}; thông báo được gửi cho nhà trường."
        return f"Đã ghi: không đồng ý thu hồi phân bổ máy {code}. Em vẫn được nhận máy."

    form, is_done = decided(request, may=may_decide, decide=decide)
    if is_done:
        return redirect("allocation:revocation", pk=pk)
    named = perms.sees_names(request.user)
    child = revocation.allocation.student
    child_page = reverse("schools:student", args=[child.pk])
    if named:
        record_reading(
            by=request.user, subject_type="schools.student", subject_id=child.pk, fields="họ tên, lớp",
            reason="thu hồi phân bổ", row_count=1,
        )  # fmt: skip
    may_change = may_open(request.user, child_page) and can_change_status(request.user, child)
    return render(
        request,
        "allocation/revocation.html",
        {
            "revocation": revocation,
            "child": child,
            "chain": chain_of(request.user, revocation.allocation.device.code),
            "reads_runs": perms.reader.test(request.user),
            "named": named,
            "may_decide": may_decide,
            "form": form,
            "mails": list(notices.log_of(revocation.reduction or revocation)),
            "record": child_page if may_change else "",
            "is_real": clock.is_real(),
        },
        status=422 if form.errors else 200,
    )


# --- the supply was cut ----------------------------------------------------------------------------------------


@perms.clerk
def reduction_new(request: HttpRequest, code: str) -> HttpResponse:
    run = run_of(request, code)
    if not perms.can_ask_reduction(request.user, run):
        raise Http404
    form = ReductionForm(request.POST or None)
    if form.is_valid():
        with refusals_on(form):
            reduction = taking_back.request_reduction(
                by=request.user, run=run, at=clock.now(), **form.cleaned_data
            )
        if not form.errors:
            messages.success(request, "Đã gửi đề nghị cắt giảm. Một lãnh đạo khác sẽ quyết định.")
            return redirect("allocation:reduction", pk=reduction.pk)
    return render(
        request,
        "allocation/reduction_new.html",
        {"run": run, "form": form},
        status=422 if form.errors else 200,
    )


def meeting_rows(reduction: Reduction) -> list[list[str]]:
    """How many students of which province the reduction would meet now: the second official sees it before."""
    return [[province, format_number(students)] for province, students in taking_back.would_meet(reduction)]


@perms.reader
def reduction_page(request: HttpRequest, pk: int) -> HttpResponse:
    """One reduction: what it would take and from how many, the decision, and afterwards whom it met."""
    reduction = get_object_or_404(
        Reduction.objects.for_user(request.user).select_related(
            "run__province", "run__policy", "requested_by", "approved_by", "refused_by"
        ),
        pk=pk,
    )
    may_decide = perms.can_decide_reduction(request.user, reduction)

    def decide(agree: bool) -> str:
        taking_back.decide_reduction(by=request.user, reduction=reduction, agree=agree, at=clock.now())
        if agree:
            return f"Đã cắt giảm {format_number(reduction.count)} máy; thông báo được gửi cho các trường."
        return "Đã ghi: không đồng ý cắt giảm. Không phân bổ nào thay đổi."

    form, is_done = decided(request, may=may_decide, decide=decide)
    if is_done:
        return redirect("allocation:reduction", pk=pk)
    return render(
        request,
        "allocation/reduction.html",
        {
            "reduction": reduction,
            "run": reduction.run,
            "may_decide": may_decide,
            "form": form,
            "would_columns": ["Tỉnh", "Em không nhận máy nữa"],
            "would_meet": meeting_rows(reduction) if may_decide else [],
            "met": revocations_of(request.user).filter(reduction=reduction).count(),
            "mails": list(notices.log_of(reduction)),
            "is_real": clock.is_real(),
        },
        status=422 if form.errors else 200,
    )
