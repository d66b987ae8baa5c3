"""Who may, in the offices: the mark for staff pages, and predicates on objects."""

from collections.abc import Sequence

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
_SENDING_KINDS = (Kind.SCHOOL, Kind.UNIVERSITY, Kind.DISTRICT_OFFICE, Kind.PROVINCE_DEPARTMENT)


def can_send_lists(user, office: Office) -> bool:
    """A clerk of the office, or of one above it, uploads, mends, commits and submits its lists."""
    return office.kind in _SENDING_KINDS and holds(user, Role.CLERK, office=office)


def can_verify_list(user, student_list) -> bool:
    """Another person of the next office up; at a Sở another person there (Plan III.2a)."""
    office = student_list.office
    if user.pk in (student_list.uploaded_by_id, student_list.submitted_by_id):
        return False
    kinds = (
        (Kind.MOET,) if office.kind == Kind.UNIVERSITY else (Kind.DISTRICT_OFFICE, Kind.PROVINCE_DEPARTMENT)
    )
    return any(
        held.role in (Role.CLERK, Role.APPROVER)
        and held.kind in kinds
        and office.path.startswith(held.reach)
        and (held.office_id != office.pk or office.kind == Kind.PROVINCE_DEPARTMENT)
        for held in held_roles(user)
    )


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


def can_report_need(user, office: Office) -> bool:
    """A clerk of the office or above types its survey figures."""
    return office.kind in _SENDING_KINDS and holds(user, Role.CLERK, office=office)
