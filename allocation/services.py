"""A run from its opening to its commit, policies, revocations. Keyword-only, `by` first, atomic; `at` is given."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Exists, Max, OuterRef
from django.utils import timezone

from allocation import committing, freezing, proposing, ranking, rules, swapping
from allocation.models import AllocationPolicy, AllocationRun, Phase, Ranking
from common import jobs
from common.models import Job
from ledger.bulk import refuse_moves
from ledger.codes import new_code
from ledger.commitments import draw_seed
from ledger.draw import draw_file
from ledger.publisher import put_draw_file
from ledger.sequencer import log_size
from ledger.services import record
from schools.models import AdministrativeUnit

State = AllocationRun.State
Progress = Callable[..., None]

# Above this many rows a shadow table, loaded and then indexed, is quicker than live indexes (docs/adr).
SWAP_FROM_ROWS = 50_000
RANKING_JOB = "allocation.tasks.rank"


def no_progress(done: int, total: int | None = None, *, step: str = "") -> None:
    """For callers that show none."""


def day_of(at: dt.datetime) -> dt.date:
    return timezone.localdate(at)


# --- policies ------------------------------------------------------------------------------------------


@transaction.atomic
def draft_policy(
    *,
    by,
    phase: Phase,
    name: str,
    groups: Sequence[str],
    locality_first: bool,
    margin: str,
    at: dt.datetime,
    reserve_percent: int = 0,
    laptop_from_grade: int | None = None,
) -> AllocationPolicy:
    """A new version of the phase's policy, not yet in force. Raises ValidationError for what the law forbids."""
    given = {"locality_first": locality_first, "margin": margin, "groups": list(groups)}
    if laptop_from_grade is not None:  # without it, a policy reads as it did before there was a preference
        given["laptop_from_grade"] = laptop_from_grade
    if problems := rules.policy_problems(given, phase.groups):
        raise ValidationError(problems)
    Phase.objects.select_for_update().get(pk=phase.pk)
    latest = phase.policies.aggregate(latest=Max("version"))["latest"] or 0
    return AllocationPolicy.objects.create(
        phase=phase,
        version=latest + 1,
        name=name,
        rules=given,
        reserve_percent=reserve_percent,
        drafted_at=at,
        drafted_by=by,
    )


@transaction.atomic
def publish_policy(*, by, policy: AllocationPolicy, at: dt.datetime) -> AllocationPolicy:
    """Put the policy in force: its hash stands in the ledger, and it never changes again.

    Raises ValidationError for whoever drafted it: what decides who comes first is seen by two people.
    """
    policy = AllocationPolicy.objects.select_for_update().select_related("phase").get(pk=policy.pk)
    if policy.published_at is not None:
        raise ValidationError("Chính sách này đã công bố rồi.")
    if policy.drafted_by_id == by.pk:
        raise ValidationError("Người công bố chính sách phải khác người soạn.")
    if problems := rules.policy_problems(policy.rules, policy.phase.groups):
        raise ValidationError(problems)
    record(event="policy.published", on=day_of(at), policy=policy.code, hash=policy.digest)
    policy.published_at, policy.published_by = at, by
    policy.save(update_fields=["published_at", "published_by"])
    return policy


# --- opening and freezing --------------------------------------------------------------------------------


@transaction.atomic
def open_run(
    *,
    by,
    policy: AllocationPolicy,
    randomness_source: str,
    draw_at: dt.datetime,
    at: dt.datetime,
    province: AdministrativeUnit | None = None,
    source: str = AllocationRun.Source.PUBLIC_DRAW,
    commitments: Sequence[str] = (),
    purpose: str = AllocationRun.Purpose.MAIN,
) -> AllocationRun:
    """Open a run and announce the randomness that will decide its ties, before anything is frozen."""
    if policy.published_at is None:
        raise ValidationError("Chính sách chưa công bố nên chưa dùng được cho đợt nào.")
    if draw_at <= at:
        raise ValidationError(
            {"draw_at": "Kết quả này đã có rồi. Hãy chọn một kỳ quay số sắp tới, để không ai biết trước."}
        )
    if problem := rules.commitments_problem(source, commitments):
        raise ValidationError({"commitments": problem})
    refuse_overlap(province)
    try:
        with transaction.atomic():
            return AllocationRun.objects.create(
                code=new_code("DPB"),
                policy=policy,
                province=province,
                purpose=purpose,
                source=source,
                randomness_source=randomness_source,
                draw_at=draw_at,
                commitments=list(commitments),
                opened_at=at,
                opened_by=by,
            )
    except IntegrityError as error:  # two at the same moment: the database's exclusion constraint decides
        refuse_overlap(province, otherwise=error)
        raise


