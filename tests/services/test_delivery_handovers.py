"""A class on one sheet: who may be handed a device, data plans, signing, and what happens to devices afterwards."""

import datetime as dt
import hashlib
import json
from pathlib import Path

import pytest
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import IntegrityError, connection, transaction

from coverage.models import DataPlan, SimBatch
from coverage.services import register_sim_batch
from delivery.models import DeviceReport, Handover, LotRecall
from delivery.services import (
    close_finished_batches,
    close_recall,
    hand_over,
    open_record,
    recall_lot,
    recalled_devices,
    report_device,
    report_devices,
    sign_record,
    waiting_rows,
    who_holds,
)
from donations.models import Device
from ledger.models import ClosedHold, LedgerOutbox, Opening
from tests.delivery_world import AT, carry, make_devices, make_world
from tests.rules.test_common_photos import JPEG, SECRET, segment

pytestmark = pytest.mark.django_db
DAY = dt.timedelta(days=1)


def bring_to_schools(world) -> None:
    carry(world)


@pytest.fixture
def world(db):
    with transaction.atomic():
        world = make_world()
        bring_to_schools(world)
    return world


@pytest.fixture
def record(world):
    return open_record(
        by=world.people["school"],
        school=world.schools[0],
        class_name="7A",
        held_on=AT.date(),
        at=AT,
        operator=world.operator,
    )


def entries(event: str) -> list[dict]:
    return [
        json.loads(body) for body in LedgerOutbox.objects.filter(event=event).values_list("body", flat=True)
    ]


def rows(world, *codes, **more) -> list[dict]:
    return [{"device": code, **more} for code in codes or world.codes(world.schools[0])]


def test_a_class_is_handed_over_signed_and_proved(world, record):
    codes = world.codes(world.schools[0])
    given = rows(world, *codes[:2]) + rows(
        world, codes[2], recipient="guardian", guardian_name=" Trần  Thị Mẹ "
    )
    handovers = hand_over(by=world.people["school"], record=record, rows=given, at=AT)
    assert len(handovers) == 3
    assert Handover.objects.get(recipient="guardian").guardian_name == "Trần Thị Mẹ"
    assert who_holds(Device.objects.get(code=codes[0])).with_student
    told = entries("device.handed_over")
    assert sorted(e["dev"] for e in told) == codes
    assert all(set(e) == {"v", "t", "eid", "d", "dev", "run", "c"} for e in told)
    assert set(LedgerOutbox.objects.filter(event="device.handed_over").values_list("hold", flat=True)) == {
        f"DPB-2021-01/{world.schools[0].office.code}"
    }
    sign_record(by=world.people["school"], record=record, at=AT)
    assert {e["dev"] for e in entries("device.handover_confirmed")} == set(codes)
    assert waiting_rows(world.schools[0]) == []


def test_rule_7_the_scan_of_a_sheet_is_kept_bare_and_stands_in_the_log_by_its_hash_alone(
    world, record, settings, tmp_path
):
    settings.MEDIA_ROOT = tmp_path
    hand_over(by=world.people["school"], record=record, rows=rows(world), at=AT)
    taken = JPEG[:2] + segment(0xE1, b"Exif\0\0" + SECRET) + JPEG[2:]
    scan = SimpleUploadedFile("Lò Văn Pao 7A.JPG", taken, "image/jpeg")
    signed = sign_record(by=world.people["school"], record=record, at=AT, evidence=scan)
    assert signed.evidence.read() == JPEG
    assert Path(signed.evidence.name).name == f"{record.code}.jpg"
    digest = hashlib.sha256(JPEG).hexdigest()
    openings = Opening.objects.filter(field="photo")
    assert {opening.value for opening in openings} == {signed.evidence_sha256} == {digest}
    assert openings.count() == len(told := entries("device.handover_confirmed")) == 3
    assert digest not in json.dumps(told)
    assert all(set(entry["c"]) == {"record", "photo"} for entry in told)


def test_an_area_waits_for_ten_only_while_its_run_goes_on(world, record):
    codes = world.codes(world.schools[0])
    hand_over(by=world.people["school"], record=record, rows=rows(world, *codes[:2]), at=AT)
    assert close_finished_batches() == 0, "one more child of the school waits"
    hand_over(by=world.people["school"], record=record, rows=rows(world, codes[2]), at=AT)
    assert close_finished_batches() == 1
    assert ClosedHold.objects.get().hold == f"DPB-2021-01/{world.schools[0].office.code}"
    assert close_finished_batches() == 0


