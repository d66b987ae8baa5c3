"""Lots, serials, inspection, criteria: services on the real database."""

import json

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from donations import services
from donations.models import Device, Inspection
from donations.rules import Finding, RowErrors
from ledger.models import LedgerOutbox
from ledger.services import LedgerRefusedError
from tests.supply import AT, USED_LAPTOP, World

pytestmark = pytest.mark.django_db


@pytest.fixture
def world():
    return World()


def entries(event: str) -> list[dict]:
    return [
        json.loads(body)
        for body in LedgerOutbox.objects.filter(event=event).order_by("id").values_list("body", flat=True)
    ]


def test_devices_are_received_with_codes_and_ledger_entries(world):
    pledge = world.pledge(quantity=3, earmark_school=world.school)
    lot = world.lot(pledge)
    codes = services.receive_devices(
        by=world.keeper, lot=lot, rows=[("ab-12 3", "490154203237518"), ("X1 1", ""), ("", "")], at=AT
    )
    assert len(codes) == 2
    device = Device.objects.get(code=codes[0])
    assert (device.serial_key, device.imei, device.state) == ("AB123", "490154203237518", "received")
    assert device.earmark_school_id == world.school.pk
    first = next(entry for entry in entries("device.received") if entry["dev"] == codes[0])
    # The school stays out of the log: nothing finer than the province.
    assert first["earmark"] == "VN2021-15"
    assert set(first["c"]) == {"serial", "imei"}
    assert "AB123" not in json.dumps(first)
    pledge.refresh_from_db()
    assert pledge.state == "receiving"


def test_a_list_with_errors_records_nothing_and_names_row_and_column(world):
    lot = world.lot()
    world.devices(1, lot=lot, prefix="OLD")
    with pytest.raises(RowErrors) as refused:
        services.receive_devices(
            by=world.keeper, lot=lot, rows=[("A1", ""), ("N-100", "123"), ("n100", "")], at=AT
        )
    assert [(e.row, e.column) for e in refused.value.errors] == [
        (1, "Số sê-ri"),
        (2, "IMEI"),
        (3, "Số sê-ri"),
    ]
    with pytest.raises(RowErrors) as refused:
        services.receive_devices(by=world.keeper, lot=lot, rows=[("NEW1", ""), ("old-00000", "")], at=AT)
    assert lot.code in str(refused.value.errors[0])
    assert Device.objects.count() == 1


def test_queries_do_not_grow_with_the_lot(world):
    world.criteria()
    counts = []
    for size in (2, 200):
        with CaptureQueriesContext(
            connection,
        ) as queries:
            codes = world.devices(size, lot=world.lot(), prefix=f"Q{size}X")
            services.inspect_devices(by=world.inspector, findings=[Finding(code) for code in codes], at=AT)
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_inspection_decides_by_the_criteria_in_force(world):
    world.criteria()
    good, weak, broken = world.devices(3)
    outcome = services.inspect_devices(
        by=world.inspector,
        findings=[
            Finding(good, {"screen_inch": 8, "ram_gb": 2, "wifi": True}),
            Finding(weak, {"screen_inch": 8}, ("battery_weak",)),
            Finding(broken, {"screen_inch": 7}, is_child_protected=False),
        ],
        at=AT,
    )
    assert outcome == {"accepted": 1, "to_repair": 1, "refused": 1}
    assert Inspection.objects.get(device__code=broken).reasons == ["screen_inch_low", "no_child_protection"]
    reasons = {entry["dev"]: entry.get("reason") for entry in entries("device.inspected")}
    assert reasons == {good: None, weak: "battery", broken: "below_specification"}
    services.repair_devices(by=world.keeper, device_codes=[weak], at=AT)
    services.inspect_devices(by=world.inspector, findings=[Finding(weak, {"screen_inch": 8})], at=AT)
    assert Device.objects.get(code=weak).state == "accepted"
    services.write_off_devices(by=world.keeper, device_codes=[broken], reason="recycled", at=AT)
    assert Device.objects.get(code=broken).state == "retired"