def refuse_overlap(province: AdministrativeUnit | None, *, otherwise: Exception | None = None) -> None:
    """Raise ValidationError if a live run covers a part of the same place."""
    live = AllocationRun.objects.live()
    if province is not None:
        live = live.filter(province=province) | live.filter(province__isnull=True)
    run = live.select_related("province").first()
    if run is not None:
        raise ValidationError(
            f"Đợt {run.code} ({run.scope_name}) đang mở và trùng phạm vi. Hãy hoàn tất hoặc bác đợt đó trước."
        ) from otherwise


def request_freeze(*, by, run: AllocationRun):
    """Hand the freeze to a worker; raises IntegrityError if it is under way."""
    return jobs.hand_over(by=by, kind="allocation.tasks.freeze", subject=run)


@transaction.atomic
def freeze(*, by, run: AllocationRun, at: dt.datetime, progress: Progress = no_progress) -> AllocationRun:
    """Fix the inputs: who is eligible and which devices are in stock now; publish their counts and root.

    If a run over the very same students was drawn and then rejected, its codes and its seed are kept: nobody may
    reject a draw to get another one.
    Does nothing if the run is frozen already. Raises ValidationError, with nothing fixed, when the policy
    contradicts the phase, an earmark points to a place that is gone, or there is no device or no student.
    """
    run = locked(run)
    if run.state != State.OPENED:
        return run
    policy = run.policy
    if problems := rules.policy_problems(policy.rules, policy.phase.groups):
        raise ValidationError(problems)
    if run.draw_at <= at:
        raise ValidationError(
            "Kết quả ngẫu nhiên đã công bố có trước khi chốt dữ liệu. Hãy bác đợt này và mở đợt khác với kỳ quay sau."
        )
    day, place = day_of(at), {"province_id": run.province_id}
    refuse_lost_earmarks(day, run.province_id)
    progress(0, 3, step="Đếm máy trong kho")
    # What was held back before is there for a top-up: late lists, appeals, devices that came back.
    reserve = 0 if run.is_top_up else freezing.count_free_stock(**place) * policy.reserve_percent // 100
    progress(1, 3, step="Chốt danh sách học sinh và máy")
    eligible = {"day": day, "groups": policy.rules["groups"], **place}
    drawn = drawn_before(run, eligible)
    run.log_size = log_size()  # before the devices are looked up: what comes later is looked at once more
    run.applicant_count, run.supply_count = freezing.freeze_rows(
        run_id=run.pk, reserve=reserve, codes_of=drawn.pk if drawn else None, **eligible
    )
    freezing.analyze("allocation_applicant", "allocation_offer", rows=run.applicant_count)
    if not run.applicant_count:
        raise ValidationError("Không có học sinh nào đủ điều kiện trong phạm vi này nên không có gì để chốt.")
    if not run.supply_count:
        raise ValidationError("Không có máy nào trong kho cho phạm vi này nên không có gì để chốt.")
    # What the stock calls accepted must be so in the ledger too: a recalled device is found now, not at the commit.
    refuse_moves(event="device.allocated", select=freezing.NOT_IN_STOCK, params=[run.pk])
    progress(2, 3, step="Tính gốc dữ liệu")
    run.frozen_root = freezing.frozen_root(run)
    run.engine_digest = freezing.engine_digest()
    run.reserve_count = reserve
    if drawn:
        if run.frozen_root != drawn.frozen_root:  # the list changed between two looks
            raise ValidationError("Danh sách vừa thay đổi trong lúc chốt nên chưa chốt gì. Hãy chốt lại.")
        run.seed_kept_from, run.source, run.commitments = drawn, drawn.source, drawn.commitments
        run.randomness_source = drawn.randomness_source
    run.state, run.frozen_at, run.frozen_by = State.FROZEN, at, by
    run.save()
    parties = {f"party{number}": value for number, value in enumerate(run.commitments, start=1)}
    record(
        event="run.frozen",
        on=day,
        run=run.code,
        root=run.frozen_root,
        applicants=run.applicant_count,
        supply=run.supply_count,
        policy=policy.digest,
        engine=run.engine_digest,
        source=run.source,
        draw_on=day_of((drawn or run).draw_at),
        scope=run.province.public_code if run.province else None,
        **parties,
    )
    if drawn:
        run.randomness, run.seed, run.state = drawn.randomness, drawn.seed, State.SEEDED
        run.entered_at, run.entered_by = drawn.entered_at, drawn.entered_by
        run.confirmed_at, run.confirmed_by = drawn.confirmed_at, drawn.confirmed_by
        run.save()
        record_seed(by=by, run=run, at=at)
    progress(3, 3, step="Đã chốt")
    return run


