"""The programme's clock: one place that says what time it is, at the edge of the house.

Views, tasks and commands read it once and pass the moment down as ``at``; rules never read a clock.
"""

import datetime as dt

from django.utils import timezone

from common.models import Programme


def now() -> dt.datetime:
    """Return the current moment of the programme, aware, in UTC or local time.

    A demonstration has a stored programme date (``Programme.today_on``): then it is that day at the real
    time of day, so that a programme of 2021 does not look overdue everywhere. Otherwise the real time.
    """
    real = timezone.now()
    stored = Programme.objects.filter(pk=1).values_list("today_on", flat=True).first()
    if stored is None:
        return real
    local = timezone.localtime(real)
    return dt.datetime.combine(stored, local.timetz())


def is_real() -> bool:
    """Whether the programme lives by the real clock; a moment of the real one means nothing in a demonstration's own."""
    return not Programme.objects.filter(pk=1, today_on__isnull=False).exists()


def today() -> dt.date:
    """Return the programme's current day in Vietnam."""
    return timezone.localdate(now())
