"""Pure decisions of coverage and delivery: plans, measurements, burn-down, scans, working days, public places."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import workdays
from coverage import rules
from delivery import rules as delivery
from ledger.codes import new_device_codes

DAY = dt.date(2021, 11, 15)
dates = st.dates(dt.date(2021, 1, 1), dt.date(2023, 12, 31))


@given(dates)
def test_a_plan_lasts_three_months_to_the_day(start):
    end = rules.plan_ends_on(start)
    after = end + dt.timedelta(days=1)
    assert (after.year * 12 + after.month) - (start.year * 12 + start.month) == 3
    # The same day of the month, or its last day where the month is shorter.
    assert after.day == start.day or (after + dt.timedelta(days=1)).day == 1


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"measured_on": None}, "measured_on"),
        ({"measured_on": DAY + dt.timedelta(days=1)}, "measured_on"),
        ({"download_kbps": None}, "download_kbps"),
        ({"download_kbps": 999}, "download_kbps"),
        ({"signal_dbm": 5}, "signal_dbm"),
    ],
)
def test_what_is_no_measurement(change, field):
    good = {"measured_on": DAY, "download_kbps": 1000, "signal_dbm": -95, "today": DAY}
    assert rules.measurement_faults(**good) == {}
    assert set(rules.measurement_faults(**good | change)) == {field}


@given(st.dictionaries(dates, st.integers(1, 50), max_size=20), st.lists(dates, min_size=1, max_size=10))
def test_burn_down_never_rises_and_ends_at_what_is_left(by_day, days):
    days = sorted(days)
    total = sum(by_day.values()) + 7
    left = rules.burn_down(by_day, total=total, days=days)
    counts = [count for _, count in left]
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] == total - sum(n for day, n in by_day.items() if day <= days[-1])


def test_pace_and_lateness():
    assert rules.pace_needed(remaining=47, today=DAY, deadline_on=rules.DEADLINE_ON) == 2
    assert rules.pace_needed(remaining=1, today=rules.DEADLINE_ON, deadline_on=rules.DEADLINE_ON) is None
    deadline = rules.URGENT_DEADLINE_ON
    assert rules.is_late(deadline_on=deadline, covered_on=None, today=DAY)
    assert not rules.is_late(deadline_on=deadline, covered_on=deadline, today=DAY)
    assert rules.is_late(deadline_on=deadline, covered_on=deadline + dt.timedelta(days=1), today=DAY)


def test_each_refused_scan_has_its_own_reason():
    mine, settled, other, known, unknown = new_device_codes(5)
    lines = delivery.read_scan(
        f"https://x.example/thiet-bi/{mine}/\n{mine.lower()}, {settled};{other}\n{known}\n{unknown}\nABC"
    )
    judged = delivery.check_scan(
        lines,
        expected={mine},
        settled={settled: "thiếu"},
        elsewhere={other: "VC-1"},
        known={mine, settled, other, known},
    )
    assert [row.code for row in judged if not row.refusal] == [mine]
    refusals = [row.refusal for row in judged if row.refusal]
    assert len(refusals) == len(set(refusals)) == 6


@given(dates, st.integers(0, 30))
def test_working_days_count_only_themselves(start, count):
    due = workdays.add_working_days(start, count)
    between = [start + dt.timedelta(days=n) for n in range(1, (due - start).days + 1)]
    assert sum(workdays.is_working_day(day) for day in between) == count


@pytest.mark.parametrize(
    ("kind", "rank", "area_rank", "said"),
    [
        ("province_department", 1, 1, "S-79"),
        ("district_office", 2, 1, "VN2021-79"),
        ("school", 4, 2, "VN2021-79"),
        ("school", 4, 4, "S-79"),
    ],
)
def test_an_office_finer_than_the_area_is_not_named(kind, rank, area_rank, said):
    assert delivery.office_rank(kind, None) == rank
    place = delivery.public_place(office="S-79", rank=rank, area="VN2021-79", area_rank=area_rank)
    assert place == said


def test_ageing_of_a_shipment():
    ages = [delivery.ageing(DAY - dt.timedelta(days=days), DAY) for days in (0, 7, 8, 14, 15)]
    assert ages == ["ok", "ok", "stuck", "stuck", "escalate"]
