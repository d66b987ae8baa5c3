"""A class on one sheet: opening the record, handing over, signing, and the substitute for who left (Plan I.2d)."""

import datetime as dt
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile, File
from django.db import connection, transaction
from django.utils import timezone

from accounts.models import User
from allocation.models import Allocation
from common.photos import without_metadata
from coverage.models import DataPlan, Operator
from coverage.services import start_data_plans
from delivery import rules
from delivery.conditions import LATEST_REPORT
from delivery.models import Handover, HandoverRecord
from ledger.bulk import record_many
from ledger.codes import new_code
from ledger.services import close_holds
from schools.models import School

# Every live allocation of a school's students, with all that decides whether it may be handed over now.
WAITING = f"""
SELECT a.id, d.id, d.code, l.model_name, s.id, s.full_name, s.class_name, s.born_on, s.state, s.school_id, s.has_device,
    c.office_id, coalesce(latest.kind, ''), d.state, r.code, a.public_area,
    EXISTS (SELECT 1 FROM delivery_shipmentitem i WHERE i.device_id = d.id AND i.is_open)
FROM allocation_allocation a
JOIN allocation_allocationrun r ON r.id = a.run_id
JOIN schools_student s ON s.id = a.student_id
JOIN donations_device d ON d.id = a.device_id
JOIN donations_lot l ON l.id = d.lot_id
LEFT JOIN delivery_custody c ON c.device_id = d.id AND c.to_at IS NULL
{LATEST_REPORT}
WHERE a.id = ANY(%s) AND a.ended_at IS NULL
  AND NOT EXISTS (SELECT 1 FROM delivery_handover h WHERE h.allocation_id = a.id)
"""
# What the school holds, and what is still on its way to its pupils: index look-ups of their own, so that the
# planner never walks through all allocations of a run.
OF_SCHOOL = """
SELECT held.id FROM delivery_custody h JOIN allocation_allocation held
    ON held.device_id = h.device_id AND held.ended_at IS NULL
WHERE h.office_id = %(school)s AND h.to_at IS NULL
UNION SELECT due.id FROM schools_student p JOIN allocation_allocation due
    ON due.student_id = p.id AND due.ended_at IS NULL
WHERE p.school_id = %(school)s AND (%(class_name)s::text IS NULL OR p.class_name = %(class_name)s)
"""
ORDER = " ORDER BY s.class_name, s.sort_key, s.id"


def waiting_rows(school: School, *, class_name: str | None = None) -> list[rules.Waiting]:
    """The school's allocated students who wait for their device, whether it has come or not, in list order."""
    with connection.cursor() as cursor:
        cursor.execute(OF_SCHOOL, {"school": school.pk, "class_name": class_name})
        ids = [row[0] for row in cursor]
    rows = _waiting(ids, school.pk)
    return [row for row in rows if class_name is None or row.class_name == class_name]


def _waiting(allocations: list[int], school_id: int) -> list[rules.Waiting]:
    with connection.cursor() as cursor:
        cursor.execute(WAITING + ORDER, [allocations])
        return [rules.Waiting(*row, asked_school_id=school_id) for row in cursor]


@transaction.atomic
def open_record(
    *,
    by: User,
    school: School,
    class_name: str,
    held_on: dt.date,
    at: dt.datetime,
    operator: Operator | None = None,
) -> HandoverRecord:
    """Open the record (biên bản) of a handover session; its sheet can be printed at once, for use without signal.

    Args:
        class_name: one class, or "" for everyone who waits at the school.
        operator: whose data plan begins with each handover (Plan II.3b); None where no operator serves the place.

    Raises ValidationError when no device for the class has come yet.
    """
    rows = waiting_rows(school, class_name=class_name or None)
    if not any(row.is_here for row in rows):
        where = f"lớp {class_name}" if class_name else "trường"
        raise ValidationError(
            f"Chưa có máy nào của {where} ở trường để bàn giao. Hãy nhận lô hàng trước.", code="empty"
        )
    record = HandoverRecord(
        code=new_code("BB"),
        school=school,
        class_name=class_name,
        held_on=held_on,
        operator=operator,
        created_at=at,
        created_by=by,
    )
    record.full_clean()
    record.save()
    return record


