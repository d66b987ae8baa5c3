"""Erasure end to end: after it, no table and no stored file has the child's name, number, codes or family in it."""

import contextlib
import datetime as dt
import uuid
from collections.abc import Sequence
from pathlib import Path

import pytest
from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from accounts.models import PersonalDataAccess
from allocation.models import Phase, Revocation
from common import crypto
from common.audit import acting
from common.erasure import ERASED
from common.models import RetentionRule
from common.retention import apply_rules
from coverage.models import DataPlan
from delivery.models import Grievance, Handover, HandoverRecord, PhoneHandover
from delivery.services import (
    carry_out_erasure,
    erase_again,
    hand_over,
    open_grievance,
    open_record,
    report_device,
    sign_record,
)
from delivery.services.grievances import answer_grievance
from ledger.audit import audit
from ledger.models import ErasureOwed, LedgerEntry, LedgerOutbox, Opening, PrivacyRequest
from ledger.privacy import FAMILY, answer_request, file_request, record_owed
from schools.models import DuplicateCase, ListRow, StatusChange, Student, StudentList
from schools.services.list_reading import read_again, upload_list
from tests.delivery_world import AT, make_world
from tests.ledger_log import make_log
from tests.services.test_delivery_handovers import bring_to_schools

pytestmark = pytest.mark.django_db
NAME, GUARDIAN, NUMBER = "Giàng Thị Mỷ", "Giàng A Sềnh", "011309004321"
CODE, SIM, PHONE = "7900998877", "0868123459", "0912345678"
HOUSEHOLD, BORN = "HO-77123", dt.date(2009, 3, 17)
# However it may have been written: in capitals, without marks, as a number, a date, or its key.
NEEDLES = [
    NAME, NAME.upper(), "giang thi my", GUARDIAN, NUMBER, CODE, SIM, PHONE, HOUSEHOLD, "2009-03-17", "17/03/2009",
]  # fmt: skip


@pytest.fixture
def log(tmp_path, settings):
    made = make_log(tmp_path)
    settings.LEDGER_DIR, settings.LEDGER_SIGNER_DIR = made.folder, made.state
    settings.MEDIA_ROOT = tmp_path / "uploads"
    disk = {"BACKEND": "django.core.files.storage.FileSystemStorage"}
    settings.STORAGES = settings.STORAGES | {"default": disk}
    return made


@pytest.fixture
def world(log):
    with transaction.atomic():
        world = make_world()
        bring_to_schools(world)
    return world


def a_list(world, student: Student, content: bytes) -> StudentList:
    """A list that was read: the child's row, a doubtful row of the same child, a stranger's."""
    made = upload_list(
        by=world.people["department"], office=world.department, content=content, at=AT,
        file_name=f"{NAME}.xlsx", start=False,
    )  # fmt: skip
    made.state, made.reading = "checked", {"skipped": [[3, f"Ghi chú: {NAME} vắng"]], "header": 1}
    made.save()
    common = {"student_list": made, "school_code": student.school.code, "group": "poor", "born_on": BORN}
    own = {
        "full_name": NAME, "search_key": "giang thi my", "sort_key": "my giang thi", "student_code": CODE,
        "household_code": HOUSEHOLD, "household_key": f"26734/{HOUSEHOLD}", "class_name": "7A",
        "identity_index": crypto.blind_index(NUMBER), "identity_sealed": crypto.seal(NUMBER.encode()),
    }  # fmt: skip
    ListRow.objects.create(
        **common, **own, number=1, outcome=0, student=student, before={"full_name": NAME, "code": CODE},
        typed={"full_name": NAME}, findings=[["full_name", 1, "name_case", NAME.upper(), "Đã sửa"]],
    )  # fmt: skip
    twin = ListRow.objects.create(**common, **own, number=2, outcome=3)
    ListRow.objects.create(
        **common | {"born_on": dt.date(2010, 1, 1)}, number=3, outcome=2, full_name="Lò Văn Pao",
        search_key="lo van pao", sort_key="pao lo van",
        findings=[["household", 2, "same_household", HOUSEHOLD, f"Cùng hộ với {NAME}"]],
    )  # fmt: skip
    DuplicateCase.objects.create(
        row=twin, student=student, reason="identity", decision="keep", note=f"{NAME} là một em",
        decided_at=AT, decided_by=world.people["department"],
    )  # fmt: skip
    return made


