"""A list from upload to approval on the real database, the sandboxed reader included."""

import datetime as dt

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from common import crypto
from schools.models import DuplicateCase, ListRow, Student, StudentList
from schools.services import list_matching, list_reading, lists
from tests.lists_world import AT, make_world, student_row, table, workbook

pytestmark = pytest.mark.django_db
State, Outcome, Effect = StudentList.State, ListRow.Outcome, ListRow.Effect


@pytest.fixture
def world(db):
    return make_world()


def send(world, rows, *, office="S-79", by="lap", **options) -> StudentList:
    student_list = list_reading.upload_list(
        by=world.people[by], office=world.offices[office], content=workbook(table(rows)),
        file_name="danh-sach.xlsx", at=AT, start=False, **options,
    )  # fmt: skip
    return list_reading.read_list(by=world.people[by], student_list=student_list, at=AT)


def commit(world, student_list, *, by="lap", **options) -> StudentList:
    return lists.commit_list(by=world.people[by], student_list=student_list, at=AT, **options)


def rows_of(number: int, first: int = 1, **changed) -> list[dict]:
    return [student_row(n, **changed) for n in range(first, first + number)]


def test_every_row_has_one_outcome_and_none_is_dropped(world):
    rows = [
        student_row(1),
        student_row(2, full_name="NGUYỄN THỊ LAN"),
        student_row(3, household_code=""),
        student_row(1),
        student_row(5, born_on="31/02/2010"),
        student_row(6, school_code="01000301"),
    ]
    student_list = send(world, rows)
    assert student_list.state == State.CHECKED
    count = list_matching.counts(student_list)
    assert count["outcomes"] == {0: 1, 1: 1, 2: 1, 3: 1, 4: 2}
    assert count["total"] == student_list.reading["rows_read"] == len(rows)
    assert (count["ready"], count["left_out"]) == (2, 4)


def test_numbers_rest_sealed_and_are_found_by_index_only(world):
    student_list = send(world, rows_of(1))
    row = student_list.rows.get()
    assert crypto.unseal(row.identity_sealed) == b"079310000001"
    assert bytes(row.identity_index) == crypto.blind_index("079310000001")
    assert b"079310000001" not in student_list.file.read()


def test_commit_writes_good_rows_and_the_same_file_again_changes_nothing(world):
    commit(world, send(world, rows_of(3)))
    assert Student.objects.count() == 3
    student = Student.objects.get(code="7900000001")
    assert (student.state, student.grade, student.group) == ("listed", 6, "poor")
    again = send(world, rows_of(3))
    assert list_matching.counts(again)["effects"] == {0: 0, 1: 0, 2: 3}
    with pytest.raises(ValidationError, match="không có gì mới"):
        commit(world, again)
    assert Student.objects.count() == 3


def test_a_changed_row_updates_its_student_and_undo_puts_it_back(world):
    commit(world, send(world, rows_of(2)))
    changed = send(world, [student_row(1, group="Hộ cận nghèo"), student_row(2), student_row(3)])
    assert list_matching.counts(changed)["effects"] == {0: 1, 1: 1, 2: 1}
    changed = commit(world, changed)
    assert Student.objects.get(code="7900000001").group == "near_poor"
    lists.undo_commit(by=world.people["lap"], student_list=changed, at=AT + dt.timedelta(hours=23))
    student = Student.objects.get(code="7900000001")
    assert student.group == "poor"
    assert crypto.unseal(student.identity_sealed) == b"079310000001"
    assert not Student.objects.filter(code="7900000003").exists()


def test_undo_is_refused_after_a_day_and_when_rows_were_used(world):
    student_list = commit(world, send(world, rows_of(2)))
    with pytest.raises(ValidationError, match="24 giờ"):
        lists.undo_commit(by=world.people["lap"], student_list=student_list, at=AT + dt.timedelta(hours=25))
    commit(world, send(world, [student_row(1, class_name="7B")]))
    with pytest.raises(ValidationError, match="đã được dùng"):
        lists.undo_commit(by=world.people["lap"], student_list=student_list, at=AT + dt.timedelta(hours=1))
    assert Student.objects.count() == 2


def test_all_or_nothing_writes_nothing_when_a_row_is_bad(world):
    student_list = send(world, [student_row(1), student_row(2, born_on="")])
    with pytest.raises(ValidationError, match="Còn 1 hàng"):
        commit(world, student_list, all_or_nothing=True)
    assert not Student.objects.exists()


def test_warnings_are_written_once_the_office_stands_by_them(world):
    student_list = send(world, [student_row(1, identity=""), student_row(2)])
    assert list_matching.counts(student_list)["ready"] == 1
    lists.acknowledge(by=world.people["lap"], student_list=student_list, codes=["identity_missing"], at=AT)
    commit(world, student_list)
    assert Student.objects.count() == 2


