"""What dashboards do by the clock."""

from celery import shared_task

from accounts.models import User
from common import clock
from dashboards import opendata, services


@shared_task
def refresh_figures(**_ignored) -> None:
    """Count the figures again when the log has grown; leaves at once when it hasn't."""
    if services.figures_are_behind():
        services.store_figures(by=User.objects.system(), at=clock.now())


@shared_task
def close_the_day(**_ignored) -> None:
    """Nightly: store the day's figures whatever changed, write the day's open-data files."""
    at = clock.now()
    services.store_figures(by=User.objects.system(), at=at)
    opendata.write_dump(at=at)
