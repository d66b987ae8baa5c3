"""What schools erase when its time is over: rows and files of lists, and (called by allocation) children's records.

Counts, schools, groups and decisions stay; what names or describes a child goes, in the tables and in the trail's images.
"""

import datetime as dt

import pgtrigger
from django.core.files.storage import default_storage
from django.db import connection, transaction
from django.db.models import Q

from common.erasure import ERASED, ERASED_DAY
from common.retention import erases
from schools.models import StudentList

# What a row of a list and a student become, here and when a family asks (`schools.services.erasure`).
ERASED_ROW = f"""
    full_name = CASE WHEN full_name = '' THEN '' ELSE '{ERASED}' END, search_key = '', sort_key = '',
    born_on = CASE WHEN born_on IS NULL THEN NULL ELSE DATE '{ERASED_DAY}' END, sex = '', class_name = '',
    student_code = '', identity_index = NULL, identity_sealed = NULL, household_code = '', household_key = '',
    commune_name = '', commune_id = NULL, findings = NULL, typed = NULL, before = NULL
"""
ROWS = f"UPDATE schools_listrow SET {ERASED_ROW} WHERE student_list_id = ANY(%s)"
PERSONAL = f"""
    full_name = '{ERASED}', search_key = '', sort_key = '', born_on = DATE '{ERASED_DAY}', sex = '', code = '',
    class_name = '', grade = NULL, household_key = '', home_commune_id = NULL
"""


@erases("student_lists")
def erase_lists(*, by, before: dt.datetime) -> int:
    """Files and rows of lists that were approved, refused or undone before a day; returns how many lists.

    A list whose children are only committed is still on its way, however long ago.
    """
    State = StudentList.State
    ended = (
        Q(state=State.APPROVED, approved_at__lt=before)
        | Q(state=State.UNDONE, undone_at__lt=before)
        | Q(state=State.REFUSED, uploaded_at__lt=before)
    )
    found = list(StudentList.objects.filter(ended).exclude(file="").values_list("pk", "file"))
    ids, files = [pk for pk, _ in found], [name for _, name in found]
    with connection.cursor() as cursor:
        cursor.execute(ROWS, [ids])
    StudentList.objects.filter(pk__in=ids).update(file="", reading={}, refused_message="")
    with pgtrigger.ignore("schools.StudentListEvent:append_only"), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE schools_studentlistevent SET file = '', reading = '{}', refused_message = ''"
            " WHERE pgh_obj_id = ANY(%s)",
            [ids],
        )
    transaction.on_commit(lambda: [default_storage.delete(name) for name in files])
    return len(ids)


def erase_students(*, groups: list[str]) -> int:
    """Everything by which the children of these groups could be known; returns how many. Inside a transaction."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TEMP TABLE retention_student ON COMMIT DROP AS SELECT id FROM schools_student"
            ' WHERE "group" = ANY(%s) AND full_name <> %s',
            [groups, ERASED],
        )
        cursor.execute("ANALYZE retention_student")
        cursor.execute(
            f"UPDATE schools_student s SET {PERSONAL}, identity_sealed = NULL, identity_index = NULL"
            " FROM retention_student r WHERE s.id = r.id"
        )
        count = cursor.rowcount
    with pgtrigger.ignore("schools.StudentEvent:append_only"), connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE schools_studentevent e SET {PERSONAL} FROM retention_student r WHERE e.pgh_obj_id = r.id"
        )
        cursor.execute("DROP TABLE retention_student")
    return count
