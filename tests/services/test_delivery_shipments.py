"""Hop by hop: planning, sending, receiving by item, custody, and what the public log may say of it."""

import datetime as dt
import json

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from common.planning import MANY
from delivery import rules
from delivery.models import Custody, DeviceReport, Shipment, ShipmentItem
from delivery.services import (
    cancel_shipment,
    dispatch,
    dispatch_ready,
    dispatch_shipments,
    mark_found,
    plan_shipments,
    receive_shipment,
    receive_shipments,
    remove_items,
    who_holds,
)
from delivery.services.hops import HOPS, plan_params
from donations.models import Device
from ledger.models import LedgerOutbox
from tests.delivery_world import AT, make_world

pytestmark = pytest.mark.django_db
DAY = dt.timedelta(days=1)


@pytest.fixture
def world(db):
    with transaction.atomic():
        return make_world()


def entries(event: str) -> list[dict]:
    return [
        json.loads(body) for body in LedgerOutbox.objects.filter(event=event).values_list("body", flat=True)
    ]


def to_department(world) -> Shipment:
    (shipment,) = plan_shipments(by=world.people["keeper"], at=AT, offices=[world.warehouse])
    dispatch(by=world.people["keeper"], shipment=shipment, at=AT)
    return shipment


def to_schools(world) -> None:
    """Everything on its way until it lies in its school."""
    receive_shipments(by=world.people["department"], shipments=[to_department(world)], at=AT)
    for sender, receiver, office in (
        ("department", "district", world.department),
        ("district", "school", world.district_office),
    ):
        shipments = plan_shipments(by=world.people[sender], at=AT, offices=[office])
        dispatch_shipments(by=world.people[sender], shipments=shipments, at=AT)
        receive_shipments(by=world.people[receiver], shipments=shipments, at=AT)


def test_each_hop_goes_to_the_next_office_on_the_way(world):
    first = to_department(world)
    assert (first.from_office, first.to_office, first.items.count()) == (world.warehouse, world.department, 9)
    receive_shipments(by=world.people["department"], shipments=[first], at=AT)
    second = plan_shipments(by=world.people["department"], at=AT, offices=[world.department])
    # The third school has no Phòng above it: its devices go straight from the Sở.
    assert {(s.to_office, s.items.count()) for s in second} == {
        (world.district_office, 6),
        (world.schools[2].office, 3),
    }


