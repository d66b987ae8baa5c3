"""The freeze: a run's inputs fixed, their counts and root published."""

from __future__ import annotations

import datetime as dt

from django.core.exceptions import ValidationError
from django.db import transaction

from allocation import freezing, inputs, rules
from allocation.models import AllocationRun
from allocation.services.lottery import record_seed
from allocation.services.runs import Progress, State, day_of, locked, no_progress
from common import jobs
from ledger.bulk import refuse_moves
from ledger.disclosure import CELL_MINIMUM
from ledger.sequencer import log_size
from ledger.services import record


def request_freeze(*, by, run: AllocationRun):
    """Hand the freeze to a worker; raises IntegrityError if it is under way."""
    return jobs.hand_over(by=by, kind="allocation.tasks.freeze", subject=run)


@transaction.atomic
def freeze(*, by, run: AllocationRun, at: dt.datetime, progress: Progress = no_progress) -> AllocationRun:
    """Fix the inputs: who is eligible and which devices are in stock now; publish their counts and root.

    If a run over the very same students was drawn and then rejected, its codes and its seed are kept: nobody may
    reject a draw to get another one.
    Does nothing if the run is frozen already. Raises ValidationError, with nothing fixed, when the policy
    contradicts the phase, an earmark points to a place that is gone, or there is no device or no student, or fewer
    than ten of one province.
    """
    run = locked(run)
    if run.state != State.OPENED:
        return run
    day = day_of(at)
    refuse_unfit_policy(run)
    refuse_known_draw(run, at)
    refuse_lost_earmarks(day, run.province_id)
    progress(0, 3, step="Đếm máy trong kho")
    run.reserve_count = reserve_of(run)
    progress(1, 3, step="Chốt danh sách học sinh và máy")
    drawn = fix_rows(run, day)
    progress(2, 3, step="Tính gốc dữ liệu")
    fix_root(run)
    if drawn:
        keep_source(run, drawn)
    run.state, run.frozen_at, run.frozen_by = State.FROZEN, at, by
    run.save()
    record_freeze(run, day)
    if drawn:
        keep_seed(by=by, run=run, drawn=drawn, at=at)
    progress(3, 3, step="Đã chốt")
    return run


# --- what stands against it --------------------------------------------------------------------------------


def refuse_unfit_policy(run: AllocationRun) -> None:
    """Raise ValidationError if the policy has groups against its phase or against the law's order."""
    if problems := rules.policy_problems(run.policy.rules, run.policy.phase.groups):
        raise ValidationError(problems)


def refuse_known_draw(run: AllocationRun, at: dt.datetime) -> None:
    """Raise ValidationError if the announced randomness is there already: whoever freezes could steer the draw."""
    if run.draw_at <= at:
        raise ValidationError(
            "Kết quả ngẫu nhiên đã công bố có trước khi chốt dữ liệu. Hãy bác đợt này và mở đợt khác với kỳ quay sau."
        )


def refuse_lost_earmarks(day: dt.date, province_id: int | None) -> None:
    """Raise ValidationError, naming the devices, if an earmark points to a place that is gone or never served."""
    lost = freezing.lost_earmarks(day=day, province_id=province_id)
    if lost:
        shown = "; ".join(f"máy {code} dành cho {place}" for code, place, _ in lost[:5])
        more = " và các máy khác" if len(lost) > 5 else ""
        raise ValidationError(
            f"Có máy dành riêng cho nơi đã sáp nhập, đã giải thể hoặc chưa hỗ trợ: {shown}{more}. "
            "Hãy sửa nơi dành riêng ở kho rồi chốt lại."
        )


# --- what is fixed -----------------------------------------------------------------------------------------


def reserve_of(run: AllocationRun) -> int:
    """How many free devices the policy holds back from this run.

    A top-up gives out what was held back before: for late lists, appeals, devices that came back.
    """
    percent = 0 if run.is_top_up else run.policy.reserve_percent
    return freezing.count_free_stock(province_id=run.province_id) * percent // 100 if percent else 0


