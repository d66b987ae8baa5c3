"""The device of who left goes to the next unserved applicant by rank in its area; nobody picks."""

import json

import pytest
from django.core.exceptions import ValidationError
from django.db import connection, transaction

from allocation.models import Allocation, AllocationRun
from delivery.services import (
    dispatch_shipments,
    hand_over,
    open_record,
    plan_shipments,
    substitute,
    substitute_before_dispatch,
    unfit_devices,
    waiting_rows,
)
from delivery.services.substitution import move_to_next
from ledger.commitments import lot_number
from ledger.models import LedgerOutbox
from schools.models import Student
from tests.delivery_world import AT, carry, make_students, make_world

pytestmark = pytest.mark.django_db
SEED = "ab" * 32
APPLICANT = (
    'INSERT INTO allocation_applicant (run_id, student_id, code, school_id, "group", is_priority, household, held)'
    " VALUES (%s, %s, %s, %s, %s, true, -1, 0)"
)


@pytest.fixture
def world(db):
    with transaction.atomic():
        world = make_world(per_school=1, area="district")
        AllocationRun.objects.update(seed=SEED)
        carry(world)
    return world


def apply(world, student: Student, code: str, group: int = 0) -> None:
    with connection.cursor() as cursor:
        cursor.execute(APPLICANT, [world.run.pk, student.pk, code, student.school_id, group])


@pytest.fixture
def record(world):
    return open_record(
        by=world.people["school"], school=world.schools[0], class_name="", held_on=AT.date(), at=AT
    )


def give_up(world, record, reason="declined"):
    (code,) = world.codes(world.schools[0])
    moved = substitute(by=world.people["school"], record=record, device_codes=[code], reason=reason, at=AT)
    return moved[code]


def test_the_next_by_group_and_then_by_draw(world, record):
    with transaction.atomic():
        first, second, near = make_students(world, world.schools[0], 3, start=50)
    apply(world, near, "a" * 16, group=1)
    apply(world, first, "b" * 16)
    apply(world, second, "c" * 16)
    draw = {
        student: lot_number(bytes.fromhex(SEED), code)
        for student, code in ((first, "b" * 16), (second, "c" * 16))
    }
    chosen = give_up(world, record)
    assert chosen.student == min(draw, key=draw.get)
    assert (chosen.engine_pass, chosen.tier, chosen.public_area) == ("substitute", "1.1.1", "VN2021-760")
    events = LedgerOutbox.objects.filter(dev=chosen.device.code).order_by("n").values_list("event", "body")
    assert [event for event, _ in events][-2:] == ["device.allocation_revoked", "device.allocated"]
    assert json.loads(events[len(events) - 2][1])["reason"] == "declined"
    assert [row.student_id for row in waiting_rows(world.schools[0]) if not row.problem] == [
        chosen.student_id
    ]
    hand_over(by=world.people["school"], record=record, rows=[{"device": chosen.device.code}], at=AT)


def test_a_substitute_at_another_school_gets_it_by_shipment(world, record):
    with transaction.atomic():
        (other,) = make_students(world, world.schools[1], 1, start=60)
    apply(world, other, "d" * 16)
    assert give_up(world, record).student == other
    (shipment,) = plan_shipments(by=world.people["school"], at=AT, offices=[world.schools[0].office])
    assert shipment.to_office == world.district_office


def test_a_family_that_declined_is_not_asked_again_in_the_run(world, record):
    with transaction.atomic():
        first, second = make_students(world, world.schools[0], 2, start=50)
    apply(world, first, "a" * 16)
    apply(world, second, "b" * 16)
    chosen = give_up(world, record).student
    (other,) = {first, second} - {chosen}
    assert give_up(world, record).student == other
    assert give_up(world, record) is None


def test_a_set_at_once_gives_a_narrow_area_its_only_child_and_the_rest_to_nobody(world, record):
    """Two devices, one bound to the school: its one waiting child may not be taken by the wide one."""
    school = world.schools[0]
    with transaction.atomic():
        more = make_students(world, school, 1, start=50)
        (far,) = make_students(world, world.schools[1], 1, start=60)
    (wide,) = world.codes(school)
    narrow = world.codes(world.schools[1])[0]
    Allocation.objects.filter(device__code=narrow).update(public_area=school.code)
    apply(world, more[0], "a" * 16)
    apply(world, far, "b" * 16, group=1)
    reasons = dict(Allocation.objects.live().values_list("pk", "device__code"))
    with transaction.atomic():
        moved = move_to_next(
            by=world.people["keeper"],
            reasons={key: "declined" for key, code in reasons.items() if code in (wide, narrow)},
            at=AT,
        )
    assert {code: row and row.student for code, row in moved.items()} == {narrow: more[0], wide: far}
    with transaction.atomic():
        keys = [row.pk for row in moved.values()]
        assert move_to_next(by=world.people["keeper"], reasons=dict.fromkeys(keys, "declined"), at=AT) == {
            wide: None,
            narrow: None,
        }


