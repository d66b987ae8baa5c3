"""SIMs and the free data of students (Plan II.3b)."""

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Sum
from django.http import Http404
from django.shortcuts import redirect, render

from accounts.services import record_reading
from common.clock import now, today
from common.paging import LongPaginator
from common.refusals import refusals_on
from common.templatetags.vi import format_number
from coverage import perms, rules, services
from coverage.forms import (
    SimBatchForm,
)
from coverage.models import (
    DataPlan,
    Operator,
    SimBatch,
)

PER_PAGE = 25


@perms.works_on_points
def sims(request):
    """SIM batches delivered to provinces, and the free plans of the programme counted against one million."""
    operators = Operator.objects.filter(pk__in=perms.operators_of(request.user))
    form = SimBatchForm(request.POST or None, initial={"delivered_on": today()})
    if request.method == "POST":
        if not operators:
            raise Http404
        if form.is_valid():
            with refusals_on(form):
                batch = services.register_sim_batch(
                    by=request.user, operator=operators[0], at=now(), **form.cleaned_data
                )
        if not form.errors:
            messages.success(request, f"Đã ghi lô {batch.code}: {format_number(batch.quantity)} SIM.")
            return redirect("coverage:sims")
    batches = SimBatch.objects.for_user(request.user).distinct().with_used()
    totals = batches.aggregate(delivered=Sum("quantity"), given=Sum("used"))
    day = today()
    return render(
        request,
        "coverage/sims.html",
        {
            "page": Paginator(
                batches.select_related("operator", "province").order_by("-delivered_on", "-pk"), PER_PAGE
            ).get_page(request.GET.get("trang")),
            "totals": totals,
            "plan_count": DataPlan.objects.count(),
            "live_count": DataPlan.objects.live_on(day).count(),
            "ending_count": DataPlan.objects.ending_within(day=day, days=rules.PLAN_WARNING_DAYS).count(),
            "target": rules.PLAN_TARGET,
            "warning_days": rules.PLAN_WARNING_DAYS,
            "form": form,
            "can_register": bool(operators),
        },
        status=422 if form.errors else 200,
    )


@perms.watches_plans
def plans(request):
    """Free plans of the students within reach: those that end soon first, to tell families before they are charged."""
    day = today()
    rows = DataPlan.objects.for_user(request.user).select_related("student__school__office", "operator")
    ending = rows.ending_within(day=day, days=rules.PLAN_WARNING_DAYS)
    chosen = rows.live_on(day) if request.GET.get("state") == "live" else ending
    page = LongPaginator(chosen.order_by("ends_on", "pk"), PER_PAGE).get_page(request.GET.get("trang"))
    for plan in page:
        plan.days_left = (plan.ends_on - day).days + 1
    record_reading(
        by=request.user,
        subject_type="coverage.dataplan",
        subject_id="danh sách",
        fields="họ tên, lớp, trường",
        reason="theo dõi gói dữ liệu",
        row_count=len(page),
    )
    return render(
        request,
        "coverage/plans.html",
        {
            "page": page,
            "state": request.GET.get("state", ""),
            "live_count": rows.live_on(day).count(),
            "ending_count": ending.count(),
            "warning_days": rules.PLAN_WARNING_DAYS,
        },
    )
