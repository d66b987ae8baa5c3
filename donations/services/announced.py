"""A donor announces the serials of pledged devices; the warehouse holds them against what came."""

import datetime as dt
from collections.abc import Iterable

from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.utils.translation import gettext as _

from donations import rules
from donations.models import AnnouncedSerial, Device, Pledge

COPY_ANNOUNCED = (
    "COPY donations_announcedserial (pledge_id, serial_number, serial_key, imei, announced_at) FROM STDIN"
)


@transaction.atomic
def announce_serials(*, by, pledge: Pledge, rows: Iterable[tuple[str, str]], at: dt.datetime) -> int:
    """Put this list in place of the one before; how many serials it has. The same list again changes nothing.

    Args:
        by: a member of staff, None for the donor, who holds the private address.
        rows: (serial, IMEI or ""); at most as many as were pledged.

    Raises rules.RowErrors with every fault by row and column, ValidationError when the list as a whole can't be taken.
    """
    pledge = Pledge.objects.select_for_update().get(pk=pledge.pk)
    if pledge.kind != Pledge.Kind.DEVICE:
        raise ValidationError(_("Chỉ cam kết thiết bị mới có số sê-ri."))
    if pledge.state in (Pledge.State.CANCELLED, Pledge.State.FULFILLED):
        raise ValidationError(
            _("Cam kết %(code)s: %(state)s, không khai số sê-ri nữa.")
            % {"code": pledge.code, "state": pledge.get_state_display()}
        )
    checked = rules.check_serials(rows)
    if not checked:
        raise ValidationError(_("Chưa có số sê-ri nào. Hãy dán danh sách hoặc chọn tệp có số sê-ri."))
    if pledge.quantity and len(checked) > pledge.quantity:
        raise ValidationError(
            _(
                "Danh sách có %(listed)s máy, cam kết là %(pledged)s máy. Hãy bỏ bớt dòng, hoặc đổi số lượng cam kết trước."
            )
            % {"listed": len(checked), "pledged": pledge.quantity}
        )
    fresh = [(row.serial, row.key, row.imei) for row in checked]
    known = list(pledge.announced_serials.order_by("pk").values_list("serial_number", "serial_key", "imei"))
    if fresh == known:
        return len(fresh)
    pledge.announced_serials.all().delete()
    with connection.cursor() as cursor, cursor.copy(COPY_ANNOUNCED) as copy:
        for row in fresh:
            copy.write_row((pledge.pk, *row, at))
    return len(fresh)


def announced(pledge: Pledge) -> list[rules.SerialRow]:
    """What the donor announced, in the order of the list, rows counted from 1."""
    found = AnnouncedSerial.objects.filter(pledge=pledge).order_by("pk")
    return [
        rules.SerialRow(number, *row)
        for number, row in enumerate(found.values_list("serial_number", "serial_key", "imei"), 1)
    ]


def received(pledge: Pledge) -> list[rules.SerialRow]:
    """The devices of the pledge that the warehouse entered, in the order they were entered."""
    found = Device.objects.filter(lot__pledge=pledge).order_by("pk")
    return [
        rules.SerialRow(number, *row)
        for number, row in enumerate(found.values_list("serial_number", "serial_key", "imei"), 1)
    ]