def fix_rows(run: AllocationRun, day: dt.date) -> AllocationRun | None:
    """Write the run's students and devices; returns the rejected run whose codes the students keep, if there is one.

    Raises ValidationError when there is nothing to fix, or a device that the ledger does not hold as accepted.
    """
    eligible = {"day": day, "groups": run.policy.rules["groups"], "province_id": run.province_id}
    drawn = drawn_before(run, eligible)
    run.log_size = log_size()  # before the devices are looked up: what comes later is looked at once more
    run.applicant_count, run.supply_count = freezing.freeze_rows(
        run_id=run.pk, reserve=run.reserve_count, codes_of=drawn.pk if drawn else None, **eligible
    )
    freezing.analyze("allocation_applicant", "allocation_offer", rows=run.applicant_count)
    if not run.applicant_count:
        raise ValidationError("Không có học sinh nào đủ điều kiện trong phạm vi này nên không có gì để chốt.")
    if run.province_id and run.applicant_count < CELL_MINIMUM:
        # The log says how many the run has, and of which province: rule 4 of what is public.
        raise ValidationError(
            f"Tỉnh này có dưới {CELL_MINIMUM} em đủ điều kiện. Sổ cái công khai ghi mỗi đợt có bao nhiêu em, nên ít em thế "
            "này thì chốt trong đợt của cả nước, không mở đợt riêng."
        )
    if not run.supply_count:
        raise ValidationError("Không có máy nào trong kho cho phạm vi này nên không có gì để chốt.")
    # What the stock calls accepted must be so in the ledger too: a recalled device is found now, not at the commit.
    refuse_moves(event="device.allocated", select=freezing.NOT_IN_STOCK, params=[run.pk])
    return drawn


def fix_root(run: AllocationRun) -> None:
    """Compute the root over the rows, and the mark of the code that will decide; keep the columns for the engine."""
    applicants, offers = inputs.frozen_rows(run)
    inputs.keep_frozen(run, applicants, offers)
    run.frozen_root = freezing.frozen_root(
        inputs.inputs_of(applicants=applicants, offers=offers, province_id=run.province_id)
    )
    run.engine_digest = freezing.engine_digest()


def record_freeze(run: AllocationRun, day: dt.date) -> None:
    """Publish what was fixed, and with which randomness it will be drawn."""
    parties = {f"party{number}": value for number, value in enumerate(run.commitments, start=1)}
    record(
        event="run.frozen",
        on=day,
        run=run.code,
        root=run.frozen_root,
        applicants=run.applicant_count,
        supply=run.supply_count,
        policy=run.policy.digest,
        engine=run.engine_digest,
        source=run.source,
        draw=rules.source_digest(run.randomness_source),
        draw_on=day_of(run.randomness_at),
        scope=run.province.public_code if run.province else None,
        **parties,
    )


# --- a draw that was rejected is kept ----------------------------------------------------------------------


def drawn_before(run: AllocationRun, eligible: dict) -> AllocationRun | None:
    """The rejected run over the same place whose draw ordered exactly the students who are `eligible` now."""
    rejected = AllocationRun.objects.filter(state=State.REJECTED, province=run.province).exclude(seed="")
    for earlier in rejected.order_by("-rejected_at"):
        if freezing.has_same_students(earlier_id=earlier.pk, applicants=earlier.applicant_count, **eligible):
            return earlier
    return None


def keep_source(run: AllocationRun, drawn: AllocationRun) -> None:
    """The randomness that was announced for `drawn` decides this run too."""
    if run.frozen_root != drawn.frozen_root:  # the list changed between two looks
        raise ValidationError("Danh sách vừa thay đổi trong lúc chốt nên chưa chốt gì. Hãy chốt lại.")
    run.seed_kept_from = drawn
    for name in ("source", "randomness_source", "commitments"):
        setattr(run, name, getattr(drawn, name))


def keep_seed(*, by, run: AllocationRun, drawn: AllocationRun, at: dt.datetime) -> None:
    """The seed of `drawn`, and who entered and confirmed it; the ledger has it once more, the proposal is asked for."""
    for name in ("randomness", "seed", "entered_at", "entered_by", "confirmed_at", "confirmed_by"):
        setattr(run, name, getattr(drawn, name))
    run.state = State.SEEDED
    run.save()
    record_seed(by=by, run=run, at=at)