def test_a_used_device_passes_only_wiped(world):
    world.criteria("laptop", limits=USED_LAPTOP, is_used=True)
    pledge, _ = services.make_pledge(
        by=world.clerk,
        donor=world.donor(),
        kind="device",
        device_kind="laptop",
        quantity=2,
        at=AT,
        is_used=True,
        warehouse=world.warehouse,
        is_verified=True,
    )
    codes = world.devices(2, lot=world.lot(pledge, device_kind="laptop", is_used=True))
    services.inspect_devices(
        by=world.inspector,
        findings=[Finding(codes[0], is_wiped=True), Finding(codes[1], is_wiped=False)],
        at=AT,
    )
    assert [Device.objects.get(code=c).state for c in codes] == ["accepted", "to_repair"]


def test_an_inspection_of_a_device_that_does_not_wait_is_refused_whole(world):
    world.criteria()
    first, second = world.devices(2)
    services.inspect_devices(by=world.inspector, findings=[Finding(first)], at=AT)
    with pytest.raises(ValidationError, match=first):
        services.inspect_devices(by=world.inspector, findings=[Finding(first), Finding(second)], at=AT)
    assert Device.objects.get(code=second).state == "received"


def test_no_inspection_without_published_criteria(world):
    codes = world.devices(1)
    with pytest.raises(ValidationError, match="Chưa có tiêu chí"):
        services.inspect_devices(by=world.inspector, findings=[Finding(codes[0])], at=AT)


def test_no_lot_before_the_pledge_is_confirmed(world):
    made, _ = services.make_pledge(
        by=None, donor=world.donor(), kind="device", device_kind="tablet", quantity=1, at=AT
    )
    with pytest.raises(ValidationError, match="xác nhận"):
        world.lot(made)


@pytest.mark.parametrize(
    ("sql", "constraint"),
    [
        # From out of the programme nothing leads back.
        (
            "UPDATE donations_device SET state = 'retired'; UPDATE donations_device SET state = 'received'",
            "donations_device_state_moves",
        ),
        ("UPDATE donations_device SET code = 'X'", "donations_device_append_only"),
        ("DELETE FROM donations_device", "donations_device_append_only"),
        ("UPDATE donations_device SET state = 'accepted'", "device_accepted_has_inspector"),
        (
            "UPDATE donations_device SET state = 'accepted', accepted_at = now(), accepted_by_id = (SELECT min(id) FROM accounts_user)",
            "device_accepted_is_child_protected",
        ),
        ("UPDATE donations_device SET serial_key = 'ab 1'", "device_serial_key_plain"),
        ("UPDATE donations_device SET serial_key = 'SAME'", "device_serial_unique"),
        ("UPDATE donations_devicecriteria SET limits = '{}'", "criteria_published_stays"),
        ("UPDATE donations_inspection SET reasons = '[]'", "donations_inspection_append_only"),
        ("UPDATE donations_pledge SET state = 'made', confirmed_at = now()", "donations_pledge_state_moves"),
        ("UPDATE donations_pledge SET umbrella_id = id", "pledge_umbrella_is_another"),
        ("UPDATE donations_pledge SET quantity = NULL", "pledge_quantity_fits_kind"),
    ],
)
def test_the_database_refuses_from_below(world, sql, constraint):
    world.criteria()
    codes = world.devices(3)
    services.inspect_devices(by=world.inspector, findings=[Finding(codes[0], faults=("no_power",))], at=AT)
    with pytest.raises(IntegrityError) as refused, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql)
    assert refused.value.__cause__.diag.constraint_name == constraint


def test_the_ledger_refuses_a_move_and_the_change_with_it(world):
    world.criteria()
    (code,) = world.devices(1)
    Device.objects.filter(code=code).update(state="to_repair")
    with pytest.raises(LedgerRefusedError), transaction.atomic():
        services.repair_devices(by=world.keeper, device_codes=[code], at=AT)
    assert Device.objects.get(code=code).state == "to_repair"
