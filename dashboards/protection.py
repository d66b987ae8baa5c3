"""What of a day's figures the public may not see: rule 4 within the release and against every other release."""

import datetime as dt
from collections import defaultdict

from dashboards.figures import NATION
from dashboards.models import DailyFigure
from ledger.disclosure import FEW, HIDDEN, Release, as_shown, hide_after

# Counts of children below the nation; points and their like are nobody's personal data.
PROTECTED = ("need", "listed", "allocated", "in_province", "handed_over", "in_use")


def protect_day(*, on: dt.date) -> int:
    """Mark which figures of a day are hidden, given every other release that hid something; how many are.

    What is hidden already stays so. In the transaction that writes the figures; a revision of a past day is measured
    against the days after it too.
    """
    count = 0
    for name in PROTECTED:
        today, others = _releases(name, on)
        hidden = hide_after(today.values, [*others, today]) if today.values else frozenset()
        figures = DailyFigure.objects.filter(on=on, name=name)
        shown = as_shown(today.values, hidden)
        for instead in (FEW, HIDDEN):
            areas = [area for area, text in shown.items() if text == instead]
            figures.filter(area__in=areas).exclude(instead=instead).update(instead=instead)
        count += len(hidden)
    return count


def _releases(name: str, on: dt.date) -> tuple[Release, list[Release]]:
    """The day's row of provinces, and the different rows of the days on which something was hidden."""
    figures = DailyFigure.objects.filter(name=name).exclude(area=NATION)
    days = figures.exclude(instead="").values("on")
    rows = figures.filter(on__in=days) | figures.filter(on=on)
    values: dict[dt.date, dict[str, int]] = defaultdict(dict)
    hidden: dict[dt.date, set[str]] = defaultdict(set)
    for day, area, value, instead in rows.order_by("revision").values_list("on", "area", "value", "instead"):
        values[day][area] = value
        if instead:
            hidden[day].add(area)
    today = Release(values.pop(on, {}), frozenset(hidden.pop(on, ())))
    different = {
        (tuple(sorted(row.items())), frozenset(hidden[day])): Release(row, frozenset(hidden[day]))
        for day, row in values.items()
    }
    return today, list(different.values())
