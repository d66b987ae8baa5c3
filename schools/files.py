"""Large tables of schools that staff ask for."""

from django.http import QueryDict

from common.requested_files import Offer, Table, offer
from common.templatetags.vi import format_date
from common.vietnamese import search_key
from schools.models import Student
from schools.perms import list_reader
from schools.reach import trace_of_reach

STUDENT_COLUMNS = [
    "Mã trường", "Trường", "Lớp", "Mã học sinh", "Họ và tên", "Ngày sinh", "Đối tượng", "Trạng thái", "Đã có máy",
]  # fmt: skip
STUDENT_FIELDS = "họ tên, ngày sinh, lớp, đối tượng"


def found_students(*, by, words: str):
    """Students within reach whose name holds the words, written with or without diacritics."""
    found = Student.objects.for_user(by)
    return found.filter(search_key__contains=search_key(words)) if words else found


def students(*, by, filters: str) -> Table:
    """The students of the page, without identity numbers."""
    found = found_students(by=by, words=QueryDict(filters).get("q", "").strip())
    states, groups = dict(Student.State.choices), dict(Student.Group.choices)
    rows = found.order_by("school__code", "class_name", "sort_key", "pk").values_list(
        "school__code", "school__office__name", "class_name", "code", "full_name", "born_on", "group", "state",
        "has_device",
    )  # fmt: skip
    return Table(
        STUDENT_COLUMNS,
        (
            (*row[:5], format_date(row[5]), groups[row[6]], states[row[7]], "Có" if row[8] else "")
            for row in rows.iterator()
        ),
        found.count(),
    )


offer(
    "hoc-sinh",
    Offer(
        title="Học sinh, sinh viên", stem="hoc-sinh", access=list_reader, reach=trace_of_reach, table=students,
        personal=STUDENT_FIELDS,
    ),
)  # fmt: skip