def test_a_fixed_cell_is_checked_again_with_the_rows_it_was_like(world):
    student_list = send(world, [student_row(1), student_row(2, identity="079310000001", student_code="")])
    second = student_list.rows.get(number=3)
    assert second.outcome == Outcome.DUPLICATE
    first = student_list.rows.get(number=2)
    list_reading.fix_cells(by=world.people["lap"], row=first, values={"identity": "079310000009"}, at=AT)
    second.refresh_from_db()
    assert second.outcome == Outcome.OK
    broken = list_reading.fix_cells(
        by=world.people["lap"], row=second, values={"born_on": "31/02/2010"}, at=AT
    )
    assert (broken.outcome, broken.born_on) == (Outcome.ERROR, None)
    assert list_reading.cells_of(broken)["born_on"] == "31/02/2010"


def test_a_child_of_another_province_is_a_dispute_and_says_no_name(world):
    commit(world, send(world, rows_of(1)))
    student_list = send(world, [student_row(1, school_code="01000301")], office="S-01", by="hanoi")
    row = student_list.rows.get()
    assert row.outcome == Outcome.DUPLICATE
    case = DuplicateCase.objects.get()
    assert case.is_disputed
    assert case.reason == "identity"
    said = row.findings[-1][4]
    assert "Thành phố Hồ Chí Minh" in said
    assert "Tân Định" not in said
    with pytest.raises(ValidationError):
        commit(world, student_list, by="hanoi")


def test_a_likely_child_of_the_same_province_waits_for_a_person(world):
    commit(world, send(world, [student_row(1, student_code="")]))
    student_list = send(
        world, [student_row(1, student_code="7999999999", identity="", school_code="79000702")]
    )
    row = student_list.rows.get()
    assert row.outcome == Outcome.DUPLICATE
    case = DuplicateCase.objects.get()
    assert (case.reason, case.is_disputed) == ("likely", False)


def test_three_people_are_needed_and_the_database_says_so_too(world):
    student_list = commit(world, send(world, rows_of(2)))
    people = world.people
    lists.submit_list(by=people["lap"], student_list=student_list, at=AT)
    with pytest.raises(ValidationError, match="khác người tải lên"):
        lists.verify_list(by=people["lap"], student_list=student_list, at=AT)
    lists.verify_list(by=people["lap2"], student_list=student_list, at=AT)
    for name in ("lap", "lap2"):
        with pytest.raises(ValidationError, match="phải khác"):
            lists.approve_list(by=people[name], student_list=student_list, at=AT)
    for name in ("lap", "lap2"):
        with pytest.raises(IntegrityError), transaction.atomic():
            StudentList.objects.filter(pk=student_list.pk).update(
                state="approved", approved_at=AT, approved_by=people[name]
            )
    lists.approve_list(by=people["duyet"], student_list=student_list, at=AT)
    assert set(Student.objects.values_list("state", "approved_by")) == {("approved", people["duyet"].pk)}


def test_a_returned_list_says_why_and_can_be_submitted_again(world):
    student_list = commit(world, send(world, rows_of(1)))
    people = world.people
    lists.submit_list(by=people["lap"], student_list=student_list, at=AT)
    with pytest.raises(ValidationError, match="lý do"):
        lists.return_list(by=people["duyet"], student_list=student_list, reason=" ", at=AT)
    returned = lists.return_list(by=people["duyet"], student_list=student_list, reason="Thiếu lớp 9", at=AT)
    assert returned.state == State.RETURNED
    assert lists.submit_list(by=people["lap"], student_list=returned, at=AT).state == State.SUBMITTED


def test_a_refused_file_leaves_the_reason_and_no_row(world):
    student_list = list_reading.upload_list(
        by=world.people["lap"], office=world.offices["S-79"], content=b"%PDF-1.4 ...", file_name="a.xlsx",
        at=AT, start=False,
    )  # fmt: skip
    student_list = list_reading.read_list(by=world.people["lap"], student_list=student_list, at=AT)
    assert (student_list.state, student_list.refused_code) == (State.REFUSED, "not_workbook")
    assert not student_list.rows.exists()


def test_a_mapping_by_hand_is_remembered_for_the_office(world):
    cells = table(rows_of(2))
    cells[0][3] = "Cháu nào"
    people = world.people

    def upload() -> StudentList:
        made = list_reading.upload_list(
            by=people["lap"], office=world.offices["S-79"], content=workbook(cells), file_name="a.xlsx", at=AT, start=False
        )  # fmt: skip
        return list_reading.read_list(by=people["lap"], student_list=made, at=AT)

    refused = upload()
    assert refused.state == State.REFUSED
    again = list_reading.read_again(
        by=people["lap"], student_list=refused, at=AT, mapping={"Cháu nào": "full_name"}
    )
    assert list_reading.read_list(by=people["lap"], student_list=again, at=AT).state == State.CHECKED
    assert upload().state == State.CHECKED


def test_an_illegal_move_is_refused_by_the_database(world):
    student_list = send(world, rows_of(1))
    with pytest.raises(IntegrityError), transaction.atomic():
        StudentList.objects.filter(pk=student_list.pk).update(state="approved")
