"""What of the supply moves when an office closes: pledges that it still looks after, earmarks for a closed school."""

from donations.models import Pledge
from schools.models import Office
from schools.succession import moves

State = Pledge.State


@moves("cam kết đang thực hiện")
def move_pledges(*, by, old: Office, new: Office, at) -> int:
    """Pledges that are neither fulfilled nor withdrawn are looked after by the successor."""
    return Pledge.objects.filter(office=old, state__in=[State.MADE, State.CONFIRMED, State.RECEIVING]).update(
        office=new
    )


@moves("cam kết dành riêng cho trường")
def move_earmarks(*, by, old: Office, new: Office, at) -> int:
    """What was promised to the pupils of a school follows them."""
    return Pledge.objects.filter(
        earmark_school=old.pk, state__in=[State.MADE, State.CONFIRMED, State.RECEIVING]
    ).update(earmark_school=new.pk)
