"""A family's request through its pages: asked without signing in, answered and carried out by the programme's office."""

import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse

from delivery.services import hand_over, open_record
from donations.services import make_pledge, register_donor
from ledger.codes import new_code
from ledger.models import LedgerOutbox, PrivacyRequest
from schools.models import Student
from tests.delivery_world import AT, make_world
from tests.ledger_log import make_log
from tests.services.test_delivery_handovers import bring_to_schools

pytestmark = pytest.mark.django_db


@pytest.fixture
def log(tmp_path, settings):
    made = make_log(tmp_path)
    settings.LEDGER_DIR, settings.LEDGER_SIGNER_DIR = made.folder, made.state
    return made


@pytest.fixture
def world(log):
    with transaction.atomic():
        world = make_world(per_school=1)
        bring_to_schools(world)
    return world


@pytest.fixture
def device(world, log) -> str:
    """A device in a child's hands, public."""
    (code,) = world.codes(world.schools[0])
    by = world.people["school"]
    record = open_record(by=by, school=world.schools[0], class_name="7A", held_on=AT.date(), at=AT)
    hand_over(by=by, record=record, rows=[{"device": code}], at=AT)
    log.turn()
    return code


def ask(kind: str, device: str) -> PrivacyRequest:
    answer = Client().post(
        "/so-cai/yeu-cau/",
        {"kind": kind, "device": device.lower(), "contact": "0912 345 678", "detail": "xin"},
    )
    assert answer.status_code == 302
    code = answer["Location"].strip("/").split("/")[-1]
    assert "Bạn sẽ được trả lời trước hết ngày" in Client().get(answer["Location"]).content.decode()
    return PrivacyRequest.objects.get(code=code)


def test_a_family_asks_and_the_office_erases(world, device, sign_in):
    row = ask("erase", device)
    client = sign_in(world.people["programme"])
    assert row.code in client.get(reverse("delivery:privacy_requests")).content.decode()
    page = reverse("delivery:privacy_request", args=[row.code])
    assert "0912 345 678" in client.get(page).content.decode()
    assert client.post(page, {"answer": "refused"}).status_code == 422
    client.post(page, {"answer": "accepted"})
    form = client.get(page).content.decode()
    assert "Xoá vĩnh viễn thông tin của một em" in form
    handover = client.get(page).context["form"].fields["handover"].choices[0][0]
    assert client.post(page, {"handover": handover}).status_code == 422, (
        "without the second look nothing is erased"
    )
    assert client.post(page, {"handover": handover, "sure": "on"}).status_code == 302
    row.refresh_from_db()
    assert row.done_at
    assert Student.objects.filter(full_name="(đã xoá)").count() == 1
    public = Client().get(f"/so-cai/yeu-cau/{row.code}/").content.decode()
    assert "Đã làm xong" in public
    assert "0912" not in public


def test_a_giver_asks_and_the_office_erases(world, device, log, sign_in):
    with transaction.atomic():
        donor = register_donor(by=None, kind="individual", name="Vàng Thị Páo", at=AT, email="pao@example.vn")
        pledge, _ = make_pledge(by=None, donor=donor, kind="money", amount_vnd=5_000_000, at=AT)
    log.turn()
    assert (
        f'href="/so-cai/yeu-cau/?ma={pledge.code}"'
        in Client().get(f"/so-cai/cam-ket/{pledge.code}/").content.decode()
    )
    row = ask("erase", pledge.code)
    assert (row.pledge, row.device) == (pledge.code, "")
    assert (row.done_due_on - row.received_at.date()).days in (10, 11)
    client = sign_in(world.people["programme"])
    page = reverse("delivery:privacy_request", args=[row.code])
    client.post(page, {"answer": "accepted"})
    assert "Xoá vĩnh viễn thông tin của người ủng hộ" in client.get(page).content.decode()
    assert client.post(page, {"sure": ""}).status_code == 422
    assert client.post(page, {"sure": "on"}).status_code == 302
    donor.refresh_from_db()
    row.refresh_from_db()
    assert (donor.name, donor.email, bool(row.done_at), row.contact) == ("(đã xoá)", "", True, "")
    assert LedgerOutbox.objects.filter(event="commitment.erased").count() == 1


def test_a_wrong_line_about_a_pledge_is_corrected_beside_it(world, device, log, sign_in):
    with transaction.atomic():
        donor = register_donor(by=None, kind="individual", name="Vàng Thị Páo", at=AT)
        pledge, _ = make_pledge(by=None, donor=donor, kind="money", amount_vnd=5_000_000, at=AT)
    log.turn()
    row = ask("correct", pledge.code)
    client = sign_in(world.people["programme"])
    page = reverse("delivery:privacy_request", args=[row.code])
    client.post(page, {"answer": "accepted"})
    ((entry, _),) = client.get(page).context["form"].fields["corrects"].choices
    assert client.post(page, {"corrects": entry, "reason": "wrong_date"}).status_code == 302
    assert LedgerOutbox.objects.filter(event="correction", dev=None).exists()


def test_a_pledge_that_never_was_is_told_to_who_carries_it_out(world, device, sign_in):
    row = ask("erase", new_code("CK"))
    client = sign_in(world.people["programme"])
    page = reverse("delivery:privacy_request", args=[row.code])
    client.post(page, {"answer": "accepted"})
    answer = client.post(page, {"sure": "on"})
    assert answer.status_code == 422
    assert "Không có cam kết" in answer.content.decode()


def test_a_correction_is_chosen_from_the_devices_entries(world, device, sign_in):
    row = ask("correct", device)
    client = sign_in(world.people["leader"])
    page = reverse("delivery:privacy_request", args=[row.code])
    client.post(page, {"answer": "accepted", "extend": "on"})
    choices = client.get(page).context["form"].fields["corrects"].choices
    assert "Bàn giao tận tay một học sinh" in choices[0][1]
    assert client.post(page, {"corrects": "0" * 32, "reason": "wrong_date"}).status_code == 422
    client.post(page, {"corrects": choices[0][0], "reason": "wrong_date"})
    assert LedgerOutbox.objects.filter(event="correction", dev=device).exists()


@pytest.mark.parametrize("who", ["keeper", "department", "school", "moet"])
def test_nobody_else_sees_the_queue(world, device, sign_in, who):
    row = ask("erase", device)
    client = sign_in(world.people[who])
    for address in (
        reverse("delivery:privacy_requests"),
        reverse("delivery:privacy_request", args=[row.code]),
    ):
        assert client.get(address).status_code == 404
        assert client.post(address, {"answer": "accepted"}).status_code == 404
    row.refresh_from_db()
    assert row.answer == ""


@pytest.mark.parametrize(
    "typed",
    [{"device": "7K3Q-F9XW"}, {"contact": ""}, {"kind": "other"}, {"website": "http://spam.example"}],
)
def test_a_request_with_a_fault_is_told_and_not_taken(world, device, typed):
    data = {"kind": "erase", "device": device, "contact": "0912", "detail": ""} | typed
    answer = Client().post("/so-cai/yeu-cau/", data)
    assert answer.status_code == 400
    assert "error-summary" in answer.content.decode()
    assert not PrivacyRequest.objects.exists()
