"""Schools by whether they are connected to the internet (Plan III.2b)."""

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Count
from django.http import Http404
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse

from common.clock import today
from common.exports import xlsx_response
from common.refusals import refusals_on
from common.requested_files import DIRECT_ROWS
from coverage import files, perms, services
from coverage.forms import (
    SchoolFilter,
    SurveyForm,
)
from coverage.models import (
    SchoolConnectivity,
)
from schools.models import School
from schools.reach import reach

PER_PAGE = 25


def _state(school: School) -> str:
    return school.connectivity.state if hasattr(school, "connectivity") else SchoolConnectivity.State.UNKNOWN


@perms.watches_schools
def schools(request):
    """Schools by whether they are connected to the internet (Plan III.2b)."""
    form = SchoolFilter(request.GET)
    form.is_valid()
    rows = files.found_schools(by=request.user, form=form)
    counts = dict(rows.values_list("connectivity__state").annotate(n=Count("pk")).order_by())
    unknown = counts.pop(None, 0) + counts.pop("unknown", 0)
    page = Paginator(rows.order_by(*files.ORDER), PER_PAGE).get_page(request.GET.get("trang"))
    for school in page:
        school.net = SchoolConnectivity.State(_state(school))
        school.badge = {"connected": "success", "not_connected": "danger"}.get(school.net, "neutral")
        school.can_survey = perms.can_survey(request.user, school)
    return render(
        request,
        "coverage/schools.html",
        {
            "page": page,
            "form": form,
            "is_long": page.paginator.count > DIRECT_ROWS,
            "connected": counts.get("connected", 0),
            "not_connected": counts.get("not_connected", 0),
            "unknown": unknown,
        },
    )


@perms.watches_schools
def schools_xlsx(request):
    """The same list as a workbook, for both ministries; more than a few rows are asked for as a file."""
    filters = request.GET.urlencode()
    table = files.schools(by=request.user, filters=filters)
    if table.total is not None and table.total > DIRECT_ROWS:
        messages.info(request, "Danh sách dài, hệ thống chuẩn bị tệp trong nền: bấm «Yêu cầu tệp Excel».")
        return redirect(f"{reverse('coverage:schools')}?{filters}")
    return xlsx_response("truong-ket-noi-internet.xlsx", "Kết nối Internet", table.columns, table.rows)


@perms.watches_schools
def survey(request, code: str):
    """What a survey found about one school."""
    school = get_object_or_404(
        School.objects.filter(reach(request.user, through="office__")).select_related(
            "office", "connectivity"
        ),
        code=code,
    )
    if not perms.can_survey(request.user, school):
        raise Http404
    row = getattr(school, "connectivity", None)
    form = SurveyForm(
        request.POST or None,
        initial={
            "state": _state(school),
            "source": row.source if row else "",
            "surveyed_on": row.surveyed_on if row else today(),
        },
    )
    if form.is_bound and form.is_valid():
        with refusals_on(form):
            services.survey_school(by=request.user, school=school, **form.cleaned_data)
        if not form.errors:
            messages.success(request, f"Đã ghi kết nối của {school}.")
            return redirect("coverage:schools")
    return render(
        request, "coverage/survey.html", {"school": school, "form": form}, status=422 if form.errors else 200
    )
