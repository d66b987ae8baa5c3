"""What schools hold about children, erased: on a family's request (Law 91/2025/QH15, art. 14) or when its time is over.

Left behind, because the programme's accounts and the public log's proof of eligibility need them: that there was a child,
its school, its group and what was decided. Nothing that is left names or describes it.
"""

import datetime as dt
from collections.abc import Sequence

from django.core.exceptions import ValidationError
from django.db import connection, transaction

from common import crypto
from common.erasure import ERASED, ERASED_DAY, Traces, images_of
from schools.models import DuplicateCase, Student, StudentList, ToldApart

ERASED_ROW = f"""
    full_name = CASE WHEN full_name = '' THEN '' ELSE '{ERASED}' END, search_key = '', sort_key = '',
    born_on = CASE WHEN born_on IS NULL THEN NULL ELSE DATE '{ERASED_DAY}' END, sex = '', class_name = '',
    student_code = '', identity_index = NULL, identity_sealed = NULL, household_code = '', household_key = '',
    commune_name = '', commune_id = NULL, findings = NULL, typed = NULL, before = NULL
"""
ERASED_STUDENT = f"""
    full_name = '{ERASED}', search_key = '', sort_key = '', born_on = DATE '{ERASED_DAY}', sex = '', code = '',
    class_name = '', grade = NULL, household_key = '', home_commune_id = NULL
"""
# Free texts about a list; a file's name may be a child's.
ERASED_TEXTS = f"""
    file_name = '{ERASED}', reading = '{{}}', refused_message = '',
    return_reason = CASE WHEN return_reason = '' THEN '' ELSE '{ERASED}' END,
    attestation = CASE WHEN attestation = '' THEN '' ELSE '{ERASED}' END
"""
ROWS = "CREATE TEMP TABLE erasure_row (id bigint PRIMARY KEY, list_id bigint, household text) ON COMMIT DROP"
# A child's rows of the lists ever read, however the row was matched: written, compared, or only alike. A list that came
# later than `until` is on its way with somebody: only what is certainly the child's own goes from it.
ROWS_OF_CHILDREN = """
INSERT INTO erasure_row SELECT r.id, r.student_list_id, r.household_code FROM schools_listrow r JOIN (
    SELECT r.id FROM schools_listrow r JOIN erasure_child c ON r.student_id = c.id
    UNION SELECT r.id FROM schools_listrow r JOIN schools_studentlist l ON l.id = r.student_list_id
        JOIN erasure_child c ON l.first_student_id + r.number = c.id WHERE r.effect = 0
    UNION SELECT r.id FROM schools_listrow r JOIN schools_student s ON r.identity_index = s.identity_index
        JOIN erasure_child c ON s.id = c.id
    UNION SELECT r.id FROM schools_listrow r JOIN schools_studentlist l ON l.id = r.student_list_id
        JOIN schools_student s ON r.search_key = s.search_key AND (r.born_on = s.born_on OR r.born_on IS NULL)
        JOIN erasure_child c ON s.id = c.id WHERE s.search_key <> '' AND l.uploaded_at < %s
) found ON found.id = r.id
"""
ROWS_OF_LISTS = """
INSERT INTO erasure_row SELECT id, student_list_id, household_code FROM schools_listrow WHERE student_list_id = ANY(%s)
"""
CASES = """
SELECT d.id FROM schools_duplicatecase d JOIN erasure_row r ON r.id = d.row_id
"""
CASES_OF_CHILDREN = f"""{CASES}
UNION SELECT d.id FROM schools_duplicatecase d JOIN erasure_child c ON c.id = d.student_id
"""
APART = "SELECT t.id FROM schools_toldapart t JOIN erasure_row r ON r.id IN (t.row_id, t.other_id)"
READINGS = """
UPDATE accounts_personaldataaccess a SET reason = %s WHERE a.reason <> '' AND (
    a.subject_type = 'schools.student' AND a.subject_id IN (SELECT id::text FROM erasure_child)
    OR a.subject_type = 'schools.listrow' AND a.subject_id IN (SELECT id::text FROM erasure_row))
"""
# Nobody knows whom a file names that could not be read: the children's schools or an office above sent it.
UNREADABLE = """
SELECT l.id FROM schools_studentlist l JOIN schools_office sender ON sender.id = l.office_id
WHERE l.state = 'refused' AND l.file <> '' AND l.uploaded_at < %s AND sender.code IN (
    SELECT unnest(string_to_array(o.path, '/')) FROM (
        SELECT DISTINCT s.school_id FROM schools_student s JOIN erasure_child c ON c.id = s.id) own
    JOIN schools_school sc ON sc.office_id = own.school_id JOIN schools_office o ON o.id = sc.office_id)
"""


def traces_of(student: Student) -> Traces:
    """What this child could be recognised by in a free text; to be asked for before it is erased."""
    words = [student.full_name, student.code]
    if student.identity_sealed:
        words.append(crypto.unseal(bytes(student.identity_sealed)).decode())
    return Traces(tuple(word for word in words if word and word != ERASED))