def test_the_offices_on_the_way_are_looked_at_once_not_once_per_school(world):
    """A look through all steps for each pair of holder and school took minutes at 5,000 schools."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_nestloop = off")
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {HOPS}", plan_params(None, AT))
        nodes = [cursor.fetchone()[0][0]["Plan"]]
    assert nodes[0]["Actual Rows"] == 9
    looks = {}
    while nodes:
        node = nodes.pop()
        nodes += node.get("Plans", [])
        if node["Node Type"] == "CTE Scan":
            looks[node["Alias"]] = node["Actual Loops"]
    assert set(looks.values()) == {1}, looks


def test_everything_ends_in_its_school_with_one_holder(world):
    to_schools(world)
    for school in world.schools:
        held = Custody.objects.open().filter(office=school.office).values_list("device__code", flat=True)
        assert sorted(held) == world.codes(school)
    assert not plan_shipments(by=world.people["keeper"], at=AT)


def test_a_device_is_planned_once(world):
    plan_shipments(by=world.people["keeper"], at=AT)
    assert plan_shipments(by=world.people["keeper"], at=AT) == []


def test_sender_answers_for_devices_until_they_are_received(world):
    shipment = to_department(world)
    device = Device.objects.first()
    assert who_holds(device).office == world.warehouse
    assert who_holds(device).shipment == shipment
    receive_shipments(by=world.people["department"], shipments=[shipment], at=AT + DAY)
    assert who_holds(device).office == world.department
    assert who_holds(device).shipment is None


def test_received_item_by_item(world):
    shipment = to_department(world)
    missing, damaged, *rest = sorted(shipment.items.values_list("device__code", flat=True))
    count = receive_shipment(
        by=world.people["department"],
        shipment=shipment,
        results={missing: "missing", damaged: ("damaged", "screen")},
        rest="arrived",
        at=AT + DAY,
    )
    assert count == len(rest)
    assert shipment.state == Shipment.State.ARRIVED
    assert who_holds(Device.objects.get(code=missing)).office == world.warehouse
    assert who_holds(Device.objects.get(code=damaged)).office == world.department
    assert dict(DeviceReport.objects.values_list("device__code", "kind")) == {
        missing: "missing",
        damaged: "damaged",
    }
    assert {e["dev"] for e in entries("device.arrived")} == set(rest)
    assert [(e["dev"], e["reason"]) for e in entries("device.damaged")] == [(damaged, "screen")]
    assert entries("lot.arrived")[0] | {"eid": ""} == {
        "v": 1, "t": "lot.arrived", "eid": "", "d": "2021-11-16", "lot": shipment.code, "to": "S-79",
        "qty": 7, "missing": 1, "damaged": 1,
    }  # fmt: skip
    # Neither goes on before it is found or repaired.
    planned = plan_shipments(by=world.people["department"], at=AT + DAY)
    codes = ShipmentItem.objects.filter(shipment__in=planned).values_list("device__code", flat=True)
    assert sorted(codes) == sorted(rest)


def test_found_later_it_changes_hands_and_goes_on(world):
    shipment = to_department(world)
    missing = shipment.items.order_by("pk").first()
    receive_shipment(
        by=world.people["department"],
        shipment=shipment,
        results={missing.device.code: "missing"},
        rest="arrived",
        at=AT + DAY,
    )
    plan_shipments(by=world.people["department"], at=AT + DAY)
    mark_found(by=world.people["department"], item=missing, at=AT + 3 * DAY)
    assert who_holds(missing.device).office == world.department
    (late,) = plan_shipments(by=world.people["department"], at=AT + 3 * DAY)
    assert list(late.items.values_list("device", flat=True)) == [missing.device_id]
    with pytest.raises(ValidationError, match="không ở tình trạng thiếu"):
        mark_found(by=world.people["department"], item=missing, at=AT + 3 * DAY)


def test_every_device_needs_a_result(world):
    shipment = to_department(world)
    code = shipment.items.first().device.code
    with pytest.raises(ValidationError, match="chưa có kết quả"):
        receive_shipment(
            by=world.people["department"], shipment=shipment, results={code: "arrived"}, at=AT + DAY
        )
    with pytest.raises(ValidationError, match="phải chọn hư hại gì"):
        receive_shipment(
            by=world.people["department"],
            shipment=shipment,
            results={code: ("damaged", "")},
            rest="arrived",
            at=AT + DAY,
        )
    with pytest.raises(ValidationError, match="không có trong lô"):
        receive_shipment(
            by=world.people["department"],
            shipment=shipment,
            results={"0123456789AX": "arrived"},
            rest="arrived",
            at=AT + DAY,
        )
    assert shipment.items.filter(result="expected").count() == 9


def test_the_sender_cannot_receive_and_nobody_receives_twice(world):
    shipment = to_department(world)
    with pytest.raises(ValidationError, match="chính thầy/cô gửi"):
        receive_shipments(by=world.people["keeper"], shipments=[shipment], at=AT + DAY)
    receive_shipments(by=world.people["department"], shipments=[shipment], at=AT + DAY)
    with pytest.raises(ValidationError, match="đã nhận"):
        receive_shipments(by=world.people["department"], shipments=[shipment], at=AT + DAY)


def test_a_device_whose_allocation_ended_does_not_leave(world):
    (shipment,) = plan_shipments(by=world.people["keeper"], at=AT)
    gone = world.allocations[0]
    gone.ended_at, gone.ended_by, gone.end_reason = AT, world.people["leader"], "revoked"
    gone.save()
    with pytest.raises(ValidationError, match=f"{gone.device.code} không còn được phân bổ"):
        dispatch(by=world.people["keeper"], shipment=shipment, at=AT)
    remove_items(by=world.people["keeper"], shipment=shipment, device_codes=[gone.device.code])
    dispatch(by=world.people["keeper"], shipment=shipment, at=AT)
    assert shipment.items.count() == 8


def test_an_empty_draft_is_not_sent_with_others(world):
    receive_shipments(by=world.people["department"], shipments=[to_department(world)], at=AT)
    drafts = plan_shipments(by=world.people["department"], at=AT, offices=[world.department])
    empty, full = drafts
    by = world.people["department"]
    codes = list(empty.items.values_list("device__code", flat=True))
    remove_items(by=by, shipment=empty, device_codes=codes)
    with pytest.raises(ValidationError, match=f"{empty.code} không có máy nào"):
        dispatch_shipments(by=by, shipments=drafts, at=AT)
    assert dispatch_ready(by=by, shipments=drafts, at=AT) == ([full], [empty])
    assert Shipment.objects.get(pk=empty.pk).state == Shipment.State.DRAFT


def test_a_cancelled_draft_frees_its_devices(world):
    (shipment,) = plan_shipments(by=world.people["keeper"], at=AT)
    cancel_shipment(by=world.people["keeper"], shipment=shipment, at=AT)
    (again,) = plan_shipments(by=world.people["keeper"], at=AT)
    assert again.items.count() == 9


@pytest.mark.parametrize("area", ["province", "district", "school"])
def test_nothing_public_is_finer_than_the_area(db, area):
    with transaction.atomic():
        world = make_world(area=area)
    to_schools(world)
    allowed = {
        "province": {"KHO-TW", "S-79", "VN2021-79"},
        "district": {"KHO-TW", "S-79", "P-760", "VN2021-760"},
        "school": {"KHO-TW", "S-79", "P-760", *(s.office.code for s in world.schools)},
    }[area]
    said = {
        e.get(key)
        for name in ("device.dispatched", "device.arrived")
        for e in entries(name)
        for key in ("from", "to")
    }
    assert said - {None} <= allowed
    # A shipment's code would tie its devices together: it is told only where both ends may be named.
    tied = {e["lot"] for e in entries("device.dispatched") if "lot" in e}
    coarse = Shipment.objects.filter(to_office__kind__in=["province_department"]).values_list(
        "code", flat=True
    )
    if area == "province":
        assert tied == set(coarse)


def test_the_database_refuses_what_services_never_do(world):
    shipment = to_department(world)
    item = shipment.items.first()
    attacks = [
        ("UPDATE delivery_shipment SET state = 'draft', dispatched_at = NULL, dispatched_by_id = NULL WHERE id = %s", [shipment.pk]),
        ("UPDATE delivery_shipment SET state = 'arrived', arrived_at = now(), arrived_by_id = dispatched_by_id WHERE id = %s", [shipment.pk]),
        ("UPDATE delivery_shipment SET dispatched_by_id = NULL WHERE id = %s", [shipment.pk]),
        ("INSERT INTO delivery_custody (device_id, office_id, from_at) VALUES (%s, %s, now())", [item.device_id, world.department.pk]),
        ("UPDATE delivery_shipmentitem SET result = 'damaged', is_open = false WHERE id = %s", [item.pk]),
        ("UPDATE delivery_shipmentitem SET result = 'arrived' WHERE id = %s", [item.pk]),
    ]  # fmt: skip
    for statement, params in attacks:
        with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement, params)


def test_hops_inside_the_area_are_not_told_but_custody_knows_them(db):
    with transaction.atomic():
        world = make_world(area="province")
    to_schools(world)
    assert {e["to"] for e in entries("device.arrived")} == {"S-79"}
    assert Custody.objects.filter(office=world.district_office).count() == 6


@pytest.mark.parametrize("days", [7, 8])
@pytest.mark.parametrize("hour", [0, 6, 7, 23])
def test_a_list_of_what_is_stuck_and_its_badge_count_the_same_days(world, days, hour):
    shipment, day = to_department(world), AT.date() + dt.timedelta(days=20)
    left = timezone.make_aware(dt.datetime.combine(day - dt.timedelta(days=days), dt.time(hour, 30)))
    Shipment.objects.filter(pk=shipment.pk).update(dispatched_at=left)
    is_stuck = rules.ageing(timezone.localdate(left), day) != "ok"
    assert Shipment.objects.stuck_on(day).exists() == is_stuck == (days > 7)


@pytest.mark.parametrize(("per_school", "setting"), [(3, "on"), (MANY // 3 + 1, "off")])
def test_many_devices_are_planned_without_loops_and_few_with(db, per_school, setting):
    """Statistics that still say "empty" made the dispatch of a nation's first hop loop for a quarter of an hour."""
    with transaction.atomic():
        world = make_world(per_school=per_school)
    seen = []

    def look(execute, sql, params, many, context):
        if "FROM delivery_shipmentitem i" in sql:
            with connection.connection.cursor() as cursor:
                seen.append(cursor.execute("SHOW enable_nestloop").fetchone()[0])
        return execute(sql, params, many, context)

    with connection.execute_wrapper(look):
        (first,) = plan_shipments(by=world.people["keeper"], at=AT, offices=[world.warehouse])
        dispatch(by=world.people["keeper"], shipment=first, at=AT)
        assert set(seen) == {setting}
        seen.clear()
        receive_shipments(by=world.people["department"], shipments=[first], at=AT)
    assert set(seen) == {setting}
    with connection.cursor() as cursor:
        cursor.execute("SHOW enable_nestloop")
        assert cursor.fetchone() == ("on",)