def test_a_set_with_one_that_may_not_move_moves_nothing(world, record):
    codes = [*world.codes(world.schools[0]), "khong-co"]
    with pytest.raises(ValidationError, match="không ở trường"):
        substitute(by=world.people["school"], record=record, device_codes=codes, reason="declined", at=AT)
    with pytest.raises(ValidationError, match="Chưa chọn máy nào"):
        substitute(by=world.people["school"], record=record, device_codes=[], reason="declined", at=AT)
    assert not Allocation.objects.exclude(ended_at=None).exists()


def test_nobody_left_puts_it_into_stock(world, record):
    assert give_up(world, record) is None
    assert not Allocation.objects.live().filter(device__code__in=world.codes(world.schools[0])).exists()


def test_it_is_not_taken_from_who_may_have_it(world, record):
    with pytest.raises(ValidationError, match="vẫn được nhận máy"):
        give_up(world, record, reason="")
    with pytest.raises(ValidationError, match="không ở trường"):
        substitute(
            by=world.people["school"],
            record=record,
            device_codes=world.codes(world.schools[1])[:1],
            reason="declined",
            at=AT,
        )


@pytest.fixture
def draft(db):
    """Three devices in a draft from the warehouse, and one more pupil of each school who waits."""
    with transaction.atomic():
        world = make_world(per_school=1, area="district")
        AllocationRun.objects.update(seed=SEED)
        waiting = make_students(world, world.schools[0], 1, start=50)
        waiting += make_students(world, world.schools[1], 1, start=60)
    for number, student in enumerate(waiting):
        apply(world, student, f"{number:016x}")
    (shipment,) = plan_shipments(by=world.people["keeper"], at=AT, offices=[world.warehouse])
    return world, shipment, {student.pk for student in waiting}


@pytest.mark.parametrize(
    ("change", "said", "reason"),
    [
        ({"state": "left"}, "học sinh đã thôi học", "withdrawn"),
        ({"state": "out_of_group"}, "học sinh không còn thuộc đối tượng", "not_eligible"),
        ({"has_device": True}, "học sinh đã có máy", "already_has_device"),
    ],
)
def test_before_dispatch_the_student_is_checked_again_and_the_next_one_gets_it(draft, change, said, reason):
    world, shipment, waiting = draft
    (code,) = world.codes(world.schools[0])
    leaver = Student.objects.filter(allocations__device__code=code)
    leaver.update(**change)
    with pytest.raises(ValidationError, match=f"{code} chưa gửi được: {said}: hãy chuyển máy này"):
        dispatch_shipments(by=world.people["keeper"], shipments=[shipment], at=AT)
    assert not LedgerOutbox.objects.filter(event="device.dispatched").exists()
    chosen = substitute_before_dispatch(
        by=world.people["keeper"], shipment=shipment, device_codes=[code], at=AT
    )[code]
    assert (chosen.student_id in waiting, chosen.engine_pass) == (True, "substitute")
    revoked = LedgerOutbox.objects.get(event="device.allocation_revoked")
    assert (revoked.dev, json.loads(revoked.body)["reason"]) == (code, reason)
    assert dispatch_shipments(by=world.people["keeper"], shipments=[shipment], at=AT) == 2
    (again,) = plan_shipments(by=world.people["keeper"], at=AT, offices=[world.warehouse])
    assert dispatch_shipments(by=world.people["keeper"], shipments=[again], at=AT) == 1


def test_who_moves_within_the_public_area_keeps_the_device_and_who_leaves_it_does_not(draft):
    world, shipment, _ = draft
    (code,) = world.codes(world.schools[0])
    student = Student.objects.get(allocations__device__code=code)
    Student.objects.filter(pk=student.pk).update(school=world.schools[1])
    assert unfit_devices([shipment.pk]) == []
    with pytest.raises(ValidationError, match="vẫn được nhận máy"):
        substitute_before_dispatch(by=world.people["keeper"], shipment=shipment, device_codes=[code], at=AT)
    Allocation.objects.filter(student=student).update(public_area=world.schools[0].code)
    (row,) = unfit_devices([shipment.pk])
    assert (row.device, row.reason) == (code, "moved_away")
