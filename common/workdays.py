"""Working days in Vietnam, for legal deadlines: Monday to Friday outside public holidays (Labour Code 2019, art. 112).

A holiday that falls on a weekend is made up for on the next working day (art. 111.3); the days of Tết and of the
Hùng kings follow the lunar calendar. 2021 to 2026 as the Government announced them, later years by the rule.
Days swapped against a Saturday are not counted as holidays: a deadline is then a day early, never late.
"""

import datetime as dt

FIXED = {(1, 1), (4, 30), (5, 1), (9, 2)}
# (month, first day, last day) of what the fixed days don't say.
MOVING = {
    2021: ((2, 10, 16), (4, 21, 21), (5, 3, 3), (9, 3, 3)),
    2022: ((1, 3, 3), (1, 31, 31), (2, 1, 4), (4, 11, 11), (5, 2, 3), (9, 1, 1)),
    2023: ((1, 2, 2), (1, 20, 26), (5, 2, 3), (9, 1, 1), (9, 4, 4)),
    2024: ((2, 8, 14), (4, 18, 18), (9, 3, 3)),
    2025: ((1, 27, 31), (4, 7, 7), (9, 1, 1)),
    2026: ((2, 16, 20), (4, 27, 27), (9, 1, 1)),
    2027: ((2, 5, 5), (2, 8, 11), (4, 16, 16), (5, 3, 3), (9, 3, 3)),
    2028: ((1, 3, 3), (1, 25, 31), (4, 4, 4), (5, 2, 3), (9, 1, 1), (9, 4, 4)),
}
HOLIDAYS = frozenset(
    dt.date(year, month, day)
    for year, spans in MOVING.items()
    for month, first, last in spans
    for day in range(first, last + 1)
)


def is_working_day(day: dt.date) -> bool:
    """Monday to Friday outside public holidays."""
    return day.weekday() < 5 and (day.month, day.day) not in FIXED and day not in HOLIDAYS


def add_working_days(start: dt.date, count: int) -> dt.date:
    """The day that is `count` working days after `start` (which itself does not count).

    >>> add_working_days(dt.date(2021, 11, 15), 10)
    datetime.date(2021, 11, 29)
    """
    day = start
    while count:
        day += dt.timedelta(days=1)
        count -= is_working_day(day)
    return day
