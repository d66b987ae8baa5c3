"""The device of a student who left, moved or declined goes to the next unserved student by rank; nobody picks."""

import datetime as dt
from collections.abc import Iterator

from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.utils import timezone

from accounts.models import User
from allocation.models import Allocation
from delivery import rules
from delivery.models import HandoverRecord
from delivery.services.handovers import waiting_rows
from ledger.commitments import lot_number
from ledger.services import record as record_entry

# Applicants of the run in the device's public area who have no device and are still eligible.
UNSERVED = """
SELECT s.id, p.code, p."group", p.is_priority,
    p.held + (
        SELECT count(*) FROM allocation_applicant q JOIN allocation_allocation l
            ON l.student_id = q.student_id AND l.ended_at IS NULL
        WHERE q.run_id = p.run_id AND q.household = p.household AND p.household <> -1
    )
FROM allocation_applicant p
JOIN schools_student s ON s.id = p.student_id AND s.state = 'approved' AND NOT s.has_device
JOIN schools_school c ON c.office_id = s.school_id
JOIN schools_office o ON o.id = c.office_id
LEFT JOIN schools_administrativeunit d ON d.id = c.district_id
JOIN schools_administrativeunit m ON m.id = c.commune_id
JOIN schools_administrativeunit v ON v.id = c.province_id
WHERE p.run_id = %(run)s
  AND %(area)s IN (o.code, c.code, m.public_code, d.public_code, v.public_code, 'VN')
  AND s.id <> %(leaver)s
  AND NOT EXISTS (SELECT 1 FROM allocation_allocation l WHERE l.student_id = s.id AND l.ended_at IS NULL)
"""


@transaction.atomic
def substitute(
    *, by: User, record: HandoverRecord, device_code: str, at: dt.datetime, reason: str = ""
) -> Allocation | None:
    """Give the device of a student who can't get it to the next one by rank in the device's area.

    Args:
        device_code: a device that the record's school holds and has not handed over.
        reason: `declined`, or empty when the student's own record says why (left, moved, has a device).

    Returns the new allocation; None when nobody in the area waits any more: then the device is in stock for the next
    run. Raises ValidationError when the student may still get it.
    """
    rows = {row.device: row for row in waiting_rows(record.school)}
    row = rows.get(device_code)
    if row is None or not row.is_here:
        raise ValidationError(f"Máy {device_code} không ở trường để chuyển.", code="device")
    reason = row.ineligible or reason
    if reason not in rules.INELIGIBLE_LABEL:
        raise ValidationError(
            "Học sinh này vẫn được nhận máy; chỉ chuyển khi gia đình không nhận.", code="reason"
        )
    return move_to_next(
        by=by,
        allocation=Allocation.objects.live().select_for_update().get(pk=row.allocation_id),
        reason=reason,
        at=at,
    )


@transaction.atomic
def move_to_next(*, by: User, allocation: Allocation, reason: str, at: dt.datetime) -> Allocation | None:
    """End an allocation for a reason of the public log and allocate its device to the next student by rank."""
    run, device, day = allocation.run, allocation.device, timezone.localdate(at)
    chosen = min(_ranked(allocation), default=None)
    allocation.ended_at, allocation.ended_by = at, by
    allocation.end_reason = Allocation.EndReason.SUBSTITUTED
    allocation.save(update_fields=["ended_at", "ended_by", "end_reason"])
    record_entry(event="device.allocation_revoked", on=day, device=device.code, run=run.code, reason=reason)
    if chosen is None:
        return None
    tier, _, student = chosen
    record_entry(
        event="device.allocated", on=day, device=device.code, run=run.code, area=allocation.public_area
    )
    return Allocation.objects.create(
        run=run,
        device=device,
        student_id=student,
        tier=".".join(str(part) for part in tier[-3:]),
        engine_pass=Allocation.Pass.SUBSTITUTE,
        public_area=allocation.public_area,
    )


def _ranked(allocation: Allocation) -> Iterator[tuple[tuple[int, ...], bytes, int]]:
    """(rank, lot number, student) of every unserved applicant; the smallest comes next (allocation.md)."""
    run = allocation.run
    locality_first = run.policy.rules.get("locality_first", True)
    seed = bytes.fromhex(run.seed)
    with connection.cursor() as cursor:
        cursor.execute(
            UNSERVED,
            {"run": run.pk, "area": allocation.public_area, "leaver": allocation.student_id},
        )
        for student, code, group, is_priority, held in cursor:
            locality, place = (1 if is_priority else 2), held + 1
            order = (locality, group) if locality_first else (group, locality)
            yield (*order, place, locality, group + 1, place), lot_number(seed, code), student
