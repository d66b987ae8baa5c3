"""Sixteen at once at one run, and a worker killed in the middle: one effect, nothing doubled, nothing lost."""

import datetime as dt
import threading

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connections

from allocation import services, tasks
from allocation.models import Allocation, AllocationRun, Applicant, Proposed
from common import jobs
from common.models import Job, Programme
from ledger.models import LedgerOutbox
from tests.allocation_world import AT, AllocationWorld

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")
TOGETHER = 16


@pytest.fixture
def world(settings, tmp_path):
    settings.LEDGER_DIR = tmp_path
    return AllocationWorld()


def at_programme_time(moment: dt.datetime) -> None:
    """The programme's clock shows this day."""
    Programme.objects.update_or_create(pk=1, defaults={"today_on": moment.date(), "is_demonstration": True})


def at_once(work) -> list[object]:
    """Let sixteen threads, each with its own connection, do the same; what each got or was refused with."""
    barrier, results = threading.Barrier(TOGETHER), []

    def one() -> None:
        try:
            barrier.wait()
            results.append(work())
        except (ValidationError, IntegrityError) as refused:
            results.append(refused)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=one) for _ in range(TOGETHER)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    assert len(results) == TOGETHER
    return results


def test_sixteen_at_once_have_one_effect_at_every_step(world):
    world.students(40)
    world.stock(30)
    policy = world.policy()
    opened = at_once(lambda: world.opened(policy=policy))
    (run,) = [result for result in opened if isinstance(result, AllocationRun)]

    at_once(lambda: services.freeze(by=world.clerk, run=run, at=AT))
    assert Applicant.objects.filter(run=run).count() == 40
    later = run.draw_at
    services.enter_randomness(by=world.clerk, run=run, value="12345", at=later)
    drawn = at_once(
        lambda: services.confirm_randomness(by=world.other_clerk, run=run, value="12345", at=later)
    )
    assert sum(isinstance(result, AllocationRun) for result in drawn) == 1
    at_once(lambda: services.propose(by=world.clerk, run=run, at=later))
    assert Proposed.objects.filter(run=run).count() == 30
    approved = at_once(lambda: services.approve(by=world.approver, run=run, at=later))
    assert sum(isinstance(result, AllocationRun) for result in approved) == 1
    at_once(lambda: services.commit(by=world.approver, run=run, at=later))

    assert Allocation.objects.live().count() == 30
    for event, count in {
        "run.frozen": 1, "run.seeded": 1, "run.approved": 1, "run.committed": 1, "device.allocated": 30,
    }.items():  # fmt: skip
        assert LedgerOutbox.objects.filter(event=event).count() == count, event


def test_each_task_delivered_three_times_has_one_effect(world):
    world.students(20)
    world.stock(12)
    at_programme_time(AT)
    run = world.opened(draw_at=AT + dt.timedelta(days=2))
    later = run.draw_at + dt.timedelta(hours=1)

    def deliver(task, job: Job) -> None:
        for _ in range(3):
            task(job_id=str(job.pk))
        job.refresh_from_db()
        assert (job.state, job.message) == ("done", "")

    def handed_over(kind: str) -> Job:
        return Job.objects.get(kind=f"allocation.tasks.{kind}", subject_id=str(run.pk))

    deliver(tasks.freeze, services.request_freeze(by=world.clerk, run=run))
    at_programme_time(later)
    services.enter_randomness(by=world.clerk, run=run, value="12345", at=later)
    services.confirm_randomness(by=world.other_clerk, run=run, value="12345", at=later)
    deliver(tasks.propose, handed_over("propose"))
    services.approve(by=world.approver, run=run, at=later)
    deliver(tasks.commit, handed_over("commit"))
    deliver(tasks.publish, jobs.hand_over(by=world.approver, kind="allocation.tasks.publish", subject=run))

    run.refresh_from_db()
    assert run.state == "committed"
    assert Applicant.objects.filter(run=run).count() == 20
    assert Proposed.objects.filter(run=run).count() == Allocation.objects.live().count() == 12
    for event, count in {
        "run.frozen": 1, "run.seeded": 1, "run.approved": 1, "run.committed": 1, "device.allocated": 12,
    }.items():  # fmt: skip
        assert LedgerOutbox.objects.filter(event=event).count() == count, event
