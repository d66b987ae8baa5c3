"""Hop by hop: programme warehouse → Sở → Phòng → school (Plan I.2d, III.2c), each hop sent and received by item.

Everything is set-based: a shipment of a whole province costs as many statements as one of a single device.
"""

import datetime as dt
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.utils import timezone

from accounts.models import User
from common.planning import planned_for_many
from common.vietnamese import number_text
from delivery import rules
from delivery.conditions import WAIT_FOR_INSPECTION
from delivery.models import DeviceReport, Fault, Shipment, ShipmentItem
from delivery.services.fitness import refuse_unfit, unfit_devices
from donations.models import Device
from ledger.bulk import record_many
from schools.models import Office

Result = ShipmentItem.Result

# What the public log may say of each device of some shipments: its area and how fine both offices are.
PLACES = """
WITH latest AS (
    SELECT DISTINCT ON (a.device_id) a.device_id, a.public_area
    FROM delivery_shipmentitem i JOIN allocation_allocation a ON a.device_id = i.device_id
    WHERE i.id = ANY(%(items)s) ORDER BY a.device_id, a.id DESC
)
SELECT i.shipment_id, d.code,
    f.code, f.kind, fu.level, t.code, t.kind, tu.level, s.code,
    coalesce(latest.public_area, ''),
    CASE WHEN latest.public_area IS NULL THEN 4 WHEN latest.public_area = 'VN' THEN 0
         WHEN u.level = 'province' THEN 1 WHEN u.level = 'district' THEN 2 WHEN u.level = 'commune' THEN 3 ELSE 4 END
FROM delivery_shipmentitem i
JOIN delivery_shipment s ON s.id = i.shipment_id
JOIN donations_device d ON d.id = i.device_id
JOIN schools_office f ON f.id = s.from_office_id LEFT JOIN schools_administrativeunit fu ON fu.id = f.unit_id
JOIN schools_office t ON t.id = s.to_office_id LEFT JOIN schools_administrativeunit tu ON tu.id = t.unit_id
LEFT JOIN latest ON latest.device_id = i.device_id
LEFT JOIN schools_administrativeunit u ON u.public_code = latest.public_area
WHERE i.id = ANY(%(items)s)
ORDER BY d.code
"""


@dataclass(frozen=True)
class Place:
    """A device on a hop in the words of the public log: codes never finer than the device's area.

    A hop that ends inside the area is not told at all: it would say nothing, and entries that stand together would
    show which devices went to the same school (rules 3 and 4 of what is public). Custody still records it.
    """

    shipment_id: int
    device: str
    from_: str
    to: str
    lot: str | None
    is_told: bool


@transaction.atomic
def remove_items(*, by: User, shipment: Shipment, device_codes: Collection[str]) -> int:
    """Take devices out of a draft; returns how many. Raises ValidationError when it is no draft any more."""
    shipment = Shipment.objects.select_for_update().get(pk=shipment.pk)
    _must_be(shipment, Shipment.State.DRAFT, "bỏ máy ra")
    count, _ = shipment.items.filter(device__code__in=list(device_codes)).delete()
    return count


@transaction.atomic
def cancel_shipment(*, by: User, shipment: Shipment, at: dt.datetime) -> None:
    """Give up a draft; its devices can be planned again. Raises ValidationError when it has left."""
    shipment = Shipment.objects.select_for_update().get(pk=shipment.pk)
    _must_be(shipment, Shipment.State.DRAFT, "huỷ")
    shipment.items.all().delete()
    Shipment.objects.filter(pk=shipment.pk).update(
        state=Shipment.State.CANCELLED, cancelled_at=at, cancelled_by=by
    )


def dispatch(*, by: User, shipment: Shipment, at: dt.datetime) -> None:
    """Send one shipment on its way; see `dispatch_shipments`."""
    dispatch_shipments(by=by, shipments=[shipment], at=at)
    shipment.refresh_from_db()


@transaction.atomic
def dispatch_shipments(*, by: User, shipments: Iterable[Shipment], at: dt.datetime) -> int:
    """Send drafts on their way: the sender still answers for the devices until the receiver has them.

    Records `device.dispatched` for each device. Raises ValidationError naming the devices that may not leave
    (allocation ended, its student no longer eligible, no longer with the sender, not sound), or the drafts without any
    device; returns how many devices left.
    """
    ids = [shipment.pk for shipment in shipments]
    locked = list(Shipment.objects.select_for_update().filter(pk__in=ids).order_by("pk"))
    for shipment in locked:
        _must_be(shipment, Shipment.State.DRAFT, "gửi")
    loaded = list(ShipmentItem.objects.filter(shipment__in=ids).values_list("pk", "shipment_id"))
    filled = {shipment for _, shipment in loaded}
    if empty := [shipment.code for shipment in locked if shipment.pk not in filled]:
        raise ValidationError(
            f"Lô {', '.join(empty[:3])} không có máy nào nên không gửi được. Hãy huỷ lô này.", code="empty"
        )
    with planned_for_many(len(loaded)):
        refuse_unfit(ids)
        _leave([item for item, _ in loaded], at=at)
        Shipment.objects.filter(pk__in=ids).update(
            state=Shipment.State.DISPATCHED, dispatched_at=at, dispatched_by=by
        )
    return len(loaded)


