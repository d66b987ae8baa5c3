"""Pledges and money: services on the real database."""

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction

from donations import services
from donations.models import BudgetLine, Device, Pledge, PurchaseOrder
from donations.services.money import balance_vnd, open_need
from donations.services.pledges import money_in_devices
from ledger.models import LedgerOutbox
from tests.supply import AT, DAY, World

pytestmark = pytest.mark.django_db


@pytest.fixture
def world():
    return World()


def bodies(event: str) -> str:
    return "\n".join(LedgerOutbox.objects.filter(event=event).order_by("id").values_list("body", flat=True))


def test_a_later_price_never_changes_an_earlier_conversion(world):
    world.price(2_500_000)
    early = world.money(25_000_000_000, received=False)
    world.price(10_900_000, valid_from=DAY)
    late = world.money(25_000_000_000, received=False)
    assert money_in_devices(early) == (10_000, 0)
    assert money_in_devices(late) == (2_293, 6_300_000)
    early.refresh_from_db()
    assert money_in_devices(early) == (10_000, 0)


def test_an_umbrella_is_not_counted_twice_and_holds_its_members_progress(world):
    umbrella = world.pledge(quantity=100_000)
    member = world.pledge(quantity=24_000, umbrella=umbrella)
    world.devices(2, lot=world.lot(member))
    assert sum(Pledge.objects.counted().values_list("quantity", flat=True)) == 100_000
    assert Pledge.objects.with_progress().get(pk=umbrella.pk).received_count == 2
    umbrella.refresh_from_db()
    assert umbrella.state == "receiving"
    with pytest.raises(IntegrityError, match="chỉ có một cấp"), transaction.atomic():
        world.pledge(quantity=1, umbrella=member)


def test_the_pledge_follows_what_arrives(world):
    pledge = world.pledge(quantity=3)
    lot = world.lot(pledge)
    world.devices(2, lot=lot, prefix="A")
    pledge.refresh_from_db()
    assert pledge.state == "receiving"
    with pytest.raises(ValidationError, match="Đã nhận 2"):
        services.change_pledge(by=None, pledge=pledge, at=AT, reason="donor_request", quantity=1)
    services.change_pledge(by=None, pledge=pledge, at=AT, reason="partial_delivery", quantity=2)
    pledge.refresh_from_db()
    assert pledge.state == "fulfilled"
    with pytest.raises(ValidationError, match="không rút được"):
        services.cancel_pledge(by=None, pledge=pledge, at=AT)
    assert '"reason":"partial_delivery"' in bodies("pledge.changed")


def test_nothing_arrives_for_a_pledge_that_was_withdrawn_meanwhile(world):
    """Whoever records it still has the pledge as it was before."""
    money, devices = world.money(10_000_000, received=False), world.pledge()
    for pledge in (money, devices):
        services.cancel_pledge(by=None, pledge=Pledge.objects.get(pk=pledge.pk), at=AT)
    with pytest.raises(ValidationError, match="Đã rút"):
        services.receive_money(
            by=world.clerk, pledge=money, office=world.programme, amount_vnd=10_000_000, document_number="UNC",
            received_on=DAY, at=AT,
        )  # fmt: skip
    with pytest.raises(ValidationError, match="Đã rút"):
        world.lot(devices)


def test_a_pledge_whose_lot_was_opened_is_not_withdrawn(world):
    lot = world.lot()
    with pytest.raises(ValidationError, match="không rút được"):
        services.cancel_pledge(by=None, pledge=lot.pledge, at=AT)
    world.devices(2, lot=lot)


@pytest.mark.django_db(transaction=True)
def test_two_buyers_at_once_do_not_buy_for_the_same_students():
    world = World()
    world.students(10)
    price, pledges = world.price(), [world.money(25_000_000), world.money(25_000_000)]

    together = Barrier(2)

    def buy(pledge) -> bool:
        together.wait(10)
        try:
            services.propose_order(by=world.clerk, agreement=price, pledge=pledge, quantity=7, at=AT)
            return True
        except ValidationError:
            return False
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(buy, pledges)) == [False, True]
    assert open_need(None) == 3


@pytest.mark.django_db(transaction=True)
def test_what_arrives_for_an_umbrella_by_many_hands_at_once_waits_in_one_order():
    world = World()
    umbrella = world.pledge(quantity=1000)
    members = [world.pledge(quantity=100, umbrella=umbrella) for _ in range(4)]
    lots = [world.lot(member) for member in members]

    together = Barrier(8)

    def work(number: int) -> None:
        member = members[number % 4]
        together.wait(10)
        try:
            if number < 4:
                world.devices(5, lot=lots[number], prefix=f"S{number}")
            else:
                services.change_pledge(
                    by=None, pledge=member, at=AT, reason="donor_request", quantity=90 - number
                )
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert Pledge.objects.with_progress().get(pk=umbrella.pk).received_count == 20


def test_the_ledger_names_organisations_that_agreed_and_never_a_person(world):
    world.pledge(donor=world.donor("Công ty Ánh Dương"))
    world.pledge(donor=world.donor("Công ty kín", named=False))
    world.pledge(donor=world.donor("Bà Hoa", kind="individual", named=True))
    services.make_pledge(
        by=None, donor=world.donor("Công ty mạo danh"), kind="device", device_kind="tablet", quantity=1, at=AT
    )
    text = bodies("pledge.made")
    assert '"org":"Công ty Ánh Dương"' in text
    assert not any(name in text for name in ("kín", "Hoa", "mạo danh"))
    assert text.count('"c":{"donor"') == 3


