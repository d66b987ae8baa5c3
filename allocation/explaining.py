"""One student's place in a run, recomputed from what was frozen: why, why not yet, and the slip of the family."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from allocation import rules
from allocation.engine import GROUPS, PASSES
from allocation.models import AllocationRun, Applicant, Proposed, Ranking
from ledger.commitments import lot_number


@dataclass(frozen=True)
class Standing:
    """Where a student stands in a run. `tier` and `lot` are None before the draw; `via` is None if not served."""

    applicant: Applicant
    tier: tuple[int, int, int] | None
    lot: str | None
    via: str | None
    said: list[str]
    ranking: Ranking | None = None


def standing(run: AllocationRun, applicant: Applicant) -> Standing:
    """Explain one applicant; a few rows are read (the household and the student's line of the proposal)."""
    if not run.seed:
        waiting = "Đợt này chưa bốc thăm. Khi có phương án, thầy/cô xem lại ở đây."
        return Standing(applicant, None, None, None, [waiting])
    groups = run.summary.get("policy_groups", run.policy.rules["groups"])
    locality_first = run.policy.rules["locality_first"]
    seed = bytes.fromhex(run.seed)

    def order(member: Applicant) -> tuple[Any, ...]:
        first_two = (1 if member.is_priority else 2, groups.index(GROUPS[member.group]) + 1)
        return (*(first_two if locality_first else first_two[::-1]), lot_number(seed, member.code))

    place = 1
    if applicant.household != -1:
        members = Applicant.objects.filter(run=run, household=applicant.household).exclude(
            student=applicant.student_id
        )
        ahead = sum(order(member) < order(applicant) for member in members)
        place = applicant.held + ahead + 1
    tier = (1 if applicant.is_priority else 2, groups.index(GROUPS[applicant.group]) + 1, place)
    line = Proposed.objects.filter(run=run, student=applicant.student_id).first()
    via = PASSES[line.via] if line else None
    ranking = Ranking.objects.filter(run=run, student=applicant.student_id).first()
    said = []
    if run.summary:
        waterline = run.summary["waterline"]
        said = rules.reasons(
            tier=tier,
            groups=groups,
            locality_first=locality_first,
            via=via,
            waterline=tuple(map(int, waterline.split("."))) if waterline else None,
            held=applicant.held,
            queue=(ranking.queue, ranking.queue_in_province) if ranking and ranking.queue else None,
        )
    return Standing(applicant, tier, lot_number(seed, applicant.code).hex(), via, said, ranking)


def spell(code: str) -> str:
    """A one-time code in groups of four, as printed."""
    return " ".join(code[start : start + 4] for start in range(0, len(code), 4))