def _leave(items: list[int], *, at: dt.datetime) -> None:
    with connection.cursor() as cursor:
        # The first hop: until now the lot's warehouse has held the device, from when it passed inspection.
        cursor.execute(
            """
            INSERT INTO delivery_custody (device_id, office_id, from_at)
            SELECT i.device_id, s.from_office_id, least(coalesce(d.accepted_at, %(at)s), %(at)s)
            FROM delivery_shipmentitem i JOIN delivery_shipment s ON s.id = i.shipment_id
            JOIN donations_device d ON d.id = i.device_id
            WHERE i.id = ANY(%(items)s)
              AND NOT EXISTS (SELECT 1 FROM delivery_custody c WHERE c.device_id = i.device_id AND c.to_at IS NULL)
            """,
            {"at": at, "items": items},
        )
    places = _places(items)
    day = timezone.localdate(at)
    record_many(
        event="device.dispatched",
        on=day,
        rows=[{"device": p.device, "from_": p.from_, "to": p.to, "lot": p.lot} for p in places if p.is_told],
    )
    _record_lots("lot.dispatched", day, places)


@transaction.atomic
def dispatch_ready(
    *, by: User, shipments: Iterable[Shipment], at: dt.datetime
) -> tuple[list[Shipment], list[Shipment]]:
    """Send those of some drafts whose devices may all leave; returns what was sent and what was held back.

    A draft without any device is held back too: there is nothing to send.
    """
    given = list(shipments)
    unfit = {row.device for row in unfit_devices([shipment.pk for shipment in given])}
    loaded = ShipmentItem.objects.filter(shipment__in=given)
    held = set(loaded.filter(device__code__in=unfit).values_list("shipment_id", flat=True))
    fit = set(loaded.values_list("shipment_id", flat=True).distinct()) - held
    ready = [shipment for shipment in given if shipment.pk in fit]
    if ready:
        dispatch_shipments(by=by, shipments=ready, at=at)
    return ready, [shipment for shipment in given if shipment.pk not in fit]


def receive_shipments(*, by: User, shipments: Iterable[Shipment], at: dt.datetime) -> int:
    """Receive several shipments whole ("nhận đủ"); returns how many devices arrived."""
    return _receive(by=by, shipment_ids=[s.pk for s in shipments], at=at, results={}, rest=Result.ARRIVED)


def receive_shipment(
    *,
    by: User,
    shipment: Shipment,
    results: Mapping[str, str | tuple[str, str]],
    at: dt.datetime,
    rest: str | None = None,
) -> int:
    """Receive one shipment item by item; what arrives changes hands, what is missing stays with the sender.

    Args:
        results: device code → `arrived`, `missing` or (`damaged`, fault).
        rest: the result of devices that `results` does not name; None: every device must be named.

    Returns how many devices arrived whole. Raises ValidationError for a shipment that is not under way, a device
    that is not in it, a device left out, or a person who sent it themselves.
    """
    count = _receive(by=by, shipment_ids=[shipment.pk], at=at, results=results, rest=rest)
    shipment.refresh_from_db()
    return count


@transaction.atomic
def _receive(
    *,
    by: User,
    shipment_ids: list[int],
    at: dt.datetime,
    results: Mapping[str, str | tuple[str, str]],
    rest: str | None,
) -> int:
    for shipment in Shipment.objects.select_for_update().filter(pk__in=shipment_ids).order_by("pk"):
        _must_be(shipment, Shipment.State.DISPATCHED, "nhận")
        if shipment.dispatched_by_id == by.pk:
            raise ValidationError(
                f"Lô {shipment.code} do chính thầy/cô gửi. Người khác ở nơi nhận phải xác nhận.",
                code="two_sided",
            )
        if shipment.dispatched_at > at:
            raise ValidationError("Thời điểm nhận không được trước thời điểm gửi.", code="order")
    items = dict(
        ShipmentItem.objects.filter(shipment__in=shipment_ids, result=Result.EXPECTED).values_list(
            "device__code", "pk"
        )
    )
    refuse(set(results) - items.keys(), "không có trong lô hàng này hoặc đã nhận rồi")
    settled = {code: _result(code, results.get(code, rest)) for code in items}
    with planned_for_many(len(settled)):
        return _arrive(items, settled, shipment_ids, by=by, at=at)


