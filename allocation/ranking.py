"""Everyone's place in a run once its draw is known, and who comes next when a device is free again."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from django.db import connection

from allocation import freezing, proposing
from allocation.engine import NOBODY
from allocation.inputs import frozen_inputs
from allocation.models import AllocationRun, Ranking
from common.columns import write_columns

# A device's public area decides who is asked: its school, commune, district, province or the nation. A family that
# declined a device of this run isn't asked again: its allocation ended by a substitute though the child hasn't moved.
NEXT = """
    SELECT k.student_id, k.locality || '.' || k."group" || '.' || k.place
    FROM allocation_ranking k
    JOIN schools_student s ON s.id = k.student_id AND s.state = 'approved' AND NOT s.has_device
    JOIN schools_school c ON c.office_id = s.school_id
    JOIN schools_office o ON o.id = c.office_id
    LEFT JOIN schools_administrativeunit d ON d.id = c.district_id
    JOIN schools_administrativeunit m ON m.id = c.commune_id
    JOIN schools_administrativeunit v ON v.id = c.province_id
    WHERE k.run_id = %(run)s AND k.student_id <> ALL(%(leavers)s)
      AND %(area)s IN (o.code, c.code, m.public_code, d.public_code, v.public_code, 'VN')
      AND NOT EXISTS (
          SELECT 1 FROM allocation_allocation l WHERE l.student_id = s.id AND (
              l.ended_at IS NULL OR (l.run_id = k.run_id AND l.end_reason = 'substituted'
                  AND l.public_area IN (o.code, c.code, m.public_code, d.public_code, v.public_code, 'VN'))))
    ORDER BY k.position LIMIT %(count)s
"""


@dataclass(frozen=True)
class Next:
    """Who comes next, and the tier that the student has in the run."""

    student_id: int
    tier: str


def write_ranking(run: AllocationRun) -> int:
    """Store each applicant's place in rank order and in the queue; returns how many, 0 if it is there already.

    The caller holds the run's row. The engine decides again over the frozen inputs: same inputs, same answer.
    """
    if Ranking.objects.filter(run=run).exists():
        return 0
    inputs = frozen_inputs(run)
    outcome = proposing.decide(inputs=inputs, rules=run.policy.rules, seed=bytes.fromhex(run.seed))
    able = np.flatnonzero(outcome.eligible)
    order = able[np.argsort(outcome.rank[able])]
    waits = outcome.served[order] == NOBODY
    written = write_columns(
        "allocation_ranking",
        run_id=("i8", run.pk),
        student_id=("i8", inputs.student_ids[order]),
        locality=("i2", outcome.locality[order]),
        group=("i2", outcome.group[order]),
        place=("i2", outcome.place[order]),
        position=("i4", np.arange(1, len(order) + 1)),
        queue=("i4", np.where(waits, np.cumsum(waits), 0)),
        queue_in_province=("i4", queue_by_area(waits, inputs.students.province[order])),
    )
    freezing.analyze("allocation_ranking", rows=written)
    return written


def queue_by_area(waits: np.ndarray, area: np.ndarray) -> np.ndarray:
    """Place of each waiting row among those of its own area, from 1, in the rows' order; 0 where it doesn't wait."""
    together = np.argsort(area, kind="stable")
    counted = np.cumsum(waits[together])
    # What was counted before each area begins is taken off again.
    _, starts, sizes = np.unique(area[together], return_index=True, return_counts=True)
    before = np.concatenate(([0], counted))[starts]
    queue = np.zeros(len(waits), dtype=np.int64)
    queue[together] = np.where(waits[together], counted - np.repeat(before, sizes), 0)
    return queue


def next_in_line(*, run: AllocationRun, area: str, leaver_ids: Collection[int], count: int) -> list[Next]:
    """The first `count` of the run's applicants by rank in a public area who have no device and may get one.

    Fewer where fewer wait; none of `leaver_ids`, whose devices these are.
    """
    with connection.cursor() as cursor:
        cursor.execute(NEXT, {"run": run.pk, "area": area, "leavers": list(leaver_ids), "count": count})
        return [Next(*row) for row in cursor.fetchall()]