@pytest.fixture
def child(world) -> tuple[Student, str]:
    """A child of whom every table that may know something knows it; and the device it was given."""
    allocation = next(a for a in world.allocations if a.student.school_id == world.schools[0].pk)
    student, device, by = allocation.student, allocation.device.code, world.people["school"]
    with acting(by, via="test"):
        for name in ("Giàng thị My", NAME):
            Student.objects.filter(pk=student.pk).update(
                full_name=name, search_key="giang thi my", sort_key="my giang thi", code=CODE, born_on=BORN,
                sex="female", household_key=f"26734/{HOUSEHOLD}", identity_sealed=crypto.seal(NUMBER.encode()),
                identity_index=crypto.blind_index(NUMBER), home_commune=world.commune,
            )  # fmt: skip
        student.refresh_from_db()
        made = a_list(world, student, b"a workbook that names " + NAME.encode())
        StudentList.objects.filter(pk=made.pk).update(return_reason=f"Thiếu giấy của {NAME}")
        Revocation.objects.create(
            allocation=allocation, reason="declined", notice=f"Gửi gia đình em {NAME}", requested_at=AT,
            requested_by=by, refused_at=AT, refused_by=world.people["leader"],
        )  # fmt: skip
        StatusChange.objects.create(
            student=student, kind="still_here", from_school=student.school, reason=f"Gặp {GUARDIAN}, bố của {NAME}",
            changed_at=AT, changed_by=by,
        )  # fmt: skip
        PersonalDataAccess.objects.create(
            user_id_text=str(by.pk), subject_type="schools.student", subject_id=str(student.pk),
            fields_read="số định danh", reason=f"Đối chiếu giấy khai sinh của {NAME}",
        )  # fmt: skip
        record = open_record(
            by=by, school=world.schools[0], class_name="7A", held_on=AT.date(), at=AT, operator=world.operator
        )
        hand_over(
            by=by, record=record, at=AT,
            rows=[{"device": device, "recipient": "guardian", "guardian_name": GUARDIAN}],
        )  # fmt: skip
        DataPlan.objects.filter(student=student).update(sim_number=SIM)
        DataPlan.objects.filter(student=student).update(daily_mb=4000)
        sign_record(
            by=by, record=record, at=AT, evidence=ContentFile(f"%PDF- {NAME}".encode(), f"{NAME}.pdf")
        )
        PhoneHandover.objects.create(
            key=uuid.uuid4(), record=record, allocation=allocation, outcome="refused", reason="Biên bản đã ký",
            guardian_name=GUARDIAN, happened_at=AT, sent_at=AT, sent_by=by,
        )  # fmt: skip
        report_device(
            by=by, office=world.schools[0].office, device_code=device, kind="broken", happened_on=AT.date(), reason="screen", at=AT,
            note=f"{GUARDIAN} báo qua {PHONE}",
        )  # fmt: skip
        told = open_grievance(
            by=by, kind="device", text=f"Máy của cháu {NAME} hỏng", at=AT, device_code=device, contact=PHONE
        )
        answer_grievance(by=by, grievance=told, answer=f"Đã đổi máy cho em {NAME}", at=AT)
        open_grievance(by=by, kind="other", text=f"Em {NAME.upper()} học giỏi", at=AT)
    return student, device


def found_in_tables(needles: Sequence[str] = NEEDLES) -> list[str]:
    """Every column of every table of ours with a needle in it, text or bytes, sealed or not."""
    hits = []
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = 'public'"
            " AND data_type IN ('text', 'character varying', 'json', 'jsonb', 'bytea', 'date', 'ARRAY')"
        )
        for table, column, kind in cursor.fetchall():
            if kind == "bytea":
                cursor.execute(f'SELECT "{column}" FROM "{table}" WHERE "{column}" IS NOT NULL')
                for (value,) in cursor.fetchall():
                    data = bytes(value)
                    with contextlib.suppress(crypto.CannotUnseal):
                        data += crypto.unseal(data)
                    hits += [f"{table}.{column}" for needle in needles if needle.encode() in data]
                    hits += [f"{table}.{column}" for _ in [0] if data == crypto.blind_index(NUMBER)]
            else:
                for needle in needles:
                    cursor.execute(
                        f'SELECT count(*) FROM "{table}" WHERE strpos("{column}"::text, %s) > 0', [needle]
                    )
                    hits += [f"{table}.{column}: {needle}"] * cursor.fetchone()[0]
    return hits