def test_the_entry_names_no_child_and_its_opening_does(world, record):
    code = world.codes(world.schools[0])[0]
    (handover,) = hand_over(by=world.people["school"], record=record, rows=rows(world, code), at=AT)
    student = handover.allocation.student
    body = LedgerOutbox.objects.get(event="device.handed_over").body
    assert student.full_name not in body
    assert world.schools[0].code not in body
    opening = Opening.objects.get(eid=handover.ledger_event, field="recipient")
    assert opening.value == f"{student.full_name}, {student.born_on:%d/%m/%Y}"


def test_each_handover_starts_one_free_plan(world, record):
    batch = register_sim_batch(
        by=world.people["mic"],
        operator=world.operator,
        province=world.province,
        quantity=5,
        delivered_on=AT.date(),
        at=AT,
    )
    hand_over(by=world.people["school"], record=record, rows=rows(world), at=AT)
    plans = list(DataPlan.objects.all())
    assert len(plans) == 3
    assert {(p.daily_mb, p.starts_on, p.ends_on, p.sim_batch_id) for p in plans} == {
        (4096, dt.date(2021, 11, 15), dt.date(2022, 2, 14), batch.pk)
    }
    assert SimBatch.objects.with_used().get().used == 3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"state": "left"}, "đã thôi học"),
        ({"state": "out_of_group"}, "không còn thuộc đối tượng"),
        ({"has_device": True}, "đã có máy"),
    ],
)
def test_eligibility_is_checked_again_at_the_handover(world, record, change, said):
    allocation = next(a for a in world.allocations if a.student.school_id == world.schools[0].pk)
    type(allocation.student).objects.filter(pk=allocation.student_id).update(**change)
    with pytest.raises(ValidationError, match=said):
        hand_over(by=world.people["school"], record=record, rows=rows(world), at=AT)
    # All or nothing: the two others have not been handed over either.
    assert not Handover.objects.exists()
    assert not entries("device.handed_over")


def test_who_moved_away_does_not_get_it_here(world, record):
    allocation = next(a for a in world.allocations if a.student.school_id == world.schools[0].pk)
    type(allocation.student).objects.filter(pk=allocation.student_id).update(school=world.schools[1])
    with pytest.raises(ValidationError, match="đã chuyển trường"):
        hand_over(by=world.people["school"], record=record, rows=rows(world, allocation.device.code), at=AT)


def test_only_what_the_school_holds_and_has_to_give(world, record):
    elsewhere = world.codes(world.schools[1])[0]
    with transaction.atomic():
        (unallocated,) = make_devices(world, 1)
    for code, said in [(elsewhere, "chưa về đến trường"), (unallocated.code, "không được phân bổ")]:
        with pytest.raises(ValidationError, match=said):
            hand_over(by=world.people["school"], record=record, rows=rows(world, code), at=AT)
    with pytest.raises(ValidationError, match="phải ghi tên"):
        hand_over(
            by=world.people["school"],
            record=record,
            rows=rows(world, world.codes(world.schools[0])[0], recipient="guardian"),
            at=AT,
        )


def test_a_signed_record_takes_no_more(world, record):
    codes = world.codes(world.schools[0])
    with pytest.raises(ValidationError, match="chưa có học sinh nào"):
        sign_record(by=world.people["school"], record=record, at=AT)
    hand_over(by=world.people["school"], record=record, rows=rows(world, codes[0]), at=AT)
    sign_record(by=world.people["school"], record=record, at=AT)
    with pytest.raises(ValidationError, match="đã ký"):
        hand_over(by=world.people["school"], record=record, rows=rows(world, codes[1]), at=AT)
    with pytest.raises(ValidationError, match="đã ký rồi"):
        sign_record(by=world.people["school"], record=record, at=AT)


def test_no_record_before_a_device_has_come(db):
    with transaction.atomic():
        world = make_world()
    with pytest.raises(ValidationError, match="Chưa có máy nào"):
        open_record(
            by=world.people["school"], school=world.schools[0], class_name="7A", held_on=AT.date(), at=AT
        )


