"""Children of one name, birth date and school: each row is judged beside every one that it may be."""

import pytest
from django.core.exceptions import ValidationError

from schools.models import DuplicateCase, ListRow, Student, StudentList, ToldApart
from schools.services import list_matching, list_namesakes, list_rows, lists, students
from tests.lists_world import AT, commit_list, make_world, send_list, student_row

pytestmark = pytest.mark.django_db
Outcome, Effect = ListRow.Outcome, ListRow.Effect
BARE = {"student_code": "", "identity": ""}
NOTE = "Hai giấy khai sinh khác nhau"


@pytest.fixture
def world(db):
    return make_world()


def send(world, rows, **options) -> StudentList:
    student_list = send_list(world, rows, **options)
    lists.acknowledge(
        by=world.people["lap"],
        student_list=student_list,
        codes=["identity_missing", "same_name_in_file"],
        at=AT,
    )
    student_list.refresh_from_db()
    return student_list


def apart(world, row, other: str = "", note: str = NOTE) -> ListRow:
    """Tell a row apart from the one that it stands beside now."""
    other = other or list_namesakes.likeness_of(row).key
    return list_namesakes.tell_apart(by=world.people["lap"], row=row, other=other, note=note, at=AT)


def codes(row: ListRow) -> list[str]:
    return [finding[2] for finding in row.findings or () if finding[0] == "full_name"]


def test_two_children_of_one_name_and_birth_date_without_codes_are_both_taken_once_a_person_says_so(world):
    by = world.people["lap"]
    student_list = send(
        world, [student_row(1, **BARE), student_row(1, **BARE, class_name="6A2"), student_row(2)]
    )
    second = student_list.rows.get(outcome=Outcome.DUPLICATE)
    assert list_namesakes.likeness_of(second).key == "hang-2"
    with pytest.raises(ValidationError, match="căn cứ"):
        apart(world, second, note=" ")
    told = apart(world, second)
    assert (told.outcome, codes(told)) == (Outcome.WARNING, ["told_apart"])
    with pytest.raises(ValidationError, match="không còn giống"):
        apart(world, told, "hang-2")
    kept = ToldApart.objects.get()
    assert (kept.row_id, kept.other.number, kept.decided_by) == (told.pk, 2, by)
    # Another cell mended: the decision holds.
    told = list_rows.fix_cells(by=by, row=told, values={"class_name": "6A3"}, at=AT)
    assert codes(told) == ["told_apart"]
    commit_list(world, student_list)
    assert Student.objects.filter(search_key=second.search_key).count() == 2


def test_three_namesakes_wait_until_each_is_told_apart_from_every_other(world):
    student_list = send(world, [student_row(1, **BARE, class_name=f"6A{n}") for n in (1, 2, 3)])
    first, second, third = student_list.rows.order_by("number")
    assert (codes(first), codes(second), codes(third)) == (
        [],
        ["same_person_in_file"],
        ["same_person_in_file"],
    )
    assert "hàng 2 và 3" in third.findings[-1][4]
    likeness = list_namesakes.likeness_of(third)
    assert (likeness.key, likeness.more) == ("hang-2", 1)
    third = apart(world, third)
    # Told apart from the first: the second is next, and the row stays out until then.
    assert third.outcome == Outcome.DUPLICATE
    assert list_namesakes.likeness_of(third)[1:] == (0,)
    with pytest.raises(ValidationError, match="đang đứng cạnh"):
        apart(world, third, "hang-2")
    assert list_matching.counts(student_list)["ready"] == 1
    third = apart(world, third, "hang-3")
    assert (third.outcome, codes(third)) == (Outcome.WARNING, ["told_apart"])
    assert "hàng 2 và 3" in third.findings[-1][4]
    assert list_matching.counts(student_list)["ready"] == 2, "the second is not judged yet"
    apart(world, second)
    commit_list(world, student_list)
    assert Student.objects.count() == 3


def test_a_row_with_a_code_is_another_child_than_one_with_another_code_but_not_than_one_without(world):
    student_list = send(
        world,
        [student_row(1), student_row(1, **BARE), student_row(1, student_code="7900000009", identity="")],
    )
    second, third = student_list.rows.order_by("number")[1:]
    assert list_namesakes.likeness_of(second).key == "hang-2"
    assert list_namesakes.likeness_of(third).key == "hang-3", "the first has another code"
    third = apart(world, third)
    assert codes(third) == ["told_apart", "same_name_in_file"]
    # A code for the second: nobody is left whom the third could be, and the same code makes them one.
    second = list_rows.fix_cells(
        by=world.people["lap"], row=second, values={"student_code": "7900000009"}, at=AT
    )
    assert codes(second) == ["same_name_in_file"]
    third.refresh_from_db()
    assert [finding[2] for finding in third.findings if finding[1] == "duplicate"] == ["same_code_in_file"]


