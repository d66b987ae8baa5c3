"""Tasks of the house itself: the proof that tasks run, the sweeper, the nightly clean-up."""

import structlog
from celery import shared_task
from django.core.management import call_command

log = structlog.get_logger("tasks")


@shared_task
def prove_alive(**_ignored) -> None:
    """Leave a heartbeat row: readiness and metrics read how old it is, so a worker that hangs is seen."""


@shared_task
def sweep(**_ignored) -> None:
    """Hand out again the work whose message was lost; every app registers its own in `common.sweeper`."""


@shared_task
def clear_expired(**_ignored) -> None:
    """Delete expired sessions."""
    call_command("clearsessions")
