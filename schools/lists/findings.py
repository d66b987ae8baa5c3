"""What can be said about a cell: its kind decides the outcome of its row."""

import re
from typing import NamedTuple

from schools.lists.columns import ALL_TITLES

CORRECTION, WARNING, DUPLICATE, ERROR = "correction", "warning", "duplicate", "error"
# The gravest finding of a row decides its outcome; a row without any is right as it is (0).
GRAVITY = {CORRECTION: 1, WARNING: 2, DUPLICATE: 3, ERROR: 4}
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
