"""An office closes while devices, papers and pledges are with it: nothing stays behind, nothing is invented."""

import datetime as dt

import pytest
from django.core.exceptions import ValidationError

from delivery.models import Custody, HandoverRecord, Shipment, ShipmentItem
from delivery.services import plan_shipments
from schools.models import Student
from schools.services.offices import close_office
from tests.delivery_world import AT, make_world

pytestmark = pytest.mark.django_db


def test_devices_of_a_closed_school_leave_it_by_a_shipment(django_assert_max_num_queries):
    world = make_world(per_school=3)
    old, new = world.schools[0], world.schools[1]
    by = world.people["programme"]
    mine = [a for a in world.allocations if a.student.school_id == old.pk]
    Custody.objects.bulk_create(
        Custody(device=a.device, office=old.office, from_at=AT - dt.timedelta(days=1)) for a in mine
    )
    record = HandoverRecord.objects.create(
        code="BG-0001", school=old, held_on=AT.date(), created_at=AT, created_by=by, operator=world.operator
    )
    with django_assert_max_num_queries(60):
        closed = close_office(by=by, office=old.office, successor=new.office, reason="QĐ 12/2021", at=AT)
    assert dict(closed.moved)["máy đang giữ (đã soạn một lô hàng chuyển đi)"] == 3
    shipment = Shipment.objects.get(from_office=old.office)
    assert shipment.to_office == new.office
    assert shipment.state == Shipment.State.DRAFT
    assert {item.device_id for item in shipment.items.all()} == {a.device_id for a in mine}
    assert Custody.objects.open().filter(office=old.office).count() == 3
    record.refresh_from_db()
    assert record.school == new
    assert not Student.objects.filter(school=old).exists()


def test_what_is_on_its_way_arrives_before_an_office_closes():
    world = make_world(per_school=1)
    by = world.people["programme"]
    Shipment.objects.create(
        code="VC-0001", from_office=world.department, to_office=world.district_office, created_at=AT,
        created_by=by, state=Shipment.State.DISPATCHED, dispatched_at=AT, dispatched_by=by,
    )  # fmt: skip
    with pytest.raises(ValidationError, match="đang trên đường"):
        close_office(by=by, office=world.district_office, successor=world.department, reason="QĐ 1", at=AT)
    world.district_office.refresh_from_db()
    assert world.district_office.valid_to is None


def test_no_draft_is_left_to_a_closed_office():
    world = make_world(per_school=1)
    by, old, new = world.people["programme"], world.district_office, world.department
    device = world.allocations[0].device
    Custody.objects.create(device=device, office=new, from_at=AT - dt.timedelta(days=1))
    drafts = [
        Shipment.objects.create(
            code=f"VC-000{number}", from_office=sender, to_office=receiver, created_at=AT, created_by=by
        )
        for number, (sender, receiver) in enumerate([(new, old), (world.warehouse, old), (old, new)], 1)
    ]
    ShipmentItem.objects.create(shipment=drafts[0], device=device, result="expected", is_open=True)
    closed = close_office(by=by, office=old, successor=new, reason="QĐ 2", at=AT)
    assert dict(closed.moved)["lô hàng chưa gửi"] == 2
    assert not Shipment.objects.filter(state=Shipment.State.DRAFT, to_office=old).exists()
    states = [(row.state, row.from_office, row.to_office) for row in Shipment.objects.order_by("code")]
    assert states == [
        ("cancelled", new, old),
        ("draft", world.warehouse, new),
        ("draft", old, new),
    ]
    planned = plan_shipments(by=by, at=AT, offices=[new])
    assert [shipment.items.get().device for shipment in planned] == [device], "it goes on from where it is"


def test_a_warehouse_with_devices_in_it_does_not_close():
    world = make_world(per_school=1)
    with pytest.raises(ValidationError, match="còn máy trong kho"):
        close_office(
            by=world.people["programme"],
            office=world.warehouse,
            successor=world.programme,
            reason="QĐ 1",
            at=AT,
        )
