"""The proposal, and its approval by a second official."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor

from django.core.exceptions import ValidationError
from django.db import transaction

from allocation import freezing, proposing
from allocation.inputs import frozen_inputs
from allocation.models import AllocationRun
from allocation.services.commits import refuse_stale, request_commit
from allocation.services.rankings import request_ranking
from allocation.services.runs import Progress, State, day_of, locked, no_progress
from ledger.services import record


@transaction.atomic
def propose(*, by, run: AllocationRun, at: dt.datetime, progress: Progress = no_progress) -> AllocationRun:
    """Let the engine decide over the frozen inputs and store its proposal. Does nothing if it is there already."""
    run = locked(run)
    if run.state != State.SEEDED:
        return run
    progress(0, 3, step="Đọc dữ liệu đã chốt")
    inputs = frozen_inputs(run)
    progress(1, 3, step="Xếp thứ tự và chia máy")
    outcome = proposing.decide(inputs=inputs, rules=run.policy.rules, seed=bytes.fromhex(run.seed))
    progress(2, 3, step="Ghi phương án")
    with ThreadPoolExecutor(1) as beside:  # counting takes no database, and writing mostly waits for it
        figures = beside.submit(proposing.figures, inputs=inputs, outcome=outcome, rules=run.policy.rules)
        run.proposal_digest = proposing.write_proposal(run=run, inputs=inputs, outcome=outcome)
        freezing.analyze("allocation_proposed", rows=len(outcome.device))
        run.summary = figures.result()
    run.state, run.proposed_at, run.proposed_by = State.PROPOSED, at, by
    run.save(update_fields=["proposal_digest", "summary", "state", "proposed_at", "proposed_by"])
    progress(3, 3, step="Đã có phương án")
    # Who waits in which place is written on its own: nothing of the proposal waits for it.
    request_ranking(run=run)
    return run


@transaction.atomic
def approve(*, by, run: AllocationRun, at: dt.datetime) -> AllocationRun:
    """A second official approves exactly this proposal; a worker then writes the allocations."""
    run = locked(run, State.PROPOSED)
    if by.pk in {run.opened_by_id, run.frozen_by_id, run.proposed_by_id}:
        raise ValidationError("Người phê duyệt phải khác người mở đợt và người lập phương án.")
    refuse_stale(run)
    run.state, run.approved_at, run.approved_by = State.APPROVED, at, by
    run.save(update_fields=["state", "approved_at", "approved_by"])
    record(
        event="run.approved",
        on=day_of(at),
        run=run.code,
        proposal=run.proposal_digest,
        served=run.summary["allocated"],
    )
    request_commit(by=by, run=run)
    return run
