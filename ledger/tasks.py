"""What runs by the clock for the ledger. Safe to run twice and to be killed at any line."""

import structlog
from celery import shared_task
from django.utils import timezone

from common import clock
from ledger import privacy
from ledger.publisher import PublishError, publish_figures, seal_and_publish
from ledger.signer import SignerRefusedError

log = structlog.get_logger("ledger")


@shared_task
def seal_and_publish_due(**_ignored) -> None:
    """One turn of the sequencer: what is due goes into the log, and its checkpoint is signed and published."""
    privacy.record_owed(on=clock.today())
    try:
        seal_and_publish(at=timezone.now(), today=clock.today())
    except (PublishError, SignerRefusedError) as error:
        # The old checkpoint stays true; pages and metrics show its age, and the next turn tries again.
        log.warning("ledger.not_published", reason=str(error))


@shared_task
def publish_weekly_figures(**_ignored) -> None:
    """The figures that follow from the published entries, once a day of the programme at most."""
    publish_figures(on=clock.today())
