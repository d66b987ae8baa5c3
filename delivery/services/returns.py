"""The way back: what an office holds for nobody goes up to a warehouse, or to an office above (Plan I.2đ)."""

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass

from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.utils import timezone

from accounts.models import User
from allocation.models import Allocation
from delivery.conditions import LATEST_REPORT
from delivery.models import DeviceReport, Shipment, ShipmentItem
from delivery.rules import PASSES, REPLACEABLE
from delivery.services.hops import new_shipments
from delivery.services.shipments import refuse
from donations.models import Device
from schools.models import Office

# What an office holds that no student waits for and that is not on its way already.
RETURNABLE = f"""
SELECT d.code, l.code, l.model_name, coalesce(latest.kind, ''), c.from_at
FROM delivery_custody c
JOIN donations_device d ON d.id = c.device_id AND d.state <> 'retired'
JOIN donations_lot l ON l.id = d.lot_id
{LATEST_REPORT}
WHERE c.office_id = %(office)s AND c.to_at IS NULL AND coalesce(latest.kind, '') <> 'missing'
  AND NOT EXISTS (SELECT 1 FROM allocation_allocation a WHERE a.device_id = d.id AND a.ended_at IS NULL)
  AND NOT EXISTS (SELECT 1 FROM delivery_shipmentitem i WHERE i.device_id = d.id AND i.is_open)
ORDER BY l.code, d.code
"""

# What came damaged to an office on the way, or was given up as lost after it: its student waits for another one.
TO_REPLACE = f"""
SELECT d.code, l.code, l.model_name, latest.kind, c.from_at
FROM delivery_custody c
JOIN donations_device d ON d.id = c.device_id
JOIN donations_lot l ON l.id = d.lot_id
JOIN allocation_allocation a ON a.device_id = d.id AND a.ended_at IS NULL
{LATEST_REPORT}
WHERE c.office_id = %(office)s AND c.to_at IS NULL AND latest.kind = ANY(%(replaceable)s)
  AND NOT EXISTS (SELECT 1 FROM delivery_shipmentitem i WHERE i.device_id = d.id AND i.is_open)
ORDER BY l.code, d.code
"""


@dataclass(frozen=True)
class Returnable:
    """A device that may be sent back, and why it lies here: its latest report ("" if it is sound and free)."""

    code: str
    lot: str
    model_name: str
    condition: str
    since: dt.datetime

    @property
    def condition_label(self) -> str:
        return DeviceReport.Kind(self.condition).label if self.condition else "Không còn phân bổ"


def to_replace(office: Office) -> list[Returnable]:
    """The devices an office answers for that are no good for the students they were meant for, by lot and code."""
    with connection.cursor() as cursor:
        cursor.execute(TO_REPLACE, {"office": office.pk, "replaceable": list(REPLACEABLE)})
        return [Returnable(*row) for row in cursor]


def returnable(office: Office) -> list[Returnable]:
    """The devices that an office holds for nobody, by lot and code."""
    with connection.cursor() as cursor:
        cursor.execute(RETURNABLE, {"office": office.pk})
        return [Returnable(*row) for row in cursor]


def return_targets(office: Office, *, day: dt.date) -> list[Office]:
    """Where an office may send devices back to: the warehouses of the offices above it, then those offices."""
    above = [code for code in office.path.strip("/").split("/") if code != office.code]
    live = Office.objects.exclude(pk=office.pk).filter(valid_from__lte=day).exclude(valid_to__lte=day)
    warehouses = live.filter(kind=Office.Kind.WAREHOUSE, parent__code__in=above)
    return [
        *warehouses.order_by("path"),
        *live.filter(code__in=above, kind__in=PASSES).order_by("-path"),
    ]


@transaction.atomic
def plan_return(
    *, by: User, from_office: Office, to_office: Office, device_codes: Collection[str], at: dt.datetime
) -> Shipment:
    """Draft a shipment back up the tree: returned, recalled or faulty devices to a warehouse or an office above.

    Raises ValidationError unless the sender holds every device, none is allocated, missing or under way, and the
    receiver is one of `return_targets`.
    """
    codes = sorted(set(device_codes))
    if not codes:
        raise ValidationError("Chưa chọn máy nào để gửi trả.", code="empty")
    if to_office not in return_targets(from_office, day=timezone.localdate(at)):
        raise ValidationError(f"{to_office} không phải kho hay cấp trên của {from_office}.", code="target")
    devices = dict(
        Device.objects.filter(
            code__in=codes, custodies__office=from_office, custodies__to_at__isnull=True
        ).values_list("code", "pk")
    )
    refuse(set(codes) - devices.keys(), f"không phải {from_office} đang giữ, không gửi trả được")
    busy = ShipmentItem.objects.filter(device__in=devices.values(), is_open=True)
    refuse(busy.values_list("device__code", flat=True), "đang nằm trong một lô hàng khác")
    live = Allocation.objects.live().filter(device__in=devices.values())
    refuse(
        live.values_list("device__code", flat=True), "đang được phân bổ cho học sinh; hãy huỷ phân bổ trước"
    )
    shipment = new_shipments(
        [(from_office.pk, to_office.pk)], by=by, at=at, expected_on=None, is_return=True
    )[0]
    ShipmentItem.objects.bulk_create(
        [ShipmentItem(shipment=shipment, device_id=pk) for pk in sorted(devices.values())]
    )
    return shipment
