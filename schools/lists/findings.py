"""What can be said about a cell: its kind decides the outcome of its row."""

import re
from typing import NamedTuple

from schools.lists.columns import ALL_TITLES

CORRECTION, WARNING, DUPLICATE, ERROR = "correction", "warning", "duplicate", "error"
OK, CORRECTED = "ok", "corrected"
GRAVITY = {CORRECTION: 1, WARNING: 2, DUPLICATE: 3, ERROR: 4}
# The outcome of a row, by the gravity of its gravest finding.
OUTCOMES = (OK, CORRECTED, WARNING, DUPLICATE, ERROR)
# Identity numbers have 9 or 12 digits (11 when a zero was eaten); they may stand in a wrong column too.
_IDENTITY_LIKE = re.compile(r"\d(?:[ .-]?\d){10,}|(?<!\d)\d{9}(?!\d)")


class Finding(NamedTuple):
    """One thing said about one cell (``column`` is our key)."""

    column: str
    kind: str
    code: str
    value: str
    message: str

    def as_report(self, row: int) -> dict:
        return {
            "row": row,
            "column": ALL_TITLES.get(self.column, self.column),
            "value": self.value,
            "kind": self.kind,
            "code": self.code,
            "message": self.message,
        }


def mask(text: str) -> str:
    """Show only the last three digits of what may be an identity number."""
    return _IDENTITY_LIKE.sub(lambda found: "•" * (len(found[0]) - 3) + found[0][-3:], text)


def mask_identity(text: str) -> str:
    """Mask the text of an identity cell whatever was typed there."""
    return "•" * max(len(text) - 3, 0) + text[-3:] if len(text) > 3 else "•" * len(text)


def outcome_of(findings: list[Finding]) -> str:
    """The one outcome of a row: the gravest finding decides."""
    return OUTCOMES[max((GRAVITY[finding.kind] for finding in findings), default=0)]
