"""A commit of very many rows, whose table is built on a connection of its own: the same result, all or nothing."""

import json

import numpy as np
import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction

from allocation import committing, services, swapping, tasks
from allocation.inputs import (
    APPLICANTS,
    LINE,
    LINES,
    OFFERS,
    STEPS,
    frozen_rows,
    inputs_of,
    kept_columns,
    proposed_lines,
    steps_of,
)
from allocation.models import Allocation, AllocationRun, FrozenColumn, Proposed
from common.models import Job
from ledger.models import LedgerOutbox
from ledger.sequencer import seal
from ledger.services import LedgerRefusedError, record
from schools.models import Student
from tests.allocation_world import AT, AllocationWorld

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")
STRUCTURE = """
    SELECT 'constraint', conname, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE conrelid = 'allocation_allocation'::regclass OR confrelid = 'allocation_allocation'::regclass
    UNION ALL SELECT 'index', indexname, indexdef FROM pg_indexes WHERE tablename = 'allocation_allocation'
    UNION ALL SELECT 'trigger', tgname, pg_get_triggerdef(oid) FROM pg_trigger
    WHERE tgrelid = 'allocation_allocation'::regclass AND NOT tgisinternal
    UNION ALL SELECT 'sequence', pg_get_serial_sequence('allocation_allocation', 'id'), ''
    UNION ALL SELECT 'beside', to_regclass('allocation_allocation_next')::text, ''
    ORDER BY 1, 2, 3
"""


@pytest.fixture
def world(settings, tmp_path, monkeypatch):
    settings.LEDGER_DIR = tmp_path
    # The bound alone is another; every part is the real one.
    monkeypatch.setattr(services.commits, "SWAP_FROM_ROWS", 3)
    return AllocationWorld()


def structure() -> list[tuple]:
    with connection.cursor() as cursor:
        cursor.execute(STRUCTURE)
        return cursor.fetchall()


def recorded(event: str) -> list[dict]:
    bodies = LedgerOutbox.objects.filter(event=event).order_by("id").values_list("body", flat=True)
    return [json.loads(body) for body in bodies]


def approved(world, *, students: int = 8, devices: int = 4):
    world.students(students)
    world.stock(devices)
    return services.approve(by=world.approver, run=world.proposed(), at=AT)


def test_it_leaves_the_same_table_behind(world):
    world.students(8)
    world.stock(2)
    world.committed()
    before = structure()
    world.stock(3)
    run = world.committed()
    assert structure() == before
    assert Allocation.objects.live().count() == 5
    entries = recorded("device.allocated")
    areas = dict(Allocation.objects.values_list("device__code", "public_area"))
    assert {entry["dev"]: entry["area"] for entry in entries} == areas
    # Its draw file is another step.
    services.publish(by=world.clerk, run=run, at=AT)
    assert len(recorded("run.committed")) == 2
    newest = Allocation.objects.latest("pk")
    newest.end_reason, newest.ended_at, newest.ended_by = "revoked", AT, world.clerk
    newest.save()
    again = Allocation.objects.create(
        run=run, device=newest.device, student=newest.student, tier="2.1.1", engine_pass="free", public_area="VN"
    )  # fmt: skip
    assert again.pk > newest.pk
    with pytest.raises(IntegrityError, match="allocation_device_once"), transaction.atomic():
        Allocation.objects.create(
            run=run, device=newest.device, student=newest.student, tier="2.1.1", engine_pass="free", public_area="VN"
        )  # fmt: skip


def test_the_workers_task_delivered_three_times_has_one_effect(world):
    run = approved(world)
    job = Job.objects.get(kind="allocation.tasks.commit", subject_id=str(run.pk))
    for _ in range(3):
        tasks.commit(job_id=str(job.pk))
    job.refresh_from_db()
    assert (job.state, job.message) == ("done", "")
    assert Allocation.objects.live().count() == len(recorded("device.allocated")) == 4
    assert Job.objects.filter(kind="allocation.tasks.publish", subject_id=str(run.pk)).count() == 1


def refused(world, run, error, match: str) -> None:
    """The commit is refused and nothing of it is left: no row, no entry, no table beside."""
    before = structure()
    with pytest.raises(error, match=match):
        services.commit(by=world.approver, run=run, at=AT)
    run.refresh_from_db()
    assert run.state == "approved"
    assert structure() == before
    assert not Allocation.objects.exists()
    assert not recorded("device.allocated")


def test_a_change_since_the_freeze_stops_it_whole(world):
    run = approved(world)
    Student.objects.filter(pk=run.proposed.first().student_id).update(has_device=True)
    refused(world, run, ValidationError, "1 học sinh không còn đủ điều kiện")


def test_a_device_given_meanwhile_stops_it_whole(world):
    run = approved(world)
    line = run.proposed.first()
    Allocation.objects.create(
        run=run, device_id=line.device_id, student_id=line.student_id, tier="2.1.1", engine_pass="free", public_area="VN"
    )  # fmt: skip
    with pytest.raises(ValidationError, match="1 máy hoặc em đã được phân bổ"):
        services.commit(by=world.approver, run=run, at=AT)
    assert Allocation.objects.count() == 1
    assert not recorded("device.allocated")


def test_a_device_that_the_log_does_not_give_stops_it_whole(world):
    run = approved(world)
    code = run.offers.first().device.code
    with transaction.atomic():
        record(event="device.recalled", on=AT.date(), device=code, reason="defect")
    refused(world, run, LedgerRefusedError, code)


