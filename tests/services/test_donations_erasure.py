"""A giver asks to be forgotten: a person leaves every table, an organisation stays and its contact leaves."""

import pytest
from allauth.account.models import EmailAddress
from django.db import transaction

from accounts.models import User
from common.audit import acting
from common.erasure import ERASED
from delivery.services import carry_out_erasure, erase_again
from donations import services
from donations.models import Donor, DonorMember, Pledge
from ledger.audit import audit
from ledger.models import LedgerEntry, Opening
from ledger.privacy import answer_request, file_request
from tests.ledger_log import make_log
from tests.services.test_delivery_erasure import found_in_tables
from tests.supply import AT, World

pytestmark = pytest.mark.django_db
NAME, TAX, MAIL, PHONE = "Vàng Thị Páo", "8765432109", "pao.vang@example.vn", "0987111222"
CONTACT = "Sùng A Chứ"
NEEDLES = [NAME, NAME.upper(), "vang thi pao", TAX, MAIL, PHONE, CONTACT]


@pytest.fixture
def log(tmp_path, settings):
    made = make_log(tmp_path)
    settings.LEDGER_DIR, settings.LEDGER_SIGNER_DIR = made.folder, made.state
    return made


@pytest.fixture
def supply(log) -> World:
    with transaction.atomic():
        return World()


def give(supply: World, kind: str) -> Pledge:
    """Two pledges of one donor, of whom every field says something; money has come for one."""
    with transaction.atomic(), acting(supply.clerk, via="test"):
        donor = services.register_donor(
            by=None, kind=kind, name=NAME, at=AT, email=MAIL, phone=PHONE, is_named_in_public=True
        )
        Donor.objects.filter(pk=donor.pk).update(tax_code=TAX)
        contact = {"contact_name": CONTACT, "contact_email": MAIL, "contact_phone": PHONE}
        first = supply.money(30_000_000, donor=donor, description=f"Của {NAME}", **contact)
        supply.pledge(quantity=2, donor=donor, description=f"{NAME} tặng", **contact)
    return first


def give_account(supply: World, pledge: Pledge) -> User:
    """Who pledged has signed in since, under name, address and number."""
    with transaction.atomic(), acting(supply.clerk, via="test"):
        user = User.objects.create_user(MAIL, full_name=CONTACT, phone=PHONE)
        EmailAddress.objects.create(user=user, email=MAIL, primary=True, verified=True)
        DonorMember.objects.create(user=user, donor=pledge.donor, granted_at=AT)
    return user


def erase(supply: World, pledge: Pledge) -> int:
    row = file_request(kind="erase", pledge=pledge.code, contact=PHONE, detail=f"Xin xoá {NAME}", at=AT)
    answer_request(by=supply.clerk, request=row, answer="accepted", at=AT)
    with acting(supply.clerk, via="test"):
        return carry_out_erasure(by=supply.clerk, request=row, at=AT)


def test_a_person_who_gave_leaves_every_table(supply, log, tmp_path):
    pledge = give(supply, "individual")
    account = give_account(supply, pledge)
    log.turn()
    known = {hit.partition(":")[0] for hit in found_in_tables(NEEDLES)}
    assert {
        "donations_donor.name", "donations_donor.search_key", "donations_donorevent.name", "donations_pledge.description",
        "donations_pledgeevent.description", "donations_pledge.contact_name", "ledger_opening.value", "accounts_user.email", "accounts_userevent.full_name",
        "account_emailaddress.email",
    } <= known, "the test must plant what it looks for"  # fmt: skip
    assert erase(supply, pledge) == 3  # two pledges made, money once
    assert found_in_tables(NEEDLES) == []
    assert not any(NAME.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    log.turn()
    erased = LedgerEntry.objects.filter(event="commitment.erased")
    assert {('"reason":"donor_request"' in row.body, '"field":"donor"' in row.body) for row in erased} == {
        (True, True)
    }
    assert audit(log.disk.fetch, log.verifiers)["problems"] == []
    pledge.refresh_from_db()
    assert (pledge.amount_vnd, pledge.donor.kind) == (30_000_000, "individual")
    account.refresh_from_db()
    assert not account.is_active


def test_an_account_that_is_for_something_else_too_stays(supply, log):
    pledge = give(supply, "individual")
    account = give_account(supply, pledge)
    with transaction.atomic():
        other = services.register_donor(by=None, kind="enterprise", name="Công ty Sao Mai", at=AT)
        DonorMember.objects.create(user=account, donor=other, granted_at=AT)
    erase(supply, pledge)
    account.refresh_from_db()
    assert (account.email, account.is_active) == (MAIL, True)
    assert not DonorMember.objects.filter(donor=pledge.donor, ended_at=None).exists()


def test_an_organisation_stays_and_who_answered_for_it_leaves(supply, log):
    pledge = give(supply, "enterprise")
    assert erase(supply, pledge) == 0
    pledge.refresh_from_db()
    assert (pledge.contact_name, pledge.contact_email, pledge.contact_phone) == ("", "", "")
    assert pledge.donor.name == NAME
    assert Pledge.objects.exclude(pk=pledge.pk).get(donor=pledge.donor).contact_name == CONTACT


def test_a_contact_is_forgotten_with_the_account_and_again_after_a_restore(supply, log):
    pledge = give(supply, "enterprise")
    account = give_account(supply, pledge)
    last = Pledge.objects.exclude(pk=pledge.pk).get(donor=pledge.donor)
    log.turn()
    erase(supply, pledge)
    account.refresh_from_db()
    assert account.email == MAIL, "the other pledge still names this contact"
    erase(supply, last)
    Donor.objects.filter(pk=pledge.donor_id).update(tax_code="", email="", phone="")
    assert [hit for hit in found_in_tables([MAIL, PHONE, CONTACT]) if "taxcode" not in hit] == []
    log.turn()
    assert {
        '"field":"contact"' in row.body for row in LedgerEntry.objects.filter(event="commitment.erased")
    } == {True}
    assert audit(log.disk.fetch, log.verifiers)["problems"] == []
    Pledge.objects.filter(pk=last.pk).update(contact_name=CONTACT, contact_email=MAIL)
    User.objects.filter(pk=account.pk).update(email=MAIL, full_name=CONTACT, is_active=True)
    assert erase_again(by=supply.clerk, at=AT) == 1
    assert found_in_tables([MAIL, CONTACT]) == []
    assert erase_again(by=supply.clerk, at=AT) == 0
    assert log.turn() is None or LedgerEntry.objects.filter(event="commitment.erased").count() == 2


def test_a_restored_backup_forgets_a_giver_again(supply, log):
    pledge = give(supply, "individual")
    log.turn()
    openings = list(Opening.objects.values("eid", "field", "salt", "value"))
    erase(supply, pledge)
    log.turn()
    Donor.objects.filter(pk=pledge.donor_id).update(name=NAME, search_key="vang thi pao", email=MAIL)
    Opening.objects.bulk_create(Opening(**row) for row in openings)
    assert erase_again(by=supply.clerk, at=AT) == 1
    assert not Opening.objects.filter(value=NAME).exists()
    assert Donor.objects.get(pk=pledge.donor_id).name == ERASED
    assert erase_again(by=supply.clerk, at=AT) == 0
