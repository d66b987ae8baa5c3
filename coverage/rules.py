"""Decisions about points, measurements and data plans. No Django, no clock."""

import datetime as dt
from collections.abc import Mapping

from common.vietnamese import number_text

# Plan II.3b: 4 GB a day, three months, for one million students.
PLAN_DAILY_MB = 4096
PLAN_MONTHS = 3
PLAN_TARGET = 1_000_000
# A family is told this many days before the free plan ends, so that nobody is charged by surprise.
PLAN_WARNING_DAYS = 14
# Plan II.1a, II.1b.
URGENT_DEADLINE_ON = dt.date(2021, 9, 30)
DEADLINE_ON = dt.date(2021, 12, 31)
# What a video lesson needs at least (one stream of 360p); slower is no coverage for online study.
COVERED_MIN_KBPS = 1_000
SIGNAL_RANGE_DBM = (-140, -30)
TECHNOLOGIES = ("3G", "4G", "5G")


def plan_ends_on(starts_on: dt.date) -> dt.date:
    """Last free day of a plan: the day before the same day three months later.

    >>> plan_ends_on(dt.date(2021, 11, 15)), plan_ends_on(dt.date(2021, 11, 30))
    (datetime.date(2022, 2, 14), datetime.date(2022, 2, 27))
    """
    month = starts_on.month - 1 + PLAN_MONTHS
    year, month = starts_on.year + month // 12, month % 12 + 1
    after = dt.date(year + month // 12, month % 12 + 1, 1)
    last_of_month = (after - dt.timedelta(days=1)).day
    return dt.date(year, month, min(starts_on.day, last_of_month)) - dt.timedelta(days=1)


def measurement_faults(
    *, measured_on: dt.date | None, download_kbps: int | None, signal_dbm: int | None, today: dt.date
) -> dict[str, str]:
    """What is missing or impossible in the measurement of a point said to be covered; field → message."""
    faults = {}
    if measured_on is None:
        faults["measured_on"] = "Báo có sóng thì phải ghi ngày đo."
    elif measured_on > today:
        faults["measured_on"] = "Ngày đo chưa tới. Hãy ghi ngày đã đo thực tế."
    if not download_kbps:
        faults["download_kbps"] = "Báo có sóng thì phải ghi tốc độ tải xuống đo được (kbit/s)."
    elif download_kbps < COVERED_MIN_KBPS:
        faults["download_kbps"] = (
            f"{number_text(download_kbps)} kbit/s chưa đủ để học trực tuyến (cần từ {number_text(COVERED_MIN_KBPS)} kbit/s)."
            " Hãy báo trạng thái khác, hoặc đo lại."
        )
    if signal_dbm is not None and not SIGNAL_RANGE_DBM[0] <= signal_dbm <= SIGNAL_RANGE_DBM[1]:
        faults["signal_dbm"] = "Cường độ sóng nằm trong khoảng −140 đến −30 dBm."
    return faults


def pace_needed(*, remaining: int, today: dt.date, deadline_on: dt.date) -> int | None:
    """Points a day (rounded up) to be in time; None when the deadline has passed or nothing remains."""
    days = (deadline_on - today).days
    if remaining <= 0 or days <= 0:
        return None
    return -(-remaining // days)


def burn_down(
    covered_by_day: Mapping[dt.date, int], *, total: int, days: list[dt.date]
) -> list[tuple[dt.date, int]]:
    """How many points remained at the end of each of `days` (ascending).

    Args:
        covered_by_day: how many points got signal on each day.
        total: points in all.
    """
    remaining = []
    ordered = sorted(covered_by_day.items())
    done, place = 0, 0
    for day in days:
        while place < len(ordered) and ordered[place][0] <= day:
            done += ordered[place][1]
            place += 1
        remaining.append((day, total - done))
    return remaining


def is_late(*, deadline_on: dt.date, covered_on: dt.date | None, today: dt.date) -> bool:
    """Whether a point missed its deadline: covered after it, or still not covered when it has passed."""
    return (covered_on or today) > deadline_on