def drawn_before(run: AllocationRun, eligible: dict) -> AllocationRun | None:
    """The rejected run over the same place whose draw ordered exactly the students who are `eligible` now."""
    rejected = AllocationRun.objects.filter(state=State.REJECTED, province=run.province).exclude(seed="")
    for earlier in rejected.order_by("-rejected_at"):
        if freezing.has_same_students(earlier_id=earlier.pk, applicants=earlier.applicant_count, **eligible):
            return earlier
    return None


def refuse_lost_earmarks(day: dt.date, province_id: int | None) -> None:
    lost = freezing.lost_earmarks(day=day, province_id=province_id)
    if lost:
        shown = "; ".join(f"máy {code} dành cho {place}" for code, place, _ in lost[:5])
        more = " và các máy khác" if len(lost) > 5 else ""
        raise ValidationError(
            f"Có máy dành riêng cho nơi đã sáp nhập, đã giải thể hoặc chưa hỗ trợ: {shown}{more}. "
            "Hãy sửa nơi dành riêng ở kho rồi chốt lại."
        )


# --- the lottery -------------------------------------------------------------------------------------------


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


# --- the proposal ------------------------------------------------------------------------------------------


@transaction.atomic
def propose(*, by, run: AllocationRun, at: dt.datetime, progress: Progress = no_progress) -> AllocationRun:
    """Let the engine decide over the frozen inputs and store its proposal. Does nothing if it is there already."""
    run = locked(run)
    if run.state != State.SEEDED:
        return run
    progress(0, 3, step="Đọc dữ liệu đã chốt")
    inputs = freezing.frozen_inputs(run)
    progress(1, 3, step="Xếp thứ tự và chia máy")
    outcome = proposing.decide(inputs=inputs, rules=run.policy.rules, seed=bytes.fromhex(run.seed))
    progress(2, 3, step="Ghi phương án")
    with ThreadPoolExecutor(1) as beside:  # counting takes no database, and writing mostly waits for it
        figures = beside.submit(proposing.figures, inputs=inputs, outcome=outcome, rules=run.policy.rules)
        run.proposal_digest = proposing.write_proposal(run_id=run.pk, inputs=inputs, outcome=outcome)
        freezing.analyze("allocation_proposed", rows=len(outcome.device))
        run.summary = figures.result()
    run.state, run.proposed_at, run.proposed_by = State.PROPOSED, at, by
    run.save(update_fields=["proposal_digest", "summary", "state", "proposed_at", "proposed_by"])
    progress(3, 3, step="Đã có phương án")
    # Who waits in which place is written on its own: nothing of the proposal waits for it.
    request_ranking(run=run)
    return run


def request_ranking(*, run: AllocationRun):
    """Hand the queue to a worker, in the name of who opened the run."""
    return jobs.hand_over(by=run.opened_by, kind=RANKING_JOB, subject=run)


def unranked_runs() -> list[AllocationRun]:
    """Runs with a proposal but without a queue, which nobody is writing: from before there was one."""
    with_proposal = [State.PROPOSED, State.APPROVED, State.COMMITTED]
    runs = AllocationRun.objects.filter(state__in=with_proposal).exclude(seed="").select_related("opened_by")
    return [
        run
        for run in runs.filter(~Exists(Ranking.objects.filter(run=OuterRef("pk")))).order_by("-pk")[:20]
        if not Job.objects.for_subject(run).filter(kind=RANKING_JOB).exclude(state=Job.State.DONE).exists()
    ]


@transaction.atomic
def rank(*, by, run: AllocationRun, at: dt.datetime | None = None, progress: Progress = no_progress) -> None:
    """Store everyone's place in a run that has its draw. Does nothing if it is there already, or before the draw."""
    run = locked(run)
    if run.seed:
        progress(0, 1, step="Xếp hàng chờ")
        ranking.write_ranking(run)
        progress(1, 1, step="Đã xếp hàng chờ")


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


def request_commit(*, by, run: AllocationRun):
    """Hand the commit to a worker; once more after a failure."""
    return jobs.hand_over(by=by, kind="allocation.tasks.commit", subject=run)


