"""The whole of a run recomputed from its frozen inputs and compared with the public log, for auditors.

The public draw file proves order, quotas and totals without a child's group or school; who may read the database
recomputes everything: the root of the freeze, the seed, the tiers, who is served with which device, the draw file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

from allocation import committing, freezing, proposing
from allocation.inputs import frozen_rows, inputs_of
from allocation.models import AllocationRun
from allocation.rules import source_digest
from ledger.commitments import draw_seed
from ledger.draw import draw_file


@dataclass(frozen=True)
class Compared:
    """One thing that was recomputed: its name in Vietnamese, what came out, what the log says."""

    what: str
    ours: str | int
    published: str | int

    @property
    def agrees(self) -> bool:
        return self.ours == self.published


def recompute(*, run: AllocationRun, steps: Mapping[str, Mapping]) -> list[Compared]:
    """Everything that the log says of a committed run, beside what its frozen rows lead to.

    `steps` are the run's entries by step (`ledger.audit.run_entries`), from the checked log. Nothing is written.
    """
    frozen, seeded, committed = steps["frozen"], steps["seeded"], steps["committed"]
    applicants, offers = frozen_rows(run)  # not the columns that the run itself was decided by
    inputs = inputs_of(applicants=applicants, offers=offers, province_id=run.province_id)
    root = freezing.frozen_root(inputs)
    seed = draw_seed(bytes.fromhex(root), bytes.fromhex(seeded["randomness"]))
    outcome = proposing.decide(inputs=inputs, rules=run.policy.rules, seed=seed)
    lines = proposing.proposal_lines(inputs=inputs, outcome=outcome)
    served = len(outcome.device)
    return [
        Compared("gốc dữ liệu đã chốt", root, frozen["root"]),
        Compared("số học sinh", len(inputs.students.code), frozen["applicants"]),
        Compared("số máy", len(inputs.devices.level), frozen["supply"]),
        Compared("chính sách", run.policy.digest, frozen["policy"]),
        Compared("nguồn ngẫu nhiên đã công bố", source_digest(run.randomness_source), frozen.get("draw", "")),
        Compared("mã chương trình phân bổ", freezing.engine_digest(), frozen["engine"]),
        Compared("số bốc thăm", seed.hex(), seeded["seed"]),
        Compared("ai nhận máy nào", proposing.proposal_digest(lines), committed["result"]),
        Compared("số em được nhận", served, committed["served"]),
        Compared("số em chưa được nhận", len(inputs.students.code) - served, committed["unserved"]),
        Compared(
            "tệp bốc thăm công khai",
            sha256(draw_file(committing.draw_rows(inputs, outcome))).hexdigest(),
            committed["draw_file"],
        ),
    ]
