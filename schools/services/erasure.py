"""What schools hold about one child, erased on the family's request (Law 91/2025/QH15, art. 14).

Left behind, because the programme's accounts and the public log's proof of eligibility need them: that there was a child,
its school, its group and what was decided. Nothing that is left names or describes it.
"""

from typing import Any

from django.core.exceptions import ValidationError
from django.db import connection, transaction

from accounts.models import User
from common import crypto
from common.erasure import ERASED, Traces, images_of
from schools.models import DuplicateCase, School, Student, StudentList, ToldApart
from schools.retention import ERASED_ROW, PERSONAL

# A child's rows of every list ever read, however the row was matched: written, compared, or only alike.
ROWS = """
SELECT r.id, r.student_list_id, r.household_code FROM schools_listrow r JOIN schools_studentlist l ON l.id = r.student_list_id
WHERE r.student_id = %(student)s
   OR (l.first_student_id IS NOT NULL AND r.effect = 0 AND l.first_student_id + r.number = %(student)s)
   OR r.identity_index = %(identity)s
   OR (r.search_key = %(search_key)s AND (r.born_on = %(born_on)s OR r.born_on IS NULL))
"""


def traces_of(student: Student) -> Traces:
    """What this child could be recognised by in a free text; to be asked for before `erase_student`."""
    words = [student.full_name, student.code]
    if student.identity_sealed:
        words.append(crypto.unseal(bytes(student.identity_sealed)).decode())
    return Traces(tuple(word for word in words if word and word != ERASED))


@transaction.atomic
def erase_student(*, by: User, student: Student) -> list[str]:
    """Erase a child from students, lists, their files, decisions, and the images of the audit trail.

    Returns the names of the stored files to delete once the transaction holds: a list is sealed as a whole, so the
    file of each list that names the child goes; so do unreadable lists of its school and the offices above, which may.
    Raises ValidationError when the child was erased already.
    """
    del by  # the audit trail names who
    found = Student.objects.select_for_update().get(pk=student.pk)
    if found.full_name == ERASED:
        raise ValidationError("Thông tin của em này đã được xoá trước đây.")
    traces = traces_of(found)
    values: dict[str, Any] = {
        "student": found.pk, "identity": found.identity_index, "search_key": found.search_key or None,
        "born_on": found.born_on, "mark": ERASED, "kind": "schools.student",
        "pattern": traces.pattern,
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(ROWS, values)
        hits = cursor.fetchall()
        values["rows"], lists = [hit[0] for hit in hits], sorted({hit[1] for hit in hits})
        # A sibling keeps its own household's code; what was said of this child by it goes.
        households = {hit[2] for hit in hits if hit[2]}
        cursor.execute(f"UPDATE schools_listrow SET {ERASED_ROW} WHERE id = ANY(%(rows)s)", values)
        cursor.execute(
            f"UPDATE schools_student SET {PERSONAL}, identity_sealed = NULL, identity_index = NULL"
            " WHERE id = %s",
            [found.pk],
        )
        cursor.execute(
            "UPDATE schools_statuschange SET reason = %(mark)s WHERE student_id = %(student)s", values
        )
        cursor.execute(
            "UPDATE accounts_personaldataaccess SET reason = %(mark)s WHERE reason <> ''"
            " AND ((subject_type = %(kind)s AND subject_id = %(student)s::text) OR reason ~* %(pattern)s)",
            values,
        )
    _scrub_decisions(found, values["rows"])
    files = _forget_files(found, lists)
    _scrub_texts(Traces((*traces.words, *sorted(households))), lists)
    with images_of(Student), connection.cursor() as cursor:
        cursor.execute(f"UPDATE schools_studentevent SET {PERSONAL} WHERE pgh_obj_id = %s", [found.pk])
    return files


def _scrub_decisions(student: Student, rows: list[int]) -> None:
    """Notes on whether two records are this child."""
    cases = DuplicateCase.objects.filter(student=student) | DuplicateCase.objects.filter(row__in=rows)
    ids = list(cases.values_list("pk", flat=True))
    DuplicateCase.objects.filter(pk__in=ids).exclude(note="").update(note=ERASED)
    with images_of(DuplicateCase), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE schools_duplicatecaseevent SET note = %s WHERE pgh_obj_id = ANY(%s) AND note <> ''",
            [ERASED, ids],
        )
    apart = ToldApart.objects.filter(row__in=rows) | ToldApart.objects.filter(other__in=rows)
    ids = list(apart.values_list("pk", flat=True))
    ToldApart.objects.filter(pk__in=ids).update(note=ERASED)
    with images_of(ToldApart), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE schools_toldapartevent SET note = %s WHERE pgh_obj_id = ANY(%s)", [ERASED, ids]
        )


def _forget_files(student: Student, lists: list[int]) -> list[str]:
    """Take the files off the lists that name the child; their stored names."""
    above = [part for part in School.objects.get(pk=student.school_id).office.path.split("/") if part]
    unreadable = StudentList.objects.filter(state=StudentList.State.REFUSED, office__code__in=above)
    chosen = (StudentList.objects.filter(pk__in=lists) | unreadable).exclude(file="")
    names = list(chosen.values_list("pk", "file"))
    ids = [pk for pk, _ in names]
    StudentList.objects.filter(pk__in=ids).update(file="")
    with images_of(StudentList), connection.cursor() as cursor:
        cursor.execute("UPDATE schools_studentlistevent SET file = '' WHERE pgh_obj_id = ANY(%s)", [ids])
    return [name for _, name in names]


def _scrub_texts(traces: Traces, lists: list[int]) -> None:
    """Names inside what was said about lists, and about other rows of the same lists."""
    texts = ["refused_message", "return_reason", "attestation", "file_name", "reading"]
    traces.take_out("schools_studentlist", texts, json=["reading"])
    with images_of(StudentList):
        traces.take_out("schools_studentlistevent", texts, json=["reading"])
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE schools_listrow SET findings = regexp_replace(findings::text, %(pattern)s, %(mark)s, 'gi')::jsonb"
            " WHERE student_list_id = ANY(%(lists)s) AND findings::text ~* %(pattern)s",
            {"lists": lists, "pattern": traces.pattern, "mark": ERASED},
        )
