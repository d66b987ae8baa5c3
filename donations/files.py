"""Large tables of devices that staff ask for."""

from common.requested_files import Offer, Table, offer
from donations.models import Device, Lot
from donations.perms import warehouse_staff
from schools.reach import trace_of_reach

COLUMNS = ["Mã thiết bị", "Lô", "Kho", "Loại", "Kiểu máy", "Số sê-ri", "IMEI", "Trạng thái"]


def devices(*, by, filters: str) -> Table:
    """Every device in the warehouses within reach."""
    found = Device.objects.for_user(by)
    kinds = dict(Lot._meta.get_field("device_kind").flatchoices)
    states = dict(Device.State.choices)
    rows = found.order_by("pk").values_list(
        "code", "lot__code", "lot__warehouse__name", "lot__device_kind", "lot__model_name", "serial_number", "imei",
        "state",
    )  # fmt: skip
    return Table(
        COLUMNS,
        (
            (*row[:3], kinds[row[3]], *row[4:7], states[row[7]])
            for row in rows.iterator()
        ),
        found.count(),
    )  # fmt: skip


offer(
    "thiet-bi",
    Offer(title="Thiết bị trong kho", stem="thiet-bi", access=warehouse_staff, reach=trace_of_reach, table=devices),
)  # fmt: skip
