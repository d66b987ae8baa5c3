"""Taking allocations back: one of them, or as many as the supply was cut by. Two officials, a reason, a notice."""

from __future__ import annotations

import datetime as dt

from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.db.models import Count

from allocation.models import Allocation, AllocationRun, Reduction, Revocation
from allocation.services import rank
from allocation.services.runs import day_of, locked
from allocation.tasks import mail_reduction, mail_revocation
from common.vietnamese import search_key
from ledger.bulk import record_many, states_of
from ledger.services import record

# The last by rank first, a page at a time; those that another request is about already are left alone.
LAST_BY_RANK = """
    SELECT a.id, d.code, k.position FROM allocation_ranking k
    JOIN allocation_allocation a ON a.run_id = k.run_id AND a.student_id = k.student_id AND a.ended_at IS NULL
    JOIN donations_device d ON d.id = a.device_id
    WHERE k.run_id = %(run)s AND k.position < %(before)s AND NOT EXISTS (
        SELECT FROM allocation_revocation r
        WHERE r.allocation_id = a.id AND r.approved_at IS NULL AND r.refused_at IS NULL
    )
    ORDER BY k.position DESC LIMIT %(page)s
"""
PAGE, BEYOND = 1_000, 2**31 - 1
REVOKE_MANY = """
    INSERT INTO allocation_revocation (
        allocation_id, reduction_id, reason, notice, requested_at, requested_by_id, approved_at, approved_by_id
    )
    SELECT a.id, r.id, 'supply_reduced', r.notice, r.requested_at, r.requested_by_id, r.approved_at, r.approved_by_id
    FROM allocation_reduction r, unnest(%(allocations)s::bigint[]) AS a (id) WHERE r.id = %(reduction)s
"""


# --- one allocation ------------------------------------------------------------------------------------------


@transaction.atomic
def request_revocation(
    *, by, allocation: Allocation, reason: str, notice: str, at: dt.datetime
) -> Revocation:
    """Ask that an allocation be taken back; another official decides.

    Raises ValidationError for one that has ended, and for a notice that names the child: it goes by open mail.
    """
    allocation = (
        Allocation.objects.select_for_update(of=("self",)).select_related("student").get(pk=allocation.pk)
    )
    if allocation.ended_at is not None:
        raise ValidationError("Phân bổ này đã chấm dứt rồi.")
    if f" {search_key(allocation.student.full_name)} " in f" {search_key(notice)} ":
        raise ValidationError(
            {"notice": "Thông báo đi bằng thư thường nên không ghi họ tên em. Hãy viết «em» thay cho tên."}
        )
    return Revocation.objects.create(
        allocation=allocation, reason=reason, notice=notice.strip(), requested_at=at, requested_by=by
    )


@transaction.atomic
def decide_revocation(*, by, revocation: Revocation, agree: bool, at: dt.datetime) -> Revocation:
    """A second official agrees (the allocation ends, the school is told by mail) or not (nothing changes).

    Raises ValidationError when it was decided before, for the person who asked, and for a device that is in the
    child's hands already: that one is returned, not revoked.
    """
    revocation = (
        Revocation.objects.select_for_update(of=("self",))
        .select_related("allocation__device", "allocation__run")
        .get(pk=revocation.pk)
    )
    refuse_decided(by, revocation, "thu hồi")
    if not agree:
        revocation.refused_at, revocation.refused_by = at, by
        revocation.save(update_fields=["refused_at", "refused_by"])
        return revocation
    allocation = Allocation.objects.select_for_update().get(pk=revocation.allocation_id)
    if allocation.ended_at is not None:
        raise ValidationError(
            "Phân bổ này đã chấm dứt trong lúc chờ quyết định. Hãy chọn «Không đồng ý» để khép lại đề nghị."
        )
    record(
        event="device.allocation_revoked",
        on=day_of(at),
        device=revocation.allocation.device.code,
        run=revocation.allocation.run.code,
        reason=revocation.reason,
    )
    allocation.ended_at, allocation.ended_by = at, by
    allocation.end_reason = Allocation.EndReason.REVOKED
    allocation.save(update_fields=["ended_at", "ended_by", "end_reason"])
    revocation.approved_at, revocation.approved_by = at, by
    revocation.save(update_fields=["approved_at", "approved_by"])
    transaction.on_commit(lambda: mail_revocation.delay(revocation_id=revocation.pk), robust=True)
    return revocation


