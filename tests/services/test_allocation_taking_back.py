"""Taking back: one allocation or many, by two officials, with the notice mailed to the school and its trace kept."""

import json

import pytest
from django.core import mail
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from allocation import notices, services, taking_back, tasks
from allocation.models import Allocation, AllocationRun, Ranking, Reduction, Revocation
from common.erasure import ERASED
from common.models import SentMail
from donations.models import Device
from ledger.models import LedgerOutbox
from ledger.services import record
from schools.services.students import change_status
from tests.allocation_world import AT, AllocationWorld
from tests.supply import person

pytestmark = pytest.mark.django_db
NOTICE = "Em đã chuyển đi; khiếu nại tại Sở GD&ĐT."


@pytest.fixture
def world(settings, tmp_path):
    settings.LEDGER_DIR = tmp_path
    return AllocationWorld()


def reasons_told() -> list[str]:
    rows = LedgerOutbox.objects.filter(event="device.allocation_revoked").order_by("id")
    return [json.loads(body)["reason"] for body in rows.values_list("body", flat=True)]


def asked(world, **more) -> Revocation:
    return taking_back.request_revocation(
        **{
            "by": world.clerk,
            "allocation": Allocation.objects.first(),
            "reason": "moved_away",
            "notice": NOTICE,
            "at": AT,
            **more,
        }
    )


def test_a_revocation_needs_a_reason_a_notice_and_a_second_person(world):
    world.students(2)
    world.stock(1)
    world.committed()
    for notice in ("x", " " * 30, "Em đã chuyển đi."):
        with pytest.raises(IntegrityError, match="revocation_notice_spelled_out"), transaction.atomic():
            asked(world, notice=notice)
    with pytest.raises(ValidationError, match="không ghi họ tên"):
        asked(
            world, notice=f"{Allocation.objects.get().student.full_name.upper()} đã chuyển đi, hỏi Sở GD&ĐT."
        )
    revocation = asked(world)
    with pytest.raises(IntegrityError, match="revocation_one_open"), transaction.atomic():
        asked(world)
    with pytest.raises(ValidationError, match="phải khác"):
        taking_back.decide_revocation(by=world.clerk, revocation=revocation, agree=True, at=AT)
    taking_back.decide_revocation(by=world.approver, revocation=revocation, agree=True, at=AT)
    assert Allocation.objects.get().end_reason == "revoked"
    assert reasons_told() == ["moved_away"]
    # The device is in stock again, and the next run gives it to whoever comes first.
    assert world.frozen().supply_count == 1
    assert Device.objects.get().state == "accepted"


def test_a_refused_request_changes_nothing(world):
    world.students(1)
    world.stock(1)
    world.committed()
    taking_back.decide_revocation(by=world.approver, revocation=asked(world), agree=False, at=AT)
    assert Allocation.objects.live().count() == 1
    assert reasons_told() == []
    asked(world)


def test_a_device_in_a_child_s_hands_is_returned_not_revoked(world):
    world.students(1)
    world.stock(1)
    world.committed()
    revocation = asked(world)
    allocation = Allocation.objects.get()
    record(
        event="device.handed_over", on=AT.date(), device=allocation.device.code, run=allocation.run.code,
        hold="x", commit={"recipient": "A"},
    )  # fmt: skip
    with pytest.raises(ValidationError, match=allocation.device.code):
        taking_back.decide_revocation(by=world.approver, revocation=revocation, agree=True, at=AT)
    assert Allocation.objects.live().count() == 1


def test_the_school_is_told_by_mail_once_and_without_the_child_s_name(world):
    world.students(1)
    world.stock(1)
    world.committed()
    person("truong", ("clerk", world.school.office))
    revocation = asked(world)
    taking_back.decide_revocation(by=world.approver, revocation=revocation, agree=True, at=AT)
    tasks.mail_revocation(revocation_id=revocation.pk)
    (message,) = mail.outbox
    assert message.to == ["truong@example.vn"]
    assert NOTICE in message.body
    assert f"/phan-bo/thu-hoi/{revocation.pk}/" in message.body
    assert "Em 0" not in message.body
    assert "đợt sau vẫn xét em" in message.body
    (trace,) = notices.log_of(revocation)
    assert trace.delivered_on_clock_at is not None
    tasks.mail_revocation(revocation_id=revocation.pk)
    assert len(mail.outbox) == 1


def test_a_record_is_behind_until_it_says_what_the_reason_says(world):
    (child,) = world.students(1)
    world.stock(1)
    world.committed()
    assert not Revocation(allocation=Allocation.objects.get(), reason="device_unfit").is_record_behind
    revocation = asked(world)
    assert revocation.is_record_behind
    change_status(by=world.clerk, student=child, kind="left", reason="Theo đơn của gia đình", at=AT)
    assert not Revocation.objects.get().is_record_behind


