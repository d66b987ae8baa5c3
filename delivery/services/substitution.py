"""The device of a student who left, moved or declined goes to the next unserved student by rank; nobody picks."""

import datetime as dt

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from accounts.models import User
from allocation.models import Allocation
from allocation.ranking import next_in_line
from allocation.services import rank
from delivery import rules
from delivery.models import HandoverRecord, Shipment
from delivery.services.fitness import unfit_devices
from delivery.services.handovers import waiting_rows
from delivery.services.shipments import remove_items
from ledger.services import record as record_entry


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
def substitute_before_dispatch(
    *, by: User, shipment: Shipment, device_code: str, at: dt.datetime
) -> Allocation | None:
    """Give a device in a draft to the next student by rank when its own may no longer get it, and take it out of the
    draft: where it goes next is planned anew.

    Returns the new allocation; None when nobody in the area waits any more. Raises ValidationError when the shipment
    has left, or the student may still get the device.
    """
    shipment = Shipment.objects.select_for_update().get(pk=shipment.pk)
    rows = {row.device: row for row in unfit_devices([shipment.pk])}
    row = rows.get(device_code)
    if row is None or not row.reason:
        raise ValidationError(f"Học sinh của máy {device_code} vẫn được nhận máy.", code="reason")
    remove_items(by=by, shipment=shipment, device_codes=[device_code])
    return move_to_next(
        by=by,
        allocation=Allocation.objects.live().select_for_update().get(pk=row.allocation_id),
        reason=row.reason,
        at=at,
    )


@transaction.atomic
def move_to_next(*, by: User, allocation: Allocation, reason: str, at: dt.datetime) -> Allocation | None:
    """End an allocation for a reason of the public log and allocate its device to the next student by rank."""
    run, device, day = allocation.run, allocation.device, timezone.localdate(at)
    rank(by=by, run=run)
    chosen = next_in_line(run=run, area=allocation.public_area, leaver_id=allocation.student_id)
    allocation.ended_at, allocation.ended_by = at, by
    allocation.end_reason = Allocation.EndReason.SUBSTITUTED
    allocation.save(update_fields=["ended_at", "ended_by", "end_reason"])
    record_entry(event="device.allocation_revoked", on=day, device=device.code, run=run.code, reason=reason)
    if chosen is None:
        return None
    record_entry(
        event="device.allocated", on=day, device=device.code, run=run.code, area=allocation.public_area
    )
    return Allocation.objects.create(
        run=run,
        device=device,
        student_id=chosen.student_id,
        tier=chosen.tier,
        engine_pass=Allocation.Pass.SUBSTITUTE,
        public_area=allocation.public_area,
    )
