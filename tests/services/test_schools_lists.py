"""A list from upload to approval on the real database, the sandboxed reader included."""

import datetime as dt

import pytest
from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from allocation import freezing
from common import crypto
from schools import perms
from schools.models import DuplicateCase, ListRow, StaffRole, Student, StudentList, ToldApart
from schools.services import list_matching, list_namesakes, list_reading, list_rows, lists, students
from tests.lists_world import AT, commit_list, make_world, send_list, student_row, table, workbook

pytestmark = pytest.mark.django_db
State, Outcome, Effect = StudentList.State, ListRow.Outcome, ListRow.Effect


@pytest.fixture
def world(db):
    return make_world()


send, commit = send_list, commit_list


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
    list_rows.fix_cells(by=world.people["lap"], row=first, values={"identity": "079310000009"}, at=AT)
    second.refresh_from_db()
    assert second.outcome == Outcome.OK
    broken = list_rows.fix_cells(by=world.people["lap"], row=second, values={"born_on": "31/02/2010"}, at=AT)
    assert (broken.outcome, broken.born_on) == (Outcome.ERROR, None)
    assert list_rows.cells_of(broken)["born_on"] == "31/02/2010"


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


def test_a_student_in_two_lists_is_one_applicant_of_a_run(world):
    people = world.people
    for rows in (rows_of(2), [student_row(1, class_name="6B"), student_row(3)]):
        student_list = commit(world, send(world, rows))
        lists.submit_list(by=people["lap"], student_list=student_list, at=AT)
        lists.verify_list(by=people["lap2"], student_list=student_list, at=AT)
        lists.approve_list(by=people["duyet"], student_list=student_list, at=AT)
    inputs = freezing.current_inputs(
        day=AT.date(), province_id=None, rules={"groups": ["poor", "near_poor", "covid_orphan"]}
    )
    assert sorted(inputs.student_ids) == sorted(Student.objects.values_list("pk", flat=True))
    assert len(inputs.student_ids) == 3


def test_a_returned_list_says_why_and_can_be_submitted_again(world):
    student_list = commit(world, send(world, rows_of(1)))
    people = world.people
    lists.submit_list(by=people["lap"], student_list=student_list, at=AT)
    for said in (" ", "sai"):
        with pytest.raises(IntegrityError, match="return_reason_spelled_out"), transaction.atomic():
            lists.return_list(by=people["duyet"], student_list=student_list, reason=said, at=AT)
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


def test_who_had_left_and_is_listed_again_comes_back(world):
    commit(world, send(world, rows_of(1)))
    student = Student.objects.get()
    students.change_status(by=world.people["lap"], student=student, kind="left", reason="Theo đơn", at=AT)
    again = send(world, rows_of(1))
    assert list_matching.counts(again)["effects"] == {0: 0, 1: 1, 2: 0}
    commit(world, again)
    student.refresh_from_db()
    assert student.state == "listed"


def test_another_class_keeps_the_approval_and_another_group_does_not(world):
    people = world.people
    first = commit(world, send(world, rows_of(2)))
    lists.submit_list(by=people["lap"], student_list=first, at=AT)
    lists.verify_list(by=people["lap2"], student_list=first, at=AT)
    lists.approve_list(by=people["duyet"], student_list=first, at=AT)
    commit(world, send(world, [student_row(1, class_name="7B"), student_row(2, group="Hộ cận nghèo")]))
    assert list(Student.objects.order_by("code").values_list("class_name", "state", "approved_by")) == [
        ("7B", "approved", people["duyet"].pk),
        ("6A1", "listed", None),
    ]


def test_undo_is_refused_once_something_happened_to_a_changed_student(world):
    commit(world, send(world, rows_of(1)))
    changed = commit(world, send(world, [student_row(1, class_name="7B")]))
    students.change_status(
        by=world.people["lap"], student=Student.objects.get(), kind="got_device", reason="Quà tặng", at=AT
    )
    with pytest.raises(ValidationError, match="đã được dùng"):
        lists.undo_commit(by=world.people["lap"], student_list=changed, at=AT)
    assert Student.objects.get().has_device


def test_who_submitted_neither_verifies_nor_approves_in_the_database_either(world):
    student_list = commit(world, send(world, rows_of(1)))
    lists.submit_list(by=world.people["lap2"], student_list=student_list, at=AT)
    for name in ("lap", "lap2"):
        with pytest.raises(IntegrityError), transaction.atomic():
            StudentList.objects.filter(pk=student_list.pk).update(
                state="verified", verified_at=AT, verified_by=world.people[name]
            )


def test_the_nearest_office_up_with_somebody_there_verifies(world):
    student_list = send(world, rows_of(1), office="79000701", by="truong")
    people = world.people
    assert perms.can_verify_list(people["lap"], student_list), "nobody at the Phòng: the Sở does"
    assert not perms.can_verify_list(people["truong"], student_list)
    phong = User.objects.create_user("phong@example.vn", full_name="Cán bộ Phòng")
    StaffRole.objects.create(
        user=phong, office=world.offices["P-760"], role="clerk", granted_at=AT, granted_by=people["lap"]
    )
    assert perms.can_verify_list(phong, student_list)
    assert not perms.can_verify_list(people["lap"], student_list)
    assert not perms.can_verify_list(people["hanoi"], student_list)


