"""Handovers written down without signal: sent twice one effect, and row by row what stood against it."""

import datetime as dt
import uuid
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from django.db import connection, transaction

from coverage.models import DataPlan
from delivery.models import Custody, Handover, PhoneHandover
from delivery.services import (
    Written,
    hand_over,
    open_record,
    recall_lot,
    receive_from_phone,
    settle_phone_handover,
    sign_record,
)
from delivery.views.phone import WrittenRow
from schools.models import Student
from tests.delivery_world import AT, make_world
from tests.services.test_delivery_handovers import bring_to_schools

LATER = AT + dt.timedelta(days=2)


@pytest.fixture
def world(db):
    world = make_world(per_school=5)
    bring_to_schools(world)
    return world


@pytest.fixture
def record(world):
    return open_record(
        by=world.people["school"], school=world.schools[0], class_name="7A", held_on=AT.date(), at=AT,
        operator=world.operator,
    )  # fmt: skip


def written(world, number: int, *, guardian: str = "", age_s: int = 3600, school: int = 0) -> Written:
    mine = [a for a in world.allocations if a.student.school_id == world.schools[school].pk]
    one = mine[number]
    return Written(uuid.uuid4(), one.pk, one.device.code, guardian, age_s)


def send(world, record, rows, at=LATER):
    return [
        (one.outcome, one.text)
        for one in receive_from_phone(by=world.people["school"], record=record, rows=rows, at=at)
    ]


def entries() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM ledger_outbox WHERE event = 'device.handed_over'")
        return cursor.fetchone()[0]


def test_sent_twice_has_one_effect_and_the_same_answer(world, record):
    rows = [written(world, 0), written(world, 1, guardian="Lò Thị Mẹ"), written(world, 2)]
    first = send(world, record, rows)
    assert [outcome for outcome, _ in first] == ["recorded"] * 3
    assert send(world, record, rows) == first
    assert (Handover.objects.count(), PhoneHandover.objects.count(), entries()) == (3, 3, 3)
    assert DataPlan.objects.count() == 3
    guardian = Handover.objects.get(recipient="guardian")
    assert guardian.guardian_name == "Lò Thị Mẹ"
    assert guardian.handed_over_at == LATER - dt.timedelta(hours=1), "lúc trao tay, không phải lúc gửi"
    assert not PhoneHandover.objects.exclude(guardian_name="").exists()
    assert not Custody.objects.open().filter(
        device__in=[row.allocation.device_id for row in Handover.objects.all()]
    )


def test_sent_again_with_another_list_has_one_effect_too(world, record):
    rows = [written(world, 0), written(world, 1)]
    first = send(world, record, rows)
    other = open_record(
        by=world.people["school"], school=world.schools[0], class_name="", held_on=AT.date(), at=AT
    )
    assert send(world, other, rows) == first
    assert (Handover.objects.count(), PhoneHandover.objects.count(), entries()) == (2, 2, 2)


def test_a_phone_whose_clock_was_wrong_never_hands_over_before_the_device_came(world, record):
    send(world, record, [written(world, 0, age_s=300 * 24 * 3600)])
    handover = Handover.objects.get()
    custody = Custody.objects.get(device=handover.allocation.device, office=world.schools[0].office)
    assert custody.from_at <= handover.handed_over_at <= LATER
    assert handover.handed_over_at >= record.created_at


