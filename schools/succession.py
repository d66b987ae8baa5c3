"""When an office closes or merges its open work goes to the successor: each app says what its open work is.

A function in ``<app>/succession.py`` marked with ``@moves("danh sách đang làm")`` moves the open work of its app in a
few set-based statements; what is finished stays with the office that did it. Nothing is imported upward: Django finds
the modules, as it finds ``admin.py``.
"""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from schools.models import Office, Student, StudentList


class Mover(Protocol):
    def __call__(self, *, by, old: Office, new: Office, at: dt.datetime) -> int:
        """Move the open work; return how many rows (people, lists, devices) moved."""


@dataclass(frozen=True)
class OpenWork:
    """One kind of open work: what people call it, and how it moves."""

    name: str
    move: Mover


registered: list[OpenWork] = []


def moves(name: str) -> Callable[[Mover], Mover]:
    """Register a function as the mover of one kind of open work."""

    def register(move: Mover) -> Mover:
        registered.append(OpenWork(name, move))
        return move

    return register


@moves("học sinh đang học")
def move_students(*, by, old: Office, new: Office, at: dt.datetime) -> int:
    """Pupils of a school that closes learn in the school that takes over."""
    learning = [Student.State.LISTED, Student.State.APPROVED]
    return Student.objects.filter(school=old.pk, state__in=learning).update(school=new.pk)


@moves("danh sách chưa phê duyệt")
def move_lists(*, by, old: Office, new: Office, at: dt.datetime) -> int:
    """Lists that nobody has approved, refused or undone are finished by the office that takes over."""
    State = StudentList.State
    finished = [State.APPROVED, State.REFUSED, State.UNDONE]
    return StudentList.objects.filter(office=old).exclude(state__in=finished).update(office=new)
