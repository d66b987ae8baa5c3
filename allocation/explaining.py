"""One student's place in a run, recomputed from what was frozen: why, why not yet, and what became of it since."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from allocation import rules
from allocation.engine import GROUPS, PASSES
from allocation.models import Allocation, AllocationRun, Applicant, Proposed, Ranking, Revocation
from common.templatetags.vi import format_date
from ledger.commitments import lot_number
from schools.models import School, Student

Tier = tuple[int, int, int]


@dataclass(frozen=True)
class Since:
    """What became of a student after a run was committed: the run's own allocation, if any, and one from another run."""

    allocation: Allocation | None = None
    elsewhere: Allocation | None = None

    @property
    def has_device(self) -> bool:
        return self.allocation is not None and self.allocation.ended_at is None

    @property
    def has_ended(self) -> bool:
        return self.allocation is not None and self.allocation.ended_at is not None


@dataclass(frozen=True)
class Standing:
    """Where a student stands in a run. `tier` and `lot` are None before the draw; `via` is None if not served."""

    applicant: Applicant
    tier: Tier | None
    lot: str | None
    via: str | None
    said: list[str]
    since: Since
    ranking: Ranking | None = None


def standing(run: AllocationRun, applicant: Applicant) -> Standing:
    """Explain one applicant; a few rows are read (the household, the line of the proposal, what came since)."""
    since = since_of(run, [applicant.student_id])[applicant.student_id]
    if not run.seed:
        waiting = "Đợt này chưa bốc thăm. Khi có phương án, thầy/cô xem lại ở đây."
        return Standing(applicant, None, None, None, [waiting], since)
    tier = tier_of(run, applicant)
    via = via_of(run, applicant, since)
    ranking = Ranking.objects.filter(run=run, student=applicant.student_id).first()
    said = []
    if run.summary:
        said = rules.reasons(
            tier=tier,
            groups=run.policy.rules["groups"],
            locality_first=run.policy.rules["locality_first"],
            via=via,
            waterline=run.summary["waterline"],
            province_waterline=province_waterline(run, applicant),
            margin=run.policy.rules["margin"],
            held=applicant.held,
            queue=(ranking.queue, ranking.queue_in_province) if ranking and ranking.queue else None,
            elsewhere=since.elsewhere.run.code if since.elsewhere else "",
        )
    lot = lot_number(bytes.fromhex(run.seed), applicant.code).hex()
    return Standing(applicant, tier, lot, via, said, since, ranking)


def tier_of(run: AllocationRun, applicant: Applicant) -> Tier:
    """Locality, group and place in the household of an applicant of a drawn run."""
    groups = run.policy.rules["groups"]
    locality_first = run.policy.rules["locality_first"]
    seed = bytes.fromhex(run.seed)

    def first_two(member: Applicant) -> tuple[int, int]:
        return (1 if member.is_priority else 2, groups.index(GROUPS[member.group]) + 1)

    def order(member: Applicant) -> tuple[Any, ...]:
        pair = first_two(member)
        return (*(pair if locality_first else pair[::-1]), lot_number(seed, member.code))

    ahead = 0
    if applicant.household != -1:
        members = Applicant.objects.filter(run=run, household=applicant.household)
        others = members.exclude(student=applicant.student_id)
        ahead = applicant.held + sum(order(member) < order(applicant) for member in others)
    return (*first_two(applicant), ahead + 1)


def via_of(run: AllocationRun, applicant: Applicant, since: Since) -> str | None:
    """The pass by which the run serves an applicant, `rules.SUBSTITUTE` for who came later; None for who waits."""
    line = Proposed.objects.filter(run=run, student=applicant.student_id).first()
    if line:
        return PASSES[line.via]
    return rules.SUBSTITUTE if since.allocation else None


def province_waterline(run: AllocationRun, applicant: Applicant) -> str | None:
    """How far the own devices of the applicant's province went, as the run's summary has it."""
    of_province = run.summary.get("province_waterlines")
    if not of_province:
        return None
    school = School.objects.select_related("province").get(pk=applicant.school_id)
    return of_province.get(school.province.public_code)


# --- what became of it since ---------------------------------------------------------------------------------


def since_of(run: AllocationRun, student_ids: Sequence[int]) -> dict[int, Since]:
    """Of each student, the latest allocation from the run and the live one from another run."""
    found = Allocation.objects.filter(student__in=student_ids).select_related("run").order_by("pk")
    own = {row.student_id: row for row in found if row.run_id == run.pk}
    other = {row.student_id: row for row in found if row.run_id != run.pk and row.ended_at is None}
    return {key: Since(own.get(key), other.get(key)) for key in student_ids}


def answers(run: AllocationRun, children: Sequence[Student]) -> list[str]:
    """Of each student in a few words what the run has for them, and what holds now."""
    since = since_of(run, [child.pk for child in children])
    queue = dict(Ranking.objects.filter(run=run, student__in=children).values_list("student_id", "queue"))
    return [answer(run, since[child.pk], queue.get(child.pk)) for child in children]


def answer(run: AllocationRun, since: Since, queue: int | None) -> str:
    """`queue` is the place among those who wait, 0 for who is served, None until everyone's place is written."""
    if since.has_device:
        by_turn = since.allocation is not None and since.allocation.engine_pass == Allocation.Pass.SUBSTITUTE
        return "Được chia máy, thay em không nhận nữa" if by_turn else "Được chia máy"
    if since.elsewhere:
        return f"Được chia máy ở đợt {since.elsewhere.run.code}"
    if since.allocation:
        return f"Thôi nhận: {since.allocation.get_end_reason_display().lower()}"
    if queue is None:
        return "–"
    if run.state == AllocationRun.State.REJECTED:
        return "Đợt bị bác"
    return f"Chờ, thứ {rules.number(queue)} của đợt" if queue else "Có máy trong phương án"


def ended_words(since: Since) -> str:
    """Why and when the run's allocation to a student ended, and what came instead; "" if it didn't end."""
    ended = since.allocation
    if ended is None or ended.ended_at is None:
        return ""
    decided = Revocation.objects.filter(allocation=ended, approved_at__isnull=False).first()
    reason = f": {decided.get_reason_display().lower()}" if decided else ""
    again = f" Từ đó em đã được chia máy ở đợt {since.elsewhere.run.code}." if since.elsewhere else ""
    return f"{ended.get_end_reason_display()}{reason}, ngày {format_date(ended.ended_at)}.{again}"


def spell(code: str) -> str:
    """A one-time code in groups of four, as printed."""
    return " ".join(code[start : start + 4] for start in range(0, len(code), 4))