def _arrive(
    items: Mapping[str, int],
    settled: Mapping[str, tuple[str, str]],
    shipment_ids: list[int],
    *,
    by: User,
    at: dt.datetime,
) -> int:
    groups: dict[str, list[int]] = {}
    for code, (result, _) in settled.items():
        groups.setdefault(result, []).append(items[code])
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE delivery_shipmentitem i SET result = r.result, fault = r.fault, is_open = false
            FROM unnest(%s::bigint[], %s::text[], %s::text[]) AS r (id, result, fault) WHERE i.id = r.id
            """,
            [
                [items[code] for code in settled],
                [result for result, _ in settled.values()],
                [fault for _, fault in settled.values()],
            ],
        )
    Shipment.objects.filter(pk__in=shipment_ids).update(
        state=Shipment.State.ARRIVED, arrived_at=at, arrived_by=by
    )
    arrived, missing, damaged = (groups.get(r, []) for r in (Result.ARRIVED, Result.MISSING, Result.DAMAGED))
    _change_hands([*arrived, *damaged], at=at)
    _note_conditions([*missing, *damaged], by=by, at=at)
    _record_arrivals(arrived, missing, damaged, settled, timezone.localdate(at))
    return len(arrived)


def _result(code: str, given: str | tuple[str, str] | None) -> tuple[str, str]:
    """(result, fault) of one device; raises ValidationError when none is given or it makes no sense."""
    result, fault = given if isinstance(given, tuple) else (given, "")
    if result is None:
        raise ValidationError(f"Máy {code} chưa có kết quả: đã nhận, thiếu hay hư hại?", code="left_out")
    if result not in (Result.ARRIVED, Result.MISSING, Result.DAMAGED):
        raise ValidationError(f"Máy {code}: không có kết quả «{result}».", code="result")
    if (result == Result.DAMAGED) != (fault in Fault.values):
        raise ValidationError(f"Máy {code} hư hại thì phải chọn hư hại gì.", code="fault")
    return str(result), fault


def _change_hands(items: list[int], *, at: dt.datetime) -> None:
    """Custody of the items' devices goes from sender to receiver."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE delivery_custody c SET to_at = %s FROM delivery_shipmentitem i
            WHERE i.id = ANY(%s) AND c.device_id = i.device_id AND c.to_at IS NULL
            """,
            [at, items],
        )
        cursor.execute(
            """
            INSERT INTO delivery_custody (device_id, office_id, from_at)
            SELECT i.device_id, s.to_office_id, %s
            FROM delivery_shipmentitem i JOIN delivery_shipment s ON s.id = i.shipment_id WHERE i.id = ANY(%s)
            """,
            [at, items],
        )
        cursor.execute(WAIT_FOR_INSPECTION, {"items": items})


def _note_conditions(items: list[int], *, by: User, at: dt.datetime) -> None:
    """Missing and damaged devices get a report, so that their latest report says their condition."""
    if not items:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO delivery_devicereport
                (device_id, kind, reason, office_id, happened_on, note, reported_at, reported_by_id)
            SELECT i.device_id, i.result, CASE i.result WHEN 'missing' THEN 'in_transit' ELSE i.fault END,
                s.to_office_id, %(day)s, '', %(at)s, %(by)s
            FROM delivery_shipmentitem i JOIN delivery_shipment s ON s.id = i.shipment_id
            WHERE i.id = ANY(%(items)s) ORDER BY i.id
            """,
            {"day": timezone.localdate(at), "at": at, "by": by.pk, "items": items},
        )


def _record_arrivals(
    arrived: list[int],
    missing: list[int],
    damaged: list[int],
    settled: Mapping[str, tuple[str, str]],
    day: dt.date,
) -> None:
    there = _places(arrived)
    if there:
        record_many(
            event="device.arrived",
            on=day,
            rows=[{"device": p.device, "to": p.to, "lot": p.lot} for p in there if p.is_told],
        )
    lost, broken = _places(missing), _places(damaged)
    if lost:
        record_many(
            event="device.missing",
            on=day,
            rows=[{"device": p.device, "reason": "in_transit", "lot": p.lot} for p in lost],
        )
    if broken:
        record_many(
            event="device.damaged",
            on=day,
            rows=[
                {
                    "device": p.device,
                    "reason": settled[p.device][1],
                    "lot": p.lot,
                    "at_": p.to if p.is_told else None,
                }
                for p in broken
            ],
        )
    _record_lots("lot.arrived", day, there, missing=lost, damaged=broken)


