"""Points without signal: the public map and lists, the operator's own queue and its file."""

import datetime as dt

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db.models import Count, F, Q
from django.http import Http404
from django.shortcuts import get_object_or_404, redirect, render

from common.access import public
from common.charts import geographic_map, legend, patterns, tile_map, trend
from common.clock import now, today
from common.exports import csv_response
from common.models import Programme
from common.refusals import refusals_on
from common.templatetags.vi import format_number, format_percent
from coverage import perms, roundtrip, rules, services
from coverage.forms import (
    PointFilter,
    PointReportForm,
    PointsFileForm,
)
from coverage.models import (
    CoveragePoint,
    OperatorMember,
)

PER_PAGE = 15
State = CoveragePoint.State
BADGE = {
    State.OPEN: "neutral",
    State.PLANNED: "info",
    State.BUILDING: "info",
    State.BLOCKED: "warning",
    State.COVERED: "success",
}
COVERED = Q(state=State.COVERED)


def _mark(page, day: dt.date):
    for point in page:
        point.badge = BADGE[point.state]
        point.is_late = rules.is_late(deadline_on=point.deadline_on, covered_on=point.covered_on, today=day)
    return page


def _targets(day: dt.date) -> list[dict]:
    """Both promises of the plan with what is done, left, late, and the pace that is still needed (Plan II.1)."""
    counts = CoveragePoint.objects.aggregate(
        all=Count("pk"),
        covered=Count("pk", filter=COVERED),
        urgent=Count("pk", filter=Q(is_urgent=True)),
        urgent_covered=Count("pk", filter=Q(is_urgent=True) & COVERED),
    )
    targets = []
    for title, total, done, deadline in (
        (
            "Địa phương thực hiện Chỉ thị 16",
            counts["urgent"],
            counts["urgent_covered"],
            rules.URGENT_DEADLINE_ON,
        ),
        ("Toàn quốc", counts["all"], counts["covered"], rules.DEADLINE_ON),
    ):
        targets.append(
            {
                "title": title,
                "total": total,
                "done": done,
                "left": total - done,
                "deadline_on": deadline,
                "is_late": done < total and day > deadline,
                "pace": rules.pace_needed(remaining=total - done, today=day, deadline_on=deadline),
            }
        )
    return targets


