"""Pure rules of the dashboards: the pace that a target needs, and when something is stuck."""

import datetime as dt
from dataclasses import dataclass


@dataclass(frozen=True)
class Pace:
    """Where a target stands on a day. Rates are per day; `needed` is None once the deadline has passed."""

    done: int
    target: int
    left: int
    days_left: int
    planned: int
    actual_rate: float | None
    needed_rate: float | None

    @property
    def is_met(self) -> bool:
        return self.left == 0

    @property
    def is_overdue(self) -> bool:
        return self.left > 0 and self.days_left <= 0

    @property
    def is_behind(self) -> bool:
        return self.done < self.planned and not self.is_met


def pace(*, done: int, target: int, starts_on: dt.date, ends_on: dt.date, today: dt.date) -> Pace:
    """Plan against actual: what an even pace would have reached by today, and what is needed per day from here.

    `days_left` counts today. Raises ValueError when the period has no day.
    """
    if ends_on < starts_on:
        raise ValueError("the period ends before it starts")
    length = (ends_on - starts_on).days + 1
    elapsed = min(max((today - starts_on).days + 1, 0), length)
    left = max(target - done, 0)
    days_left = max((ends_on - max(today, starts_on)).days + 1, 0)
    return Pace(
        done=done,
        target=target,
        left=left,
        days_left=days_left,
        planned=target * elapsed // length,
        actual_rate=done / elapsed if elapsed else None,
        needed_rate=left / days_left if days_left else None,
    )


# Days after which something that waits is called stuck. (The press of 2021–2022: 32 billion đồng lay nine months.)
STUCK_AFTER_DAYS = {
    "pledge": 10,
    "money": 30,
    "order": 30,
    "inspection": 7,
    "stock": 14,
    "held": 10,
    "missing": 7,
    "loss": 5,
    "replace": 10,
    "shipment": 7,
    "list": 5,
}


def is_stuck(kind: str, *, since: dt.date, today: dt.date) -> bool:
    """Whether something of this kind has waited longer than it should."""
    return (today - since).days > STUCK_AFTER_DAYS[kind]
