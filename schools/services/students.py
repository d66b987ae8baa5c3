"""What happens to students after listing, and decisions about two records that may be one child."""

import datetime as dt

from django.core.exceptions import ValidationError
from django.db import transaction

from accounts.models import User
from schools.models import DuplicateCase, School, StatusChange, Student, StudentList
from schools.services.list_matching import match_rows

Kind = StatusChange.Kind
_NEW_STATE = {Kind.LEFT: Student.State.LEFT, Kind.OUT_OF_GROUP: Student.State.OUT_OF_GROUP}


@transaction.atomic
def change_status(
    *, by: User, student: Student, kind: str, reason: str, at: dt.datetime, to_school: School | None = None
) -> StatusChange:
    """Record that a student moved, left, dropped out of the group, got a computer elsewhere, or still qualifies.

    The change stays in the student's history for good. Raises ValidationError without a reason, or when the
    student has left already.
    """
    student = Student.objects.select_for_update(of=("self",)).select_related("school").get(pk=student.pk)
    if not reason.strip():
        raise ValidationError("Hãy viết lý do, căn cứ của thay đổi.")
    if student.state in _NEW_STATE.values() and kind != Kind.MOVED:
        raise ValidationError(f"Em này đã được ghi nhận: {student.get_state_display().lower()}.")
    if kind == Kind.MOVED and to_school is not None and to_school.pk == student.school_id:
        raise ValidationError("Em đang học đúng trường này rồi: ghi mã trường mới.")
    change = StatusChange.objects.create(
        student=student, kind=kind, from_school=student.school, to_school=to_school, reason=reason.strip(),
        changed_at=at, changed_by=by,
    )  # fmt: skip
    if kind == Kind.MOVED and to_school is not None:
        student.school = to_school
        student.class_name, student.grade = "", None
    elif kind == Kind.GOT_DEVICE:
        student.has_device = True
    elif kind in _NEW_STATE:
        student.state = _NEW_STATE[Kind(kind)]
    student.save(update_fields=["school", "class_name", "grade", "has_device", "state"])
    return change


@transaction.atomic
def decide_duplicate(
    *, by: User, case: DuplicateCase, decision: str, note: str, at: dt.datetime
) -> DuplicateCase:
    """A person says whether a row and a student are one child; the row's list is compared anew.

    Raises ValidationError when the case is decided, or its list is committed already; IntegrityError
    (``duplicatecase_same_identity_is_one_child``) for two children with one number.
    """
    student_list = (
        StudentList.objects.select_for_update(of=("self",))
        .select_related("office")
        .get(pk=case.row.student_list_id)
    )
    case = DuplicateCase.objects.select_for_update(of=("self",)).get(pk=case.pk)
    if case.decision:
        raise ValidationError(f"Trường hợp này đã được quyết định: {case.get_decision_display().lower()}.")
    if student_list.state != StudentList.State.CHECKED:
        raise ValidationError("Danh sách của hàng này không còn chờ ghi nên quyết định không còn tác dụng.")
    case.decision, case.note = decision, note.strip()
    case.decided_at, case.decided_by = at, by
    case.save()
    match_rows(student_list, [case.row_id])
    return case
