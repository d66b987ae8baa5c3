"""What runs by the clock for deliveries. Safe to run twice and to be killed at any line."""

from celery import shared_task

from delivery import services


@shared_task
def close_finished_batches(**_ignored) -> None:
    """Before the weekly batches go out: areas in which a run is over wait for no tenth handover."""
    services.close_finished_batches()
