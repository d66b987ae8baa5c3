"""The worker killed in mid-read and in mid-commit: the list is as it was, and the work is taken up again."""

import contextlib
from collections.abc import Callable, Iterator

import psycopg

from tests.live import Platform, wait_until

ROWS = 300
SEND = f"""
from django.core.management import call_command
call_command("prepare_queue", verbosity=0)
from schools.services import list_reading
from schools.models import Office
from accounts.models import User
from tests.lists_world import AT, make_world, student_row, table, workbook
make_world()
list_reading.upload_list(by=User.objects.get(email="lap@example.vn"), office=Office.objects.get(code="S-79"), at=AT,
    content=workbook(table([student_row(n) for n in range(1, {ROWS} + 1)])), file_name="danh-sach.xlsx")
"""
COMMIT = """
from schools.services import lists
from schools.models import StudentList
from accounts.models import User
from tests.lists_world import AT
lists.ask_commit(by=User.objects.get(email="lap@example.vn"), student_list=StudentList.objects.get(), at=AT)
"""
# As the sweeper of beat does a minute later.
SWEEP = """
import datetime as dt
from django.utils import timezone
from common import jobs
assert jobs.sweep(at=timezone.now() + dt.timedelta(minutes=2)) == 1
"""


@contextlib.contextmanager
def held_up_at(installation: Platform, table: str) -> Iterator[None]:
    """While the block lasts, whoever touches the table waits: the worker stands still in the middle of its work."""
    with psycopg.connect(installation.database_url) as blocker:
        blocker.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        yield
        blocker.rollback()


def killed_in_the_middle(
    installation: Platform, table: str, statement: str, begin: Callable[[], None]
) -> None:
    """Let a worker run against the lock, into this statement, and kill it there."""
    standing = (
        "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        " AND query LIKE %s"
    )
    with held_up_at(installation, table):
        begin()
        found = wait_until(
            "worker đang giữa việc", lambda: installation.query(standing, f"%{statement}%"), timeout_s=90
        )
        installation.processes["worker"].kill()
    # A session that waits for a lock sees its client's end only once it goes on.
    left = "SELECT count(*) FROM pg_stat_activity WHERE pid = ANY(%s)"
    pids = [pid for (pid,) in found]
    wait_until("phiên của worker đã hết", lambda: installation.query(left, pids)[0][0] == 0)


def figures(installation: Platform) -> tuple:
    """(the list's state, its rows, students, unfinished jobs)."""
    return installation.query(
        "SELECT (SELECT state FROM schools_studentlist), (SELECT count(*) FROM schools_listrow),"
        " (SELECT count(*) FROM schools_student), (SELECT count(*) FROM common_job WHERE state IN ('queued', 'running'))"
    )[0]


def test_a_killed_worker_leaves_the_list_as_it_was_and_another_takes_the_work_up(platform):
    installation = platform()
    do = installation.python
    do(SEND)
    # Students are looked at when all rows are copied.
    killed_in_the_middle(
        installation,
        "schools_student",
        "CREATE TEMP TABLE list_pairs",
        lambda: installation.start("worker"),
    )
    assert figures(installation) == ("uploaded", 0, 0, 1)
    do(SWEEP)
    installation.start("worker")
    wait_until(
        "danh sách đã kiểm tra", lambda: figures(installation) == ("checked", ROWS, 0, 0), timeout_s=90
    )
    # The trail of the list is written last: by then all students are in.
    killed_in_the_middle(
        installation, "schools_studentlistevent", 'UPDATE "schools_studentlist"', lambda: do(COMMIT)
    )
    assert figures(installation) == ("checked", ROWS, 0, 1)
    do(SWEEP)
    installation.start("worker")
    wait_until(
        "danh sách đã ghi", lambda: figures(installation) == ("committed", ROWS, ROWS, 0), timeout_s=90
    )
