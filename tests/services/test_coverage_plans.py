"""Free data plans of handovers at the same moment: nobody waits for another, and no quota is exceeded."""

import threading

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, OperationalError, connection, connections, transaction

from coverage import rules
from coverage.models import DataPlan, PlanShare, SimBatch
from coverage.services import register_sim_batch, start_data_plan, start_data_plans
from tests.delivery_world import AT, make_students, make_world
from tests.live import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def world(db):
    with transaction.atomic():
        return make_world()


@pytest.fixture
def students(world):
    with transaction.atomic():
        return make_students(world, world.schools[0], 8)


def sims(world, quantity: int, *, day: int = 0) -> SimBatch:
    return register_sim_batch(
        by=world.people["mic"], operator=world.operator, province=world.schools[0].province,
        quantity=quantity, delivered_on=AT.date().replace(day=1 + day), at=AT,
    )  # fmt: skip


def give(world, *students) -> list[DataPlan]:
    return start_data_plans(
        by=world.people["school"], operator=world.operator, at=AT,
        rows=[{"student": student.pk, "device": f"M{student.pk}"} for student in students],
    )  # fmt: skip


def at_once(world, students) -> list[object]:
    """Each student's plan by a connection of its own, all at the same moment; the plans, or why there is none."""
    barrier, results = threading.Barrier(len(students)), []

    def one(student) -> None:
        try:
            barrier.wait(30)
            results.append(give(world, student)[0])
        except ValidationError as refused:
            results.append(refused.messages[0])
        finally:
            connections.close_all()

    threads = [threading.Thread(target=one, args=[student]) for student in students]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert len(results) == len(students)
    return results


def leave(count: int) -> None:
    """Of the million so many are left, spread over two shares."""
    shares = list(PlanShare.objects.filter(batch=None).order_by("pk"))
    PlanShare.objects.filter(batch=None).update(remaining=0)
    for share, remaining in zip(shares[:2], (count // 2, count - count // 2), strict=True):
        PlanShare.objects.filter(pk=share.pk).update(remaining=remaining)


def test_a_handover_does_not_wait_for_another_that_is_not_over(world, students):
    sims(world, 100)
    # What a test begins with holds no shares yet; an installation has them from its migration.
    give(world, students[0])
    given, over = threading.Event(), threading.Event()

    def a_slow_one() -> None:
        try:
            with transaction.atomic():
                give(world, students[1])
                given.set()
                over.wait(60)
        finally:
            connections.close_all()

    slow = threading.Thread(target=a_slow_one)
    slow.start()
    try:
        assert given.wait(30)
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '3s'")
            give(world, *students[2:])
    finally:
        over.set()
        slow.join(60)
    assert DataPlan.objects.exclude(sim_batch=None).count() == 8
    assert SimBatch.objects.with_used().get().used == 8


def test_eight_at_once_get_the_last_five_of_the_million(world, students):
    give(world, students[0])
    assert sum(PlanShare.objects.values_list("remaining", flat=True)) == rules.PLAN_TARGET - 1
    leave(5)
    results = at_once(world, students[1:])
    refused = [result for result in results if isinstance(result, str)]
    assert refused == ["Chương trình đã dùng hết 1.000.000 gói dữ liệu, không mở thêm được."] * 2
    assert DataPlan.objects.count() == 6
    assert set(PlanShare.objects.values_list("remaining", flat=True)) == {0}


def test_a_class_takes_of_several_shares_and_gets_all_or_nothing(world, students):
    give(world, students[0])
    leave(6)
    with pytest.raises(ValidationError, match="đã dùng hết"):
        give(world, *students[1:8])
    assert sum(PlanShare.objects.values_list("remaining", flat=True)) == 6
    assert len(give(world, *students[1:7])) == 6


def test_the_database_holds_the_million_whoever_writes(world, students):
    start_data_plan(
        by=world.people["school"], student=students[0], operator=world.operator, device_code="A", at=AT
    )
    leave(0)
    with pytest.raises(IntegrityError, match="đã dùng hết"), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO coverage_dataplan (student_id, operator_id, device_code, sim_number, daily_mb, starts_on,"
            " ends_on, started_at, started_by_id) SELECT %s, operator_id, 'B', '', 4096, starts_on, ends_on, now(),"
            " started_by_id FROM coverage_dataplan",
            [students[1].pk],
        )


def test_who_waits_for_the_million_and_who_waits_for_a_batch_do_not_wait_for_each_other(world, students):
    give(world, students[0])
    sims(world, 1)
    leave(2)
    results: dict[str, object] = {}

    def begin(name: str, *students) -> threading.Thread:
        def act() -> None:
            try:
                results[name] = len(give(world, *students))
            except (ValidationError, OperationalError) as refused:
                results[name] = str(refused)
            finally:
                connections.close_all()

        thread = threading.Thread(target=act)
        thread.start()
        return thread

    def wait_for(count: int) -> None:
        wait_until(f"{count} phiên đang chờ khoá", lambda: _waiting_for_locks() == count, timeout_s=30)

    with transaction.atomic():
        # Held by others that are not over: a share of the million, and the one SIM of the batch.
        first = PlanShare.objects.filter(batch=None, remaining=1).order_by("pk").values("pk")[:1]
        list(PlanShare.objects.select_for_update().filter(pk__in=first))
        list(PlanShare.objects.select_for_update().exclude(batch=None))
        of_million = begin("two", *students[1:3])  # more than the batch has, so of the million alone
        wait_for(1)
        of_batch = begin("one", students[3])  # has the other share of the million, and waits for the SIM
        wait_for(2)
    for thread in (of_million, of_batch):
        thread.join(60)
    assert results["one"] == 1
    assert "đã dùng hết" in str(results["two"])


def _waiting_for_locks() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")  # within a transaction the first look is kept
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        return cursor.fetchone()[0]


def test_eight_at_once_over_two_batches_take_each_sim_once(world, students):
    first, second = sims(world, 3), sims(world, 4, day=1)
    results = at_once(world, students)
    assert all(isinstance(result, DataPlan) for result in results), results
    counts = [DataPlan.objects.filter(sim_batch=batch).count() for batch in (first, second, None)]
    assert counts == [3, 4, 1]
    assert [batch.used for batch in SimBatch.objects.with_used().order_by("pk")] == [3, 4]
