"""The devices of students who left, moved or declined go to the next unserved students by rank; nobody picks."""

import datetime as dt
from collections.abc import Collection, Mapping
from itertools import groupby

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
from ledger.bulk import record_many
from schools.models import AdministrativeUnit

NATION = "VN"
# What became of each device, by its code: its new allocation, or None when nobody in its area waits any more. Then it
# is in stock for the next run.
Moved = dict[str, Allocation | None]


@transaction.atomic
def substitute(
    *, by: User, record: HandoverRecord, device_codes: Collection[str], at: dt.datetime, reason: str = ""
) -> Moved:
    """Give the devices of students who can't get them to the next ones by rank in each device's area.

    Args:
        device_codes: devices that the record's school holds and has not handed over.
        reason: `declined`, or empty when each student's own record says why (left, moved, has a device).

    Raises ValidationError, with nothing moved, when a device isn't here or its student may still get it.
    """
    rows = {row.device: row for row in waiting_rows(record.school)}
    if not device_codes:
        raise ValidationError(
            "Chưa chọn máy nào để chuyển. Hãy đánh dấu ít nhất một học sinh.", code="device"
        )
    reasons = {}
    for code in device_codes:
        row = rows.get(code)
        if row is None or not row.is_here:
            raise ValidationError(f"Máy {code} không ở trường để chuyển.", code="device")
        reasons[row.allocation_id] = row.ineligible or reason
        if reasons[row.allocation_id] not in rules.INELIGIBLE_LABEL:
            raise ValidationError(
                f"{row.full_name} vẫn được nhận máy {code}; chỉ chuyển khi gia đình không nhận.",
                code="reason",
            )
    return move_to_next(by=by, reasons=reasons, at=at)


@transaction.atomic
def substitute_before_dispatch(
    *, by: User, shipment: Shipment, device_codes: Collection[str], at: dt.datetime
) -> Moved:
    """Give devices in a draft to the next students by rank where their own may no longer get them, and take them out of
    the draft: where each goes next is planned anew.

    Raises ValidationError, with nothing moved, when the shipment has left, or a student may still get the device.
    """
    shipment = Shipment.objects.select_for_update().get(pk=shipment.pk)
    rows = {row.device: row for row in unfit_devices([shipment.pk])}
    reasons = {}
    for code in device_codes:
        row = rows.get(code)
        if row is None or row.allocation_id is None:
            raise ValidationError(f"Học sinh của máy {code} vẫn được nhận máy.", code="reason")
        reasons[row.allocation_id] = row.reason
    remove_items(by=by, shipment=shipment, device_codes=device_codes)
    return move_to_next(by=by, reasons=reasons, at=at)


def move_to_next(*, by: User, reasons: Mapping[int, str], at: dt.datetime) -> Moved:
    """End allocations for a reason of the public log (by their ids) and allocate the devices to who is next by rank.

    The narrowest areas choose first, as in a run: so a device that may go anywhere isn't given to the only student
    whom another one could have reached. Inside an area devices in order of their codes meet students in rank order.
    """
    found = Allocation.objects.live().select_for_update(of=("self",)).select_related("run", "device")
    ending = list(found.filter(pk__in=list(reasons)).order_by("pk"))
    if len(ending) < len(reasons):
        raise ValidationError("Có máy vừa được người khác xử lý. Hãy tải lại trang rồi làm tiếp.")
    for run in {row.run_id: row.run for row in ending}.values():
        rank(by=by, run=run)
    day = timezone.localdate(at)
    record_many(
        event="device.allocation_revoked",
        on=day,
        rows=[{"device": row.device.code, "run": row.run.code, "reason": reasons[row.pk]} for row in ending],
    )
    Allocation.objects.filter(pk__in=list(reasons)).update(
        ended_at=at, ended_by=by, end_reason=Allocation.EndReason.SUBSTITUTED
    )
    leavers = [row.student_id for row in ending]
    width = width_of({row.public_area for row in ending})
    ending.sort(key=lambda row: (width[row.public_area], row.run_id, row.public_area, row.device.code))
    moved: Moved = {}
    for _, group in groupby(ending, key=lambda row: (row.run_id, row.public_area)):
        devices = list(group)
        run, area = devices[0].run, devices[0].public_area
        chosen = next_in_line(run=run, area=area, leaver_ids=leavers, count=len(devices))
        new = Allocation.objects.bulk_create(
            Allocation(
                run=run,
                device=old.device,
                student_id=student.student_id,
                tier=student.tier,
                engine_pass=Allocation.Pass.SUBSTITUTE,
                public_area=area,
            )
            for old, student in zip(devices, chosen, strict=False)
        )
        if new:
            record_many(
                event="device.allocated",
                on=day,
                rows=[{"device": row.device.code, "run": run.code, "area": area} for row in new],
            )
        moved |= {old.device.code: None for old in devices} | {row.device.code: row for row in new}
    return moved


def width_of(areas: Collection[str]) -> dict[str, int]:
    """How wide each public area is: 0 a school, then commune, district, province, 4 the nation."""
    levels = dict(
        AdministrativeUnit.objects.filter(public_code__in=areas).values_list("public_code", "level")
    )
    Level = AdministrativeUnit.Level
    width = {None: 0, Level.COMMUNE: 1, Level.DISTRICT: 2, Level.PROVINCE: 3}
    return {area: 4 if area == NATION else width[levels.get(area)] for area in areas}