def _burn_down(day: dt.date):
    """The line of points that remain, week by week since the plan began, as chart and rows."""
    by_day = dict(
        CoveragePoint.objects.filter(COVERED)
        .values_list("covered_on")
        .annotate(n=Count("pk"))
        .order_by("covered_on")
    )
    start = dt.date(2021, 9, 20)
    end = max(day, start + dt.timedelta(days=7))
    days = [
        start + dt.timedelta(days=n)
        for n in range(0, (end - start).days, max(7, (end - start).days // 30 // 7 * 7))
    ]
    days.append(end)
    left = rules.burn_down(by_day, total=CoveragePoint.objects.count(), days=days)
    points = [(f"{moment:%d/%m/%Y}", count) for moment, count in left]
    return (
        trend(points, title="Số điểm còn chưa có sóng theo thời gian", ident="burn-down"),
        [[label, format_number(count)] for label, count in points],
    )


@public
def coverage_public(request):
    """Where there is signal and where not yet, against both deadlines; late points stand out."""
    day, form = today(), PointFilter(request.GET)
    points = form.select(CoveragePoint.objects.select_related("commune", "province", "operator"), day)
    late = Q(deadline_on__lt=day) & ~COVERED
    rows = list(
        CoveragePoint.objects.values("province__code", "province__full_name", "province__slug")
        .annotate(total=Count("pk"), covered=Count("pk", filter=COVERED), late=Count("pk", filter=late))
        .order_by("-late", "province__full_name")
    )
    operators = (
        CoveragePoint.objects.values("operator__name", "operator__code")
        .annotate(total=Count("pk"), covered=Count("pk", filter=COVERED), late=Count("pk", filter=late))
        .order_by("-late", "operator__name")
    )
    shares = {row["province__code"]: row["covered"] / row["total"] for row in rows}
    title = "Tỷ lệ điểm đã có sóng theo tỉnh"
    chart, chart_rows = _burn_down(day)
    return render(
        request,
        "coverage/public.html",
        {
            "day": day,
            "targets": _targets(day),
            "provinces": rows,
            "operators": operators,
            "tiles": tile_map(shares, title=title),
            "map": geographic_map(shares, title=title),
            "patterns": patterns(),
            "legend": legend(),
            "is_demonstration": Programme.objects.filter(pk=1, is_demonstration=True).exists(),
            "columns": ["Tỉnh, thành phố", "Số điểm", "Đã có sóng", "Tỷ lệ", "Quá hạn"],
            "rows": [
                [
                    row["province__full_name"],
                    format_number(row["total"]),
                    format_number(row["covered"]),
                    format_percent(row["covered"], row["total"]),
                    format_number(row["late"]),
                ]
                for row in rows
            ],
            "burn_down": chart,
            "burn_columns": ["Đến ngày", "Còn lại"],
            "burn_down_rows": chart_rows,
            "form": form,
            "page": _mark(
                Paginator(
                    points.order_by(F("covered_on").desc(nulls_first=True), "deadline_on", "code"), PER_PAGE
                ).get_page(request.GET.get("trang")),
                day,
            ),
        },
    )


@public
def points_csv(request):
    """Every point of the filter as CSV; points are places, not persons."""
    points = PointFilter(request.GET).select(CoveragePoint.objects.all(), today())
    columns = [
        "ma_diem", "thon_ban", "xa", "tinh", "vi_do", "kinh_do", "doanh_nghiep", "khan_cap", "han", "trang_thai",
        "vuong_mac", "ngay_co_song",
    ]  # fmt: skip
    values = points.order_by("code").values_list(
        "code", "name", "commune__full_name", "province__full_name", "latitude", "longitude", "operator__name",
        "is_urgent", "deadline_on", "state", "blocker", "covered_on",
    )  # fmt: skip
    return csv_response("diem-phu-song.csv", columns, values.iterator(chunk_size=2000))


@perms.works_on_points
def queue(request):
    """The points a person answers for, or watches: late ones first."""
    day, form = today(), PointFilter(request.GET)
    mine = CoveragePoint.objects.for_user(request.user).distinct()
    chosen = form.select(mine, day)
    if "state" not in request.GET:
        chosen = chosen.uncovered()
    counts = mine.aggregate(
        all=Count("pk", distinct=True),
        covered=Count("pk", filter=COVERED, distinct=True),
        late=Count("pk", filter=Q(deadline_on__lt=day) & ~COVERED, distinct=True),
        blocked=Count("pk", filter=Q(state=State.BLOCKED), distinct=True),
    )
    page = Paginator(
        chosen.select_related("commune", "province", "operator").order_by("deadline_on", "code"), PER_PAGE
    ).get_page(request.GET.get("trang"))
    return render(
        request,
        "coverage/queue.html",
        {
            "page": _mark(page, day),
            "form": form,
            "counts": counts,
            "records_supports": perms.supporting_operators(request.user).exists(),
            "is_operator": OperatorMember.objects.filter(user=request.user, ended_at__isnull=True).exists(),
        },
    )


@perms.works_on_points
def point_detail(request, code: str):
    """One point with its history; its operator reports on it."""
    points = CoveragePoint.objects.for_user(request.user).select_related("commune", "province", "operator")
    point = get_object_or_404(points.distinct(), code=code)
    can_report = perms.can_report(request.user, point) and point.state != State.COVERED
    form = PointReportForm(
        request.POST or None,
        request.FILES or None,
        initial={"state": point.state, "blocker": point.blocker, "measured_on": today()},
    )
    if request.method == "POST":
        if not can_report:
            raise Http404
        if form.is_valid():
            try:
                with refusals_on(form):
                    _report(request, point, form)
            except _Refused as refused:
                for field, message in refused.faults:
                    form.add_error(field if field in form.fields else None, message)
        if not form.errors:
            point.refresh_from_db()
            messages.success(request, f"Đã ghi điểm {point.code}: {point.get_state_display().lower()}.")
            return redirect("coverage:point", point.code)
    reports = list(point.reports.select_related("reported_by").order_by("-pk"))
    for report in reports:
        report.badge = BADGE[report.state]
    day = today()
    return render(
        request,
        "coverage/point.html",
        {
            "point": _mark([point], day)[0],
            "reports": reports,
            "form": form,
            "can_report": can_report,
            "min_kbps": rules.COVERED_MIN_KBPS,
        },
        status=422 if form.errors else 200,
    )


class _Refused(Exception):
    def __init__(self, faults):
        self.faults = faults


def _report(request, point: CoveragePoint, form: PointReportForm) -> None:
    try:
        services.report_point(by=request.user, point=point, at=now(), **form.cleaned_data)
    except ValidationError as error:
        rows = (getattr(error, "params", None) or {}).get("rows")
        if rows is None:
            raise
        raise _Refused([(field, message) for _, field, message in rows]) from error


@perms.operators_only
def queue_csv(request):
    """The operator's points as a file to fill in and send back; keyed by our code."""
    points = CoveragePoint.objects.for_user(request.user).filter(
        operator__in=perms.operators_of(request.user)
    )
    points = points.uncovered().order_by("code")
    return csv_response("diem-song.csv", roundtrip.COLUMNS, roundtrip.rows_out(points))


@perms.operators_only
def upload(request):
    """The filled-in file comes back: every fault by line and column, or everything recorded."""
    form, faults = PointsFileForm(request.POST or None, request.FILES or None), []
    if request.method == "POST" and form.is_valid():
        try:
            rows, faults = roundtrip.read(form.cleaned_data["file"].read())
        except roundtrip.FileRefusedError as refused:
            form.add_error("file", refused)
            rows = []
        own = CoveragePoint.objects.filter(operator__in=perms.operators_of(request.user))
        known = {
            code: (state, blocker) for code, state, blocker in own.values_list("code", "state", "blocker")
        }
        faults += [
            roundtrip.Fault(row["line"], "ma_diem", f"Không có điểm «{row['code']}» của doanh nghiệp mình.")
            for row in rows
            if row["code"] not in known
        ]
        news = roundtrip.changed(rows, known)
        if not form.errors and not faults:
            try:
                services.report_points(by=request.user, at=now(), rows=news)
            except ValidationError as error:
                told = (getattr(error, "params", None) or {}).get("rows", [])
                faults = [
                    roundtrip.Fault(
                        news[number - 1]["line"], roundtrip.FIELD_COLUMN.get(field, field), message
                    )
                    for number, field, message in told
                ]
                if not told:  # not about a row: the public log refused
                    form.add_error(None, error)
            else:
                same = len(rows) - len(news)
                messages.success(
                    request,
                    f"Đã ghi {format_number(len(news))} điểm; {format_number(same)} dòng không đổi được bỏ qua.",
                )
                return redirect("coverage:queue")
    return render(
        request,
        "coverage/upload.html",
        {
            "form": form,
            "faults": sorted(faults, key=lambda fault: fault.line)[:500],
            "fault_count": len(faults),
        },
        status=422 if form.errors or faults else 200,
    )
