"""Who may, in the offices: the mark for staff pages, and predicates on objects."""

from collections.abc import Sequence

from common.access import Access
from schools.models import Office, StaffRole
from schools.reach import holds


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
