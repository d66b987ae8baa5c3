"""Reference data loaded again and again: it follows its files, and leaves alone what officials have written."""

import csv
import datetime as dt

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from common.models import Programme
from common.tables import Upserted
from schools.models import DirectivePeriod
from sms_program.reference import STEPS
from tests.delivery_world import _unit

pytestmark = pytest.mark.django_db
load = STEPS["thời gian thực hiện Chỉ thị 16"]


@pytest.fixture
def folder(tmp_path):
    """`folder(("01", "2021-07-24", "2021-09-20"), …)` writes the file of periods."""
    _unit("province", "01", "Hà Nội")
    _unit("province", "79", "Thành phố Hồ Chí Minh")

    def write(*periods):
        with (tmp_path / "directive16.csv").open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["unit", "starts_on", "ends_on", "is_teaching_online", "source"])
            rows.writerows([*period, "1", "Báo chí"] for period in periods)
        return tmp_path

    return write


def periods() -> list[tuple]:
    rows = DirectivePeriod.objects.order_by("unit__code", "starts_on").values_list(
        "unit__code", "starts_on", "ends_on"
    )
    return [(code, str(starts), str(ends)) for code, starts, ends in rows]


HANOI, SAIGON = ("01", "2021-07-24", "2021-09-20"), ("79", "2021-07-09", "2021-09-30")


def test_a_period_that_left_the_file_goes_and_a_second_load_changes_nothing(folder):
    assert load(folder(HANOI, SAIGON)) == Upserted(2, 0, 0)
    assert load(folder(HANOI, SAIGON)) == Upserted(0, 0, 2)
    moved = ("01", "2021-07-19", "2021-09-20")
    assert load(folder(moved)) == Upserted(1, 0, 0, removed=2)
    assert periods() == [moved]
    assert load(folder(moved)) == Upserted(0, 0, 1)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pgh_label, count(*) FROM schools_directiveperiodevent GROUP BY 1 ORDER BY 1")
        assert cursor.fetchall() == [("delete", 2), ("insert", 3)]


def test_what_an_official_corrected_or_added_goes_before_the_file(folder):
    load(folder(HANOI, SAIGON))
    corrected = DirectivePeriod.objects.get(unit__code="01")
    corrected.starts_on, corrected.is_from_file = dt.date(2021, 7, 26), False  # as the admin saves it
    corrected.save()
    later = DirectivePeriod.objects.create(
        unit=corrected.unit, starts_on=dt.date(2022, 1, 1), source="Công văn 1"
    )
    for _ in range(2):
        assert load(folder(HANOI, SAIGON)) == Upserted(0, 0, 1)
    assert load(folder()) == Upserted(0, 0, 0, removed=1)
    assert set(DirectivePeriod.objects.all()) == {corrected, later}


def test_the_demonstration_wants_the_reference_data_first():
    with pytest.raises(CommandError, match=r"manage\.py prepare"):
        call_command("demo")
    assert not Programme.objects.filter(is_demonstration=True).exists()