@transaction.atomic
def hand_over(
    *, by: User, record: HandoverRecord, rows: Sequence[Mapping], at: dt.datetime
) -> list[Handover]:
    """Hand devices to the students they are allocated to; each device's free data plan begins (Plan I.2d, II.3b).

    Eligibility is checked again at this moment: a student who left, moved, is out of the groups or has got a device
    elsewhere is refused; then `substitute` names the next student by rank.

    Args:
        rows: ``device`` (code), ``recipient`` (`student`, the default, or `guardian`), ``guardian_name``, ``sim``.

    All or none. Raises ValidationError whose ``params["rows"]`` holds (device code, message) of each fault.
    """
    record = HandoverRecord.objects.select_for_update().select_related("school").get(pk=record.pk)
    if record.signed_at:
        raise ValidationError(f"Biên bản {record.code} đã ký, không thêm được nữa.", code="signed")
    asked = {row["device"]: row for row in rows}
    if len(asked) != len(rows):
        raise ValidationError("Có máy ghi hai lần trong danh sách.", code="twice")
    found = locked_rows(list(asked), record.school_id)
    faults = [(code, "Máy này không được phân bổ cho học sinh nào.") for code in asked if code not in found]
    faults += [(code, found[code].problem) for code in asked if code in found and found[code].problem]
    faults += [
        (code, "Người giám hộ nhận thay thì phải ghi tên.")
        for code, row in asked.items()
        if row.get("recipient") == Handover.Recipient.GUARDIAN
        and not (row.get("guardian_name") or "").strip()
    ]
    if faults:
        raise ValidationError(
            f"Có {len(faults)} chỗ cần sửa; chưa bàn giao máy nào. Máy {faults[0][0]}: {faults[0][1]}",
            code="rows",
            params={"rows": faults},
        )
    if not asked:
        raise ValidationError("Chưa chọn học sinh nào.", code="empty")
    return give(by=by, record=record, students=[(asked[code], found[code]) for code in sorted(asked)], at=at)


def give(
    *, by: User, record: HandoverRecord, students: Sequence[tuple[Mapping, rules.Waiting]], at: dt.datetime
) -> list[Handover]:
    """Record handovers that nothing stands against: in the log, in custody, and each one's free data plan.

    Args:
        record: locked and unsigned.
        students: the row as typed (see `hand_over`), and who waits for that device; locked, without a problem.
    """
    eids = _record_handovers(record, students, timezone.localdate(at))
    handovers = Handover.objects.bulk_create(
        [
            Handover(
                record=record,
                allocation_id=waiting.allocation_id,
                recipient=row.get("recipient") or Handover.Recipient.STUDENT,
                guardian_name=_guardian(row),
                handed_over_at=at,
                handed_over_by=by,
                ledger_event=eids[waiting.device].hex,
            )
            for row, waiting in students
        ]
    )
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE delivery_custody SET to_at = %s WHERE to_at IS NULL AND device_id = ANY(%s)",
            [at, [waiting.device_id for _, waiting in students]],
        )
    if record.operator:
        _start_plans(by=by, record=record, students=students, at=at)
    return handovers


def _guardian(row: Mapping) -> str:
    if row.get("recipient") != Handover.Recipient.GUARDIAN:
        return ""
    return " ".join(row["guardian_name"].split())


def locked_rows(codes: list[str], school_id: int) -> dict[str, rules.Waiting]:
    """The waiting rows of these devices; their allocations are locked in key order until the transaction ends."""
    ids = list(
        Allocation.objects.live()
        .filter(device__code__in=codes)
        .select_for_update(of=("self",))
        .order_by("pk")
        .values_list("pk", flat=True)
    )
    rows = _waiting(ids, school_id)
    return {row.device: row for row in rows}