def test_a_mended_row_is_compared_with_all_it_shares_something_with_and_no_other(world):
    name = {"full_name": "Lê Thị Lan", "born_on": "03/04/2010"}
    rows = [
        student_row(1, **name),
        student_row(2, **name),
        student_row(3, **name, student_code="", identity=""),
    ]
    rows += [student_row(4, identity="079310000001"), student_row(5)]
    student_list = send(world, rows)

    def codes(number: int) -> set[str]:
        return {finding[2] for finding in student_list.rows.get(number=number).findings or ()}

    assert codes(3) == {"same_name_in_file"}
    assert "same_person_in_file" in codes(4)
    assert codes(5) == {"same_identity_in_file"}
    row = student_list.rows.get(number=2)
    list_rows.fix_cells(
        by=world.people["lap"], row=row, at=AT,
        values={"full_name": "Trần Văn Ba", "identity": "079210000077", "sex": "Nam"},
    )  # fmt: skip
    assert codes(3) == codes(5) == codes(6) == set()
    assert "same_person_in_file" in codes(4), "row 3 is its namesake now"
    list_rows.fix_cells(
        by=world.people["lap"], row=student_list.rows.get(number=6), at=AT,
        values={"student_code": student_row(2)["student_code"]},
    )  # fmt: skip
    assert codes(6) == {"same_code_in_file"}


def test_a_mended_row_that_finds_the_student_of_another_row_is_a_duplicate(world):
    commit(world, send(world, rows_of(1)))
    student_list = send(world, [student_row(1), student_row(2)])
    second = list_rows.fix_cells(
        by=world.people["lap"], row=student_list.rows.get(number=3), at=AT,
        values={"full_name": student_row(1)["full_name"], "born_on": student_row(1)["born_on"], "student_code": "", "identity": ""},
    )  # fmt: skip
    assert second.outcome == Outcome.DUPLICATE
    assert student_list.rows.get(number=2).effect == Effect.UNCHANGED


def test_a_household_named_by_its_heads_number_keeps_its_children_together_and_hides_the_number(world):
    number = "079185000123"
    student_list = send(world, [student_row(n, household_code=number) for n in (1, 2)])
    keys = student_list.rows.values_list("household_key", "household_code")
    assert len(set(keys)) == 1
    assert number not in keys[0][1]
    row = student_list.rows.get(number=2)
    list_rows.fix_cells(by=world.people["lap"], row=row, values={"class_name": "7A"}, at=AT)
    assert len(set(student_list.rows.values_list("household_key"))) == 1


def test_rows_just_read_say_what_a_comparison_anew_says(world):
    commit(world, send(world, [student_row(1), student_row(2), student_row(4, student_code="", identity="")]))
    student_list = send(
        world,
        [
            student_row(1),
            student_row(2, class_name="7A"),
            student_row(3),
            student_row(4, student_code="", identity=""),
            student_row(
                5, identity=student_row(1)["identity"], full_name="Lê Khác Hẳn", born_on="01/01/2010"
            ),
            student_row(6, born_on=""),
            student_row(3),
        ],
    )

    def said() -> list[tuple]:
        fields = ("number", "outcome", "effect", "student_id", "findings")
        return list(student_list.rows.order_by("number").values_list(*fields))

    first, cases = said(), set(DuplicateCase.objects.values_list("row", "student", "reason"))
    assert {row[1] for row in first} == {0, 2, 3, 4}
    assert {row[2] for row in first} == {0, 1, 2}
    for rows in (None, list(student_list.rows.values_list("pk", flat=True)), None):
        with transaction.atomic():
            list_matching.match_rows(student_list, rows)
        assert said() == first
        assert set(DuplicateCase.objects.values_list("row", "student", "reason")) == cases


def test_a_list_read_again_forgets_its_rows_and_decisions_in_as_many_statements_for_any_size(world):
    by, counted = world.people["lap"], []
    for number in (4, 400):
        bare = [student_row(n, student_code="", identity="") for n in (1, 1)]
        student_list = send(world, [*bare, *rows_of(number - 2, first=2)])
        second = student_list.rows.get(number=3)
        list_namesakes.tell_apart(by=by, row=second, other="hang-2", note="Hai giấy khai sinh", at=AT)
        again = list_reading.read_again(by=by, student_list=student_list, at=AT, mapping={})
        with CaptureQueriesContext(connection) as queries:
            again = list_reading.read_list(by=by, student_list=again, at=AT)
        counted.append(len(queries))
        assert (again.state, again.rows.count()) == (State.CHECKED, number)
        assert not ToldApart.objects.filter(row__student_list=again).exists()
        assert again.rows.get(number=3).outcome == Outcome.DUPLICATE
    assert counted[0] == counted[1]
    # Refused this time: the rows of before are gone, too.
    again.state = State.UPLOADED
    again.file.save("x.sealed", ContentFile(crypto.seal(b"%PDF-1.4")), save=True)
    again = list_reading.read_list(by=by, student_list=again, at=AT)
    assert (again.state, again.rows.count()) == (State.REFUSED, 0)
