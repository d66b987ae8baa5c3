"""A problem that anyone reports, with a code to follow it without signing in (features 56, 75)."""

import datetime as dt

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from accounts.models import User
from delivery import rules
from delivery.models import Grievance
from donations.models import Device
from ledger.codes import new_code, normalise_code
from schools.models import AdministrativeUnit, Office

Kind, State = Grievance.Kind, Grievance.State
# About the offices themselves, or about a child's data: few people at the centre read these.
ALWAYS_SENSITIVE = (Kind.MISUSE, Kind.PERSONAL_DATA)


@transaction.atomic
def open_grievance(
    *,
    by: User,
    kind: str,
    text: str,
    at: dt.datetime,
    device_code: str = "",
    province: AdministrativeUnit | None = None,
    contact: str = "",
    is_sensitive: bool = False,
) -> Grievance:
    """Take in a reported problem: to the province's Sở, or to the programme's centre if sensitive or without a province.

    Args:
        by: the system's account for the public.
        device_code: as typed; must be a real code when given.

    Raises ValidationError by field.
    """
    code = ""
    if device_code.strip():
        code = normalise_code(device_code) or ""
        if not code or not Device.objects.filter(code=code).exists():
            raise ValidationError(
                {"device_code": "Không có máy nào mang mã này. Hãy xem lại mã trên tem, hoặc bỏ trống."}
            )
    day = timezone.localdate(at)
    is_sensitive = is_sensitive or kind in ALWAYS_SENSITIVE
    grievance = Grievance(
        code=new_code("PA"),
        kind=kind,
        is_sensitive=is_sensitive,
        device_code=code,
        office=_handler(province, is_sensitive=is_sensitive, day=day),
        province=province,
        text=text.strip(),
        contact=contact.strip(),
        due_on=rules.answer_due_on(day, is_sensitive=is_sensitive),
        opened_at=at,
    )
    grievance.full_clean()
    grievance.save()
    return grievance


def _handler(province: AdministrativeUnit | None, *, is_sensitive: bool, day: dt.date) -> Office | None:
    centre = Office.objects.filter(kind=Office.Kind.PROGRAMME).first()
    if is_sensitive or province is None:
        return centre
    department = Office.objects.open_on(day).filter(kind=Office.Kind.PROVINCE_DEPARTMENT, unit=province)
    return department.first() or centre


@transaction.atomic
def assign_grievance(
    *, by: User, grievance: Grievance, at: dt.datetime, office: Office | None = None
) -> None:
    """Take a problem on, or pass it to another office. Raises ValidationError when it is answered."""
    grievance = Grievance.objects.select_for_update().get(pk=grievance.pk)
    if grievance.state == State.ANSWERED:
        raise ValidationError(f"Phản ánh {grievance.code} đã trả lời.", code="state")
    if grievance.is_sensitive and office is not None and office.kind != Office.Kind.PROGRAMME:
        raise ValidationError("Phản ánh cần giữ kín chỉ xử lý ở Văn phòng Chương trình.", code="sensitive")
    grievance.state = State.ASSIGNED
    grievance.assigned_at, grievance.assigned_by = at, by
    grievance.office = office or grievance.office
    grievance.save()


@transaction.atomic
def answer_grievance(*, by: User, grievance: Grievance, answer: str, at: dt.datetime) -> None:
    """Answer a problem; whoever has its code reads the answer. Raises ValidationError when it is answered or empty."""
    grievance = Grievance.objects.select_for_update().get(pk=grievance.pk)
    if grievance.state == State.ANSWERED:
        raise ValidationError(f"Phản ánh {grievance.code} đã trả lời.", code="state")
    if not answer.strip():
        raise ValidationError({"answer": "Hãy viết nội dung trả lời."})
    grievance.state, grievance.answer = State.ANSWERED, answer.strip()
    grievance.answered_at, grievance.answered_by = at, by
    grievance.save()
