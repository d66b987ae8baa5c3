"""What of a day's figures the public sees (rule 4): decided once, when they are stored, and stored beside them."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

from dashboards.figures import DONOR_HANDED_OVER, NATION
from dashboards.models import NeedRelease
from ledger.disclosure import FEW, HIDDEN, PublicLine, release_line, ten_or_none
from schools.models import AdministrativeUnit

# From the lists, which nobody outside has: by province its number is shown by `release_line`.
NEED = "need"
# By province for staff alone: what moves from it to the need from one day to the next would be a second line of it.
STAFF_ONLY = ("listed",)
# Anybody makes these counts from the entries (the area of each device is public), so there is nothing to protect: a
# count of 1 to 9 is only not spread.
FROM_ENTRIES = ("allocated", "in_province", "handed_over", "in_use")

Values = Mapping[tuple[str, str], int]


@dataclass(frozen=True)
class Standing:
    """A number that stands in public, and since which day."""

    number: int
    since: dt.date


def show(values: Values, *, on: dt.date) -> dict[tuple[str, str], Standing]:
    """What the public sees of the figures of a day; a figure that isn't in the answer is hidden.

    Keeps what stands of the need now, so that the next release is measured against it.
    """
    shown = {}
    for (name, area), value in values.items():
        if area == NATION or name not in (NEED, *STAFF_ONLY):
            number = show_alone(name, area, value)
            if number is not None:
                shown[name, area] = Standing(number, on)
    need = {area: value for (name, area), value in values.items() if name == NEED and area != NATION}
    for area, standing in _show_need(need, on=on).items():
        shown[NEED, area] = standing
    return shown


def _show_need(need: Mapping[str, int], *, on: dt.date) -> dict[str, Standing]:
    merged = AdministrativeUnit.objects.provinces().filter(successor__isnull=False)
    into = dict(merged.exclude(public_code__in=need).values_list("public_code", "successor__public_code"))
    stood = [(row.total, _merged(row, into)) for row in NeedRelease.objects.order_by("pk")]
    lines = [PublicLine(total, {area: old.number for area, old in row.items()}) for total, row in stood]
    before = stood[-1][1] if stood else {}
    shown = {}
    for area, number in release_line(need, lines).items():
        old = before.get(area)
        shown[area] = old if old and old.number == number else Standing(number, on)
    total = sum(need.values())
    if not stood or stood[-1] != (total, shown):
        row = {area: [standing.number, standing.since.isoformat()] for area, standing in shown.items()}
        NeedRelease.objects.create(on=on, total=total, shown=row)
    return shown


def _merged(row: NeedRelease, into: Mapping[str, str]) -> dict[str, Standing]:
    """The numbers of a release, those of provinces that were merged since added up at their successor.

    Shown by its own count alone, the successor would give away the part that was hidden.
    """
    parts: dict[str, Standing] = {}
    for area, (number, since) in row.shown.items():
        standing, code = Standing(number, dt.date.fromisoformat(since)), into.get(area, area)
        if there := parts.get(code):
            standing = Standing(number + there.number, max(standing.since, there.since))
        parts[code] = standing
    return parts


def show_alone(name: str, area: str, value: int) -> int | None:
    """What the public sees of a figure that no other one bears on; None where it is hidden."""
    if name == DONOR_HANDED_OVER or (name in FROM_ENTRIES and area != NATION):
        return ten_or_none(value)
    return value


def hidden_text(name: str) -> str:
    """What stands for a hidden figure: "<10" where anybody could count it, else "ẩn", which doesn't even say that."""
    return HIDDEN if name == NEED or name in STAFF_ONLY else FEW
