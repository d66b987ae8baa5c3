"""`manage.py check_list`: the same reading from the command line, nothing written."""

import json

import pytest
from django.core.management import call_command

from schools.models import DuplicateCase, ListRow, Student, StudentList
from schools.services import list_reading, lists
from tests.lists_world import AT, make_world, student_row, table, workbook

pytestmark = pytest.mark.django_db
KEYS = {"file_sha256", "sheet", "header_row", "columns", "rows_read", "skipped", "ok", "corrected", "warnings",
        "duplicates", "errors", "converted_from", "findings", "refused"}  # fmt: skip


@pytest.fixture
def world(db):
    return make_world()


@pytest.fixture
def check(world, tmp_path, capsys):
    """`check(bytes)`: (exit status, report)."""

    def check(content: bytes, *options: str) -> tuple[int, dict]:
        path, output = tmp_path / "tep.xlsx", tmp_path / "report.json"
        path.write_bytes(content)
        status = 0
        try:
            call_command("check_list", str(path), "--office", "S-79", "--output", str(output), *options)
        except SystemExit as stop:
            status = stop.code
        return status, json.loads(output.read_text(encoding="utf-8"))

    return check


def test_the_report_says_what_happened_to_every_row_and_masks_numbers(check, tmp_path):
    rows = [student_row(1), student_row(2, full_name="LÊ THỊ LAN"), student_row(3, identity="07931000000"),
            student_row(4, group="Khó khăn"), student_row(1)]  # fmt: skip
    status, report = check(workbook(table(rows)), "--marked", str(tmp_path / "marked.xlsx"))
    assert status == 0
    assert report.keys() >= KEYS
    outcomes = [report[key] for key in ("ok", "corrected", "warnings", "duplicates", "errors")]
    assert sum(outcomes) == report["rows_read"] == 5
    assert report["duplicates"] == 1
    assert {"row", "column", "value", "kind", "code", "message"} == report["findings"][0].keys()
    assert "079310000001" not in json.dumps(report)
    assert (tmp_path / "marked.xlsx").read_bytes()[:2] == b"PK"
    assert not StudentList.objects.exists()
    assert not ListRow.objects.exists()


def test_a_refused_file_and_an_unknown_office_exit_with_two(check, tmp_path):
    status, report = check(b"%PDF-1.4")
    assert (status, report["refused"]["code"]) == (2, "not_workbook")
    status, report = check(workbook(table([student_row(1)])), "--office", "S-00")
    assert (status, report["refused"]["code"]) == (2, "office_unknown")


def test_a_child_of_another_office_is_a_duplicate_here_too(check, world):
    people = world.people
    made = list_reading.upload_list(
        by=people["hanoi"], office=world.offices["S-01"], file_name="a.xlsx", at=AT, start=False,
        content=workbook(table([student_row(1, school_code="01000301", commune="")])),
    )  # fmt: skip
    made = list_reading.read_list(by=people["hanoi"], student_list=made, at=AT)
    lists.commit_list(by=people["hanoi"], student_list=made, at=AT)
    status, report = check(workbook(table([student_row(1), student_row(2)])))
    assert (status, report["ok"], report["duplicates"]) == (0, 1, 1)
    assert report["findings"][0]["code"] == "same_identity_in_system"
    assert Student.objects.count() == 1


def test_a_row_that_is_two_students_is_told_and_nothing_stays(check, world):
    by, office = world.people["lap"], world.offices["S-79"]
    made = list_reading.upload_list(
        by=by, office=office, file_name="a.xlsx", at=AT, start=False,
        content=workbook(table([student_row(1), student_row(2)])),
    )  # fmt: skip
    lists.commit_list(by=by, student_list=list_reading.read_list(by=by, student_list=made, at=AT), at=AT)
    kept = ListRow.objects.count()
    # The number of one child with the code of the other.
    mixed = workbook(table([student_row(1, student_code=student_row(2)["student_code"]), student_row(3)]))
    status, report = check(mixed)
    assert (status, report["ok"], report["duplicates"]) == (0, 1, 1)
    assert report["findings"][0]["code"] == "same_identity_in_system"
    assert (ListRow.objects.count(), StudentList.objects.count(), DuplicateCase.objects.count()) == (
        kept,
        1,
        0,
    )
    # The page says the very same of the very same file.
    again = list_reading.upload_list(
        by=by, office=office, file_name="b.xlsx", at=AT, start=False, content=mixed
    )
    again = list_reading.read_list(by=by, student_list=again, at=AT)
    row = again.rows.get(outcome=ListRow.Outcome.DUPLICATE)
    assert (row.number, row.findings[-1][4]) == (
        report["findings"][0]["row"],
        report["findings"][0]["message"],
    )
