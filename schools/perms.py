"""Who may, in the offices: the mark for staff pages, and predicates on objects."""

from collections.abc import Sequence

from common.access import Access
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
