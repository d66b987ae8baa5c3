"""The way back, and another device for one that broke, was lost or recalled (Plan I.2đ; rules of the public log)."""

import datetime as dt
import functools
import json

import pytest
from django.core.exceptions import ValidationError
from django.db import transaction

from allocation.models import Allocation
from coverage.models import DataPlan
from dashboards import audit
from delivery.models import DeviceReport, Shipment
from delivery.services import (
    dispatch,
    dispatch_shipments,
    hand_over,
    open_record,
    plan_return,
    plan_shipments,
    recall_lot,
    receive_shipment,
    replace_device,
    report_device,
    return_targets,
    returnable,
    to_replace,
    waiting_rows,
)
from delivery.services.hops import next_hops
from donations.models import Device, Lot
from donations.rules import Finding
from donations.services import draft_criteria, inspect_devices, publish_criteria
from ledger.models import LedgerOutbox
from schools.models import Office, StaffRole
from tests.delivery_world import AT, _office, _person, carry, make_devices, make_world

pytestmark = pytest.mark.django_db
Role = StaffRole.Role
FINE = functools.partial(Finding, measured={"ram_gb": 4})


def publish(world):
    criteria = draft_criteria(
        by=world.people["moet"],
        device_kind="tablet",
        is_used_device=False,
        limits={"ram_gb_min": 2},
        legal_reference="",
    )
    publish_criteria(by=world.people["moet"], criteria=criteria, at=AT)


@pytest.fixture
def world(db):
    """One pupil of the first school has a device."""
    with transaction.atomic():
        world = make_world(per_school=1, area="district")
        carry(world)
        by = world.people["school"]
        record = open_record(by=by, school=world.schools[0], class_name="", held_on=AT.date(), at=AT)
        record.operator = world.operator
        record.save()
        hand_over(by=by, record=record, rows=[{"device": world.codes(world.schools[0])[0]}], at=AT)
    return world


def device(world) -> str:
    return world.codes(world.schools[0])[0]


def test_an_auditor_finds_what_is_free_where_it_lies(world):
    code = world.codes(world.schools[1])[0]
    Allocation.objects.filter(device__code=code).update(
        ended_at=AT, ended_by=world.people["leader"], end_reason="revoked"
    )
    found = audit.answer(audit.QUESTIONS["ton-kho"])
    assert [(row[0], row[3]) for row in found] == [(world.schools[1].office.name, 1)]


def report(world, kind, reason=""):
    report_device(
        by=world.people["school"],
        office=world.schools[0].office,
        device_code=device(world),
        kind=kind,
        reason=reason,
        happened_on=AT.date(),
        at=AT,
    )


def replace(world):
    return replace_device(
        by=world.people["school"], office=world.schools[0].office, device_code=device(world), at=AT
    )


def logged(code: str) -> list[str]:
    rows = LedgerOutbox.objects.filter(dev=code).order_by("pk").values_list("body", flat=True)
    return [json.loads(body)["t"] for body in rows]


