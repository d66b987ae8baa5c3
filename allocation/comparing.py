"""Policies tried on today's inputs: one alone, or two side by side. Changes nothing but the stored result."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from django.core.exceptions import ValidationError
from django.db import transaction

from allocation import engine, freezing, proposing
from allocation.engine import FREE, Devices, Outcome
from allocation.freezing import Inputs
from allocation.models import AllocationPolicy, Comparison
from allocation.services.runs import day_of, no_progress
from common import jobs
from schools.models import AdministrativeUnit

# Both policies of a comparison draw with this throw-away seed, so that only the rules differ.
TRIAL_SEED = bytes(32)


@transaction.atomic
def ask_comparison(
    *,
    by,
    one: AllocationPolicy,
    at: dt.datetime,
    other: AllocationPolicy | None = None,
    province: AdministrativeUnit | None = None,
) -> Comparison:
    """Have a worker try a policy, or two side by side, on today's inputs."""
    if other is not None and one.pk == other.pk:
        raise ValidationError({"other": "Hãy chọn hai chính sách khác nhau."})
    row = Comparison.objects.create(one=one, other=other, province=province, asked_at=at, asked_by=by)
    jobs.hand_over(by=by, kind="allocation.tasks.compare", subject=row)
    return row


@transaction.atomic
def compare(
    *, by, comparison: Comparison, at: dt.datetime, progress: Callable[..., None] = no_progress
) -> Comparison:
    """Decide over the inputs of now as a main run would, with each policy. Does nothing if it is done already."""
    comparison = (
        Comparison.objects.select_for_update(of=("self",))
        .select_related("one__phase", "other__phase")
        .get(pk=comparison.pk)
    )
    if comparison.result:
        return comparison
    policies = [policy for policy in (comparison.one, comparison.other) if policy]
    progress(0, len(policies), step="Đọc học sinh và máy")
    tried = []
    for step, policy in enumerate(policies, start=1):
        inputs = freezing.current_inputs(
            day=day_of(at), province_id=comparison.province_id, rules=policy.rules
        )
        whole = int((inputs.devices.level == FREE).sum())
        reserve = whole * policy.reserve_percent // 100
        inputs = without_reserve(inputs, reserve)
        outcome = proposing.decide(inputs=inputs, rules=policy.rules, seed=TRIAL_SEED)
        figures = proposing.figures(inputs=inputs, outcome=outcome, rules=policy.rules)
        tried.append((inputs, outcome, figures | {"reserve": reserve}))
        progress(step, len(policies), step="Chạy thử từng chính sách")
    comparison.result = {"one": tried[0][2]}
    if comparison.other:
        cells = changed_cells(*(one[:2] for one in tried))
        comparison.result |= {
            "other": tried[1][2],
            "cells": cells,
            "gain": sum(cell["gain"] for cell in cells),
            "lose": sum(cell["lose"] for cell in cells),
        }
    comparison.save(update_fields=["result"])
    return comparison


def without_reserve(inputs: Inputs, reserve: int) -> Inputs:
    """The inputs less the last `reserve` free devices, which a main run would hold back (as at the freeze)."""
    free = np.flatnonzero(inputs.devices.level == FREE)
    keep = np.ones(len(inputs.device_ids), dtype=bool)
    if reserve:
        keep[free[np.argsort(inputs.devices.order[free])][-reserve:]] = False
    given = inputs.devices
    return replace(
        inputs,
        devices=Devices(
            level=given.level[keep],
            area=given.area[keep],
            order=given.order[keep],
            is_laptop=None if given.is_laptop is None else given.is_laptop[keep],
        ),
        device_ids=inputs.device_ids[keep],
        area_ids=inputs.area_ids[keep],
    )


def changed_cells(one: tuple[Inputs, Outcome], other: tuple[Inputs, Outcome]) -> list[dict[str, Any]]:
    """Per province and group: how many students get a device only by the second policy, only by the first."""

    def cells_of(inputs: Inputs, rows: np.ndarray) -> Counter[tuple[str, str]]:
        province, group = inputs.students.province[rows], inputs.students.group[rows]
        counted = engine.count_by(province.astype(np.int64) * 4 + group)
        names = inputs.places.province_codes
        return Counter({(names[key // 4], engine.GROUPS[key % 4]): count for key, count in counted.items()})

    ids = [inputs.student_ids[outcome.student] for inputs, outcome in (one, other)]
    lose = cells_of(one[0], one[1].student[~np.isin(ids[0], ids[1])])
    gain = cells_of(other[0], other[1].student[~np.isin(ids[1], ids[0])])
    return [
        {
            "province": province,
            "group": group,
            "gain": gain[province, group],
            "lose": lose[province, group],
        }
        for province, group in sorted(
            lose.keys() | gain.keys(), key=lambda cell: (cell[0], engine.GROUPS.index(cell[1]))
        )
    ]
