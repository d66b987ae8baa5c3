"""From an outcome of the engine to a proposal: rows for the commit, figures for the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

import numpy as np

from allocation import engine
from allocation.engine import FREE, GROUPS, NOBODY, PASSES, PROVINCE, Outcome, Policy
from allocation.inputs import LINE, LINES, Columns, Inputs, keep_columns
from allocation.models import AllocationRun
from common.columns import write_columns


def engine_policy(rules: Mapping[str, Any]) -> Policy:
    return Policy(
        tuple(rules["groups"]), rules["locality_first"], rules["margin"], rules.get("laptop_from_grade")
    )


def decide(*, inputs: Inputs, rules: Mapping[str, Any], seed: bytes) -> Outcome:
    """What the engine decides over `inputs` by a policy's `rules`; `seed` is 32 bytes."""
    return engine.allocate(
        students=inputs.students, devices=inputs.devices, policy=engine_policy(rules), seed=seed
    )


def proposal_lines(*, inputs: Inputs, outcome: Outcome) -> Columns:
    """Who is to receive which device, in the order of the devices: the columns `LINES`."""
    order = np.argsort(inputs.device_ids[outcome.device])
    device, student = outcome.device[order], outcome.student[order]
    return {
        "device_id": inputs.device_ids[device],
        "student_id": inputs.student_ids[student],
        "school_id": inputs.school_ids[student],
        "locality": outcome.locality[student],
        "group": outcome.group[student],
        "place": outcome.place[student],
        "via": outcome.via[order],
    }


def proposal_digest(lines: Columns) -> str:
    """SHA-256 of a proposal's lines, column by column: what `run.approved` and `run.committed` carry."""
    digest = sha256()
    for name in LINES:
        if name != "school_id":  # the student says the school
            digest.update(np.ascontiguousarray(lines[name]).astype(">i8").tobytes())
    return digest.hexdigest()


def write_proposal(*, run: AllocationRun, inputs: Inputs, outcome: Outcome) -> str:
    """Store who is to receive which device, as rows for people and as columns for the commit; returns their digest."""
    lines = proposal_lines(inputs=inputs, outcome=outcome)
    if len(outcome.device):
        write_columns(
            "allocation_proposed",
            frozen=False,
            run_id=("i8", run.pk),
            **{name: (kind, lines[name]) for name, kind in LINES.items()},
        )
    keep_columns(run, lines, LINES, LINE)
    return proposal_digest(lines)


def figures(*, inputs: Inputs, outcome: Outcome, rules: Mapping[str, Any]) -> dict[str, Any]:
    """The summary of `engine.summary` and what the proposal page shows beside it; JSON."""
    policy = engine_policy(rules)
    result = engine.summary(
        students=inputs.students,
        devices=inputs.devices,
        policy=policy,
        outcome=outcome,
        province_codes=inputs.places.province_codes,
    )
    served = outcome.served != NOBODY
    result["policy_groups"] = list(policy.groups)
    result["locality_first"] = policy.locality_first
    result["by_pass"] = {name: int((outcome.via == number).sum()) for number, name in enumerate(PASSES)}
    result["cells"] = cells(inputs, outcome, policy, served)
    result["margin"] = margin(inputs, outcome)
    result["idle"] = idle_devices(inputs, outcome)
    result["province_waterlines"] = province_waterlines(inputs, outcome)
    result["laptops"] = laptops(inputs, outcome, policy)
    return result


def cells(inputs: Inputs, outcome: Outcome, policy: Policy, served: np.ndarray) -> list[dict[str, Any]]:
    """Served and unmet per province and group, and the tiers with their counts."""
    size = len(inputs.places.province_codes)
    key = inputs.students.province.astype(np.int64) * 4 + outcome.group
    wanted = np.bincount(key[outcome.eligible], minlength=size * 4)
    got = np.bincount(key[served], minlength=size * 4)
    return [
        {
            "province": inputs.places.province_codes[number],
            "group": name,
            "need": int(wanted[number * 4 + place]),
            "served": int(got[number * 4 + place]),
        }
        for number in range(size)
        for place, name in enumerate(policy.groups, start=1)
        if wanted[number * 4 + place]
    ]


