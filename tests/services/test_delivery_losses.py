"""Devices missing on their arrival and not found: two people give them up, the student gets another one."""

import datetime as dt
import json

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from allocation.models import Allocation
from dashboards import stuck
from delivery.models import Loss
from delivery.services import (
    decide_loss,
    dispatch_shipments,
    mark_found,
    plan_shipments,
    receive_shipment,
    replace_device,
    request_losses,
    returnable,
    to_replace,
    who_holds,
)
from donations.models import Device
from ledger.models import LedgerOutbox
from schools.models import Student
from tests.delivery_world import AT, make_devices, make_world

pytestmark = pytest.mark.django_db
LATER = AT + dt.timedelta(days=10)
TOLD = "Hỏi lái xe và hai kho, ngày 18 và 20/11 không thấy."


@pytest.fixture
def world(db):
    with transaction.atomic():
        return make_world(per_school=1)


@pytest.fixture
def item(world):
    """One of three devices did not come to the Sở."""
    (shipment,) = plan_shipments(by=world.people["keeper"], at=AT)
    dispatch_shipments(by=world.people["keeper"], shipments=[shipment], at=AT)
    item = shipment.items.order_by("pk").first()
    receive_shipment(
        by=world.people["department"],
        shipment=shipment,
        results={item.device.code: "missing"},
        at=AT,
        rest="arrived",
    )
    item.refresh_from_db()
    return item


def ask(world, item, reason="in_transit") -> Loss:
    (loss,) = request_losses(
        by=world.people["keeper"],
        shipment=item.shipment,
        device_codes=[item.device.code],
        reason=reason,
        account=TOLD,
        at=LATER,
    )
    return loss


def decide(world, loss, *, agree=True, by="leader"):
    return decide_loss(by=world.people[by], loss=loss, agree=agree, at=LATER)


def logged(code: str) -> list[dict]:
    rows = LedgerOutbox.objects.filter(dev=code).order_by("pk").values_list("body", flat=True)
    return [json.loads(body) for body in rows]


def test_given_up_by_two_people_and_the_pupil_gets_another_one(world, item):
    (spare,) = make_devices(world, 1)
    old = Allocation.objects.live().get(device=item.device)
    new = decide(world, ask(world, item))
    old.refresh_from_db()
    assert (new.device, new.student, new.public_area) == (spare, old.student, old.public_area)
    assert (old.end_reason, Device.objects.get(pk=old.device_id).state) == ("replaced", "retired")
    entry = logged(item.device.code)[-1]
    assert (entry["t"], entry["reason"]) == ("device.written_off", "lost")
    assert logged(spare.code)[-1]["t"] == "device.allocated"
    item.refresh_from_db()
    held = who_holds(Device.objects.get(pk=item.device_id))
    assert (item.result, held.office, held.is_gone, held.with_student) == ("lost", None, True, False)
    assert plan_shipments(by=world.people["keeper"], at=LATER)[0].items.get().device == spare


def test_what_thieves_took_is_written_off_as_stolen(world, item):
    make_devices(world, 1)
    decide(world, ask(world, item, "theft"))
    assert logged(item.device.code)[-1]["reason"] == "stolen"


def test_without_stock_the_pupil_keeps_the_place_until_there_is_some(world, item):
    old = Allocation.objects.live().get(device=item.device)
    assert decide(world, ask(world, item)) is None
    assert logged(item.device.code)[-1]["t"] == "device.written_off"
    assert [row.code for row in to_replace(world.warehouse)] == [item.device.code]
    (spare,) = make_devices(world, 1)
    new = replace_device(
        by=world.people["keeper"], office=world.warehouse, device_code=item.device.code, at=LATER
    )
    assert (new.device, new.student) == (spare, old.student)
    assert to_replace(world.warehouse) == returnable(world.warehouse) == []
    assert logged(item.device.code)[-1]["t"] == "device.written_off"


def test_a_pupil_who_left_gives_the_place_up(world, item):
    loss = ask(world, item)
    Student.objects.filter(allocations__device=item.device).update(state="left")
    make_devices(world, 1)
    assert decide(world, loss) is None
    assert Allocation.objects.get(device=item.device).end_reason == "lost"
    assert who_holds(Device.objects.get(pk=item.device_id)).is_gone


def test_a_device_that_is_for_nobody_leaves_alone(world, item):
    Allocation.objects.filter(device=item.device).update(
        ended_at=AT, ended_by=world.people["leader"], end_reason="revoked"
    )
    assert decide(world, ask(world, item)) is None
    assert Device.objects.get(pk=item.device_id).state == "retired"


def test_not_agreed_the_search_goes_on_and_may_be_asked_again(world, item):
    decide(world, ask(world, item), agree=False)
    assert logged(item.device.code)[-1]["t"] == "device.missing"
    mark_found(by=world.people["department"], item=item, at=LATER)
    assert who_holds(item.device).office == world.department


def test_nobody_decides_alone_twice_or_on_what_was_found(world, item):
    loss = ask(world, item)
    with pytest.raises(ValidationError, match="phải khác người đề nghị"):
        decide(world, loss, by="keeper")
    with pytest.raises(IntegrityError, match="loss_decided_by_another"), transaction.atomic():
        Loss.objects.update(confirmed_at=LATER, confirmed_by=world.people["keeper"])
    with pytest.raises(IntegrityError, match="loss_one_standing"), transaction.atomic():
        ask(world, item)
    mark_found(by=world.people["department"], item=item, at=LATER)
    with pytest.raises(ValidationError, match="đã được tìm thấy"):
        decide(world, loss)
    decide(world, loss, agree=False)
    with pytest.raises(ValidationError, match="đã có quyết định"):
        decide(world, loss)


def test_what_was_given_up_is_not_found_any_more(world, item):
    decide(world, ask(world, item))
    with pytest.raises(ValidationError, match="không ở tình trạng thiếu"):
        mark_found(by=world.people["department"], item=item, at=LATER)


def test_only_what_is_missing_from_that_shipment_is_asked_about(world, item):
    arrived = item.shipment.items.get(result="arrived", device__code__gt="", pk=item.shipment.items.last().pk)
    with pytest.raises(ValidationError, match="không phải máy thiếu của lô này"):
        ask(world, arrived)


def test_what_is_stuck_is_asked_of_who_can_act_at_each_step(world, item):
    """A missing device does not lie at the office that looks for it, nor does one that was given up."""
    warehouse, department = item.shipment.from_office.code, item.shipment.to_office.code

    def stuck_now() -> dict:
        rows = stuck.waiting(
            today=(LATER + dt.timedelta(days=30)).date(), kinds=("held", "missing", "loss", "replace")
        )
        return {row.kind.code: (row.office_code, row.count) for row in rows}

    assert stuck_now() == {"held": (department, 2), "missing": (warehouse, 1)}
    loss = ask(world, item)
    assert stuck_now() == {"held": (department, 2), "loss": ("CT", 1)}
    decide(world, loss)
    assert stuck_now() == {"held": (department, 2), "replace": (warehouse, 1)}
