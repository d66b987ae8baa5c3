"""Erasure and correction, end to end: the deadlines, the entry, and that nothing of the person is left."""

import datetime

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from ledger import custody
from ledger.audit import audit
from ledger.models import LedgerEntry, LedgerOutbox, Opening, PrivacyRequest
from ledger.privacy import answer_request, carry_out, file_request, working_days_after
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
        event="device.handed_over", on=DAY, device=code, run="R-1", commit={"recipient": "Giàng Thị Mỷ", "school": "TH A"}
    )  # fmt: skip
    log.turn()
    return code, eid


def test_deadlines_skip_weekends():
    friday = datetime.date(2021, 10, 8)
    assert working_days_after(friday, 2) == datetime.date(2021, 10, 12)


def test_an_erasure_leaves_a_commitment_that_says_nothing(log):
    code, eid = handed_over(log)
    row = file_request(kind="erase", device=code, contact="0912", detail="xin xoá", at=AT)
    assert (row.answer_due_on, row.done_due_on) == (datetime.date(2021, 10, 12), datetime.date(2021, 10, 18))
    with pytest.raises(ValidationError):
        carry_out(by="Cán bộ", request=row, at=AT)
    answer_request(by="Cán bộ", request=row, answer="accepted", at=AT)
    with pytest.raises(ValidationError):
        answer_request(by="Cán bộ", request=row, answer="refused", reason="x", at=AT)
    assert carry_out(by="Cán bộ", request=row, at=AT) == 2
    assert not Opening.objects.filter(eid=eid).exists()
    row.refresh_from_db()
    assert (row.contact, row.detail) == ("", "")
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
    carry_out(by="Cán bộ", request=row, at=AT, corrects=eid, reason="recorded_in_error")
    assert LedgerOutbox.objects.get().state == "allocated"
    log.turn()
    record(event="device.dispatched", on=DAY, device=code, from_="KHO", to="S-15")
    assert custody.LABEL[LedgerOutbox.objects.get().state] == "Đang vận chuyển"


def test_a_refusal_needs_its_reason(log):
    code, _ = handed_over(log)
    row = file_request(kind="erase", device=code, contact="0912", detail="", at=AT)
    with pytest.raises(ValidationError, match="vì sao"):
        answer_request(by="Cán bộ", request=row, answer="refused", at=AT)
    answer_request(
        by="Cán bộ", request=row, answer="refused", reason="Không có biên nhận của máy này.", at=AT
    )
    assert PrivacyRequest.objects.get().contact == ""
