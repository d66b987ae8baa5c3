"""A family's or donor's request to erase or correct, from the form to the entry that says it was done."""

import datetime

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from ledger.codes import new_code
from ledger.models import LedgerEntry, LedgerOutbox, Opening, PrivacyRequest
from ledger.services import record

ANSWER_WORKING_DAYS = 2
DONE_DAYS, EXTENDED_DAYS = 10, 20
# The commitments that are about a person; a device's serial isn't.
PERSONAL = ("recipient", "guardian", "school", "date", "record", "photo", "donor", "report")


def working_days_after(day: datetime.date, count: int) -> datetime.date:
    """The `count`-th working day (Monday to Friday) after `day`."""
    while count:
        day += datetime.timedelta(days=1)
        count -= day.weekday() < 5
    return day


@transaction.atomic
def file_request(
    *, by: None = None, kind: str, device: str, contact: str, detail: str, at: datetime.datetime
) -> PrivacyRequest:
    """Take a request in and give it its code and legal deadlines; nobody needs to sign in for it."""
    day = timezone.localdate(at)
    return PrivacyRequest.objects.create(
        code=new_code("YC"),
        kind=kind,
        device=device,
        contact=contact,
        detail=detail,
        received_at=at,
        answer_due_on=working_days_after(day, ANSWER_WORKING_DAYS),
        done_due_on=day + datetime.timedelta(days=DONE_DAYS),
    )


@transaction.atomic
def answer_request(
    *, by, request: PrivacyRequest, answer: str, reason: str = "", extend: bool = False, at: datetime.datetime
) -> None:
    """Accept or refuse a request; raises ValidationError when it was answered already or a refusal has no reason."""
    row = PrivacyRequest.objects.select_for_update().get(pk=request.pk)
    if row.answer:
        raise ValidationError(f"Yêu cầu {row.code} đã được trả lời. Hãy tải lại trang.")
    if answer == PrivacyRequest.Answer.REFUSED and not reason:
        raise ValidationError("Hãy ghi rõ vì sao không thực hiện được; người gửi sẽ đọc lý do này.")
    row.answer, row.refuse_reason = answer, reason if answer == PrivacyRequest.Answer.REFUSED else ""
    row.answered_at, row.answered_by = at, str(by)
    if extend and answer == PrivacyRequest.Answer.ACCEPTED:
        row.is_extended = True
        row.done_due_on = timezone.localdate(row.received_at) + datetime.timedelta(days=EXTENDED_DAYS)
    if row.answer == PrivacyRequest.Answer.REFUSED:
        row.contact = row.detail = ""
    row.save()


@transaction.atomic
def carry_out(*, by, request: PrivacyRequest, at: datetime.datetime, corrects=None, reason: str = "") -> int:
    """Do what was accepted: erase every personal opening of the device, or record the correction; how many entries.

    What the person wrote is erased with it. Raises ValidationError when it isn't accepted, or done already.
    """
    row = PrivacyRequest.objects.select_for_update().get(pk=request.pk)
    if row.answer != PrivacyRequest.Answer.ACCEPTED or row.done_at:
        raise ValidationError(f"Yêu cầu {row.code} chưa được chấp nhận, hoặc đã làm xong. Hãy tải lại trang.")
    day = timezone.localdate(at)
    if row.kind == PrivacyRequest.Kind.ERASE:
        count = erase_device(device=row.device, reason="family_request", on=day)
    else:
        if corrects is None:
            raise ValidationError("Hãy chọn mục cần đính chính.")
        record(event="correction", on=day, device=row.device, corrects=corrects.hex, reason=reason)
        count = 1
    row.done_at, row.done_by, row.contact, row.detail = at, str(by), "", ""
    row.save()
    return count


@transaction.atomic
def erase_device(*, device: str, reason: str, on: datetime.date) -> int:
    """Delete salt and value of every personal commitment about a device; one `commitment.erased` entry each.

    The commitments stay in the log and say nothing any more: 32 random bytes are gone.
    """
    eids = [
        *LedgerEntry.objects.filter(dev=device).values_list("eid", flat=True),
        *LedgerOutbox.objects.filter(dev=device).values_list("eid", flat=True),
    ]
    openings = (
        Opening.objects.select_for_update().filter(eid__in=eids, field__in=PERSONAL).order_by("eid", "field")
    )
    gone = [(opening.eid, opening.field) for opening in openings]
    Opening.objects.filter(eid__in=eids, field__in=PERSONAL).delete()
    for eid, field in gone:
        record(event="commitment.erased", on=on, erases=eid.hex, field=field, reason=reason)
    return len(gone)
