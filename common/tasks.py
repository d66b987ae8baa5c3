"""Tasks of the house itself: the proof that tasks run, the sweeper, the nightly clean-up."""

import structlog
from celery import shared_task
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.utils import timezone

from common import clock, jobs, notices, requested_files, retention, stored_files
from common.audit import acting
from common.models import Heartbeat, RequestedFile

log = structlog.get_logger("tasks")


@shared_task
def prove_alive(**_ignored) -> None:
    """Leave a heartbeat: readiness and metrics read how old it is, so a worker that hangs is seen."""
    beat("worker")


@shared_task
def sweep(**_ignored) -> None:
    """Hand out again the work whose message was lost; put the notices of this minute above the pages."""
    notices.publish(at=timezone.now())
    if sent := jobs.sweep(at=timezone.now()):
        log.warning("sweeper.sent_again", jobs=sent)


@shared_task
def clear_expired(**_ignored) -> None:
    """Delete expired sessions, and files that were asked for some days ago."""
    call_command("clearsessions")
    if cleared := requested_files.clear(at=timezone.now()):
        log.info("requested_files.cleared", files=cleared)


@shared_task
def delete_orphan_files(**_ignored) -> None:
    """Delete uploaded files whose row let go of them, if the process that did so died before it deleted the file."""
    if deleted := stored_files.delete_orphans(at=timezone.now()):
        log.info("stored_files.deleted", files=deleted)


@shared_task
def write_requested_file(*, job_id: str, **_ignored) -> None:
    """Write a large table that somebody asked for."""
    with jobs.claim(job_id) as job:
        # None when the person dropped it before it was begun.
        if job and (requested := RequestedFile.objects.filter(pk=job.subject_id).first()):
            requested_files.write(by=job.by, requested=requested, progress=job.progress)


@shared_task
def erase_expired(**_ignored) -> None:
    """Erase personal data past their time, by the rules that the programme has switched on."""
    by = get_user_model().objects.system()
    with acting(by, via="task common.erase_expired"):
        for outcome in retention.apply_rules(by=by, at=clock.now(), is_dry=False):
            log.info("retention.applied", rule=outcome.rule.code, rows=outcome.rows)


def beat(name: str) -> None:
    """Record that the process called `name` has just done real work."""
    Heartbeat.objects.update_or_create(name=name, defaults={"beat_on_clock_at": timezone.now()})