def margin(inputs: Inputs, outcome: Outcome) -> dict[str, Any] | None:
    if outcome.margin is None:
        return None
    names = inputs.places.province_codes
    return {
        "tier": list(outcome.margin.tier),
        "left": outcome.margin.left,
        "need": outcome.margin.need,
        "provinces": [
            [names[number], need, outcome.margin.given_by_province[number]]
            for number, need in outcome.margin.need_by_province.items()
        ],
    }


def laptops(inputs: Inputs, outcome: Outcome, policy: Policy) -> dict[str, int] | None:
    """Of the served students for whom the policy prefers a laptop, how many get one; None without a preference."""
    asks = engine.asking(inputs.students, policy)
    if asks is None or inputs.devices.is_laptop is None:
        return None
    asked = asks[outcome.student]
    return {
        "from_grade": policy.laptop_from_grade or 0,
        "asked": int(asked.sum()),
        "given": int((asked & inputs.devices.is_laptop[outcome.device]).sum()),
    }


def idle_devices(inputs: Inputs, outcome: Outcome) -> list[list[int]]:
    """Devices that no one may have: [level, area id, count] of earmarks where nobody waits, and what is left over."""
    left = np.ones(len(inputs.device_ids), dtype=bool)
    left[outcome.device] = False
    counted = engine.count_by(inputs.devices.level[left].astype(np.int64) * 2**48 + inputs.area_ids[left] + 1)
    return [[key >> 48, (key & (2**48 - 1)) - 1, count] for key, count in sorted(counted.items())]


def province_waterlines(inputs: Inputs, outcome: Outcome) -> dict[str, str]:
    """Per province whose own devices ran out: the tier of the last student whom they reached."""
    province = inputs.students.province
    after = (outcome.served == NOBODY) | (outcome.served == FREE)
    short = np.unique(province[outcome.eligible & after])
    rows = np.flatnonzero((outcome.served == PROVINCE) & np.isin(province, short))
    rows = rows[np.argsort(-outcome.rank[rows])]
    numbers, last = np.unique(province[rows], return_index=True)
    return {
        inputs.places.province_codes[number]: engine.tier_text(outcome.tier(student))
        for number, student in zip(numbers.tolist(), rows[last].tolist(), strict=True)
    }


def difference(now: dict[str, Any], before: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Per province and group, how this proposal differs from the run before: served and unmet, then and now."""
    if not before:
        return []

    def by_cell(summary: dict[str, Any]) -> dict[tuple[str, str], tuple[int, int]]:
        return {
            (cell["province"], cell["group"]): (cell["served"], cell["need"] - cell["served"])
            for cell in summary.get("cells", [])
        }

    old, new = by_cell(before), by_cell(now)
    return [
        {
            "province": province,
            "group": group,
            "served": new.get((province, group), (0, 0))[0],
            "served_before": old.get((province, group), (0, 0))[0],
            "unmet": new.get((province, group), (0, 0))[1],
            "unmet_before": old.get((province, group), (0, 0))[1],
        }
        for province, group in sorted(set(old) | set(new))
    ]


def totals_by(cells: Sequence[dict[str, Any]], key: str) -> list[tuple[str, int, int]]:
    """(name, need, served) summed over cells by `province` or `group`."""
    total: dict[str, list[int]] = {}
    for cell in cells:
        row = total.setdefault(cell[key], [0, 0])
        row[0] += cell["need"]
        row[1] += cell["served"]
    names = sorted(total, key=GROUPS.index) if key == "group" else sorted(total)
    return [(name, total[name][0], total[name][1]) for name in names]