def test_a_child_like_one_in_the_system_becomes_another_once_a_person_says_so(world):
    commit_list(world, send(world, [student_row(1, **BARE)]))
    student_list = send(world, [student_row(1, **BARE, class_name="6A2")])
    row = student_list.rows.get()
    student = Student.objects.get()
    assert (row.effect, list_namesakes.likeness_of(row).key) == (Effect.CHANGED, f"em-{student.pk}")
    row = apart(world, row)
    assert (row.effect, row.student_id, DuplicateCase.objects.get().decision) == (
        Effect.NEW,
        None,
        "different",
    )
    commit_list(world, student_list)
    assert sorted(Student.objects.values_list("class_name", flat=True)) == ["6A1", "6A2"]
    # A number or a code leaves no doubt, and nothing to decide.
    commit_list(world, send(world, [student_row(3)]))
    assert list_namesakes.likeness_of(send(world, [student_row(3)]).rows.get()) is None


def _three_known(world) -> list[Student]:
    student_list = send(world, [student_row(1, **BARE, class_name=f"6A{n}") for n in (1, 2, 3)])
    for row in student_list.rows.order_by("number")[1:]:
        while list_namesakes.likeness_of(row):
            row = apart(world, row)
    commit_list(world, student_list)
    return list(Student.objects.order_by("pk"))


def decide(world, row, decision: str) -> ListRow:
    case = DuplicateCase.objects.open().get(row=row)
    students.decide_duplicate(by=world.people["lap"], case=case, decision=decision, note="", at=AT)
    row.refresh_from_db()
    return row


def test_a_row_like_three_known_children_is_judged_beside_each_of_them(world):
    known = _three_known(world)
    student_list = send(world, [student_row(1, **BARE, class_name="7A")])
    row = student_list.rows.get()
    assert (row.outcome, row.student_id) == (Outcome.DUPLICATE, known[0].pk)
    assert "và 2 em khác" in row.findings[-1][4]
    for student in known:
        assert DuplicateCase.objects.open().get(row=row).student == student
        assert row.outcome == Outcome.DUPLICATE
        row = decide(world, row, "different")
    assert (row.outcome, row.effect, row.student_id) == (Outcome.WARNING, Effect.NEW, None)
    commit_list(world, student_list)
    assert Student.objects.count() == 4


def test_a_row_like_three_known_children_that_is_one_of_them_changes_this_one(world):
    known = _three_known(world)
    student_list = send(world, [student_row(1, **BARE, class_name="7A")])
    row = decide(world, student_list.rows.get(), "different")
    row = decide(world, row, "move")
    assert (row.effect, row.student_id) == (Effect.CHANGED, known[1].pk)
    assert not DuplicateCase.objects.open().exists()
    commit_list(world, student_list)
    assert sorted(Student.objects.values_list("class_name", flat=True)) == ["6A1", "6A3", "7A"]


def test_a_row_of_which_a_person_said_that_it_is_known_stays_out_and_says_so(world):
    _three_known(world)
    row = decide(world, send(world, [student_row(1, **BARE)]).rows.get(), "keep")
    assert row.outcome == Outcome.DUPLICATE
    assert "đã quyết định" in row.findings[-1][4]
    assert not DuplicateCase.objects.open().exists()


def test_one_known_child_takes_one_row_even_if_two_were_decided_to_be_it(world):
    known = _three_known(world)
    student_list = send(world, [student_row(1, **BARE), student_row(1, **BARE, class_name="8A")])
    first, second = student_list.rows.order_by("number")
    second = apart(world, second)
    first, second = decide(world, first, "move"), decide(world, second, "move")
    assert (first.student_id, first.outcome) == (known[0].pk, Outcome.WARNING)
    assert (second.outcome, "hàng này không ghi" in second.findings[-1][4]) == (Outcome.DUPLICATE, True)


def test_a_number_that_comes_later_asks_anew_whom_a_person_had_told_apart_by_name(world):
    commit_list(world, send(world, [student_row(1)]))
    student_list = send(world, [student_row(1, **BARE, class_name="6A2")])
    row = apart(world, student_list.rows.get())
    assert row.effect == Effect.NEW
    row = list_rows.fix_cells(
        by=world.people["lap"], row=row, values={"identity": student_row(1)["identity"]}, at=AT
    )
    assert (row.effect, row.student) == (Effect.CHANGED, Student.objects.get())


def test_a_doubt_goes_with_the_likeness_that_made_it(world):
    _three_known(world)
    row = send(world, [student_row(1, **BARE)]).rows.get()
    assert DuplicateCase.objects.open().count() == 1
    list_rows.fix_cells(by=world.people["lap"], row=row, values={"full_name": "Lê Văn Một Mình"}, at=AT)
    assert not DuplicateCase.objects.exists()


def test_a_thousand_rows_of_one_name_are_read_and_mended_without_comparing_each_with_each(world):
    student_list = send(world, [student_row(1, **BARE)] * 1000)
    last = student_list.rows.latest("number")
    assert "hàng 2 và 998 hàng khác" in last.findings[-1][4]
    first = student_list.rows.earliest("number")
    list_rows.fix_cells(by=world.people["lap"], row=first, values={"full_name": "Lê Lan"}, at=AT)
    last.refresh_from_db()
    assert "hàng 3 và 997 hàng khác" in last.findings[-1][4]
