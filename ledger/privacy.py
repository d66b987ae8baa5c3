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
from ledger.bulk import record_select
from ledger.codes import new_code
from ledger.models import ErasureOwed, LedgerEntry, LedgerOutbox, Opening, PrivacyRequest
from ledger.services import record

ANSWER_WORKING_DAYS = 2
DONE_DAYS, EXTENDED_DAYS = 10, 20
# The commitments that are about the family who received a device; a device's serial and its donor aren't.
FAMILY = ("recipient", "guardian", "school", "date", "record", "photo", "report")
# Every event of a device from one handover until it is handed to somebody else, and what opens it. Looked up device by
# device: the log is long.
OWN = """
WITH handed AS ({handovers}),
way AS MATERIALIZED (
    SELECT h.device, w.* FROM (SELECT DISTINCT device FROM handed) h CROSS JOIN LATERAL (
        SELECT e.eid, e.n, e.event FROM ledger_entry e WHERE e.dev = h.device
        UNION ALL SELECT o.eid, o.n, o.event FROM ledger_outbox o WHERE o.dev = h.device
    ) w
),
spans AS (
    SELECT device, eid, n, lead(n, 1, 2147483647) OVER (PARTITION BY device ORDER BY n) AS until
    FROM way WHERE event = 'device.handed_over'
),
own AS (
    SELECT DISTINCT way.eid FROM handed JOIN spans USING (device, eid)
    JOIN way ON way.device = spans.device AND way.n >= spans.n AND way.n < spans.until
),
gone AS (
    DELETE FROM ledger_opening o USING own WHERE o.eid = own.eid AND o.field = ANY(%s) RETURNING o.eid, o.field
)
INSERT INTO ledger_erasure_owed (eid, field, reason) SELECT eid, field, %s FROM gone
"""
READY = "CREATE TEMP TABLE erasure_ready (eid uuid, field text, reason text) ON COMMIT DROP"
TAKE_READY = """
WITH gone AS (
    DELETE FROM ledger_erasure_owed o USING ledger_entry e WHERE e.eid = o.eid RETURNING o.eid, o.field, o.reason
)
INSERT INTO erasure_ready SELECT eid, field, reason FROM gone
"""

RETURNED = """
DELETE FROM ledger_opening o USING ledger_entry e
WHERE e.event = 'commitment.erased' AND e.subject = replace(o.eid::text, '-', '')
  AND e.body::jsonb ->> 'field' = o.field
"""
ERASED_FOR = """
SELECT DISTINCT subject FROM ledger_entry
WHERE event = 'commitment.erased' AND body::jsonb ->> 'reason' = %s
"""


@transaction.atomic
def file_request(
    *,
    by: None = None,
    kind: str,
    device: str = "",
    pledge: str = "",
    contact: str,
    detail: str,
    at: datetime.datetime,
) -> PrivacyRequest:
    """Take a request in and give it its code and legal deadlines; nobody needs to sign in for it.

    It is about a device (a family asks) or a pledge (a donor asks), never both.
    """
    day = timezone.localdate(at)
    return PrivacyRequest.objects.create(
        code=new_code("YC"),
        kind=kind,
        device=device,
        pledge=pledge,
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
    """Accept or refuse a request; raises ValidationError when it was answered already."""
    row = PrivacyRequest.objects.select_for_update().get(pk=request.pk)
    if row.answer:
        raise ValidationError(f"Yêu cầu {row.code} đã được trả lời. Hãy tải lại trang.")
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
        event="correction",
        on=timezone.localdate(at),
        device=row.device or None,
        corrects=corrects.hex,
        reason=reason,
    )
    close_request(by=by, request=row, at=at)


@transaction.atomic
def erase_openings(
    *, handovers: str, params: Sequence = (), fields: Sequence[str] = FAMILY, reason: str, on: datetime.date
) -> int:
    """Delete salt and value of these commitments, from each handover of a device until its next one; how many.

    `handovers` is SQL of the caller (never of a person) that yields `device` (its code) and `eid` (uuid) of each. The
    commitments stay in the log and say nothing any more: 32 random bytes are gone. One `commitment.erased` entry
    each; for an event that is still held back for its batch the entry follows once the event is in the log.
    """
    with connection.cursor() as cursor:
        cursor.execute(OWN.format(handovers=handovers), [*params, list(fields), reason])
        count = cursor.rowcount
    record_owed(on=on)
    return count


@transaction.atomic
def erase_donor_openings(*, subjects: Sequence[str], on: datetime.date) -> int:
    """Delete salt and name of a donor in the entries about these pledges and receipts of money; how many."""
    events = ("pledge.made", "money.received")
    eids = [
        eid
        for model in (LedgerEntry, LedgerOutbox)
        for eid in model.objects.filter(subject__in=subjects, event__in=events).values_list("eid", flat=True)
    ]
    openings = Opening.objects.select_for_update().filter(eid__in=eids, field="donor")
    gone = sorted(openings.values_list("eid", flat=True))
    Opening.objects.filter(eid__in=gone, field="donor").delete()
    ErasureOwed.objects.bulk_create(
        ErasureOwed(eid=eid, field="donor", reason="donor_request") for eid in gone
    )
    record_owed(on=on)
    return len(gone)


@transaction.atomic
def owe_contact(*, pledge: str, on: datetime.date) -> None:
    """Have the log say, once, that the contact of this pledge was erased: no entry held it, yet a backup does."""
    made = {"subject": pledge, "event": "pledge.made"}
    entry = LedgerEntry.objects.filter(**made).first() or LedgerOutbox.objects.filter(**made).first()
    if entry is None:
        return
    said = {"subject": entry.eid.hex, "event": "commitment.erased", "body__contains": '"field":"contact"'}
    if LedgerEntry.objects.filter(**said).exists() or LedgerOutbox.objects.filter(**said).exists():
        return
    ErasureOwed.objects.get_or_create(eid=entry.eid, field="contact", defaults={"reason": "donor_request"})
    record_owed(on=on)


@transaction.atomic
def record_owed(*, on: datetime.date) -> int:
    """Record the `commitment.erased` entries of erased commitments whose event is in the log by now; how many."""
    with connection.cursor() as cursor:
        cursor.execute(READY)
        cursor.execute(TAKE_READY)
        count = cursor.rowcount
        # The ids are random, so their order tells nothing.
        record_select(
            event="commitment.erased", on=on, columns=["erases", "field", "reason"],
            select="SELECT replace(eid::text, '-', '') AS erases, field, reason FROM erasure_ready ORDER BY eid, field",
        )  # fmt: skip
        cursor.execute("DROP TABLE erasure_ready")
    return count


@transaction.atomic
def forget_returned(*, reason: str) -> list[str]:
    """Delete openings that the log says were erased (an older backup brought them back).

    Returns the event ids (hex) of everything erased for this reason, whether an opening came back or not.
    """
    with connection.cursor() as cursor:
        cursor.execute(RETURNED)
        cursor.execute(ERASED_FOR, [reason])
        return [eid for (eid,) in cursor.fetchall()]
