"""Schools by whether they are connected to the internet (Plan III.2b)."""

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Count, Q
from django.http import Http404
from django.shortcuts import get_object_or_404, redirect, render

from common.clock import today
from common.exports import xlsx_response
from common.refusals import refusals_on
from coverage import perms, services
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


def _schools(request):
    """Schools a person watches, with their connection; a school without a row is "unknown"."""
    form = SchoolFilter(request.GET)
    form.is_valid()
    rows = School.objects.select_related("office", "province", "district", "connectivity")
    if not perms.ministry_of(request.user):
        rows = rows.filter(reach(request.user, through="office__"))
    if province := form.cleaned_data.get("province"):
        rows = rows.filter(province=province)
    state = form.cleaned_data.get("state")
    if state == SchoolConnectivity.State.UNKNOWN:
        rows = rows.filter(Q(connectivity__isnull=True) | Q(connectivity__state=state))
    elif state:
        rows = rows.filter(connectivity__state=state)
    return rows, form


def _state(school: School) -> str:
    return school.connectivity.state if hasattr(school, "connectivity") else SchoolConnectivity.State.UNKNOWN


@perms.watches_schools
def schools(request):
    """Schools by whether they are connected to the internet (Plan III.2b)."""
    rows, form = _schools(request)
    counts = dict(rows.values_list("connectivity__state").annotate(n=Count("pk")).order_by())
    unknown = counts.pop(None, 0) + counts.pop("unknown", 0)
    page = Paginator(rows.order_by("province__search_key", "office__name", "pk"), PER_PAGE).get_page(
        request.GET.get("trang")
    )
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
            "connected": counts.get("connected", 0),
            "not_connected": counts.get("not_connected", 0),
            "unknown": unknown,
        },
    )


@perms.watches_schools
def schools_xlsx(request):
    """The same list as a workbook, for both ministries."""
    rows, _form = _schools(request)
    columns = ["Mã trường", "Trường", "Tỉnh, thành phố", "Quận, huyện", "Kết nối", "Nguồn", "Ngày khảo sát"]
    values = rows.order_by("province__search_key", "office__name", "pk").values_list(
        "code", "office__name", "province__full_name", "district__full_name", "connectivity__state",
        "connectivity__source", "connectivity__surveyed_on",
    )  # fmt: skip
    labels = dict(SchoolConnectivity.State.choices)
    return xlsx_response(
        "truong-ket-noi-internet.xlsx",
        "Kết nối Internet",
        columns,
        (
            (*head, labels.get(state, "Chưa rõ"), *tail)
            for *head, state, source, day in values.iterator(2000)
            for tail in [(source, day)]
        ),
    )


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