def found_in_files(root: Path) -> list[str]:
    hits = []
    for path in (path for path in root.rglob("*") if path.is_file()):
        data = path.read_bytes() + str(path).encode()
        with contextlib.suppress(crypto.CannotUnseal):
            data += crypto.unseal(path.read_bytes())
        hits += [str(path) for needle in NEEDLES if needle.encode() in data]
    return hits


def ask(world, device: str) -> PrivacyRequest:
    row = file_request(kind="erase", device=device, contact=PHONE, detail=f"Xin xoá {NAME}", at=AT)
    answer_request(by=world.people["programme"], request=row, answer="accepted", at=AT)
    return row


def test_after_an_erasure_no_table_and_no_file_knows_the_child(
    world, child, log, tmp_path, django_capture_on_commit_callbacks
):
    student, device = child
    log.turn()
    places = {hit.split(":")[0].split(".")[0] for hit in found_in_tables()}
    assert {
        "schools_student", "schools_studentevent", "schools_listrow", "schools_statuschange", "schools_studentlist",
        "schools_studentlistevent", "schools_duplicatecase", "schools_duplicatecaseevent", "delivery_handover",
        "delivery_devicereport", "delivery_grievance", "coverage_dataplan",
        "coverage_dataplanevent", "allocation_revocation", "accounts_personaldataaccess", "ledger_opening",
    } <= places, "the test must plant what it looks for"  # fmt: skip
    assert len(found_in_files(tmp_path / "uploads")) >= 2
    with (
        django_capture_on_commit_callbacks(execute=True),
        acting(world.people["programme"], via="test"),
    ):
        count = carry_out_erasure(by=world.people["programme"], request=ask(world, device), at=AT)
    assert found_in_tables() == []
    assert found_in_files(tmp_path) == []
    log.turn()
    erased = LedgerEntry.objects.filter(event="commitment.erased")
    assert erased.count() == count >= 6
    problems = audit(log.disk.fetch, log.verifiers)["problems"]
    assert [problem for problem in problems if "erase" in problem or "commit" in problem.split()[0]] == []
    # What stays: that a child of this school and group has this device; the trail of who changed what.
    student.refresh_from_db()
    assert (student.full_name, student.group, student.school) == (ERASED, "poor", world.schools[0])
    assert Handover.objects.get(allocation__student=student).ledger_event
    assert HandoverRecord.objects.get(handovers__allocation__student=student).evidence_sha256
    others = Student.objects.exclude(pk=student.pk)
    assert others.exclude(full_name=ERASED).count() == others.count()
    assert ListRow.objects.filter(full_name="Lò Văn Pao").exists()


def test_after_retention_no_table_and_no_file_knows_the_children(
    world, child, log, tmp_path, time_machine, django_capture_on_commit_callbacks
):
    """The end of retention finds as much as a family's request, for all children at once."""
    student, _device = child
    log.turn()
    PersonalDataAccess.objects.create(
        user_id_text="1", subject_type="schools.student", subject_id="0", fields_read="họ tên",
        reason=f"Cùng lớp với {NAME}",
    )  # fmt: skip
    # All of this lies further back than the children are kept.
    late = timezone.now() + dt.timedelta(days=31)
    time_machine.move_to(late)
    Phase.objects.update(ends_on=AT.date(), groups=list(Student.Group.values))
    RetentionRule.objects.create(
        code="students", what="x", counted_from="x", keeps_days=30, legal_basis="x", is_active=True
    )
    Grievance.objects.filter(answered_at=None).update(
        state="answered", answered_at=AT, answer="x", answered_by=world.people["programme"]
    )
    count = Student.objects.count()
    by = world.people["programme"]
    with (
        django_capture_on_commit_callbacks(execute=True),
        acting(by, via="test"),
    ):
        assert [found.rows for found in apply_rules(by=by, at=late, is_dry=False)] == [count]
    assert found_in_tables() == []
    assert found_in_files(tmp_path) == []
    assert not Student.objects.exclude(full_name=ERASED).exists()
    assert not ListRow.objects.exclude(findings=None).exists()
    assert not Opening.objects.filter(field__in=FAMILY).exists()
    student.refresh_from_db()
    assert (student.group, student.school) == ("poor", world.schools[0])