def test_nothing_is_bought_without_money_price_and_known_students(world):
    price = world.price()
    pledge = world.money(100_000_000)
    with pytest.raises(ValidationError, match="còn 0 học sinh"):
        services.propose_order(by=world.clerk, agreement=price, pledge=pledge, quantity=10, at=AT)
    world.students(30)
    with pytest.raises(ValidationError, match="Cần"):
        services.propose_order(by=world.clerk, agreement=price, pledge=pledge, quantity=41, at=AT)
    ended = world.price(2_400_000, valid_from=dt.date(2021, 8, 1), valid_to=dt.date(2021, 8, 31))
    with pytest.raises(ValidationError, match="không có hiệu lực"):
        services.propose_order(by=world.clerk, agreement=ended, pledge=pledge, quantity=1, at=AT)
    past = AT.date() - dt.timedelta(days=1)
    with pytest.raises(ValidationError, match="đã qua"):
        services.propose_order(
            by=world.clerk, agreement=price, pledge=pledge, quantity=1, at=AT, expected_on=past
        )
    services.propose_order(by=world.clerk, agreement=price, pledge=pledge, quantity=30, at=AT)
    assert open_need(None) == 0
    assert open_need(world.other_province) == 0
    assert balance_vnd(pledge=pledge) == 25_000_000


def test_devices_are_traced_to_the_money_that_bought_them(world):
    world.students(10)
    pledge = world.money(25_000_000)
    line = BudgetLine.objects.create(
        code="II.2a", clause="II.2a", name="Máy tính", funding_source="donation", planned_vnd=10**12
    )
    order = services.propose_order(
        by=world.clerk, agreement=world.price(), pledge=pledge, quantity=10, at=AT, budget_line=line
    )
    services.approve_order(by=world.clerk, order=order, at=AT)
    lot = services.deliver_order(by=world.clerk, order=order, warehouse=world.warehouse, at=AT)
    services.pay_order(
        by=world.clerk, order=order, amount_vnd=20_000_000, document_number="C1", transferred_on=DAY, at=AT
    )
    world.devices(10, lot=lot)
    assert Device.objects.bought().filter(lot__order__pledge=pledge).count() == 10
    used = BudgetLine.objects.with_use().get()
    assert (used.committed_vnd, used.spent_vnd) == (25_000_000, 20_000_000)
    pledge.refresh_from_db()
    done = Pledge.objects.with_progress().get(pk=pledge.pk)
    assert (pledge.state, done.received_vnd, done.spent_vnd, done.received_count) == (
        "fulfilled",
        25_000_000,
        20_000_000,
        10,
    )


def test_a_large_order_needs_a_second_person_even_from_below(world):
    world.students(400)
    pledge = world.money(1_000_000_000)
    order = services.propose_order(
        by=world.clerk, agreement=world.price(), pledge=pledge, quantity=400, at=AT
    )
    with pytest.raises(ValidationError, match="người khác"):
        services.approve_order(by=world.clerk, order=order, at=AT)
    with pytest.raises(IntegrityError, match="purchaseorder_two_persons"), transaction.atomic():
        PurchaseOrder.objects.filter(pk=order.pk).update(
            state="ordered", ordered_at=AT, ordered_by=world.clerk
        )
    services.approve_order(by=world.approver, order=order, at=AT)


def test_what_is_bought_for_a_province_is_earmarked_for_it(world):
    world.students(10)
    pledge = world.money(25_000_000)
    order = services.propose_order(
        by=world.clerk, agreement=world.price(), pledge=pledge, quantity=4, at=AT, target_unit=world.province
    )
    assert open_need(world.province) == 6
    services.approve_order(by=world.approver, order=order, at=AT)
    lot = services.deliver_order(by=world.clerk, order=order, warehouse=world.warehouse, at=AT)
    world.devices(4, lot=lot)
    assert set(Device.objects.values_list("earmark_unit", flat=True)) == {world.province.pk}
    assert '"earmark":"VN2021-15"' in bodies("device.received")
    # Delivered and entered, it is counted once.
    assert open_need(world.province) == 6


@pytest.mark.parametrize(
    ("sql", "constraint"),
    [
        ("UPDATE donations_moneyreceipt SET amount_vnd = 1", "donations_moneyreceipt_append_only"),
        ("DELETE FROM donations_moneytransfer", "donations_moneytransfer_append_only"),
        ("UPDATE donations_priceagreement SET unit_price_vnd = 1", "donations_priceagreement_append_only"),
        ("UPDATE donations_purchaseorder SET quantity = need_count + 1", "purchaseorder_within_need"),
        ("UPDATE donations_purchaseorder SET state = 'delivered'", "donations_purchaseorder_state_moves"),
        ("UPDATE donations_pledge SET funding_source = 'local_budget'", "pledge_local_source_has_place"),
    ],
)
def test_the_database_refuses_from_below(world, sql, constraint):
    world.students(10)
    pledge = world.money(25_000_000)
    services.transfer_money(
        by=world.clerk, pledge=pledge, from_office=world.programme, to_office=world.committee, amount_vnd=1,
        document_number="X", transferred_on=DAY, at=AT,
    )  # fmt: skip
    services.propose_order(by=world.clerk, agreement=world.price(), pledge=pledge, quantity=1, at=AT)
    with pytest.raises(IntegrityError) as refused, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql)
    assert refused.value.__cause__.diag.constraint_name == constraint
