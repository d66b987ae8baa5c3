"""An approved list looked over once more before a handover: who moved, left, has a computer; the rest confirmed at once."""

import datetime as dt

from django.core.exceptions import ValidationError
from django.db import connection, transaction

from accounts.models import User
from schools.models import Student, StudentList

# The worst that is known of a student, in this order; the labels are what staff read.
SITUATIONS = {
    "left": "Đã thôi học",
    "out_of_group": "Không còn thuộc đối tượng",
    "moved": "Đã chuyển trường",
    "has_device": "Đã có máy tính",
    "unchecked": "Chưa rà soát",
    "confirmed": "Đã rà soát, vẫn đủ điều kiện",
}
# Those whose computer, if one was allocated, goes to the next by rank.
NOT_ELIGIBLE = ("left", "out_of_group", "moved", "has_device")
# A new row's student has the id `first_student_id` + row; another row names its student.
_STUDENTS = """
SELECT s.id, CASE WHEN s.state IN ('left', 'out_of_group') THEN s.state
    WHEN sc.code <> r.school_code THEN 'moved'
    WHEN s.has_device THEN 'has_device'
    WHEN EXISTS (SELECT FROM schools_statuschange c WHERE c.student_id = s.id AND c.kind = 'still_here'
        AND c.changed_at >= %(approved)s) THEN 'confirmed'
    ELSE 'unchecked' END AS situation, s.school_id, s.sort_key, r.school_code
FROM schools_listrow r
JOIN schools_student s ON s.id = CASE WHEN r.effect = 0 THEN %(first)s + r.number ELSE r.student_id END
JOIN schools_school sc ON sc.office_id = s.school_id
WHERE r.student_list_id = %(list)s AND r.outcome < 3
"""


def _values(student_list: StudentList) -> dict:
    if student_list.state != StudentList.State.APPROVED:
        raise ValidationError("Chỉ rà soát lại danh sách đã được phê duyệt.")
    return {
        "list": student_list.pk, "first": student_list.first_student_id, "approved": student_list.approved_at,
    }  # fmt: skip


def situations(student_list: StudentList) -> dict[str, int]:
    """How many students of an approved list are in each of `SITUATIONS`. Raises ValidationError if it is not approved."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT situation, count(*) FROM ({_STUDENTS}) x GROUP BY 1", _values(student_list))
        found = dict(cursor.fetchall())
    return {situation: found.get(situation, 0) for situation in SITUATIONS}


def students_in(
    student_list: StudentList, situation: str, *, start: int, limit: int
) -> list[tuple[Student, str]]:
    """One page of the list's students in a situation, by name: (student, code of the school in the list).

    A computer waits at the school of the list, wherever its student went. ``start`` counts from 0.
    """
    values = _values(student_list) | {"situation": situation, "start": start, "limit": limit}
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT id, school_code FROM ({_STUDENTS}) x WHERE situation = %(situation)s"
            " ORDER BY sort_key, id OFFSET %(start)s LIMIT %(limit)s",
            values,
        )
        listed_at = dict(cursor.fetchall())
    found = (
        Student.objects.filter(pk__in=listed_at).select_related("school__office").order_by("sort_key", "pk")
    )
    return [(student, listed_at[student.pk]) for student in found]


@transaction.atomic
def confirm_rest(*, by: User, student_list: StudentList, reason: str, at: dt.datetime) -> int:
    """Record of everybody not looked over yet that they are still here and still qualify; gives their number.

    Raises ValidationError without a reason, or when the list is not approved.
    """
    student_list = StudentList.objects.select_for_update(of=("self",)).get(pk=student_list.pk)
    if not reason.strip():
        raise ValidationError("Hãy viết căn cứ: ai đã rà soát, với hồ sơ nào.")
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO schools_statuschange (student_id, kind, from_school_id, reason, changed_at, changed_by_id)"
            f" SELECT id, 'still_here', school_id, %(reason)s, %(at)s, %(by)s FROM ({_STUDENTS}) x"
            " WHERE situation = 'unchecked'",
            _values(student_list) | {"reason": reason.strip(), "at": at, "by": by.pk},
        )
        return cursor.rowcount
