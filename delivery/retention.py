"""What people reported, when it was answered long ago."""

import datetime as dt

from common.erasure import ERASED
from common.retention import erases
from delivery.models import Grievance


@erases("grievances")
def erase_grievances(*, by, before: dt.datetime) -> int:
    """Text, contact and answer of problems answered before a day; kind, place and dates stay for the figures."""
    old = Grievance.objects.filter(state=Grievance.State.ANSWERED, answered_at__lt=before).exclude(
        text=ERASED
    )
    return old.update(text=ERASED, contact="", answer=ERASED)
