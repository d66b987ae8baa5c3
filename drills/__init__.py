"""Drills: what must hold when processes are killed, files are cut and backups come back. Each prints one JSON line.

python -m drills [name …]
"""

from collections.abc import Callable

Drill = Callable[[], dict]
DRILLS: dict[str, Drill] = {}


class NotRunError(Exception):
    """What a drill needs is not there; the message says what. Neither held nor broken."""


def drill(name: str) -> Callable[[Drill], Drill]:
    """Register a drill; it returns its figures, raises AssertionError when a promise broke, NotRunError where it can't be tried."""

    def register(function: Drill) -> Drill:
        DRILLS[name] = function
        return function

    return register
