"""A family's request to erase, and the end of retention, carried out across the house: every app erases what it holds."""

import datetime as dt
from collections.abc import Collection, Sequence

from django.core.exceptions import ValidationError
from django.core.files.storage import default_storage
from django.db import connection, transaction
from django.utils import timezone

from accounts.models import User
from accounts.services import erase_account
from allocation.erasure import erase_notices
from common.erasure import ERASED, erasing, images_of
from coverage.erasure import erase_data_plans
from coverage.models import OperatorMember
from delivery.models import Handover, HandoverRecord
from donations.erasure import erase_donor, erase_donors_again
from donations.models import DonorMember, Pledge
from ledger import privacy
from ledger.models import PrivacyRequest
from schools.models import StaffRole, Student
from schools.services.erasure import erase_children as erase_children_of_schools
from schools.services.erasure import erase_student, traces_of

OF_CHILDREN = "SELECT a.id FROM allocation_allocation a JOIN erasure_child c ON c.id = a.student_id"
SCRUB_HANDOVERS = f"""
UPDATE delivery_handover SET guardian_name = %s WHERE guardian_name <> '' AND allocation_id IN ({OF_CHILDREN})
"""
SCRUB_PHONES = f"""
UPDATE delivery_phonehandover SET guardian_name = '' WHERE guardian_name <> '' AND allocation_id IN ({OF_CHILDREN})
"""
SCRUB_REPORTS = """
UPDATE delivery_devicereport SET note = %s WHERE note <> '' AND device_id IN
    (SELECT a.device_id FROM allocation_allocation a JOIN erasure_child c ON c.id = a.student_id)
"""
SCRUB_SCANS = "UPDATE delivery_handoverrecordevent SET evidence = '' WHERE pgh_obj_id = ANY(%s)"
RECORDS = f"""
SELECT DISTINCT r.id, r.evidence FROM delivery_handoverrecord r JOIN delivery_handover h ON h.record_id = r.id
WHERE r.evidence <> '' AND h.allocation_id IN ({OF_CHILDREN})
"""
HANDED_OVER = f"""
SELECT d.code AS device, h.ledger_event::uuid AS eid FROM delivery_handover h
JOIN allocation_allocation a ON a.id = h.allocation_id JOIN donations_device d ON d.id = a.device_id
WHERE a.id IN ({OF_CHILDREN})
"""
COMPLAINTS = f"""
UPDATE delivery_grievance SET text = %s, contact = '', answer = CASE WHEN answer = '' THEN '' ELSE %s END
WHERE device_code IN (SELECT device FROM ({HANDED_OVER}) AS handed)
"""


def handovers_of(device: str) -> list[Handover]:
    """Every handover of a device, the newest first: whose family may ask."""
    found = Handover.objects.filter(allocation__device__code=device)
    return list(found.select_related("allocation__student", "record__school__office").order_by("-pk"))


@transaction.atomic
def carry_out_erasure(
    *, by: User, request: PrivacyRequest, at: dt.datetime, handover: Handover | None = None
) -> int:
    """Do what a family or donor asked and was promised; how many commitments went blank.

    Args:
        handover: which one, when the device was in several children's hands; the newest if None.

    Raises ValidationError when the request isn't accepted or is done, the device was never handed over, or there is
    no such pledge.
    """
    row = privacy.take_up(request=request, kind=PrivacyRequest.Kind.ERASE)
    if row.pledge:
        count = _erase_giver(by=by, code=row.pledge, at=at)
        privacy.close_request(by=by, request=row, at=at)
        return count
    handover = handover or next(iter(handovers_of(row.device)), None)
    if handover is None or handover.allocation.device.code != row.device:
        raise ValidationError(
            f"Máy {row.device} chưa bàn giao cho em nào nên không có thông tin gia đình để xoá. "
            "Hãy gọi lại cho người gửi để hỏi đúng mã máy."
        )
    count = erase_family(by=by, student=handover.allocation.student, at=at)
    privacy.close_request(by=by, request=row, at=at)
    return count


