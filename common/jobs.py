"""Long work: handed over, claimed by one worker, its progress visible, found again when a message was lost.

A service says, in its transaction, `jobs.hand_over(by=…, kind="schools.tasks.read_list", subject=list)`. The kind is the
name of the task, which is sent `job_id` after the commit. The task is three lines:

    @shared_task
    def read_list(*, job_id, **_ignored):
        with jobs.claim(job_id) as job:
            if job:
                services.read_list(by=job.by, list_id=job.subject_id, progress=job.progress)

The broker may lose or repeat every message: the row is the truth, an advisory lock keeps a second delivery out while
the first one works, and `sweep` sends again what nobody works on.
"""

import contextlib
import datetime as dt
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field

import psycopg
import structlog
from celery import current_app
from django.db import (
    DatabaseError,
    InterfaceError,
    OperationalError,
    connections,
    models,
    transaction,
)
from django.db.models import F, Q
from django.utils import timezone

from common.models import Job

log = structlog.get_logger("jobs")

# A worker says at least this often how far it is; the page asks every two seconds.
PROGRESS_EVERY_S = 0.5
# Work handed over but not begun, or begun but silent, for this long is sent again.
LOST_AFTER = dt.timedelta(seconds=60)
# After this many attempts that all ended without a word, a person must look.
MAX_ATTEMPTS = 5
JOURNAL = "journal"
# As Django wraps them, and as psycopg raises them below Django (COPY).
LOST_DATABASE = (OperationalError, InterfaceError, psycopg.OperationalError, psycopg.InterfaceError)


class Cancelled(Exception):
    """The person who asked for the work asked to stop it; raised by `progress`, ends the job quietly."""


class CannotContinue(Exception):
    """The work can't be done, and the message, in Vietnamese, tells the person why and what to do."""


@dataclass
class Claimed:
    """A job that this process works on."""

    row: Job
    _last_s: float = field(default=0.0)

    @property
    def by(self) -> models.Model:
        return self.row.created_by

    @property
    def subject_id(self) -> str:
        return self.row.subject_id

    def progress(self, done: int, total: int | None = None, *, step: str = "") -> None:
        """Say how far the work is (rows done of rows known). Cheap: writes twice a second at most.

        On a connection of its own, so that it is seen although the work's transaction is still open.
        Raises Cancelled when somebody asked to stop.
        """
        now = time.monotonic()
        is_last = total is not None and done >= total
        if now - self._last_s < PROGRESS_EVERY_S and not is_last and step == self.row.step:
            return
        self._last_s = now
        self.row.step = step
        changed = {"done_rows": done, "beat_at": timezone.now(), "step": step}
        if total is not None:
            changed["total_rows"] = total
        mine = Job.objects.using(JOURNAL).filter(pk=self.row.pk)
        mine.update(**changed)
        if mine.filter(is_cancel_requested=True).exists():
            raise Cancelled


def hand_over(*, by, kind: str, subject: models.Model, total_rows: int | None = None) -> Job:
    """Record work about `subject` and send it to a worker after the commit.

    Args:
        by: who asked for it.
        kind: name of the task that does it.
        subject: the object it is about; one unfinished job of a kind per object.
        total_rows: rows to go through, if known.

    Raises IntegrityError (`job_one_unfinished_per_subject`) when this work is under way already.
    """
    job = Job.objects.create(
        kind=kind,
        subject_type=subject._meta.label_lower,
        subject_id=str(subject.pk),
        created_by=by,
        total_rows=total_rows,
    )
    # A broker that is away must not fail what is committed: the sweeper sends the job later.
    transaction.on_commit(lambda: _send(job), robust=True)
    return job


def request_cancel(*, by, job: Job) -> None:
    """Ask the worker to stop at its next step; work that has not begun is cancelled at once."""
    Job.objects.filter(pk=job.pk, state=Job.State.QUEUED).update(
        state=Job.State.CANCELLED, finished_on_clock_at=timezone.now()
    )
    Job.objects.filter(pk=job.pk, state=Job.State.RUNNING).update(is_cancel_requested=True)
    log.info("job.cancel_requested", kind=job.kind, job=str(job.pk), by=by.pk)


