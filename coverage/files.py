"""Large tables of schools' connections that staff ask for."""

from django.db.models import Q, QuerySet
from django.http import QueryDict

from common.requested_files import Offer, Table, offer
from coverage import perms
from coverage.forms import SchoolFilter
from coverage.models import SchoolConnectivity
from schools.models import School
from schools.reach import reach, trace_of_reach

COLUMNS = ["Mã trường", "Trường", "Tỉnh, thành phố", "Quận, huyện", "Kết nối", "Nguồn", "Ngày khảo sát"]
ORDER = ("province__search_key", "office__name", "pk")


def found_schools(*, by, form: SchoolFilter) -> QuerySet[School]:
    """Schools a person watches, by the filter's valid fields; a school without a survey is "unknown"."""
    rows = School.objects.select_related("office", "province", "district", "connectivity")
    if not perms.ministry_of(by):
        rows = rows.filter(reach(by, through="office__"))
    if province := form.cleaned_data.get("province"):
        rows = rows.filter(province=province)
    state = form.cleaned_data.get("state")
    if state == SchoolConnectivity.State.UNKNOWN:
        return rows.filter(Q(connectivity__isnull=True) | Q(connectivity__state=state))
    return rows.filter(connectivity__state=state) if state else rows


def schools(*, by, filters: str) -> Table:
    """The schools of the page with what the latest survey found."""
    form = SchoolFilter(QueryDict(filters))
    form.is_valid()
    found = found_schools(by=by, form=form)
    labels = dict(SchoolConnectivity.State.choices)
    rows = found.order_by(*ORDER).values_list(
        "code", "office__name", "province__full_name", "district__full_name", "connectivity__state",
        "connectivity__source", "connectivity__surveyed_on",
    )  # fmt: skip
    return Table(
        COLUMNS,
        ((*row[:4], labels.get(row[4], "Chưa rõ"), *row[5:]) for row in rows.iterator(2000)),
        found.count(),
    )


offer(
    "truong-internet",
    Offer(
        title="Kết nối Internet của trường", stem="truong-ket-noi-internet", access=perms.watches_schools,
        reach=trace_of_reach, table=schools,
    ),
)  # fmt: skip