def _record_lots(
    event: str,
    day: dt.date,
    places: list[Place],
    *,
    missing: Sequence[Place] = (),
    damaged: Sequence[Place] = (),
) -> None:
    """One entry per shipment whose every device may be named with it: counts below that would place children."""
    shipments: dict[int, list[Place]] = {}
    for place in [*places, *missing, *damaged]:
        shipments.setdefault(place.shipment_id, []).append(place)
    whole, lost, broken = (
        Counter(place.shipment_id for place in group) for group in (places, missing, damaged)
    )
    rows = []
    for pk, members in sorted(shipments.items()):
        if any(place.lot is None for place in members):
            continue
        row = {"lot": members[0].lot, "to": members[0].to}
        if event == "lot.dispatched":
            row |= {"from_": members[0].from_, "qty": len(members)}
        else:
            row |= {
                "qty": whole[pk],
                "missing": lost[pk] or None,
                "damaged": broken[pk] or None,
            }
        rows.append(row)
    if rows:
        record_many(event=event, on=day, rows=rows)


def _places(items: list[int]) -> list[Place]:
    """The public words for each item's device, in the order of device codes, which are random."""
    if not items:
        return []
    with connection.cursor() as cursor:
        cursor.execute(PLACES, {"items": items})
        rows = cursor.fetchall()
    places = []
    for shipment, device, f_code, f_kind, f_level, t_code, t_kind, t_level, lot, area, area_rank in rows:
        f_rank, t_rank = rules.office_rank(f_kind, f_level), rules.office_rank(t_kind, t_level)
        # A shipment's code ties its devices together, so it is told only where both ends may be.
        open_lot = lot if max(f_rank, t_rank) <= area_rank else None
        places.append(
            Place(
                shipment,
                device,
                rules.public_place(office=f_code, rank=f_rank, area=area, area_rank=area_rank),
                rules.public_place(office=t_code, rank=t_rank, area=area, area_rank=area_rank),
                open_lot,
                t_rank <= area_rank,
            )
        )
    return places


@transaction.atomic
def mark_found(*, by: User, item: ShipmentItem, at: dt.datetime) -> None:
    """A missing device has turned up at the receiver: it changes hands now (later than the rest of its shipment).

    Raises ValidationError unless it is missing.
    """
    item = ShipmentItem.objects.select_for_update().select_related("shipment", "device").get(pk=item.pk)
    if item.result != Result.MISSING:
        raise ValidationError(f"Máy {item.device.code} không ở tình trạng thiếu.", code="state")
    ShipmentItem.objects.filter(pk=item.pk).update(result=Result.FOUND, found_at=at, found_by=by)
    _change_hands([item.pk], at=at)
    day = timezone.localdate(at)
    DeviceReport.objects.create(
        device=item.device,
        kind=DeviceReport.Kind.FOUND,
        office=item.shipment.to_office,
        happened_on=day,
        reported_at=at,
        reported_by=by,
    )
    place = _places([item.pk])[0]
    record_many(
        event="device.found",
        on=day,
        rows=[{"device": place.device, "at_": place.to if place.is_told else None}],
    )


@dataclass(frozen=True)
class Holder:
    """Who holds a device: an office (perhaps while it is under way), a student, or nobody any more."""

    office: Office | None
    since: dt.datetime | None
    shipment: Shipment | None = None
    with_student: bool = False
    is_gone: bool = False


def who_holds(device: Device) -> Holder:
    """Answer the auditor's first question for one device."""
    custody = device.custodies.open().select_related("office").first()
    item = device.shipment_items.filter(is_open=True, shipment__state=Shipment.State.DISPATCHED).first()
    if custody:
        return Holder(custody.office, custody.from_at, item.shipment if item else None)
    last = device.custodies.order_by("-to_at").first()
    if device.state == Device.State.RETIRED:
        return Holder(None, last.to_at if last else None, is_gone=True)
    if last:
        return Holder(None, last.to_at, with_student=True)
    return Holder(device.lot.warehouse, device.accepted_at)


def _must_be(shipment: Shipment, state: str, verb: str) -> None:
    if shipment.state != state:
        label = shipment.get_state_display().lower()
        raise ValidationError(f"Lô {shipment.code} {label}, không {verb} được nữa.", code="state")


def refuse(codes: Iterable[str], why: str) -> None:
    """Raise ValidationError naming the first of these devices, if any."""
    if codes := sorted(codes):
        more = f" (và {number_text(len(codes) - 1)} máy khác)" if len(codes) > 1 else ""
        raise ValidationError(f"Máy {codes[0]}{more} {why}.", code="devices", params={"devices": codes})