@contextlib.contextmanager
def claim(job_id: str) -> Iterator[Claimed | None]:
    """Work on a job, or get None when it is finished, gone, or another worker has it.

    The block's end decides the state: done; cancelled by `Cancelled`; failed with the message of `CannotContinue`;
    any other error fails the job with a general message and goes on to Celery's log. A lost database or a kill
    leaves the job running: redelivery or the sweeper begins it anew.
    """
    with _lock(job_id) as is_mine:
        job = _begin(job_id) if is_mine else None
        if job is None:
            yield None
            return
        started = time.monotonic()
        try:
            yield Claimed(job)
        except Cancelled:
            _finish(job, Job.State.CANCELLED, "Đã dừng theo yêu cầu; chưa ghi gì vào hệ thống.")
        except CannotContinue as reason:
            _finish(job, Job.State.FAILED, str(reason))
        except LOST_DATABASE:
            raise
        except Exception:
            _finish(
                job,
                Job.State.FAILED,
                "Hệ thống gặp lỗi khi làm việc này; chưa ghi gì. Người quản trị đã được báo; thầy/cô có thể thử lại.",
            )
            raise
        else:
            _finish(job, Job.State.DONE, "")
        log.info("job.ended", kind=job.kind, job=str(job.pk), seconds=round(time.monotonic() - started, 2))


def sweep(*, at: dt.datetime) -> int:
    """Send again the jobs that nobody works on; give up on one that failed silently too often. Returns how many.

    Work that a living process holds the lock of is left alone, however long it says nothing.
    """
    silent = Job.objects.unfinished().filter(
        Q(beat_at__lt=at - LOST_AFTER) | Q(beat_at__isnull=True, created_at__lt=at - LOST_AFTER)
    )
    held = _held_locks()
    lost = [job for job in silent.order_by("created_at")[:1000] if _lock_key(job.pk) not in held]
    hopeless = [job.pk for job in lost if job.attempts >= MAX_ATTEMPTS]
    Job.objects.unfinished().filter(pk__in=hopeless).update(
        state=Job.State.FAILED,
        finished_on_clock_at=at,
        message="Việc này dừng giữa chừng nhiều lần. Xin báo người quản trị.",
    )
    again = [job for job in lost if job.attempts < MAX_ATTEMPTS]
    for job in again:
        _send(job)
    return len(again)


def restart(*, by, job: Job) -> None:
    """An administrator sends a job that ended without success again; progress begins anew.

    Raises IntegrityError (`job_one_unfinished_per_subject`) when the same work is under way already.
    """
    again = Job.objects.filter(pk=job.pk, state__in=[Job.State.FAILED, Job.State.CANCELLED])
    if again.update(
        state=Job.State.QUEUED, attempts=0, done_rows=0, message="", beat_at=None, is_cancel_requested=False,
        finished_on_clock_at=None,
    ):  # fmt: skip
        log.info("job.restarted", kind=job.kind, job=str(job.pk), by=by.pk)
        transaction.on_commit(lambda: _send(job), robust=True)


def _send(job: Job) -> None:
    current_app.send_task(job.kind, kwargs={"job_id": str(job.pk)})


def _begin(job_id: str) -> Job | None:
    claimed = Job.objects.using(JOURNAL).unfinished().filter(pk=job_id)
    now = timezone.now()
    updated = claimed.update(
        state=Job.State.RUNNING,
        attempts=F("attempts") + 1,
        beat_at=now,
        started_on_clock_at=now,
        done_rows=0,
    )
    return Job.objects.select_related("created_by").get(pk=job_id) if updated else None


def _finish(job: Job, state: str, message: str) -> None:
    Job.objects.using(JOURNAL).filter(pk=job.pk, state=Job.State.RUNNING).update(
        state=state, message=message, finished_on_clock_at=timezone.now(), beat_at=timezone.now()
    )


def _lock_key(job: uuid.UUID) -> int:
    return job.int & (2**63 - 1)


def _held_locks() -> set[int]:
    """Keys of the advisory locks that sessions of this database hold now."""
    with connections[JOURNAL].cursor() as cursor:
        cursor.execute(
            "SELECT (classid::bigint << 32) | objid::bigint FROM pg_locks WHERE locktype = 'advisory' AND granted"
            " AND objsubid = 1 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        return {key for (key,) in cursor.fetchall()}


@contextlib.contextmanager
def _lock(job_id: str) -> Iterator[bool]:
    """A session lock on the journal connection: gone with the process, however it ends."""
    key = _lock_key(uuid.UUID(job_id))
    with connections[JOURNAL].cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [key])
        is_mine = cursor.fetchone()[0]
    try:
        yield is_mine
    finally:
        if is_mine and connections[JOURNAL].connection is not None:
            with (
                contextlib.suppress(DatabaseError, psycopg.Error),
                connections[JOURNAL].cursor() as cursor,
            ):
                cursor.execute("SELECT pg_advisory_unlock(%s)", [key])
