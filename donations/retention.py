"""How donors could be reached, when their pledges are long over."""

import datetime as dt

from common.retention import erases
from donations.models import Pledge


@erases("pledge_contacts")
def erase_contacts(*, by, at: dt.datetime, before: dt.datetime) -> int:
    """Contact person, address and number of pledges that were fulfilled or withdrawn, and made before a day."""
    State = Pledge.State
    over = Pledge.objects.filter(state__in=[State.FULFILLED, State.CANCELLED], made_at__lt=before)
    known = over.exclude(contact_name="", contact_email="", contact_phone="")
    return known.update(contact_name="", contact_email="", contact_phone="")