def test_an_erasure_happens_once_and_only_when_accepted(world, child):
    _, device = child
    by = world.people["programme"]
    waiting = file_request(kind="erase", device=device, contact=PHONE, detail="", at=AT)
    with pytest.raises(ValidationError, match="chưa được chấp nhận"):
        carry_out_erasure(by=by, request=waiting, at=AT)
    row = ask(world, device)
    carry_out_erasure(by=by, request=row, at=AT)
    with pytest.raises(ValidationError, match="đã làm xong"):
        carry_out_erasure(by=by, request=row, at=AT)
    answer_request(by=by, request=waiting, answer="accepted", at=AT)
    with pytest.raises(ValidationError, match="đã được xoá trước đây"):
        carry_out_erasure(by=by, request=waiting, at=AT)
    assert PrivacyRequest.objects.get(pk=waiting.pk).done_at is None


def test_a_device_without_a_family_has_nothing_to_erase(world):
    device = world.allocations[-1].device.code
    with pytest.raises(ValidationError, match="chưa bàn giao"):
        carry_out_erasure(by=world.people["programme"], request=ask(world, device), at=AT)


def test_an_entry_that_waits_for_its_batch_says_so_once_it_is_out(world, child, log):
    _, device = child
    log.turn(at_once=False, today=AT.date())
    carry_out_erasure(by=world.people["programme"], request=ask(world, device), at=AT)
    assert not Opening.objects.filter(value__contains=NAME).exists()
    owed = ErasureOwed.objects.count()
    assert owed >= 6
    assert record_owed(on=AT.date()) == 0
    log.turn(today=AT.date())
    assert record_owed(on=AT.date()) == owed
    log.turn(today=AT.date())
    assert LedgerEntry.objects.filter(event="commitment.erased").count() == owed
    assert not [p for p in audit(log.disk.fetch, log.verifiers)["problems"] if "erases" in p]


def test_a_restored_backup_forgets_again_what_was_erased(world, child, log):
    """An older dump brings the child and its openings back; the log still says that they were erased."""
    student, device = child
    log.turn()
    kept = {name: getattr(student, name) for name in ("full_name", "code", "search_key", "born_on")}
    openings = list(Opening.objects.filter(value__contains=NAME).values("eid", "field", "salt", "value"))
    carry_out_erasure(by=world.people["programme"], request=ask(world, device), at=AT)
    log.turn()
    Student.objects.filter(pk=student.pk).update(**kept)
    Opening.objects.bulk_create(Opening(**row) for row in openings)
    entries = LedgerEntry.objects.count() + LedgerOutbox.objects.count()
    assert erase_again(by=world.people["programme"], at=AT) == 1
    assert not Opening.objects.filter(value__contains=NAME).exists()
    student.refresh_from_db()
    assert student.full_name == ERASED
    assert LedgerEntry.objects.count() + LedgerOutbox.objects.count() == entries
    assert erase_again(by=world.people["programme"], at=AT) == 0


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE delivery_handover SET guardian_name = 'Người khác'",
        "UPDATE delivery_handover SET guardian_name = '(đã xoá)', recipient = 'student'",
        "DELETE FROM delivery_handover",
        "UPDATE delivery_handoverrecord SET evidence = 'khac.pdf'",
        "UPDATE delivery_handoverrecord SET evidence = '', evidence_sha256 = ''",
        "UPDATE delivery_devicereport SET kind = 'lost'",
        "UPDATE schools_statuschange SET reason = 'Lý do khác'",
        "UPDATE accounts_personaldataaccess SET reason = ''",
        "UPDATE accounts_personaldataaccess SET user_id_text = '1', reason = '(đã xoá)'",
        "UPDATE schools_studentevent SET full_name = '(đã xoá)'",
    ],
)
def test_what_never_changes_still_never_does(child, change):
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(change)


def test_an_erased_file_is_not_read_again(world, child):
    _student, device = child
    carry_out_erasure(by=world.people["programme"], request=ask(world, device), at=AT)
    with pytest.raises(ValidationError, match="đã xoá theo yêu cầu"):
        read_again(by=world.people["department"], student_list=StudentList.objects.get(), at=AT, mapping={})