class TestReplacement:
    def test_a_broken_one_is_replaced_in_one_step_and_the_plan_goes_on(self, world):
        make_devices(world, 2)
        before = DataPlan.objects.get()
        report(world, "broken", "screen")
        new = replace(world)
        old = Allocation.objects.get(device__code=device(world))
        assert (old.end_reason, new.student_id, new.public_area) == (
            "replaced",
            old.student_id,
            old.public_area,
        )
        assert old.device.state == Device.State.RETURNED
        assert old.device.custodies.open().get().office == world.schools[0].office
        assert DeviceReport.objects.filter(device=old.device).latest("pk").kind == "replaced"
        assert DataPlan.objects.get(cancelled_on__isnull=True) == before
        assert logged(old.device.code)[-1] == "device.replaced"
        assert logged(new.device.code)[-1] == "device.allocated"
        # The log must not tie both devices to one child.
        assert not LedgerOutbox.objects.filter(body__contains='"by"').exists()

    def test_the_new_one_travels_and_is_handed_over(self, world):
        make_devices(world, 1)
        report(world, "lost", "with_student")
        new = replace(world)
        carry(world)
        [row] = waiting_rows(world.schools[0])
        assert (row.device, row.problem) == (new.device.code, "")
        record = open_record(
            by=world.people["school"], school=world.schools[0], class_name="", held_on=AT.date(), at=AT
        )
        assert hand_over(by=world.people["school"], record=record, rows=[{"device": row.device}], at=AT)

    def test_what_is_lost_is_gone(self, world):
        make_devices(world, 1)
        report(world, "stolen", "theft")
        replace(world)
        gone = Device.objects.get(code=device(world))
        assert gone.state == Device.State.RETIRED
        assert not gone.custodies.open().exists()

    def test_the_nearest_of_the_same_kind_comes_first(self, world):
        [far] = make_devices(world, 1)
        [near] = make_devices(world, 1)
        near.custodies.create(office=world.schools[0].office, from_at=AT)
        report(world, "broken", "battery")
        assert replace(world).device == near
        assert Allocation.objects.live().filter(device=far).count() == 0

    def test_what_is_promised_to_another_place_stays(self, world):
        [spare] = make_devices(world, 1)
        Device.objects.filter(pk=spare.pk).update(earmark_school=world.schools[1])
        report(world, "broken", "screen")
        with pytest.raises(ValidationError, match="không còn máy nào"):
            replace(world)
        assert Allocation.objects.live().get(device__code=device(world))

    def test_a_sound_one_is_not_replaced(self, world):
        make_devices(world, 1)
        with pytest.raises(ValidationError, match="báo hỏng, mất"):
            replace(world)

    def test_what_came_damaged_to_an_office_on_the_way_is_replaced_there_and_can_go_back(self, db):
        with transaction.atomic():
            world = make_world(per_school=1)
            make_devices(world, 1)
        (shipment,) = plan_shipments(by=world.people["keeper"], at=AT)
        dispatch_shipments(by=world.people["keeper"], shipments=[shipment], at=AT)
        code = shipment.items.first().device.code
        receive_shipment(
            by=world.people["department"],
            shipment=shipment,
            results={code: ("damaged", "screen")},
            at=AT,
            rest="arrived",
        )
        office = world.department
        assert [row.code for row in to_replace(office)] == [code]
        assert returnable(office) == []
        student = Allocation.objects.live().get(device__code=code).student
        new = replace_device(by=world.people["department"], office=office, device_code=code, at=AT)
        assert (new.student, to_replace(office)) == (student, [])
        assert [row.code for row in returnable(office)] == [code]
        assert plan_shipments(by=world.people["keeper"], at=AT)[0].items.get().device == new.device

    def test_another_schools_device_is_not_found(self, world):
        with pytest.raises(ValidationError, match="không được phân bổ cho học sinh nào của trường"):
            replace_device(
                by=world.people["school2"], office=world.schools[1].office, device_code=device(world), at=AT
            )