def refuse_stale(run: AllocationRun) -> None:
    """Raise ValidationError when devices or students changed since the freeze (re-validation)."""
    stale = committing.stale_rows(run)
    if any(stale.values()):
        raise ValidationError(
            f"Từ lúc chốt đến nay đã có thay đổi: {stale['devices']} máy không còn trong kho, "
            f"{stale['students']} học sinh không còn đủ điều kiện, {stale['taken']} máy hoặc em đã được phân bổ. "
            "Hãy bác phương án này (lý do: dữ liệu đầu vào có sai sót) và mở đợt mới."
        )


@transaction.atomic
def commit(*, by, run: AllocationRun, at: dt.datetime, progress: Progress = no_progress) -> AllocationRun:
    """Write the approved allocations, all or none, and queue their ledger entries. Does nothing if done already."""
    run = locked(run)
    if run.state != State.APPROVED:
        return run
    progress(0, 4, step="Kiểm tra lại máy và học sinh")
    refuse_stale(run)
    progress(1, 4, step="Ghi phân bổ")
    committing.write_areas(run)
    is_large = run.summary["allocated"] >= SWAP_FROM_ROWS
    written = swapping.load(committing.INSERT, [run.pk]) if is_large else committing.insert_live(run)
    if written != run.summary["allocated"]:
        raise ValidationError(
            "Số dòng ghi được khác phương án đã phê duyệt; chưa ghi gì. Xin báo người quản trị."
        )
    progress(2, 4, step="Ghi sổ cái")
    committing.record_allocations(run, on=day_of(at), table=swapping.SHADOW if is_large else swapping.TABLE)
    progress(3, 4, step="Ghi xong sổ cái")
    run.state, run.committed_on_clock_at = State.COMMITTED, timezone.now()
    run.save(update_fields=["state", "committed_on_clock_at"])
    if is_large:  # a national draw file takes as long as the commit: the allocations don't wait for it
        jobs.hand_over(by=by, kind="allocation.tasks.publish", subject=run)
        swapping.swap()
    else:
        publish(by=by, run=run, at=at)
    progress(4, 4, step="Đã phân bổ")
    return run


@transaction.atomic
def publish(*, by, run: AllocationRun, at: dt.datetime, progress: Progress = no_progress) -> AllocationRun:
    """Publish the draw file of a committed run and its hash in the ledger. Does nothing if it is out already."""
    run = locked(run)
    if run.state != State.COMMITTED or run.draw_file_digest:
        return run
    progress(0, 2, step="Tính lại bốc thăm")
    inputs = freezing.frozen_inputs(run)
    outcome = proposing.decide(inputs=inputs, rules=run.policy.rules, seed=bytes.fromhex(run.seed))
    progress(1, 2, step="Lập tệp bốc thăm công khai")
    data = draw_file(committing.draw_rows(inputs, outcome))
    run.draw_file_digest = sha256(data).hexdigest()
    run.save(update_fields=["draw_file_digest"])
    record(
        event="run.committed",
        on=day_of(at),
        run=run.code,
        served=run.summary["allocated"],
        unserved=run.applicant_count - run.summary["allocated"],
        result=run.proposal_digest,
        draw_file=run.draw_file_digest,
    )
    put_draw_file(run=run.code, data=data)
    progress(2, 2, step="Đã công bố")
    return run


@transaction.atomic
def reject(*, by, run: AllocationRun, reason: str, at: dt.datetime, note: str = "") -> AllocationRun:
    """End a run without effect; the reason is public once the inputs were frozen."""
    run = locked(run)
    if not run.is_live:
        raise ValidationError(f"Đợt {run.code} đã kết thúc, không bác được nữa.")
    was_frozen = run.frozen_at is not None
    run.state, run.rejected_at, run.rejected_by = State.REJECTED, at, by
    run.reject_reason, run.reject_note = reason, note
    run.save(update_fields=["state", "rejected_at", "rejected_by", "reject_reason", "reject_note"])
    if was_frozen:
        record(event="run.rejected", on=day_of(at), run=run.code, reason=reason)
    return run


def locked(run: AllocationRun, *states: str) -> AllocationRun:
    """The run's row, locked; raises ValidationError when it is in none of `states` (if any are given)."""
    row = (
        AllocationRun.objects.select_for_update(of=("self",))
        .select_related("policy__phase", "province")
        .get(pk=run.pk)
    )
    if states and row.state not in states:
        raise ValidationError(
            f"Đợt {row.code} đang ở bước «{row.get_state_display()}» nên chưa làm được việc này."
        )
    return row
