"""A family's request to erase, carried out across the house: every app erases what it holds, lowest floor last to be left."""

import datetime as dt
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.files.storage import default_storage
from django.db import connection, transaction
from django.utils import timezone

from accounts.models import User
from allocation.erasure import erase_notices
from common.erasure import ERASED, Traces, images_of
from coverage.erasure import erase_data_plans
from delivery.models import Grievance, Handover, HandoverRecord
from ledger import privacy
from ledger.models import PrivacyRequest
from schools.models import Student, StudentList
from schools.services.erasure import erase_student, traces_of

# A file that nothing refers to is older than any transaction that could be writing it.
ORPHAN_AFTER = dt.timedelta(days=1)
SCRUB_HANDOVERS = """
UPDATE delivery_handover SET guardian_name = %(mark)s WHERE guardian_name <> '' AND allocation_id IN
    (SELECT id FROM allocation_allocation WHERE student_id = %(student)s)
"""
SCRUB_REPORTS = """
UPDATE delivery_devicereport SET note = %(mark)s WHERE note <> '' AND device_id IN
    (SELECT device_id FROM allocation_allocation WHERE student_id = %(student)s)
"""
RECORDS = """
SELECT DISTINCT r.id, r.evidence FROM delivery_handoverrecord r JOIN delivery_handover h ON h.record_id = r.id
JOIN allocation_allocation a ON a.id = h.allocation_id WHERE a.student_id = %s
"""


def handovers_of(device: str) -> list[Handover]:
    """Every handover of a device, the newest first: whose family may ask."""
    found = Handover.objects.filter(allocation__device__code=device)
    return list(found.select_related("allocation__student", "record__school__office").order_by("-pk"))


@transaction.atomic
def carry_out_erasure(
    *, by: User, request: PrivacyRequest, at: dt.datetime, handover: Handover | None = None
) -> int:
    """Do what a family asked and was promised; how many commitments went blank.

    Args:
        handover: which one, when the device was in several children's hands; the newest if None.

    Raises ValidationError when the request isn't accepted or is done, or the device was never handed over.
    """
    row = privacy.take_up(request=request, kind=PrivacyRequest.Kind.ERASE)
    handover = handover or next(iter(handovers_of(row.device)), None)
    if handover is None or handover.allocation.device.code != row.device:
        raise ValidationError(
            f"Máy {row.device} chưa bàn giao cho em nào nên không có thông tin gia đình để xoá. "
            "Hãy gọi lại cho người gửi để hỏi đúng mã máy."
        )
    count = erase_family(by=by, student=handover.allocation.student, at=at)
    privacy.close_request(by=by, request=row, at=at)
    return count


@transaction.atomic
def erase_family(*, by: User, student: Student, at: dt.datetime) -> int:
    """Erase all that the house holds about a child and its family; how many commitments went blank.

    In one transaction: students, lists, decisions, SIM numbers, guardians, notes, complaints, the openings of the
    public log's commitments, and the images of the audit trail. Files are deleted when it holds (`delete_orphans`
    catches what a crash leaves). Raises ValidationError when the child was erased already.
    """
    traces = traces_of(student)
    events = Handover.objects.filter(allocation__student=student).values_list(
        "allocation__device__code", "ledger_event"
    )
    count = sum(
        privacy.erase_openings(
            device=device, since=UUID(event), fields=privacy.FAMILY, reason="family_request",
            on=timezone.localdate(at),
        )
        for device, event in list(events)
    )  # fmt: skip
    files = _erase_records(student.pk) + erase_student(by=by, student=student)
    erase_data_plans(by=by, student_id=student.pk)
    erase_notices(by=by, student_id=student.pk)
    _erase_complaints([device for device, _ in events], traces)
    transaction.on_commit(lambda: [default_storage.delete(name) for name in files])
    return count


@transaction.atomic
def erase_again(*, by: User, at: dt.datetime) -> int:
    """After a backup came back: erase anew every child whose erasure the public log knows; how many.

    The log outlives the database: its `commitment.erased` entries say whose data an older dump brought back.
    """
    events = privacy.forget_returned()
    students = Student.objects.filter(allocations__handover__ledger_event__in=events).exclude(
        full_name=ERASED
    )
    found = list(students.distinct())
    for student in found:
        erase_family(by=by, student=student, at=at)
    return len(found)


def _erase_records(student_id: int) -> list[str]:
    """Guardians, notes, and the scans of the sheets that the family signed; the stored names of the scans.

    A sheet has other families on it too: the paper stays with the school, here its hash and what it said in codes.
    """
    with connection.cursor() as cursor:
        cursor.execute(SCRUB_HANDOVERS, {"mark": ERASED, "student": student_id})
        cursor.execute(SCRUB_REPORTS, {"mark": ERASED, "student": student_id})
        cursor.execute(RECORDS, [student_id])
        records = cursor.fetchall()
    ids = [pk for pk, _ in records]
    HandoverRecord.objects.filter(pk__in=ids).exclude(evidence="").update(evidence="")
    with images_of(HandoverRecord), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE delivery_handoverrecordevent SET evidence = '' WHERE pgh_obj_id = ANY(%s)", [ids]
        )
    return [name for _, name in records if name]


def _erase_complaints(devices: list[str], traces: Traces) -> None:
    """What was reported about the family's devices, and the child's name in what was reported elsewhere."""
    about = Grievance.objects.filter(device_code__in=devices)
    about.exclude(answer="").update(answer=ERASED)
    about.update(text=ERASED, contact="")
    traces.take_out("delivery_grievance", ["text", "contact", "answer"])


def delete_orphans(*, at: dt.datetime) -> int:
    """Delete stored lists and scans that no row refers to any more; how many. Safe to run at any time."""
    root = Path(settings.MEDIA_ROOT)
    limit = (at - ORPHAN_AFTER).timestamp()
    old = {
        str(path.relative_to(root))
        for folder in ("lists", "handovers")
        for path in (root / folder).rglob("*")
        if path.is_file() and path.stat().st_mtime < limit
    }
    known = set(StudentList.objects.filter(file__in=old).values_list("file", flat=True))
    known |= set(HandoverRecord.objects.filter(evidence__in=old).values_list("evidence", flat=True))
    for name in old - known:
        default_storage.delete(name)
    return len(old - known)