class TestReturn:
    @pytest.fixture
    def held(self, world):
        """The device came back to the school after it was replaced."""
        make_devices(world, 1)
        report(world, "broken", "screen")
        replace(world)
        return world

    def test_back_to_the_warehouse_to_be_inspected_again(self, held):
        school = held.schools[0].office
        assert [(row.code, row.condition) for row in returnable(school)] == [(device(held), "replaced")]
        assert return_targets(school, day=AT.date())[0] == held.warehouse
        shipment = plan_return(
            by=held.people["school"],
            from_office=school,
            to_office=held.warehouse,
            device_codes=[device(held)],
            at=AT,
        )
        assert shipment.is_return
        assert returnable(school) == []
        dispatch(by=held.people["school"], shipment=shipment, at=AT)
        receive_shipment(
            by=held.people["keeper"],
            shipment=Shipment.objects.get(pk=shipment.pk),
            results={},
            at=AT,
            rest="arrived",
        )
        back = Device.objects.get(code=device(held))
        assert back.custodies.open().get().office == held.warehouse
        assert back.state == Device.State.RECEIVED
        assert logged(back.code)[-2:] == ["device.dispatched", "device.arrived"]

    def test_what_lies_at_the_school_can_not_be_inspected(self, held):
        inspector = _person("kiem.dinh", held.warehouse, Role.INSPECTOR)
        assert not Device.objects.to_inspect_by(inspector).exists()
        publish(held)
        with pytest.raises(ValidationError, match="chưa đến kho"):
            inspect_devices(by=inspector, findings=[FINE(device(held))], at=AT)

    def test_inspected_where_it_came_back_it_serves_the_next_pupil(self, held):
        """It came back to another warehouse than the one that received its lot."""
        programme = Office.objects.get(code="CT")
        other = _office(Office.Kind.WAREHOUSE, "KHO-MN", "Kho miền Nam", programme)
        inspector = _person("kiem.dinh", other, Role.INSPECTOR)
        elsewhere = _person("kiem.dinh.tw", held.warehouse, Role.INSPECTOR)
        code = device(held)
        shipment = plan_return(
            by=held.people["school"],
            from_office=held.schools[0].office,
            to_office=other,
            device_codes=[code],
            at=AT,
        )
        dispatch(by=held.people["school"], shipment=shipment, at=AT)
        receive_shipment(
            by=_person("thu.kho.mn", other, Role.KEEPER),
            shipment=Shipment.objects.get(pk=shipment.pk),
            results={},
            at=AT,
            rest="arrived",
        )
        assert not Device.objects.to_inspect_by(elsewhere).exists()
        assert Device.objects.to_inspect_by(inspector).get().code == code
        assert held.lot in Lot.objects.for_user(inspector)
        publish(held)
        later = AT + dt.timedelta(hours=1)
        inspect_devices(by=inspector, findings=[FINE(code)], at=later)
        # Another pupil's device breaks; the one that came back is the only free one.
        school, by = held.schools[1], held.people["school2"]
        record = open_record(by=by, school=school, class_name="", held_on=AT.date(), at=later)
        [broken] = held.codes(school)
        hand_over(by=by, record=record, rows=[{"device": broken}], at=later)
        report_device(
            by=by,
            office=school.office,
            device_code=broken,
            kind="broken",
            reason="screen",
            happened_on=AT.date(),
            at=later,
        )
        new = replace_device(by=by, office=school.office, device_code=broken, at=later)
        assert new.device.code == code
        assert next_hops(offices=[other], at=later) == [("Kho miền Nam", "Sở GD&ĐT Thành phố", 1)]

    def test_a_recalled_lot_comes_back(self, held):
        recall_lot(by=held.people["leader"], lot=held.lot, reason="malware", at=AT)
        office = held.warehouse
        assert device(held) in {row.code for row in returnable(held.schools[0].office)}
        assert return_targets(office, day=AT.date()) == []

    @pytest.mark.parametrize(
        ("codes", "target", "said"),
        [
            ([], "warehouse", "Chưa chọn máy nào"),
            (["7K3QF9XW2MDC"], "warehouse", "không phải .* đang giữ"),
            (None, "mine", "không phải kho hay cấp trên"),
        ],
    )
    def test_refused_with_reasons_and_nothing_drafted(self, held, codes, target, said):
        to_office = held.warehouse if target == "warehouse" else held.schools[1].office
        with pytest.raises(ValidationError, match=said):
            plan_return(
                by=held.people["school"],
                from_office=held.schools[0].office,
                to_office=to_office,
                device_codes=[device(held)] if codes is None else codes,
                at=AT,
            )
        assert not Shipment.objects.filter(is_return=True).exists()

    def test_a_students_device_does_not_leave(self, world):
        with pytest.raises(ValidationError, match=r"không phải .* đang giữ"):
            plan_return(
                by=world.people["school"],
                from_office=world.schools[0].office,
                to_office=world.warehouse,
                device_codes=[device(world)],
                at=AT,
            )
