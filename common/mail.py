"""Mail with a trace: that it was sent, about what, whether the server took it; never the text or the address."""

import hashlib
import smtplib

import structlog
from django.core.mail import EmailMessage
from django.db import models, transaction
from django.utils import timezone

from common.models import SentMail

log = structlog.get_logger("mail")


def trace_of(*, kind: str, subject_type: str, subject_id: str, to: str) -> SentMail:
    """The one row that tells of mails of this kind about this object to this address, which it keeps as a hash.

    Asked for in the transaction of a change it is the work list of the mail that follows, whatever the broker loses.
    """
    recipient = hashlib.sha256(to.strip().lower().encode()).digest()
    known = {
        "kind": kind,
        "subject_type": subject_type,
        "subject_id": subject_id,
        "recipient_hash": recipient,
    }
    return SentMail.objects.get_or_create(**known)[0]


def send_once(*, kind: str, about: models.Model, to: str, title: str, text: str) -> SentMail:
    """Send a mail of this kind about this object, once: a second call for the same address sends nothing, and one at the
    same moment waits for the first.

    Called by tasks, outside a transaction, so that the trace stays whatever the server answers. Raises
    smtplib.SMTPException or OSError when the server did not take it; the task then tries again.
    """
    trace = trace_of(kind=kind, subject_type=about._meta.label_lower, subject_id=str(about.pk), to=to)
    refused: Exception | None = None
    with transaction.atomic():
        sent = SentMail.objects.select_for_update().get(pk=trace.pk)
        if sent.delivered_on_clock_at:
            return sent
        sent.attempts += 1
        try:
            EmailMessage(title, text, to=[to], headers={"Auto-Submitted": "auto-generated"}).send()
        except (smtplib.SMTPException, OSError) as error:
            refused, sent.error = error, type(error).__name__
        else:
            sent.delivered_on_clock_at, sent.error = timezone.now(), ""
        sent.save(update_fields=["attempts", "error", "delivered_on_clock_at"])
    if refused:
        log.warning("mail.refused", kind=kind, subject=sent.subject_id, error=sent.error)
        raise refused
    log.info("mail.sent", kind=kind, subject=sent.subject_id)
    return sent
