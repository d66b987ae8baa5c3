"""Who may, in the offices: the mark for staff pages, and predicates on objects."""

from collections.abc import Sequence

from django.db.models import Exists, OuterRef

from common.access import Access
from schools.models import Office, StaffRole
from schools.reach import held_roles, holds


def staff(*roles: str, kinds: Sequence[str] = ()) -> Access:
    """Mark a page for people who hold one of the roles (any role if none is named), signed in with a second factor.

    Args:
        roles: values of `StaffRole.Role`.
        kinds: only in offices of these `Office.Kind`; anywhere if empty.

    Example: ``@staff(Role.CLERK, kinds=[Kind.PROGRAMME])``. Joined with another mark: ``staff(...) | operator()``.
    """
    name = ", ".join([*roles, *(f"in {kind}" for kind in kinds)])

    def test(user) -> bool:
        return holds(user, *roles, kinds=tuple(kinds))

    return Access(f"staff({name})", test, second_factor="always")


def can_manage_roles(user, office: Office) -> bool:
    """The head of the office, or of one above it, invites people and ends roles there."""
    return holds(user, StaffRole.Role.MANAGER, office=office)


def can_manage_offices(user, office: Office) -> bool:
    """Who closes, merges or moves an office: the head of an office above it, never its own."""
    return office.parent is not None and holds(user, StaffRole.Role.MANAGER, office=office.parent)


Role, Kind = StaffRole.Role, Office.Kind
# Whose people work with lists and students, and who reads them.
LIST_KINDS = (
    Kind.SCHOOL, Kind.UNIVERSITY, Kind.DISTRICT_OFFICE, Kind.PROVINCE_DEPARTMENT, Kind.MOET, Kind.PROGRAMME,
)  # fmt: skip
list_reader = staff(Role.CLERK, Role.APPROVER, Role.MANAGER, kinds=LIST_KINDS)
_SENDING_KINDS = (Kind.SCHOOL, Kind.UNIVERSITY, Kind.DISTRICT_OFFICE, Kind.PROVINCE_DEPARTMENT)


def can_send_lists(user, office: Office) -> bool:
    """A clerk of the office, or of one above it, uploads, mends, commits and submits its lists."""
    return office.kind in _SENDING_KINDS and holds(user, Role.CLERK, office=office)


def can_verify_list(user, student_list) -> bool:
    """Another person of the next office up; at a Sở another person there (Plan III.2a)."""
    office = student_list.office
    senders = (student_list.uploaded_by_id, student_list.submitted_by_id)
    if user.pk in senders:
        return False
    held = {
        role.office_id
        for role in held_roles(user)
        if role.role in (Role.CLERK, Role.APPROVER) and office.path.startswith(role.reach)
    }
    return bool(held) and verifying_office(office, senders) in held


def verifying_office(office: Office, senders: Sequence[int | None] = ()) -> int | None:
    """The office whose people verify an office's lists: the nearest one up that has somebody to do it, or None.

    A Phòng verifies its schools' lists, the Sở those of its Phòng and its own; where no Phòng exists, or nobody
    there is on the platform, the next one up does, so that no list waits for ever. ``senders`` don't count.
    """
    kinds = (
        (Kind.MOET,) if office.kind == Kind.UNIVERSITY else (Kind.DISTRICT_OFFICE, Kind.PROVINCE_DEPARTMENT)
    )
    codes = office.path.strip("/").split("/")
    if office.kind != Kind.PROVINCE_DEPARTMENT:
        codes.remove(office.code)
    above = Office.objects.filter(code__in=codes)
    if office.kind == Kind.UNIVERSITY:
        # The ministry stands beside what it watches (`reach`).
        above = Office.objects.all()
    has_somebody = StaffRole.objects.filter(
        office=OuterRef("pk"), role__in=[Role.CLERK, Role.APPROVER], ended_at=None, user__is_active=True
    ).exclude(user__in=[pk for pk in senders if pk])
    found = above.filter(Exists(has_somebody), kind__in=kinds, valid_to=None)
    return found.order_by("-path").values_list("pk", flat=True).first()


def can_approve_list(user, student_list) -> bool:
    """The approver of the Sở, or of the ministry for its universities; never who uploaded, submitted or verified."""
    if user.pk in (student_list.uploaded_by_id, student_list.submitted_by_id, student_list.verified_by_id):
        return False
    kind = Kind.MOET if student_list.office.kind == Kind.UNIVERSITY else Kind.PROVINCE_DEPARTMENT
    return holds(user, Role.APPROVER, kinds=[kind], office=student_list.office)


def can_decide_duplicate(user, case) -> bool:
    """Who reaches both the sender and the student's school; a dispute of two offices goes to one above both."""
    return holds(user, Role.CLERK, Role.APPROVER, office=case.row.student_list.office) and holds(
        user, Role.CLERK, Role.APPROVER, office=case.student.school.office
    )


def can_change_status(user, student) -> bool:
    """A clerk whose reach has the student's school records what happened to the student."""
    return holds(user, Role.CLERK, office=student.school.office)


def can_reveal_identity(user, office: Office) -> bool:
    """Who checks papers: a clerk or approver whose reach has the student's school."""
    return holds(user, Role.CLERK, Role.APPROVER, office=office)
