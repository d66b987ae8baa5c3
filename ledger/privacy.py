"""A family's or donor's request to erase or correct, from the form to the entry that says it was done.

Here is the log's part: the queue, the openings, the entries. What else is known about a child the apps above erase
(`delivery.services.erasure`).
"""

import datetime
import uuid
from collections.abc import Sequence

from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.utils import timezone

from common.workdays import add_working_days
from ledger.codes import new_code
from ledger.models import ErasureOwed, LedgerEntry, Opening, PrivacyRequest
from ledger.services import record

ANSWER_WORKING_DAYS = 2
DONE_DAYS, EXTENDED_DAYS = 10, 20
# The commitments that are about the family who received a device; a device's serial and its donor aren't.
FAMILY = ("recipient", "guardian", "school", "date", "record", "photo", "report")
# A device's events from one handover until it is handed to somebody else.
SINCE = """
WITH way AS (
    SELECT eid, n, event FROM ledger_entry WHERE dev = %(device)s
    UNION ALL SELECT eid, n, event FROM ledger_outbox WHERE dev = %(device)s
), start AS (SELECT n FROM way WHERE eid = %(since)s)
SELECT eid FROM way, start WHERE way.n >= start.n AND way.n < coalesce(
    (SELECT min(later.n) FROM way later WHERE later.event = 'device.handed_over' AND later.n > start.n), 2147483647)
"""

RETURNED = """
DELETE FROM ledger_opening o USING ledger_entry e
WHERE e.event = 'commitment.erased' AND e.subject = replace(o.eid::text, '-', '')
  AND e.body::jsonb ->> 'field' = o.field
"""
ERASED_FOR_FAMILIES = """
SELECT DISTINCT subject FROM ledger_entry
WHERE event = 'commitment.erased' AND body::jsonb ->> 'reason' = 'family_request'
"""


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
        answer_due_on=add_working_days(day, ANSWER_WORKING_DAYS),
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


def take_up(*, request: PrivacyRequest, kind: str) -> PrivacyRequest:
    """Lock an accepted request that is still to be done; raises ValidationError otherwise."""
    row = PrivacyRequest.objects.select_for_update().get(pk=request.pk)
    if row.answer != PrivacyRequest.Answer.ACCEPTED or row.done_at or row.kind != kind:
        raise ValidationError(f"Yêu cầu {row.code} chưa được chấp nhận, hoặc đã làm xong. Hãy tải lại trang.")
    return row


def close_request(*, by, request: PrivacyRequest, at: datetime.datetime) -> None:
    """Say that what was asked is done; what the person wrote is erased with it."""
    request.done_at, request.done_by, request.contact, request.detail = at, str(by), "", ""
    request.save()


@transaction.atomic
def carry_out_correction(
    *, by, request: PrivacyRequest, at: datetime.datetime, corrects: uuid.UUID | None, reason: str
) -> None:
    """Record the correction that was accepted beside the entry that it corrects.

    Raises ValidationError when the request isn't accepted, is done, or no entry or reason is named.
    """
    row = take_up(request=request, kind=PrivacyRequest.Kind.CORRECT)
    if corrects is None or not reason:
        raise ValidationError("Hãy chọn mục cần đính chính và vì sao.")
    record(
        event="correction", on=timezone.localdate(at), device=row.device, corrects=corrects.hex, reason=reason
    )
    close_request(by=by, request=row, at=at)


@transaction.atomic
def erase_openings(
    *, device: str, since: uuid.UUID, fields: Sequence[str], reason: str, on: datetime.date
) -> int:
    """Delete salt and value of these commitments of a device, from a handover until the next; how many.

    The commitments stay in the log and say nothing any more: 32 random bytes are gone. One `commitment.erased` entry
    each; for an event that is still held back for its batch the entry follows once the event is in the log.
    """
    with connection.cursor() as cursor:
        cursor.execute(SINCE, {"device": device, "since": since})
        eids = [eid for (eid,) in cursor.fetchall()]
    openings = Opening.objects.select_for_update().filter(eid__in=eids, field__in=fields)
    gone = [(opening.eid, opening.field) for opening in openings.order_by("eid", "field")]
    Opening.objects.filter(eid__in=eids, field__in=fields).delete()
    ErasureOwed.objects.bulk_create(ErasureOwed(eid=eid, field=field, reason=reason) for eid, field in gone)
    record_owed(on=on)
    return len(gone)


@transaction.atomic
def record_owed(*, on: datetime.date) -> int:
    """Record the `commitment.erased` entries of erased commitments whose event is in the log by now; how many."""
    owed = ErasureOwed.objects.select_for_update().order_by("pk")
    known = set(LedgerEntry.objects.filter(eid__in=owed.values("eid")).values_list("eid", flat=True))
    ready = [row for row in owed if row.eid in known]
    for row in ready:
        record(event="commitment.erased", on=on, erases=row.eid.hex, field=row.field, reason=row.reason)
    ErasureOwed.objects.filter(pk__in=[row.pk for row in ready]).delete()
    return len(ready)


@transaction.atomic
def forget_returned() -> list[str]:
    """Delete openings that the log says were erased (an older backup brought them back).

    Returns the event ids (hex) of everything that families had erased, whether an opening came back or not.
    """
    with connection.cursor() as cursor:
        cursor.execute(RETURNED)
        cursor.execute(ERASED_FOR_FAMILIES)
        return [eid for (eid,) in cursor.fetchall()]
