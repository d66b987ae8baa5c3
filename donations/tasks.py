"""Mail about pledges, and the erasing of drafts that nobody sent."""

import datetime as dt

from celery import shared_task
from django.conf import settings
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone

from common.mail import send_once
from common.models import SentMail
from donations import codes
from donations.models import Pledge, PledgeDraft

DRAFT_KEPT = dt.timedelta(days=30)
# The kind of the mail; its trace is written with the pledge, so that a lost message of the broker is found again.
PLEDGE_MADE = "pledge.made"


@shared_task(
    autoretry_for=(OSError,), retry_backoff=30, retry_backoff_max=3600, retry_jitter=True, max_retries=8
)
def mail_pledge(*, pledge_id: int, **_ignored) -> None:
    """Send the donor the code, the page and the private link of their pledge; once."""
    pledge = Pledge.objects.select_related("donor").filter(pk=pledge_id).first()
    if pledge is None or not pledge.contact_email:
        return
    secret = codes.pledge_secret(pledge.code)
    is_ours = codes.is_secret_of(secret, pledge.secret_hash)
    text = render_to_string(
        "donations/mail_pledge.txt",
        {
            "pledge": pledge,
            "page": settings.PUBLIC_URL + reverse("donations:pledge", args=[pledge.code]),
            "private": settings.PUBLIC_URL + reverse("donations:pledge_private", args=[pledge.code, secret])
            if is_ours
            else "",
        },
    )
    send_once(
        kind=PLEDGE_MADE,
        about=pledge,
        to=pledge.contact_email,
        title=f"Đã ghi nhận cam kết {pledge.code}",
        text=text,
    )


@shared_task
def mail_unsent(**_ignored) -> None:
    """Find pledges whose mail was lost with the broker's message, whoever recorded them, and hand it over again."""
    # The newest few minutes belong to the task that was handed over with the pledge.
    since, until = timezone.now() - dt.timedelta(days=3), timezone.now() - dt.timedelta(minutes=5)
    waiting = SentMail.objects.filter(
        kind=PLEDGE_MADE,
        subject_type=Pledge._meta.label_lower,
        queued_at__range=(since, until),
        delivered_on_clock_at=None,
    )
    # What the server has refused often goes last.
    for pledge_id in waiting.order_by("attempts", "pk").values_list("subject_id", flat=True)[:1000]:
        mail_pledge.delay(pledge_id=int(pledge_id))


@shared_task
def erase_old_drafts(**_ignored) -> None:
    """A draft holds contact data: it is erased 30 days after its last change."""
    PledgeDraft.objects.filter(changed_on_clock_at__lt=timezone.now() - DRAFT_KEPT).delete()