def refuse_decided(by, request: Revocation | Reduction, what: str) -> None:
    if not request.is_open:
        raise ValidationError("Đề nghị này đã có quyết định.")
    if request.requested_by_id == by.pk:
        raise ValidationError(f"Người quyết định phải khác người đề nghị {what}.")


# --- many: the supply was cut ----------------------------------------------------------------------------------


@transaction.atomic
def request_reduction(
    *, by, run: AllocationRun, count: int, ground: str, notice: str, at: dt.datetime
) -> Reduction:
    """Ask that a committed run be cut by `count` devices; another official decides.

    Raises ValidationError when fewer than that have not left the warehouse.
    """
    run = locked(run, AllocationRun.State.COMMITTED)
    rank(by=by, run=run)
    found = len(last_by_rank(run, count))
    if found < count:
        raise ValidationError(
            {
                "count": f"Chỉ còn {found} máy của đợt này chưa rời kho; máy đã chuyển đi thì không cắt giảm nữa."
            }
        )
    return Reduction.objects.create(
        run=run,
        count=count,
        ground=ground.strip(),
        notice=notice.strip(),
        requested_at=at,
        requested_by=by,
    )


@transaction.atomic
def decide_reduction(*, by, reduction: Reduction, agree: bool, at: dt.datetime) -> Reduction:
    """A second official agrees (the last by rank give their devices back, their schools are told) or not."""
    reduction = Reduction.objects.select_for_update(of=("self",)).select_related("run").get(pk=reduction.pk)
    refuse_decided(by, reduction, "cắt giảm")
    if not agree:
        reduction.refused_at, reduction.refused_by = at, by
        reduction.save(update_fields=["refused_at", "refused_by"])
        return reduction
    locked(reduction.run)  # dispatch and another reduction don't choose among the same devices
    chosen = last_by_rank(reduction.run, reduction.count)
    if len(chosen) < reduction.count:
        raise ValidationError(
            f"Từ lúc đề nghị đã có máy rời kho: chỉ còn {len(chosen)} máy cắt giảm được. "
            "Hãy chọn «Không đồng ý», rồi đề nghị lại với số mới."
        )
    allocations = sorted(chosen)
    record_many(
        event="device.allocation_revoked",
        on=day_of(at),
        rows=[
            {"device": chosen[key], "run": reduction.run.code, "reason": Revocation.Reason.SUPPLY_REDUCED}
            for key in allocations
        ],
    )
    list(Allocation.objects.select_for_update().filter(pk__in=allocations).order_by("pk").values_list("pk"))
    Allocation.objects.filter(pk__in=allocations).update(
        ended_at=at, ended_by=by, end_reason=Allocation.EndReason.REVOKED
    )
    reduction.approved_at, reduction.approved_by = at, by
    reduction.save(update_fields=["approved_at", "approved_by"])
    with connection.cursor() as cursor:
        cursor.execute(REVOKE_MANY, {"allocations": allocations, "reduction": reduction.pk})
    transaction.on_commit(lambda: mail_reduction.delay(reduction_id=reduction.pk), robust=True)
    return reduction


def would_meet(reduction: Reduction) -> list[tuple[str, int]]:
    """How many students of which province an open reduction would take from now, most first."""
    chosen = list(last_by_rank(reduction.run, reduction.count))
    return list(
        Allocation.objects.filter(pk__in=chosen)
        .values_list("student__school__province__full_name")
        .annotate(students=Count("pk"))
        .order_by("-students", "student__school__province__full_name")
    )


def last_by_rank(run: AllocationRun, count: int) -> dict[int, str]:
    """Allocation → device code of the run's last `count` students by rank whose devices have not left the warehouse."""
    found: dict[int, str] = {}
    before = BEYOND
    with connection.cursor() as cursor:
        while len(found) < count:
            cursor.execute(LAST_BY_RANK, {"run": run.pk, "before": before, "page": PAGE})
            if not (rows := cursor.fetchall()):
                break
            states = states_of([code for _, code, _ in rows])
            before = rows[-1][2]
            for key, code, _ in rows:
                if states.get(code) == "allocated" and len(found) < count:
                    found[key] = code
    return found
