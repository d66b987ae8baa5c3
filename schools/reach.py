"""How far a person's roles reach: the one place that every ``for_user()`` and every ``can_*`` is built on.

A role is held in an office and reaches down that office's subtree (one prefix comparison on the materialised path).
The education ministry and the auditors stand beside what they watch (warehouses too), so they reach as far as
their parent office. The information ministry does not: it sees coverage nationally, never children.
"""

import hashlib
from dataclasses import dataclass

from django.db import connection
from django.db.models import Q

# Kinds of office that watch rather than command: they see all that their parent sees.
WATCHING_KINDS = {"moet", "audit"}
# Asked at every staff page: written out, it costs a sixth of what it did when the ORM built it anew each time.
HELD = """
SELECT r.role, o.kind, o.id, o.path FROM schools_staffrole r JOIN schools_office o ON o.id = r.office_id
WHERE r.user_id = %s AND r.ended_at IS NULL ORDER BY r.id
"""


@dataclass(frozen=True)
class HeldRole:
    """A live role: which, in what kind of office, and the path prefix that it reaches."""

    role: str
    kind: str
    office_id: int
    path: str

    @property
    def reach(self) -> str:
        """The prefix of office paths within reach: the office's own path, or its parent's for a watching office."""
        if self.kind in WATCHING_KINDS:
            return self.path.rstrip("/").rpartition("/")[0] + "/"
        return self.path


def held_roles(user) -> tuple[HeldRole, ...]:
    """The live roles of a person, read once per request (`User` objects of a request remember them)."""
    if not user.is_authenticated or not user.is_active:
        return ()
    if (known := getattr(user, "_held_roles", None)) is not None:
        return known
    with connection.cursor() as cursor:
        cursor.execute(HELD, [user.pk])
        held = tuple(HeldRole(*row) for row in cursor.fetchall())
    if getattr(user, "remembers_roles", False):
        user._held_roles = held
    return held


def holds(user, *roles: str, kinds: tuple[str, ...] | list[str] = (), office=None) -> bool:
    """Whether the user holds one of the roles (any if none named), in an office of one of the kinds (any if none),
    reaching the given office (anywhere if none)."""
    return any(
        (not roles or held.role in roles)
        and (not kinds or held.kind in kinds)
        and (office is None or office.path.startswith(held.reach))
        for held in held_roles(user)
    )


def reach(user, *roles: str, kinds: tuple[str, ...] | list[str] = (), through: str = "") -> Q:
    """A filter for the rows whose office is within reach of the user's (given) roles.

    Args:
        roles, kinds: as in `holds`.
        through: the look-up from the row to its office, such as ``"school__office__"``; empty on `Office` itself.

    For a role that reaches the whole tree the filter is empty, so that it costs no join.
    """
    prefixes = {
        held.reach
        for held in held_roles(user)
        if (not roles or held.role in roles) and (not kinds or held.kind in kinds)
    }
    if any(prefix.count("/") <= 2 for prefix in prefixes):  # "/CT/", the root
        return Q()
    # Those below another of the same person add nothing.
    wide = [p for p in sorted(prefixes) if not any(p != other and p.startswith(other) for other in prefixes)]
    if not wide:
        return Q(pk__in=[])
    condition = Q()
    for prefix in wide:
        condition |= Q(**{f"{through}path__startswith": prefix})
    return condition


def trace_of_reach(user) -> str:
    """SHA-256 in hex of a person's live roles and how far they reach: the same as long as they see the same rows."""
    held = sorted((held.role, held.kind, held.reach) for held in held_roles(user))
    return hashlib.sha256(repr(held).encode()).hexdigest()