def test_the_database_refuses_a_wrong_handover(world, record):
    first, second = (
        next(a for a in world.allocations if a.student.school_id == school.pk) for school in world.schools[:2]
    )
    by = world.people["school"]
    insert = (
        "INSERT INTO delivery_handover (record_id, allocation_id, recipient, guardian_name, handed_over_at,"
        " handed_over_by_id, ledger_event) VALUES (%s, %s, 'student', '', now(), %s, '')"
    )
    hand_over(by=by, record=record, rows=rows(world, first.device.code), at=AT)
    sign_record(by=by, record=record, at=AT)
    attacks = [
        (insert, [record.pk, second.pk, by.pk]),  # another school's device
        (insert, [record.pk, first.pk, by.pk]),  # again, and into a signed record
        ("UPDATE delivery_handover SET guardian_name = 'x', recipient = 'guardian'", []),
        ("DELETE FROM delivery_handover", []),
        ("UPDATE delivery_handoverrecord SET class_name = '8B'", []),
        ("DELETE FROM delivery_handoverrecord", []),
        ("INSERT INTO coverage_dataplan SELECT (p).* FROM (SELECT p FROM coverage_dataplan p) x", []),
    ]
    for statement, params in attacks:
        with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement, params)


class TestAfterwards:
    @pytest.fixture
    def school(self, world, record):
        hand_over(by=world.people["school"], record=record, rows=rows(world), at=AT)
        return world.schools[0].office

    def report(self, world, school, code, kind, reason="", at=AT):
        report_device(
            by=world.people["school"],
            office=school,
            device_code=code,
            kind=kind,
            reason=reason,
            happened_on=at.date(),
            at=at,
        )

    def test_broken_repaired_in_use(self, world, school):
        code = world.codes(world.schools[0])[0]
        self.report(world, school, code, "broken", "screen")
        self.report(world, school, code, "repaired")
        self.report(world, school, code, "in_use")
        assert list(DeviceReport.objects.order_by("pk").values_list("kind", flat=True)) == [
            "broken",
            "repaired",
            "in_use",
        ]
        assert [e["reason"] for e in entries("device.broken")] == ["screen"]
        assert len(entries("device.repaired")) == 1

    def test_lost_and_found(self, world, school):
        code = world.codes(world.schools[0])[0]
        self.report(world, school, code, "lost", "with_student")
        with pytest.raises(ValidationError, match="không ghi được «hỏng»"):
            self.report(world, school, code, "broken", "screen")
        self.report(world, school, code, "found")
        assert entries("device.found")[0]["dev"] == code

    def test_returned_ends_allocation_and_plan(self, world, school):
        code = world.codes(world.schools[0])[0]
        self.report(world, school, code, "returned", "left_school")
        device = Device.objects.get(code=code)
        assert device.state == Device.State.RETURNED
        assert who_holds(device).office == school
        assert device.allocations.get().end_reason == "returned"
        assert DataPlan.objects.get(device_code=code).cancelled_on == AT.date()

    def test_refused_reports_leave_nothing(self, world, school):
        good, bad = world.codes(world.schools[0])[:2]
        with pytest.raises(ValidationError, match="phải chọn lý do") as refused:
            report_devices(
                by=world.people["school"],
                office=school,
                rows=[
                    {"device": good, "kind": "in_use", "happened_on": AT.date()},
                    {"device": bad, "kind": "lost", "happened_on": AT.date()},
                ],
                at=AT,
            )
        assert refused.value.params["rows"][0][0] == bad
        assert not DeviceReport.objects.exists()
        with pytest.raises(ValidationError, match="không thuộc"):
            self.report(world, world.schools[1].office, good, "in_use")

    def test_a_lot_is_recalled_from_everybody(self, world, school):
        recall = recall_lot(by=world.people["programme"], lot=world.lot, reason="malware", at=AT)
        listed = recalled_devices(world.lot)
        assert len(listed) == 9
        assert {row.condition for row in listed} == {"recalled"}
        assert sum(row.with_student for row in listed) == 3
        assert entries("lot.recalled")[0]["qty"] == 9
        assert len(entries("device.recalled")) == 9
        with pytest.raises(ValidationError, match="đang có lệnh thu hồi"):
            recall_lot(by=world.people["programme"], lot=world.lot, reason="malware", at=AT)
        with pytest.raises(ValidationError, match="Còn 9 máy"):
            close_recall(by=world.people["programme"], recall=recall, at=AT)
        assert LotRecall.objects.get().closed_at is None

    def test_reports_are_never_rewritten(self, world, school):
        self.report(world, school, world.codes(world.schools[0])[0], "in_use")
        for statement in (
            "UPDATE delivery_devicereport SET kind = 'lost'",
            "DELETE FROM delivery_devicereport",
        ):
            with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(statement)