def test_what_changed_meanwhile_is_said_row_by_row_and_holds_nobody_up(world, record):
    rows = [written(world, number, guardian="Lò Thị Mẹ") for number in range(5)]
    by = world.people["school"]
    hand_over(by=by, record=record, rows=[{"device": rows[0].device}], at=AT)
    Student.objects.filter(allocations=rows[1].allocation).update(state="left")
    one = next(a for a in world.allocations if a.pk == rows[2].allocation)
    one.ended_at, one.ended_by, one.end_reason = AT, by, "withdrawn"
    one.save()
    foreign = written(world, 0, school=1)
    said = send(world, record, [*rows, foreign, Written(uuid.uuid4(), 2**40, "KHONGCO", "", 5)])
    assert [outcome for outcome, _ in said] == [
        "earlier", "refused", "refused", "recorded", "recorded", "refused", "refused",
    ]  # fmt: skip
    assert f"trong biên bản {record.code}" in said[0][1]
    assert "thôi học" in said[1][1]
    assert "không còn dành cho em đó" in said[2][1]
    assert said[5][1] == said[6][1] == "Máy này không có trong danh sách của trường."
    assert Handover.objects.count() == 3
    waiting = list(PhoneHandover.objects.to_look_at())
    assert {row.key for row in waiting} == {rows[1].key, rows[2].key}
    assert {row.guardian_name for row in waiting} == {"Lò Thị Mẹ"}
    for row in waiting:
        settle_phone_handover(by=by, handover=row, at=LATER)
        settle_phone_handover(by=by, handover=row, at=LATER + dt.timedelta(days=1))
    assert not PhoneHandover.objects.to_look_at().exists()
    assert not PhoneHandover.objects.exclude(guardian_name="").exists()
    assert set(PhoneHandover.objects.exclude(settled_at=None).values_list("settled_at", flat=True)) == {LATER}


def test_a_recalled_device_and_a_signed_record_are_refused(world, record):
    first, second = written(world, 0), written(world, 1)
    send(world, record, [first])
    sign_record(by=world.people["school"], record=record, at=LATER)
    ((outcome, text),) = send(world, record, [second])
    assert outcome == "refused"
    assert "đã ký và khoá" in text
    again = open_record(
        by=world.people["school"], school=world.schools[0], class_name="7A", held_on=AT.date(), at=LATER
    )
    recall_lot(by=world.people["programme"], lot=world.lot, reason="security", at=LATER)
    ((outcome, text),) = send(world, again, [written(world, 2)], at=LATER + dt.timedelta(hours=2))
    assert outcome == "refused"
    assert "thu hồi" in text


def test_two_phones_with_the_same_device(world, record):
    """A class's list on two phones: whoever sends first is recorded, the other hears of it."""
    one = written(world, 0)
    other = Written(uuid.uuid4(), one.allocation, one.device, "", 60)
    assert [o for o, _ in send(world, record, [one, other])] == ["recorded", "earlier"]
    assert send(world, record, [other])[0][0] == "earlier"
    assert (Handover.objects.count(), PhoneHandover.objects.count()) == (1, 2)


def test_the_database_refuses_from_below(world, record):
    row = written(world, 0)
    send(world, record, [row])
    for statement in (
        "INSERT INTO delivery_phonehandover SELECT * FROM delivery_phonehandover",
        "UPDATE delivery_phonehandover SET guardian_name = 'Mẹ'",
        "UPDATE delivery_phonehandover SET reason = 'vì'",
        "UPDATE delivery_phonehandover SET outcome = 'refused'",
        "UPDATE delivery_phonehandover SET happened_at = sent_at + interval '1 day'",
        "UPDATE delivery_phonehandover SET settled_at = sent_at, settled_by_id = sent_by_id",
    ):
        with (
            pytest.raises(Exception, match="phonehandover") as refused,
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(statement)
        assert isinstance(refused.value.__cause__, psycopg.errors.IntegrityError), statement


@pytest.mark.django_db(transaction=True)
def test_the_same_rows_sent_from_eight_places_at_once():
    with transaction.atomic():
        world = make_world(per_school=5)
        bring_to_schools(world)
        record = open_record(
            by=world.people["school"], school=world.schools[0], class_name="7A", held_on=AT.date(), at=AT
        )
        rows = [written(world, number) for number in range(5)]

    def once(_):
        try:
            return send(world, record, rows)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(once, range(8)))
    assert all(one == said[0] for one in said)
    assert (Handover.objects.count(), PhoneHandover.objects.count(), entries()) == (5, 5, 5)


def test_the_name_that_a_phone_sends_turns_nothing():
    row = {"key": uuid.uuid4(), "allocation": 1, "device": "A", "age_s": 0}
    shape = WrittenRow(data=row | {"guardian_name": " Lò \u202eThị\u2069  Mẹ "})
    assert shape.is_valid()
    assert shape.validated_data["guardian_name"] == "Lò Thị Mẹ"
