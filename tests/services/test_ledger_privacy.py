"""Erasure and correction, end to end: the deadlines, the entry, and that nothing of the person is left."""

import datetime

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from common.workdays import add_working_days
from ledger import custody
from ledger.audit import audit
from ledger.models import LedgerEntry, LedgerOutbox, Opening, PrivacyRequest
from ledger.privacy import (
    answer_request,
    carry_out_correction,
    erase_openings,
    file_request,
    take_up,
)
from ledger.services import record
from tests.ledger_log import DAY, make_log, receive

pytestmark = pytest.mark.django_db
AT = datetime.datetime(2021, 10, 8, 9, 0, tzinfo=timezone.get_default_timezone())


@pytest.fixture
def log(tmp_path):
    return make_log(tmp_path)


def handed_over(log) -> tuple[str, object]:
    (code,) = receive(1)
    record(event="device.inspected", on=DAY, device=code, outcome="accepted")
    record(event="device.allocated", on=DAY, device=code, run="R-1", area="VN")
    eid = record(
        event="device.handed_over", on=DAY, device=code, run="R-1", hold="R-1/VN",
        commit={"recipient": "Giàng Thị Mỷ", "school": "TH A"},
    )  # fmt: skip
    log.turn()
    return code, eid


def erase(device: str, handover) -> int:
    select = "SELECT %s AS device, %s::uuid AS eid"
    return erase_openings(handovers=select, params=[device, handover], reason="family_request", on=DAY)


@pytest.mark.parametrize(
    ("received", "due"),
    [
        ("2021-10-08", "2021-10-12"),  # over a weekend
        ("2021-09-01", "2021-09-07"),  # Independence Day, two days, and the weekend behind it
        ("2022-01-28", "2022-02-08"),  # Tết
        ("2022-04-08", "2022-04-13"),  # the Hùng kings on a Sunday, made up for on Monday
        ("2022-04-29", "2022-05-05"),  # 30 April and 1 May on a weekend, made up for on Monday and Tuesday
        ("2026-02-13", "2026-02-24"),  # Tết 2026
        ("2027-04-29", "2027-05-05"),
    ],
)
def test_an_answer_is_due_in_two_working_days_of_vietnam(received, due):
    assert add_working_days(datetime.date.fromisoformat(received), 2).isoformat() == due


def test_the_queue_puts_the_next_deadline_first(log):
    code, _ = handed_over(log)
    first, second, third = (
        file_request(
            kind="correct",
            device=code,
            contact="0912",
            detail=word,
            at=AT + number * datetime.timedelta(days=1),
        )
        for number, word in enumerate("abc")
    )
    answer_request(by="Cán bộ", request=first, answer="refused", reason="Không đúng máy.", at=AT)
    answer_request(by="Cán bộ", request=second, answer="accepted", extend=True, at=AT)
    assert list(PrivacyRequest.objects.waiting_first()) == [third, second, first]


def test_an_erasure_leaves_a_commitment_that_says_nothing(log):
    code, eid = handed_over(log)
    row = file_request(kind="erase", device=code, contact="0912", detail="xin xoá", at=AT)
    assert (row.answer_due_on, row.done_due_on) == (datetime.date(2021, 10, 12), datetime.date(2021, 10, 18))
    with pytest.raises(ValidationError):
        take_up(request=row, kind="erase")
    answer_request(by="Cán bộ", request=row, answer="accepted", at=AT)
    with pytest.raises(ValidationError):
        answer_request(by="Cán bộ", request=row, answer="refused", reason="x", at=AT)
    assert erase(code, eid) == 2
    assert not Opening.objects.filter(eid=eid).exists()
    log.turn()
    assert LedgerEntry.objects.filter(event="commitment.erased").count() == 2
    problems = audit(log.disk.fetch, log.verifiers)["problems"]
    assert problems == ["run R-1: 1 devices allocated, never committed"]


def test_a_correction_names_the_entry_and_takes_the_device_back(log):
    code, eid = handed_over(log)
    row = file_request(kind="correct", device=code, contact="0912", detail="chưa nhận máy", at=AT)
    answer_request(by="Cán bộ", request=row, answer="accepted", extend=True, at=AT)
    row.refresh_from_db()
    assert row.done_due_on == datetime.date(2021, 10, 28)
    with pytest.raises(ValidationError, match="chọn mục"):
        carry_out_correction(by="Cán bộ", request=row, at=AT, corrects=None, reason="")
    carry_out_correction(by="Cán bộ", request=row, at=AT, corrects=eid, reason="recorded_in_error")
    assert LedgerOutbox.objects.get().state == "allocated"
    log.turn()
    record(event="device.dispatched", on=DAY, device=code, from_="KHO", to="S-15")
    assert custody.LABEL[LedgerOutbox.objects.get().state] == "Đang vận chuyển"


def test_an_erasure_spares_who_had_the_device_after(log):
    code, first = handed_over(log)
    record(event="device.returned", on=DAY, device=code, reason="left_school", to="S-15")
    record(event="device.inspected", on=DAY, device=code, outcome="accepted")
    record(event="device.allocated", on=DAY, device=code, run="R-2", area="VN")
    second = record(
        event="device.handed_over",
        on=DAY,
        device=code,
        run="R-2",
        hold="R-2/VN",
        commit={"recipient": "Lò Văn Pao"},
    )
    log.turn()
    assert erase(code, first) == 2
    assert Opening.objects.filter(eid=second).count() == 1


def test_a_refusal_needs_its_reason(log):
    code, _ = handed_over(log)
    row = file_request(kind="erase", device=code, contact="0912", detail="", at=AT)
    for said in ("", "  không  "):
        with pytest.raises(IntegrityError, match="refuse_reason_spelled_out"), transaction.atomic():
            answer_request(by="Cán bộ", request=row, answer="refused", reason=said, at=AT)
    answer_request(
        by="Cán bộ", request=row, answer="refused", reason="Không có biên nhận của máy này.", at=AT
    )
    assert PrivacyRequest.objects.get().contact == ""
