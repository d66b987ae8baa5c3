"""Decisions about offices and people: pure, no Django, no clock."""

# Which roles make sense in which kind of office; every kind has someone in charge and people who only look.
_EVERYWHERE = ("manager", "clerk", "approver", "viewer")
_ROLES = {
    "programme": (*_EVERYWHERE, "keeper", "inspector"),
    "warehouse": ("manager", "keeper", "inspector", "clerk", "viewer"),
    "audit": ("auditor", "viewer"),
    "province_department": (*_EVERYWHERE, "keeper", "inspector", "auditor"),
    "district_office": (*_EVERYWHERE, "keeper"),
    "school": (*_EVERYWHERE, "keeper"),
    "university": (*_EVERYWHERE, "keeper"),
    "moet": (*_EVERYWHERE, "auditor"),
    "mic": (*_EVERYWHERE, "auditor"),
}


def grantable_roles(kind: str) -> tuple[str, ...]:
    """The roles that may be held in an office of this kind.

    >>> grantable_roles("audit")
    ('auditor', 'viewer')
    """
    return _ROLES.get(kind, _EVERYWHERE)


def mask_identity(number: str) -> str:
    """Show an identity number so that its owner recognises it and nobody else learns it: the last three digits.

    >>> mask_identity("001213004321")
    '•••••••••321'
    """
    return "•" * max(0, len(number) - 3) + number[-3:]


def successor_chain(office: int, successors: dict[int, int]) -> int:
    """Follow successors from one office to the one that does its work now.

    Raises ValueError when the chain comes back to where it was: two offices cannot take over from each other.

    >>> successor_chain(1, {1: 2, 2: 3})
    3
    """
    seen = {office}
    while office in successors:
        office = successors[office]
        if office in seen:
            raise ValueError("Chuỗi cơ quan tiếp nhận công việc quay vòng.")
        seen.add(office)
    return office