def _record_handovers(
    record: HandoverRecord, students: Iterable[tuple[Mapping, rules.Waiting]], day: dt.date
) -> Mapping:
    """The ledger's entries: held for the batch of run and area, everything about the child only as commitments."""
    rows = []
    for row, waiting in students:
        commit = {
            "recipient": waiting.recipient_text,
            "school": record.school.code,
            "date": day.isoformat(),
            "record": record.code,
        }
        if guardian := _guardian(row):
            commit["guardian"] = guardian
        rows.append(
            {
                "device": waiting.device,
                "run": waiting.run,
                "hold": f"{waiting.run}/{waiting.public_area}",
                "commit": commit,
            }
        )
    return record_many(event="device.handed_over", on=day, rows=rows)


def _start_plans(
    *, by: User, record: HandoverRecord, students: list[tuple[Mapping, rules.Waiting]], at: dt.datetime
) -> None:
    """A plan for each student without one (who got a replacement keeps the first plan)."""
    served = set(
        DataPlan.objects.filter(
            student__in=[waiting.student_id for _, waiting in students], cancelled_on__isnull=True
        ).values_list("student_id", flat=True)
    )
    start_data_plans(
        by=by,
        operator=record.operator,
        at=at,
        rows=[
            {"student": waiting.student_id, "device": waiting.device, "sim": row.get("sim") or ""}
            for row, waiting in students
            if waiting.student_id not in served
        ],
    )


# An area's part of a run is over when none of its live allocations waits for its handover.
FINISHED = """
    SELECT held.hold FROM (
        SELECT DISTINCT hold FROM ledger_outbox WHERE hold IS NOT NULL
        EXCEPT SELECT hold FROM ledger_closed_hold
    ) held
    WHERE NOT EXISTS (
        SELECT 1 FROM allocation_allocation a JOIN allocation_allocationrun r ON r.id = a.run_id
        WHERE r.code || '/' || a.public_area = held.hold AND a.ended_at IS NULL
          AND NOT EXISTS (SELECT 1 FROM delivery_handover h WHERE h.allocation_id = a.id)
    )
"""


@transaction.atomic
def close_finished_batches() -> int:
    """Let the ledger publish the handovers of areas in which a run is over, though fewer than ten wait; how many areas.

    Nothing more will come for them, so waiting would hide them for ever.
    """
    with connection.cursor() as cursor:
        cursor.execute(FINISHED)
        holds = [hold for (hold,) in cursor.fetchall()]
    return close_holds(holds=holds)


@transaction.atomic
def sign_record(
    *, by: User, record: HandoverRecord, at: dt.datetime, evidence: File | None = None
) -> HandoverRecord:
    """Close a record: every family has signed the sheet. Nothing in it changes afterwards.

    Records `device.handover_confirmed` for each device, held with its batch. Raises ValidationError when it is
    signed already or nothing was handed over.
    """
    record = HandoverRecord.objects.select_for_update().get(pk=record.pk)
    if record.signed_at:
        raise ValidationError(f"Biên bản {record.code} đã ký rồi.", code="signed")
    done = record.handovers.values_list(
        "allocation__device__code", "allocation__run__code", "allocation__public_area"
    ).order_by("allocation__device__code")
    commit = {"record": record.code}
    if evidence:
        content = without_metadata(evidence.read())
        record.evidence_sha256 = hashlib.sha256(content).hexdigest()
        # The scan stays private; whoever is shown it can hold it against the log (ledger rule 7).
        commit["photo"] = record.evidence_sha256
    rows = [{"device": device, "hold": f"{run}/{area}", "commit": commit} for device, run, area in done]
    if not rows:
        raise ValidationError("Biên bản chưa có học sinh nào nhận máy.", code="empty")
    if evidence:
        # Under the record's own code: what a phone or a person named it may name a child.
        record.evidence = ContentFile(content, f"{record.code}{Path(evidence.name or '').suffix.lower()}")
    record.signed_at, record.signed_by = at, by
    record.save()
    record_many(event="device.handover_confirmed", on=timezone.localdate(at), rows=rows)
    return record