def _erase_giver(*, by: User, code: str, at: dt.datetime) -> int:
    pledge = Pledge.objects.filter(code=code).select_related("donor").first()
    if pledge is None:
        raise ValidationError(f"Không có cam kết {code}. Hãy gọi lại cho người gửi để hỏi đúng mã cam kết.")
    done = erase_donor(by=by, pledge=pledge, at=at)
    _erase_accounts(users=done.users)
    return done.openings


def _erase_accounts(*, users: Collection[int]) -> None:
    """Erase the accounts of givers who are erased; who also works for an office, an operator or another donor stays."""
    still_used = [
        model.objects.filter(user__in=users, ended_at=None).values_list("user_id", flat=True)
        for model in (StaffRole, OperatorMember, DonorMember)
    ]
    for user in User.objects.filter(pk__in=set(users).difference(*still_used), is_staff=False):
        erase_account(user=user)


@transaction.atomic
def erase_family(*, by: User, student: Student, at: dt.datetime) -> int:
    """Erase all that the house holds about a child and its family; how many commitments went blank.

    In one transaction: students, lists, decisions, SIM numbers, guardians, notes, complaints, the openings of the
    public log's commitments, and the images of the audit trail. Files are deleted when it holds (`common.stored_files.delete_orphans`
    catches what a crash leaves). Raises ValidationError when the child was erased already.
    """
    traces = traces_of(student)
    with erasing("SELECT %s", [student.pk]):
        count, files = _erase_deliveries(by=by, reason="family_request", on=timezone.localdate(at))
        files += erase_student(by=by, student=student)
    traces.take_out("delivery_grievance", ["text", "contact", "answer"])
    transaction.on_commit(lambda: [default_storage.delete(name) for name in files])
    return count


@transaction.atomic
def erase_children(*, by: User, select: str, params: Sequence, until: dt.datetime, on: dt.date) -> int:
    """Erase all that the house holds about many children and their families, because its time is over; how many.

    The same as for one family, but for names in texts about others: nobody can look for millions of them, so all that
    was written about the children's lists goes whole, and what was reported and answered before `until`.

    Args:
        select: SQL of the caller that yields the students' ids, with its `params`.
    """
    with erasing(select, params) as count:
        if not count:
            return 0
        _, files = _erase_deliveries(by=by, reason="retention_over", on=on)
        files += erase_children_of_schools(by=by, until=until)
    transaction.on_commit(lambda: [default_storage.delete(name) for name in files])
    return count


@transaction.atomic
def erase_again(*, by: User, at: dt.datetime) -> int:
    """After a backup came back: erase anew every child and giver whose erasure the public log knows; how many.

    The log outlives the database: its `commitment.erased` entries say whose data an older dump brought back.
    """
    events = privacy.forget_returned(reason="family_request")
    students = Student.objects.filter(allocations__handover__ledger_event__in=events).exclude(
        full_name=ERASED
    )
    found = list(students.distinct())
    for student in found:
        erase_family(by=by, student=student, at=at)
    givers = erase_donors_again(by=by, events=privacy.forget_returned(reason="donor_request"), at=at)
    _erase_accounts(users=givers.users)
    return len(found) + givers.givers


def _erase_deliveries(*, by: User, reason: str, on: dt.date) -> tuple[int, list[str]]:
    """What deliveries, and the floors between them and schools, hold about the children of `erasing`.

    Openings, guardians, notes, complaints about their devices, notices, SIM numbers, and the scans of the sheets that
    families signed. A sheet has other families on it too: the paper stays with the school, here its hash and what it said
    in codes. Returns how many openings went, and the stored names of the scans.
    """
    count = privacy.erase_openings(handovers=HANDED_OVER, reason=reason, on=on)
    with connection.cursor() as cursor:
        cursor.execute(SCRUB_HANDOVERS, [ERASED])
        cursor.execute(SCRUB_PHONES)
        cursor.execute(SCRUB_REPORTS, [ERASED])
        cursor.execute(COMPLAINTS, [ERASED, ERASED])
        cursor.execute(RECORDS)
        records = cursor.fetchall()
    ids = [pk for pk, _ in records]
    HandoverRecord.objects.filter(pk__in=ids).update(evidence="")
    with images_of(HandoverRecord), connection.cursor() as cursor:
        cursor.execute(SCRUB_SCANS, [ids])
    erase_data_plans(by=by)
    erase_notices(by=by)
    return count, [name for _, name in records]
