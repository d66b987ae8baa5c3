"""The lottery: public randomness entered by one official, confirmed by another; the seed."""

from __future__ import annotations

import datetime as dt

from django.core.exceptions import ValidationError
from django.db import transaction

from allocation import rules
from allocation.models import AllocationRun
from allocation.services.runs import State, day_of, locked
from common import jobs
from ledger.commitments import draw_seed
from ledger.services import record


@transaction.atomic
def enter_randomness(*, by, run: AllocationRun, value: str, at: dt.datetime) -> AllocationRun:
    """One official types the public result; it counts once another has confirmed it."""
    run = locked(run, State.FROZEN)
    value = normal_randomness(value)
    refuse_randomness(run, value, at)
    run.randomness, run.entered_at, run.entered_by = value, at, by
    run.save(update_fields=["randomness", "entered_at", "entered_by"])
    return run


@transaction.atomic
def confirm_randomness(*, by, run: AllocationRun, value: str, at: dt.datetime) -> AllocationRun:
    """Another official types it again from the source; both must agree. Fixes the seed and asks for the proposal."""
    run = locked(run, State.FROZEN)
    value = normal_randomness(value)
    if run.entered_by_id is None:
        raise ValidationError("Chưa ai nhập số ngẫu nhiên.")
    if run.entered_by_id == by.pk:
        raise ValidationError("Người xác nhận phải khác người nhập.")
    refuse_randomness(run, value, at)
    if value != run.randomness:
        raise ValidationError(
            "Số thầy/cô vừa nhập không giống số đã nhập lần đầu. Hãy xem lại nguồn đã công bố; "
            "nếu lần đầu sai thì nhập lại lần đầu."
        )
    run.seed = draw_seed(bytes.fromhex(run.frozen_root), value.encode()).hex()
    run.confirmed_at, run.confirmed_by, run.state = at, by, State.SEEDED
    run.save(update_fields=["seed", "confirmed_at", "confirmed_by", "state"])
    record_seed(by=by, run=run, at=at)
    return run


def record_seed(*, by, run: AllocationRun, at: dt.datetime) -> None:
    """Put a run's seed into the ledger and ask for its proposal."""
    randomness = run.randomness.encode().hex()
    record(event="run.seeded", on=day_of(at), run=run.code, randomness=randomness, seed=run.seed)
    jobs.hand_over(by=run.opened_by, kind="allocation.tasks.propose", subject=run)


def normal_randomness(value: str) -> str:
    """Without what a copy brings along: spaces at the ends, Windows line ends."""
    return "\n".join(line.strip() for line in value.strip().splitlines())


def refuse_randomness(run: AllocationRun, value: str, at: dt.datetime) -> None:
    assert run.frozen_at is not None
    problem = rules.randomness_problem(
        randomness=value,
        source=run.source,
        commitments=run.commitments,
        draw_at=run.draw_at,
        frozen_at=run.frozen_at,
        at=at,
    )
    if problem:
        raise ValidationError({"value": problem})
