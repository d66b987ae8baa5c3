"""The commit of an approved proposal, all or none, and its public draw file."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import Future
from hashlib import sha256

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from allocation import committing, proposing, swapping
from allocation.inputs import Columns, forget_columns, frozen_inputs, proposed_lines
from allocation.models import AllocationRun
from allocation.services.runs import Progress, State, day_of, locked, no_progress
from common import jobs
from common.columns import Words
from ledger.draw import draw_file
from ledger.publisher import put_draw_file
from ledger.services import record

# Above this many rows a shadow table, loaded and then indexed, is quicker than live indexes (docs/adr/0020).
SWAP_FROM_ROWS = 50_000


def request_commit(*, by, run: AllocationRun):
    """Hand the commit to a worker."""
    return jobs.hand_over(by=by, kind="allocation.tasks.commit", subject=run)


def stopped_step(run: AllocationRun) -> str:
    """The worker's step that this run waits for, which is done once more after a failure; "" if it waits for people."""
    if run.state == State.COMMITTED and not run.draw_file_digest:
        return "publish"
    return {State.SEEDED: "propose", State.APPROVED: "commit"}.get(State(run.state), "")


def request_step_again(*, by, run: AllocationRun):
    """Hand the step that failed to a worker once more. Raises IntegrityError while it is under way."""
    step = stopped_step(run)
    if not step:
        raise ValidationError(f"Đợt {run.code} không có bước nào đang dừng để làm lại.")
    return jobs.hand_over(by=by, kind=f"allocation.tasks.{step}", subject=run)


def refuse_stale(run: AllocationRun) -> None:
    """Raise ValidationError when devices or students changed since the freeze (re-validation)."""
    stale = committing.stale_rows(run)
    if any(stale.values()):
        raise ValidationError(
            f"Từ lúc chốt đến nay đã có thay đổi: {stale['devices']} máy không còn trong kho, "
            f"{stale['students']} học sinh không còn đủ điều kiện, {stale['taken']} máy hoặc em đã được phân bổ. "
            "Hãy bác phương án này (lý do: dữ liệu đầu vào có sai sót) và mở đợt mới."
        )


def commit(*, by, run: AllocationRun, at: dt.datetime, progress: Progress = no_progress) -> AllocationRun:
    """Write the approved allocations, all or none, and queue their ledger entries. Does nothing if done already."""
    if not is_large(run):
        return _commit_live(by=by, run=run, at=at, progress=progress)
    with swapping.alone():
        return _commit_beside(by=by, run=run, at=at, progress=progress)


def is_large(run: AllocationRun) -> bool:
    """Whether a run gives out so many devices that its commit builds a table beside the old one."""
    summary, log_size = AllocationRun.objects.values_list("summary", "log_size").get(pk=run.pk)
    # One that was frozen before runs kept the log's size has every device looked up.
    return log_size is not None and summary.get("allocated", 0) >= SWAP_FROM_ROWS


@transaction.atomic
def _commit_live(*, by, run: AllocationRun, at: dt.datetime, progress: Progress) -> AllocationRun:
    """Into the table as it stands, with its draw file."""
    run = locked(run)
    if run.state != State.APPROVED:
        return run
    progress(0, 4, step="Kiểm tra lại máy và học sinh")
    refuse_stale(run)
    lines = approved_lines(run)
    progress(1, 4, step="Ghi phân bổ")
    areas = committing.area_of(lines, committing.public_areas(lines))
    written = committing.write_allocations(run, lines=lines, areas=areas)
    progress(2, 4, step="Ghi sổ cái")
    _refuse_other_counts(run, written, committing.record_allocations(run, on=day_of(at)))
    _mark_committed(run)
    publish(by=by, run=run, at=at)
    progress(4, 4, step="Đã phân bổ")
    return run


@transaction.atomic(durable=True)
def _commit_beside(*, by, run: AllocationRun, at: dt.datetime, progress: Progress) -> AllocationRun:
    """Into a table that then takes the place of the old one, built while the ledger is written."""
    run = locked(run)
    if run.state != State.APPROVED:
        return run
    progress(0, 2, step="Kiểm tra lại, ghi phân bổ và sổ cái")
    lines = approved_lines(run)
    areas: Future[Words] = Future()  # chosen here while the other connection checks again

    def fill(table: str, first_id: int) -> int:
        return committing.write_allocations(
            run, lines=lines, areas=areas.result(), table=table, first_id=first_id
        )

    def build() -> int:
        refuse_stale(run)
        return swapping.load(fill)

    with swapping.beside(build) as built:
        try:
            areas.set_result(committing.area_of(lines, committing.public_areas(lines)))
        except BaseException as error:
            areas.set_exception(error)  # or the other one would wait for ever
            raise
        recorded = committing.record_national(run, lines=lines, areas=areas.result(), on=day_of(at))
    _refuse_other_counts(run, built.result(), recorded)
    progress(1, 2, step="Đưa phân bổ vào bảng chính")
    _mark_committed(run)
    # A national draw file takes as long as the commit: the allocations don't wait for it.
    jobs.hand_over(by=by, kind="allocation.tasks.publish", subject=run)
    swapping.swap()
    progress(2, 2, step="Đã phân bổ")
    return run


def approved_lines(run: AllocationRun) -> Columns:
    """The lines of the approved proposal. Raises ValidationError when they are not those whose digest was approved."""
    lines = proposed_lines(run)
    if proposing.proposal_digest(lines) != run.proposal_digest:
        raise ValidationError(
            f"Phương án của đợt {run.code} trong cơ sở dữ liệu không còn đúng như lúc được phê duyệt; chưa ghi gì. "
            "Xin báo người quản trị."
        )
    return lines


def _refuse_other_counts(run: AllocationRun, written: int, recorded: int) -> None:
    if not written == recorded == run.summary["allocated"]:
        raise ValidationError(
            "Số dòng ghi được khác phương án đã phê duyệt; chưa ghi gì. Xin báo người quản trị."
        )


def _mark_committed(run: AllocationRun) -> None:
    run.state, run.committed_on_clock_at = State.COMMITTED, timezone.now()
    run.save(update_fields=["state", "committed_on_clock_at"])


@transaction.atomic
def publish(*, by, run: AllocationRun, at: dt.datetime, progress: Progress = no_progress) -> AllocationRun:
    """Publish the draw file of a committed run and its hash in the ledger. Does nothing if it is out already."""
    run = locked(run)
    if run.state != State.COMMITTED or run.draw_file_digest:
        return run
    progress(0, 2, step="Tính lại bốc thăm")
    inputs = frozen_inputs(run)
    outcome = proposing.decide(inputs=inputs, rules=run.policy.rules, seed=bytes.fromhex(run.seed))
    progress(1, 2, step="Lập tệp bốc thăm công khai")
    rows = list(committing.draw_rows(inputs, outcome))
    data = draw_file(rows)
    run.draw_file_digest = sha256(data).hexdigest()
    # The public page's tables: what whoever counts the file's lines has too.
    run.summary["draw"] = committing.draw_counts(rows)
    run.save(update_fields=["draw_file_digest", "summary"])
    record(
        event="run.committed",
        on=day_of(at),
        run=run.code,
        served=run.summary["allocated"],
        unserved=run.applicant_count - run.summary["allocated"],
        result=run.proposal_digest,
        draw_file=run.draw_file_digest,
    )
    forget_columns(run)
    put_draw_file(run=run.code, data=data)
    progress(2, 2, step="Đã công bố")
    return run
