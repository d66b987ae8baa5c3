"""One step: a student whose device is broken, lost or recalled gets another one from stock (glossary: thay thế)."""

import datetime as dt

from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone

from accounts.models import User
from allocation.models import Allocation, AllocationRun
from delivery.conditions import LATEST_REPORT, TAKE_BACK
from delivery.models import Custody, DeviceReport
from delivery.rules import REPLACEABLE
from donations.models import Device
from ledger.services import record as record_entry
from schools.models import Office, School, Student

Kind = DeviceReport.Kind
GONE = (Kind.LOST, Kind.STOLEN)

# Free devices that this student's school may get, the nearest first: nobody picks. What an open run counts on, what is
# promised to another place and what lies at another school stays where it is. %(kind)s: like for like comes first.
SPARE = f"""
SELECT d.id, d.code
FROM donations_device d
JOIN donations_lot l ON l.id = d.lot_id
LEFT JOIN delivery_custody c ON c.device_id = d.id AND c.to_at IS NULL
JOIN schools_office o ON o.id = coalesce(c.office_id, l.warehouse_id)
{LATEST_REPORT}
WHERE d.state = 'accepted' AND d.id <> %(device)s
  AND coalesce(latest.kind, '') IN ('', 'repaired', 'found')
  AND (starts_with(%(path)s, o.path) OR o.kind = 'warehouse')
  AND (d.earmark_school_id IS NULL OR d.earmark_school_id = %(school)s)
  AND (d.earmark_unit_id IS NULL OR d.earmark_unit_id = ANY(%(units)s))
  AND NOT EXISTS (SELECT 1 FROM allocation_allocation a WHERE a.device_id = d.id AND a.ended_at IS NULL)
  AND NOT EXISTS (SELECT 1 FROM delivery_shipmentitem i WHERE i.device_id = d.id AND i.is_open)
  AND NOT EXISTS (
      SELECT 1 FROM allocation_offer f JOIN allocation_allocationrun r ON r.id = f.run_id
      WHERE f.device_id = d.id AND r.state = ANY(%(live)s))
ORDER BY l.device_kind <> %(kind)s, starts_with(%(path)s, o.path) DESC, length(o.path) DESC, l.code, d.code
LIMIT 1 FOR UPDATE OF d SKIP LOCKED
"""


@transaction.atomic
def replace_device(*, by: User, office: Office, device_code: str, at: dt.datetime) -> Allocation | None:
    """Give the student of a broken, lost or recalled device another one of the same kind from stock.

    Args:
        office: the student's school, or the office on the way that answers for the device (it came damaged, or was
            given up as lost after it had left there).

    The old device's allocation ends; it waits at the office to be sent back, unless it is lost or stolen. The new one
    is the nearest free device (the school's own, then the offices above it, then a warehouse); the free data plan goes
    on. Returns the new allocation; None for a device lost on its way to a student who may no longer have one: there
    is nothing to pass on. Raises ValidationError when the device is sound, is not this office's, the student may no
    longer have one, or no device is free.
    """
    held = Custody.objects.open().filter(office=office, device__code=device_code)
    old = (
        Allocation.objects.live()
        .select_for_update(of=("self",))
        .select_related("device__lot", "run", "student__school__office")
        .filter(Q(student__school=office.pk) | Q(device__in=held.values("device")), device__code=device_code)
        .first()
    )
    if old is None:
        raise ValidationError(
            f"Máy {device_code} không được phân bổ cho học sinh nào của trường, cũng không ở đơn vị.",
            code="device",
        )
    latest = old.device.reports.since_inspection().order_by("-pk").first()
    condition = latest.kind if latest else ""
    if condition not in REPLACEABLE:
        raise ValidationError(
            f"Máy {device_code} không ở tình trạng cần đổi. Hãy báo hỏng, mất hoặc bị lấy cắp trước.",
            code="state",
        )
    if old.student.state != Student.State.APPROVED:
        if condition in GONE and not hasattr(old, "handover"):
            _end(old, reason=Allocation.EndReason.LOST, by=by, at=at)
            leave_programme(old.device, at=at)
            return None
        raise ValidationError("Học sinh này không còn thuộc danh sách được nhận máy.", code="student")
    new = _spare(old, old.student.school)
    if new is None:
        raise ValidationError(
            "Trong kho không còn máy nào chưa phân bổ để đổi. Khi có máy mới đạt kiểm định, thầy/cô đổi lại.",
            code="stock",
        )
    _take_back(old, condition=condition, office=office, by=by, at=at)
    record_entry(
        event="device.allocated",
        on=timezone.localdate(at),
        device=new[1],
        run=old.run.code,
        area=old.public_area,
    )
    return Allocation.objects.create(
        run=old.run,
        device_id=new[0],
        student_id=old.student_id,
        tier=old.tier,
        engine_pass=Allocation.Pass.SUBSTITUTE,
        public_area=old.public_area,
    )


def _spare(old: Allocation, school: School) -> tuple[int, str] | None:
    units = [school.commune_id, school.district_id, school.province_id]
    with connection.cursor() as cursor:
        cursor.execute(
            SPARE,
            {
                "device": old.device_id,
                "kind": old.device.lot.device_kind,
                "path": school.office.path,
                "school": school.pk,
                "units": [unit for unit in units if unit],
                "live": [str(state) for state in AllocationRun.LIVE],
            },
        )
        return cursor.fetchone()


def _take_back(old: Allocation, *, condition: str, office: Office, by: User, at: dt.datetime) -> None:
    """End the old allocation; what can come back lies at the office from now on, what is gone leaves the programme."""
    day = timezone.localdate(at)
    _end(old, reason=Allocation.EndReason.REPLACED, by=by, at=at)
    DeviceReport.objects.create(
        device=old.device,
        kind=Kind.REPLACED,
        office=office,
        happened_on=day,
        reported_at=at,
        reported_by=by,
    )
    if condition in GONE:
        leave_programme(old.device, at=at)
    else:
        if not old.device.custodies.open().exists():
            old.device.custodies.create(office=office, from_at=at)
        with connection.cursor() as cursor:
            cursor.execute(TAKE_BACK, {"devices": [old.device_id]})
    # What was lost on its way the log has written off already. Without the new device's code: the public log must not
    # tie two devices to one child.
    if condition not in GONE or hasattr(old, "handover"):
        record_entry(event="device.replaced", on=day, device=old.device.code)


def _end(old: Allocation, *, reason: str, by: User, at: dt.datetime) -> None:
    old.ended_at, old.ended_by, old.end_reason = at, by, reason
    old.save(update_fields=["ended_at", "ended_by", "end_reason"])


def leave_programme(device: Device, *, at: dt.datetime) -> None:
    """A device that is gone: nobody holds it any more."""
    device.custodies.open().update(to_at=at)
    Device.objects.filter(pk=device.pk).update(state=Device.State.RETIRED)