@transaction.atomic
def erase_student(*, by, student: Student) -> list[str]:
    """Erase the one child of `common.erasure.erasing`, also where others' texts name it; files as in `erase_children`.

    Raises ValidationError when the child was erased already.
    """
    found = Student.objects.select_for_update().get(pk=student.pk)
    if found.full_name == ERASED:
        raise ValidationError("Thông tin của em này đã được xoá trước đây.")
    traces = traces_of(found)
    files, lists = _erase_children(dt.datetime.max.replace(tzinfo=dt.UTC))
    with connection.cursor() as cursor:
        # A sibling keeps its own household's code; what was said of this child by it goes.
        cursor.execute("SELECT DISTINCT household FROM erasure_row WHERE household <> '' ORDER BY household")
        households = [code for (code,) in cursor.fetchall()]
        cursor.execute("DROP TABLE erasure_row")
    traces.take_out("accounts_personaldataaccess", ["reason"], whole=True)
    _take_out_of_lists(Traces((*traces.words, *households)), lists)
    return files


@transaction.atomic
def erase_children(*, by, until: dt.datetime) -> list[str]:
    """Erase the children of `common.erasure.erasing` from students, lists, decisions, and the audit trail's images.

    Returns the names of the stored files to delete once the transaction holds: a list is sealed as a whole, so the file
    of each list that names a child goes, with all that was written about that list; so do unreadable lists of its school
    and the offices above, which may. Lists that came after `until` keep rows that are only alike.
    """
    files, lists = _erase_children(until)
    _forget_texts(lists)
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE erasure_row")
        cursor.execute(
            "UPDATE schools_listrow SET findings = NULL WHERE student_list_id = ANY(%s) AND findings IS NOT NULL",
            [lists],
        )
        # A reason that was typed for another child may name this one: nobody can look for so many names.
        cursor.execute(
            "UPDATE accounts_personaldataaccess SET reason = %s WHERE reason NOT IN ('', %s) AND at < %s",
            [ERASED, ERASED, until],
        )
    return files


@transaction.atomic
def erase_lists_whole(*, by, lists: Sequence[int]) -> list[str]:
    """Erase every row of these lists and all that was written about them; the names of the stored files to delete."""
    with connection.cursor() as cursor:
        cursor.execute(ROWS)
        cursor.execute(ROWS_OF_LISTS, [list(lists)])
        _erase_rows(cursor, cases=CASES)
        cursor.execute("DROP TABLE erasure_row")
    _forget_texts(lists)
    return _forget_files(lists)


def _erase_children(until: dt.datetime) -> tuple[list[str], list[int]]:
    """What one child and many have in common: (stored files, ids of their lists). The table of rows stays."""
    with connection.cursor() as cursor:
        cursor.execute(ROWS)
        cursor.execute(ROWS_OF_CHILDREN, [until])
        cursor.execute("ANALYZE erasure_row")
        cursor.execute("SELECT DISTINCT list_id FROM erasure_row")
        lists = [pk for (pk,) in cursor.fetchall()]
        cursor.execute(UNREADABLE, [until])
        lists += [pk for (pk,) in cursor.fetchall()]
        cursor.execute(READINGS, [ERASED])
        _erase_rows(cursor, cases=CASES_OF_CHILDREN)
        cursor.execute(
            f"UPDATE schools_student s SET {ERASED_STUDENT}, identity_sealed = NULL, identity_index = NULL"
            " FROM erasure_child c WHERE s.id = c.id"
        )
        cursor.execute(
            "UPDATE schools_statuschange s SET reason = %s FROM erasure_child c WHERE s.student_id = c.id",
            [ERASED],
        )
    with images_of(Student), connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE schools_studentevent e SET {ERASED_STUDENT} FROM erasure_child c WHERE e.pgh_obj_id = c.id"
        )
    return _forget_files(lists), lists


def _erase_rows(cursor, *, cases: str) -> None:
    """The rows in `erasure_row`, and the notes on whether two records are one child."""
    cursor.execute(f"UPDATE schools_listrow r SET {ERASED_ROW} FROM erasure_row e WHERE r.id = e.id")
    for model, chosen in ((DuplicateCase, cases), (ToldApart, APART)):
        table = model._meta.db_table
        cursor.execute(f"UPDATE {table} SET note = %s WHERE note <> '' AND id IN ({chosen})", [ERASED])
        with images_of(model):
            cursor.execute(
                f"UPDATE {table}event SET note = %s WHERE note <> '' AND pgh_obj_id IN ({chosen})", [ERASED]
            )


def _forget_files(lists: Sequence[int]) -> list[str]:
    """Take the files off these lists; their stored names."""
    chosen = StudentList.objects.filter(pk__in=lists).exclude(file="")
    names = list(chosen.values_list("file", flat=True))
    chosen.update(file="")
    with images_of(StudentList), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE schools_studentlistevent SET file = '' WHERE pgh_obj_id = ANY(%s)", [list(lists)]
        )
    return names


def _forget_texts(lists: Sequence[int]) -> None:
    """All that was typed or said about these lists."""
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE schools_studentlist SET {ERASED_TEXTS} WHERE id = ANY(%s)", [list(lists)])
    with images_of(StudentList), connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE schools_studentlistevent SET {ERASED_TEXTS} WHERE pgh_obj_id = ANY(%s)", [list(lists)]
        )


def _take_out_of_lists(traces: Traces, lists: list[int]) -> None:
    """One child's names inside what was said about lists, and about other rows of the same lists."""
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
