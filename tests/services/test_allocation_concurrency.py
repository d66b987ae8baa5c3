"""Sixteen at once at one run, and a worker killed in the middle: one effect, nothing doubled, nothing lost."""

import threading

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connections

from allocation import services
from allocation.models import Allocation, AllocationRun, Applicant, Proposed
from ledger.models import LedgerOutbox
from tests.allocation_world import AT, AllocationWorld

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")
TOGETHER = 16


@pytest.fixture
def world(settings, tmp_path):
    settings.LEDGER_DIR = tmp_path
    return AllocationWorld()


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
