"""Personal data past their time: counted first, erased by the rules that are switched on, on record, also in the trail."""

import datetime as dt
import io

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.management import call_command
from django.db import IntegrityError, connection

from accounts.models import User
from allocation.models import Phase
from common import retention
from common.models import RetentionRule, RetentionRun
from delivery.models import Grievance
from schools.models import ListRow, Student, StudentList
from tests.delivery_world import AT, make_world

pytestmark = pytest.mark.django_db


def rule(code: str, days: int = 100, *, is_active: bool = True) -> RetentionRule:
    return RetentionRule.objects.create(
        code=code, what="Dữ liệu", counted_from="ngày", keeps_days=days, legal_basis="Luật số 91/2025/QH15",
        is_active=is_active,
    )  # fmt: skip


@pytest.fixture
def world():
    made = make_world(per_school=2)
    Phase.objects.update(ends_on=AT.date(), groups=list(Student.Group.values))
    # The trail keeps the names as they were before a change.
    Student.objects.update(class_name="9B")
    return made


def apply(world, at: dt.datetime, *, is_dry: bool = False) -> dict[str, int]:
    by = world.people["programme"]
    return {found.rule.code: found.rows for found in retention.apply_rules(by=by, at=at, is_dry=is_dry)}


def names_in(table: str) -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT DISTINCT full_name FROM {table}")
        return {name for (name,) in cursor.fetchall()}


def test_children_go_when_every_phase_of_their_group_is_long_over(world):
    rule("students", 100)
    count = Student.objects.count()
    assert apply(world, AT + dt.timedelta(days=99)) == {"students": 0}
    assert apply(world, AT + dt.timedelta(days=101)) == {"students": count}
    assert names_in("schools_student") == names_in("schools_studentevent") == {"(đã xoá)"}
    assert not Student.objects.exclude(
        identity_sealed=None, identity_index=None, code="", search_key=""
    ).exists()
    assert set(Student.objects.values_list("born_on", flat=True)) == {dt.date(1900, 1, 1)}
    run = RetentionRun.objects.get()
    assert (run.erased_rows, run.erased_by) == (count, world.people["programme"])
    # A second time there is nothing left, and nothing is put on record.
    assert apply(world, AT + dt.timedelta(days=102)) == {"students": 0}
    assert RetentionRun.objects.count() == 1


def test_a_group_of_a_phase_that_runs_keeps_its_children(world):
    rule("students", 100)
    Phase.objects.create(
        code="GD2", name="Giai đoạn 2", clause="II.2b", starts_on=AT.date(), ends_on=AT.date() + dt.timedelta(days=700),
        groups=list(Student.Group.values),
    )  # fmt: skip
    assert apply(world, AT + dt.timedelta(days=200)) == {"students": 0}


def test_counting_erases_nothing_and_counts_what_is_not_switched_on_too(world):
    rule("students", 100, is_active=False)
    before = names_in("schools_student")
    assert apply(world, AT + dt.timedelta(days=200), is_dry=True) == {"students": Student.objects.count()}
    assert apply(world, AT + dt.timedelta(days=200)) == {}
    assert names_in("schools_student") == before
    assert not RetentionRun.objects.exists()


def test_an_answered_problem_keeps_its_kind_and_loses_its_words(world):
    rule("grievances", 100)
    told = Grievance.objects.create(
        code="PA-0001", kind=Grievance.Kind.MISUSE, text="Ông Trần Văn Tám giữ máy", contact="0912345678", answer="Đã xử lý",
        state=Grievance.State.ANSWERED, opened_at=AT, due_on=AT.date(), assigned_at=None, answered_at=AT,
        answered_by=world.people["programme"],
    )  # fmt: skip
    assert apply(world, AT + dt.timedelta(days=101)) == {"grievances": 1}
    told.refresh_from_db()
    assert (told.kind, told.text, told.contact, told.answer) == ("misuse", "(đã xoá)", "", "(đã xoá)")


def test_nobody_changes_the_record_of_an_erasure(world, raw_connection):
    run = RetentionRun.objects.create(
        rule=rule("jobs"),
        before_on=AT.date(),
        erased_rows=1,
        erased_at=AT,
        erased_by=world.people["programme"],
    )
    with pytest.raises(IntegrityError, match="chỉ thêm vào"):
        RetentionRun.objects.filter(pk=run.pk).delete()


def test_the_command_counts_unless_told_to_apply(world):
    rule("students", 100)
    Phase.objects.update(starts_on=dt.date(2001, 1, 1), ends_on=dt.date(2001, 2, 1))
    said = io.StringIO()
    call_command("erase_expired", stdout=said, stderr=said)
    assert "sẽ xoá" in said.getvalue()
    assert "Chưa xoá gì" in said.getvalue()
    assert "(đã xoá)" not in names_in("schools_student")
    call_command("erase_expired", "--apply", stdout=said, stderr=said)
    assert names_in("schools_student") == {"(đã xoá)"}
    assert RetentionRun.objects.get().erased_by == User.objects.system()


def test_lists_that_ended_lose_their_rows_and_their_file(world):
    rule("student_lists", 100)
    school = world.schools[0]
    kept = {"office": school.office, "file_name": "a.xlsx", "file_sha256": "0" * 64, "uploaded_at": AT,
            "uploaded_by": world.people["programme"]}  # fmt: skip
    name = default_storage.save("lists/a.sealed", ContentFile(b"x"))
    ended = StudentList.objects.create(**kept, file=name, state="refused")
    waiting = StudentList.objects.create(
        **kept | {"file_sha256": "1" * 64}, file="lists/b.sealed", state="checked"
    )
    for student_list in (ended, waiting):
        ListRow.objects.create(
            student_list=student_list, number=2, outcome=0, school_code=school.code, full_name="Trần Văn Tám",
            born_on=dt.date(2010, 5, 1), group="poor", typed={"Họ tên": "TRẦN VĂN TÁM"},
        )  # fmt: skip
    assert apply(world, AT + dt.timedelta(days=101)) == {"student_lists": 1}
    assert ListRow.objects.get(student_list=ended).full_name == "(đã xoá)"
    assert ListRow.objects.get(student_list=waiting).full_name == "Trần Văn Tám"
    ended.refresh_from_db()
    assert (ended.file, ended.file_name, ended.reading) == ("", "(đã xoá)", {})
