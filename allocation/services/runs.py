"""A run's beginning and its end without effect; what all its steps need."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from allocation import rules
from allocation.inputs import forget_columns
from allocation.models import AllocationPolicy, AllocationRun
from ledger.codes import new_code
from ledger.services import record
from schools.models import AdministrativeUnit

State = AllocationRun.State
Progress = Callable[..., None]


def no_progress(done: int, total: int | None = None, *, step: str = "") -> None:
    """For callers that show none."""


def day_of(at: dt.datetime) -> dt.date:
    """The day in Vietnam; the ledger names no time of day."""
    return timezone.localdate(at)


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
    forget_columns(run)
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
