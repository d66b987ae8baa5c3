"""A file against the system without a trace: for the command line, by the statements of a list that stays."""

from django.db import connection, transaction

from schools.lists.findings import GRAVITY
from schools.models import Office, StudentList
from schools.services import list_matching
from schools.services.list_reading import COPY_ROWS, Places, copy_lines

# For this session these stand before the tables of the same names; they are gone with the savepoint.
_SCRATCH = """
CREATE TEMP TABLE schools_listrow (LIKE schools_listrow INCLUDING DEFAULTS INCLUDING IDENTITY INCLUDING INDEXES)
    ON COMMIT DROP;
CREATE TEMP TABLE schools_duplicatecase
    (LIKE schools_duplicatecase INCLUDING DEFAULTS INCLUDING IDENTITY INCLUDING INDEXES) ON COMMIT DROP;
"""
_BATCH = 1000


def compare_without_trace(*, office: Office, rows: list[list]) -> None:
    """Add to checked rows (`schools.lists.rows.FIELDS`) what a list of the office would be told of the system's students.

    Nothing is written that outlasts the call.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_SCRATCH)
        places = Places(office)
        with cursor.copy(COPY_ROWS) as copy:
            for start in range(0, len(rows), _BATCH):
                copy.write("".join(copy_lines(rows[start : start + _BATCH], "0", places)))
        list_matching.match_rows(StudentList(pk=0, office=office), is_first_time=True)
        cursor.execute(
            "SELECT number, findings->-1->>0, findings->-1->>1, findings->-1->>2, findings->-1->>3, findings->-1->>4"
            " FROM schools_listrow WHERE findings->-1->>2 = ANY(%s)",
            [list(list_matching.CODES)],
        )
        said = {number: finding for number, *finding in cursor.fetchall()}
        transaction.set_rollback(True)
    for row in rows:
        if finding := said.get(row[0]):
            row[16] = [*(row[16] or []), finding]
            row[1] = max(row[1], GRAVITY[finding[1]])