def test_a_school_without_an_account_is_told_through_the_office_above(world):
    world.students(1)
    world.stock(1)
    world.committed()
    revocation = asked(world)
    taking_back.decide_revocation(by=world.approver, revocation=revocation, agree=True, at=AT)
    tasks.mail_revocation(revocation_id=revocation.pk)
    assert [message.to for message in mail.outbox] == [["so@example.vn"]]


def test_a_notice_whose_message_was_lost_is_found_again(world):
    world.students(1)
    world.stock(1)
    world.committed()
    revocation = asked(world)
    taking_back.decide_revocation(by=world.approver, revocation=revocation, agree=True, at=AT)
    assert notices.unsent_revocations() == [revocation.pk]
    tasks.mail_revocation(revocation_id=revocation.pk)
    assert notices.unsent_revocations() == []
    # An address that the server keeps refusing is not tried for ever.
    Revocation.objects.update(told_on_clock_at=None)
    SentMail.objects.update(attempts=notices.ATTEMPTS, delivered_on_clock_at=None)
    assert notices.unsent_revocations() == []


# --- reductions --------------------------------------------------------------------------------------------------


def cut(world, run, count: int, **more) -> Reduction:
    given = {"ground": "Nhà tài trợ rút máy", "notice": NOTICE, **more}
    return taking_back.request_reduction(by=world.clerk, run=run, count=count, at=AT, **given)


def test_a_reduction_says_why_in_more_than_a_letter(world):
    world.students(1)
    world.stock(1)
    run = world.committed()
    for given, rule in (
        ({"ground": "x"}, "reduction_ground_spelled_out"),
        ({"ground": "   rút    "}, "reduction_ground_spelled_out"),
        ({"notice": "Máy bị rút."}, "reduction_notice_spelled_out"),
    ):
        with pytest.raises(IntegrityError, match=rule), transaction.atomic():
            cut(world, run, 1, **given)
    Reduction.objects.filter(pk=cut(world, run, 1).pk).update(notice=ERASED)  # an erased one stays legal


def test_a_reduction_takes_from_the_last_by_rank(world, monkeypatch):
    monkeypatch.setattr(taking_back, "PAGE", 3)  # more than one page of them
    world.students(6)
    world.students(6, group="near_poor")
    world.stock(9)
    run = world.committed()
    person("truong", ("clerk", world.school.office))
    reduction = cut(world, run, 4)
    assert taking_back.would_meet(reduction) == [(world.province.full_name, 4)]
    with pytest.raises(ValidationError, match="phải khác"):
        taking_back.decide_reduction(by=world.clerk, reduction=reduction, agree=True, at=AT)
    taking_back.decide_reduction(by=world.approver, reduction=reduction, agree=True, at=AT)
    live = set(Allocation.objects.live().values_list("student_id", flat=True))
    first = Ranking.objects.filter(run=run, position__lte=5).values_list("student_id", flat=True)
    assert live == set(first)
    assert Revocation.objects.filter(reduction=reduction, reason="supply_reduced").count() == 4
    assert reasons_told() == ["supply_reduced"] * 4
    assert notices.unsent_reductions() == [reduction.pk]
    assert notices.unsent_revocations() == []
    for _ in range(2):
        tasks.mail_reduction(reduction_id=reduction.pk)
    (message,) = mail.outbox
    assert "4 máy" in message.body
    # The same students come first again when there is supply.
    again = world.proposed()
    assert (again.applicant_count, again.supply_count) == (7, 4)


def test_more_than_is_in_the_warehouse_cannot_be_cut(world):
    world.students(3)
    world.stock(3)
    run = world.committed()
    gone = Allocation.objects.select_related("device").first().device
    record(event="device.dispatched", on=AT.date(), device=gone.code, from_="KHO-TU", to="S-15")
    with pytest.raises(ValidationError, match="Chỉ còn 2 máy"):
        cut(world, run, 3)
    taking_back.decide_reduction(by=world.approver, reduction=cut(world, run, 2), agree=True, at=AT)
    assert [one.device_id for one in Allocation.objects.live()] == [gone.pk]


def test_only_a_committed_run_is_cut_and_one_request_at_a_time(world):
    world.students(2)
    world.stock(2)
    with pytest.raises(ValidationError, match="chưa làm được"):
        cut(world, world.proposed(), 1)
    services.reject(by=world.clerk, run=AllocationRun.objects.get(), reason="legal", at=AT)
    world.students(1)  # other students: another draw
    run = world.committed()
    reduction = cut(world, run, 1)
    with pytest.raises(IntegrityError, match="reduction_one_open"), transaction.atomic():
        cut(world, run, 1)
    taking_back.decide_reduction(by=world.approver, reduction=reduction, agree=False, at=AT)
    assert Allocation.objects.live().count() == 2
