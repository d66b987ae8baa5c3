"""Handovers that a teacher wrote down on a phone without signal and sent later: one effect each, and one answer each."""

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Max
from django.utils import timezone

from accounts.models import User
from allocation.models import Allocation
from common.refusals import message_of
from delivery import rules
from delivery.models import Custody, Handover, HandoverRecord, PhoneHandover
from delivery.services.handovers import give, locked_rows

Outcome = PhoneHandover.Outcome


@dataclass(frozen=True)
class Written:
    """A handover as a phone wrote it down.

    Attributes:
        key: made by the phone, the same however often it sends.
        allocation: for whom the device was when the phone kept the list.
        device: its code.
        guardian_name: who received it for the student, "" for the student.
        age_s: how many seconds ago it happened, by the phone's own clock: clocks of phones are wrong, differences are not.
    """

    key: UUID
    allocation: int
    device: str
    guardian_name: str
    age_s: int


@dataclass(frozen=True)
class Answer:
    """What became of one of them, in words for the teacher."""

    key: UUID
    outcome: str
    text: str


@transaction.atomic
def receive_from_phone(
    *, by: User, record: HandoverRecord, rows: Sequence[Written], at: dt.datetime
) -> list[Answer]:
    """Record what can be recorded, keep the rest to be looked at, and say row by row which is which.

    The record is locked and the database holds each key once, so the same rows sent again, also with another record's
    list, change nothing and get the same answers. A device that was never at this school is refused without a trace.
    """
    record = HandoverRecord.objects.select_for_update().select_related("school").get(pk=record.pk)
    known = PhoneHandover.objects.in_bulk([row.key for row in rows])
    fresh = [row for row in {row.key: row for row in rows}.values() if row.key not in known]
    found = locked_rows([row.device for row in fresh], record.school_id)
    allocations = _of_school(record, fresh)
    earlier = {
        handover.allocation_id: handover
        for handover in Handover.objects.filter(allocation__in=allocations).select_related("record")
    }
    answers = {key: Answer(key, row.outcome, row.reason) for key, row in known.items()}
    good: dict[int, tuple[Written, rules.Waiting, dt.datetime]] = {}
    for row in fresh:
        allocation = allocations.get(row.allocation)
        waiting = found.get(row.device)
        if allocation is None or allocation.device.code != row.device:
            answers[row.key] = Answer(
                row.key, Outcome.REFUSED, "Máy này không có trong danh sách của trường."
            )
        elif handover := earlier.get(allocation.pk):
            text = f"Máy này đã ghi bàn giao ngày {timezone.localtime(handover.handed_over_at):%d/%m/%Y} trong biên bản {handover.record.code}."
            answers[row.key] = Answer(row.key, Outcome.EARLIER, text)
        elif allocation.pk in good:
            answers[row.key] = Answer(row.key, Outcome.EARLIER, "Máy này ghi hai lần; chỉ tính một lần.")
        elif problem := _problem(record, allocation, waiting):
            answers[row.key] = Answer(row.key, Outcome.REFUSED, problem)
        elif waiting is not None:
            good[allocation.pk] = (row, waiting, max(record.created_at, at - dt.timedelta(seconds=row.age_s)))
    for answer in _give_by_day(by=by, record=record, good=list(good.values()), at=at):
        answers[answer.key] = answer
    PhoneHandover.objects.bulk_create(
        PhoneHandover(
            key=row.key,
            record=record,
            allocation_id=row.allocation,
            outcome=(answer := answers[row.key]).outcome,
            reason=answer.text[:300] if answer.outcome == Outcome.REFUSED else "",
            guardian_name=row.guardian_name if answer.outcome == Outcome.REFUSED else "",
            happened_at=at - dt.timedelta(seconds=row.age_s),
            sent_at=at,
            sent_by=by,
        )
        for row in fresh
        if row.allocation in allocations and allocations[row.allocation].device.code == row.device
    )
    return [answers[row.key] for row in rows]


def _of_school(record: HandoverRecord, rows: Iterable[Written]) -> dict[int, Allocation]:
    """The allocations that the phone names, by id, whose devices the school has or had."""
    here = Custody.objects.filter(office=record.school_id).values("device")
    found = Allocation.objects.filter(pk__in=[row.allocation for row in rows], device__in=here)
    return found.select_related("device").in_bulk()


def _problem(record: HandoverRecord, allocation: Allocation, waiting: rules.Waiting | None) -> str:
    """Why a handover that has happened can't be recorded now; "" if it can."""
    if record.signed_at:
        return (
            f"Biên bản {record.code} đã ký và khoá trước khi điện thoại gửi. Hãy mở biên bản mới và ghi lại."
        )
    if waiting is None or waiting.allocation_id != allocation.pk:
        return "Từ khi điện thoại lưu danh sách, máy này không còn dành cho em đó. Hãy giữ máy lại ở trường."
    return waiting.problem


def _give_by_day(
    *,
    by: User,
    record: HandoverRecord,
    good: list[tuple[Written, rules.Waiting, dt.datetime]],
    at: dt.datetime,
) -> Iterable[Answer]:
    """Hand over day by day, each day at its last moment, as a session at the desk has one moment too."""
    # A phone whose clock was set meanwhile may name a moment before the device came.
    came = Custody.objects.open().filter(device__in=[waiting.device_id for _, waiting, _ in good])
    came_at = came.aggregate(at=Max("from_at"))["at"] or record.created_at
    dated = sorted(
        ((row, waiting, min(at, max(moment, came_at))) for row, waiting, moment in good),
        key=lambda one: (one[2], one[1].device),
    )
    for _, members in groupby(dated, key=lambda one: timezone.localdate(one[2])):
        day = list(members)
        give_these = partial(give, by=by, record=record, at=day[-1][2])
        students = [(_as_typed(row), waiting) for row, waiting, _ in day]
        if _refusal(partial(give_these, students=students)):
            # One of them can't be: each for itself, so that the others are not held up.
            for (row, _, _), student in zip(day, students, strict=True):
                said = _refusal(partial(give_these, students=[student]))
                yield Answer(row.key, Outcome.REFUSED if said else Outcome.RECORDED, said)
        else:
            yield from (Answer(row.key, Outcome.RECORDED, "") for row, _, _ in day)


def _as_typed(row: Written) -> Mapping:
    recipient = Handover.Recipient.GUARDIAN if row.guardian_name else Handover.Recipient.STUDENT
    return {"device": row.device, "recipient": recipient, "guardian_name": row.guardian_name}


def _refusal(act: Callable[[], object]) -> str:
    """Do it, or leave nothing half done and return what was said against it."""
    try:
        with transaction.atomic():
            act()
    except ValidationError as error:
        return " ".join(error.messages)
    except IntegrityError as error:
        return message_of(error)
    return ""


@transaction.atomic
def settle_phone_handover(*, by: User, handover: PhoneHandover, at: dt.datetime) -> PhoneHandover:
    """Somebody has looked at it and done what was to do; the guardian's name is needed no longer."""
    row = PhoneHandover.objects.select_for_update().get(pk=handover.pk)
    if row.outcome == Outcome.REFUSED and not row.settled_at:
        row.settled_at, row.settled_by, row.guardian_name = at, by, ""
        row.save(update_fields=["settled_at", "settled_by", "guardian_name"])
    return row