@pytest.mark.parametrize("few", [False, True], ids=["large", "few rows"])
@pytest.mark.parametrize("where", ["columns", "rows"])
def test_only_what_was_approved_is_committed(world, monkeypatch, where, few):
    run = approved(world)
    if few:
        monkeypatch.setattr(services.commits, "SWAP_FROM_ROWS", 5)
    served = list(run.proposed.order_by("device_id").values_list("student_id", flat=True))
    favoured = run.applicants.exclude(student__in=served).order_by("student_id").first().student_id
    line = run.proposed.order_by("device_id").first()
    values = np.array([favoured, *served[1:]], dtype="<i8").tobytes()
    change = {
        "columns": lambda: FrozenColumn.objects.filter(run=run, name="line.student_id").update(data=values),
        "rows": lambda: Proposed.objects.filter(run=run, device_id=line.device_id).update(
            student_id=favoured
        ),
    }[where]
    with pytest.raises(IntegrityError, match="không sửa"), transaction.atomic():
        change()
    if where == "rows":  # which are read where the columns are no longer there
        FrozenColumn.objects.filter(run=run).delete()
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")  # as whoever owns the database could
        assert change() == 1
        cursor.execute("RESET session_replication_role")
    refused(world, run, ValidationError, "không còn đúng như lúc được phê duyệt")


def test_a_device_that_was_never_offered_has_no_step(world):
    run = approved(world)
    offered = np.sort(np.array(run.offers.values_list("device_id", flat=True)))
    assert steps_of(run, offered)["device_code"].tolist() == [
        code.encode() for code in run.offers.order_by("device_id").values_list("code", flat=True)
    ]
    for other in (offered[-1:] + 1, offered[:1] - 1):
        with pytest.raises(ValueError, match="never offered"):
            steps_of(run, other)


def write_all(run: AllocationRun, table: str, first_id: int) -> int:
    lines = proposed_lines(run)
    areas = committing.area_of(lines, committing.public_areas(lines))
    return committing.write_allocations(run, lines=lines, areas=areas, table=table, first_id=first_id)


def test_what_a_killed_commit_left_beside_is_dropped_by_the_next(world):
    run = approved(world)
    before = structure()
    with transaction.atomic():
        assert swapping.load(lambda table, first_id: write_all(run, table, first_id)) == 4
    assert structure() != before
    services.commit(by=world.approver, run=run, at=AT)
    assert structure() == before
    assert Allocation.objects.live().count() == len(recorded("device.allocated")) == 4


def test_the_kept_columns_are_the_frozen_rows_until_the_run_is_over(world):
    run = approved(world)
    applicants, offers = frozen_rows(run)
    kept = kept_columns(run, APPLICANTS), kept_columns(run, OFFERS)
    steps, lines = steps_of(run, np.sort(offers["device_id"])), proposed_lines(run)
    for by_rows, by_columns in ((applicants, kept[0]), (offers, kept[1])):
        assert {name: (values.dtype, values.tolist()) for name, values in by_rows.items()} == {
            name: (values.dtype, values.tolist()) for name, values in by_columns.items()
        }
    assert inputs_of(applicants=kept[0], offers=kept[1], province_id=None).students.code
    run = services.commit(by=world.approver, run=run, at=AT)
    assert kept_columns(run, LINES, LINE)
    services.publish(by=world.clerk, run=run, at=AT)
    for kinds, prefix in ((APPLICANTS, ""), (OFFERS, ""), (STEPS, ""), (LINES, LINE)):
        assert kept_columns(run, kinds, prefix) is None
    for by_rows, by_columns in (
        (steps_of(run, np.sort(offers["device_id"])), steps),
        (proposed_lines(run), lines),
    ):
        assert {name: (values.dtype, values.tolist()) for name, values in by_rows.items()} == {
            name: (values.dtype, values.tolist()) for name, values in by_columns.items()
        }
    world.stock(3)
    again = world.proposed()
    services.reject(by=world.clerk, run=again, reason="legal", at=AT)
    assert not FrozenColumn.objects.exists()


@pytest.mark.parametrize("sealed", [False, True], ids=["waiting", "sealed"])
@pytest.mark.parametrize("way", ["many rows", "few rows", "frozen by an earlier release"])
def test_a_device_that_moved_after_the_freeze_is_refused_by_name(world, monkeypatch, way, sealed):
    run = approved(world, devices=3)
    assert run.offers.filter(step__isnull=False).count() == 3
    codes = sorted(run.offers.values_list("code", flat=True))
    if way == "few rows":
        monkeypatch.setattr(services.commits, "SWAP_FROM_ROWS", 4)
    if way == "frozen by an earlier release":
        AllocationRun.objects.filter(pk=run.pk).update(log_size=None)
    assert services.commits.is_large(run) == (way == "many rows")
    with transaction.atomic():
        record(event="device.recalled", on=AT.date(), device=codes[1], reason="malware")
    if sealed:
        seal(today=AT.date())
    with pytest.raises(ValidationError, match=f"{codes[1]}.*hu hồi"):
        services.commit(by=world.approver, run=run, at=AT)
    run.refresh_from_db()
    assert (run.state, Allocation.objects.count(), recorded("device.allocated")) == ("approved", 0, [])


def test_a_device_that_came_back_after_the_freeze_keeps_its_steps_in_order(world):
    run = approved(world)
    code, step = run.offers.values_list("code", "step").first()
    with transaction.atomic():
        record(event="device.recalled", on=AT.date(), device=code, reason="malware")
        record(event="device.inspected", on=AT.date(), device=code, outcome="accepted")
    services.commit(by=world.approver, run=run, at=AT)
    assert LedgerOutbox.objects.get(event="device.allocated", dev=code).n == step + 3
