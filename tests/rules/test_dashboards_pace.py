"""The pace that a target needs, what counts as stuck, and how large a sample is."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.audit import sample_size
from dashboards.rules import is_stuck, pace

START, END = dt.date(2021, 9, 21), dt.date(2021, 12, 31)


def test_half_way_behind_the_plan_needs_a_faster_pace():
    measured = pace(done=92_600, target=1_000_000, starts_on=START, ends_on=END, today=dt.date(2021, 11, 15))
    assert measured.days_left == 47  # 15 November to 31 December, today included
    assert measured.left == 907_400
    assert measured.needed_rate == pytest.approx(907_400 / 47)
    assert measured.planned == 1_000_000 * 56 // 102
    assert measured.is_behind
    assert not measured.is_overdue


def test_a_target_that_is_met_needs_nothing_and_is_never_overdue():
    measured = pace(
        done=283, target=283, starts_on=START, ends_on=dt.date(2021, 9, 30), today=dt.date(2021, 11, 15)
    )
    assert measured.is_met
    assert not measured.is_overdue
    assert not measured.is_behind


def test_after_the_deadline_there_is_no_pace_that_helps():
    measured = pace(done=1, target=2, starts_on=START, ends_on=END, today=dt.date(2022, 1, 1))
    assert measured.is_overdue
    assert measured.needed_rate is None


def test_before_the_start_all_days_are_left():
    measured = pace(done=0, target=10, starts_on=START, ends_on=START, today=dt.date(2021, 9, 1))
    assert (measured.days_left, measured.planned, measured.actual_rate) == (1, 0, None)


def test_a_period_that_ends_before_it_starts_is_refused():
    with pytest.raises(ValueError, match="ends before"):
        pace(done=0, target=1, starts_on=END, ends_on=START, today=START)


@given(
    st.integers(0, 10**7),
    st.integers(0, 10**7),
    st.integers(0, 900),
    st.integers(0, 900),
    st.integers(-400, 1500),
)
def test_going_on_at_the_needed_pace_arrives_at_the_deadline(done, target, before, length, day):
    start = START + dt.timedelta(days=before)
    end = start + dt.timedelta(days=length)
    measured = pace(
        done=done, target=target, starts_on=start, ends_on=end, today=START + dt.timedelta(days=day)
    )
    assert 0 <= measured.planned <= target
    if measured.needed_rate is not None:
        assert done + measured.needed_rate * measured.days_left >= target - 1e-6


@pytest.mark.parametrize(("days", "expected"), [(7, False), (8, True)])
def test_a_shipment_is_stuck_after_a_week(days, expected):
    today = dt.date(2021, 11, 15)
    assert is_stuck("shipment", since=today - dt.timedelta(days=days), today=today) is expected


@pytest.mark.parametrize(("population", "expected"), [(0, 0), (10, 10), (5_000, 357), (1_000_000, 385)])
def test_sample_sizes_are_those_of_the_textbook(population, expected):
    # Cochran 1977: 384.16 for a large population at 5% and 95%; corrected for a finite one.
    assert sample_size(population=population) == pytest.approx(expected, abs=1)
