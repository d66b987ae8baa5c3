"""What moves when an office closes: devices that it holds (by a real shipment), shipments to it, open papers."""

from django.core.exceptions import ValidationError
from django.db import connection

from delivery.models import Custody, Grievance, HandoverRecord, Shipment, ShipmentItem
from ledger.codes import new_code
from schools.models import Office
from schools.succession import moves


@moves("lô hàng chưa gửi")
def move_shipments(*, by, old: Office, new: Office, at) -> int:
    """Drafts go to the successor; what is on its way must arrive first, for the log says where it was sent.

    A draft of the successor itself is given up: what it would have sent is where it has to go, and is planned anew.
    """
    under_way = Shipment.objects.filter(state=Shipment.State.DISPATCHED)
    waiting = under_way.filter(to_office=old).count() + under_way.filter(from_office=old).count()
    if waiting:
        raise ValidationError(
            f"{old} còn {waiting} lô hàng đang trên đường. Hãy nhận xong các lô đó rồi mới cho ngừng hoạt động."
        )
    drafts = Shipment.objects.filter(state=Shipment.State.DRAFT, to_office=old)
    own = drafts.filter(from_office=new)
    ShipmentItem.objects.filter(shipment__in=own).delete()
    given_up = own.update(state=Shipment.State.CANCELLED, cancelled_at=at, cancelled_by=by)
    return given_up + drafts.update(to_office=new)


@moves("máy đang giữ (đã soạn một lô hàng chuyển đi)")
def move_devices(*, by, old: Office, new: Office, at) -> int:
    """Devices travel by a shipment like any others, so that the public log stays true: one draft with all of them."""
    if old.kind == Office.Kind.WAREHOUSE and _in_warehouse(old):
        raise ValidationError(f"{old} còn máy trong kho. Hãy chuyển hết máy đi rồi mới cho ngừng hoạt động.")
    held = Custody.objects.open().filter(office=old)
    # Those already in a draft of their own leave with that one.
    free = held.exclude(device__shipment_items__is_open=True)
    count = free.count()
    if not count:
        return 0
    shipment = Shipment.objects.create(
        code=new_code("VC"), from_office=old, to_office=new, created_at=at, created_by=by
    )
    with connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO delivery_shipmentitem (shipment_id, device_id, result, is_open, fault)
            SELECT %s, held.device_id, 'expected', true, '' FROM delivery_custody held
            WHERE held.office_id = %s AND held.to_at IS NULL AND NOT EXISTS (
                SELECT FROM delivery_shipmentitem item WHERE item.device_id = held.device_id AND item.is_open)""",
            [shipment.pk, old.pk],
        )
    return count


@moves("biên bản bàn giao chưa ký")
def move_records(*, by, old: Office, new: Office, at) -> int:
    """Records that nobody has signed are signed by the school that takes over."""
    return HandoverRecord.objects.filter(school=old.pk, signed_at=None).update(school=new.pk)


@moves("phản ánh chưa trả lời")
def move_grievances(*, by, old: Office, new: Office, at) -> int:
    """Who takes over answers."""
    return Grievance.objects.filter(office=old, answered_at=None).update(office=new)


def _in_warehouse(office: Office) -> bool:
    """Whether devices lie in the warehouse that never left it (they have no custody row yet)."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT EXISTS (
                SELECT FROM donations_device device JOIN donations_lot lot ON lot.id = device.lot_id
                WHERE lot.warehouse_id = %s
                  AND NOT EXISTS (SELECT FROM delivery_custody held WHERE held.device_id = device.id))""",
            [office.pk],
        )
        return cursor.fetchone()[0]
