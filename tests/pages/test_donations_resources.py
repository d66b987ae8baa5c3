"""Pledges, money and purchases for staff, and a donor's own pledges, through the client."""

import pytest

from donations import services
from donations.models import MoneyReceipt, MoneyTransfer, Pledge, PurchaseOrder
from tests.supply import AT, DAY, World, person

pytestmark = pytest.mark.django_db


@pytest.fixture
def world():
    return World()


def test_a_clerk_confirms_a_public_pledge_for_a_warehouse(world, sign_in):
    pledge, _ = services.make_pledge(
        by=None,
        donor=world.donor(),
        kind="device",
        device_kind="tablet",
        quantity=20,
        at=AT,
        contact_phone="0912345678",
    )
    client = sign_in(world.clerk)
    assert "0912345678" in client.get(f"/nguon-luc/cam-ket/{pledge.code}/").content.decode()
    address = f"/nguon-luc/cam-ket/{pledge.code}/xac-nhan/"
    assert client.post(address, {}).status_code == 400
    assert client.post(address, {"warehouse": world.warehouse.pk}).status_code == 302
    pledge.refresh_from_db()
    assert (pledge.state, pledge.warehouse) == ("confirmed", world.warehouse)
    # Who watches sees no telephone number and can't act.
    client = sign_in(person("bo", ("viewer", world.moet)))
    assert "0912345678" not in client.get(f"/nguon-luc/cam-ket/{pledge.code}/").content.decode()
    assert client.post(address, {"warehouse": world.warehouse.pk}).status_code == 404


def test_money_becomes_devices_by_two_persons(world, sign_in):
    world.students(600)
    price = world.price()
    pledge = world.money(5_000_000_000, received=False)
    client = sign_in(world.clerk)
    receipt = {
        "office": world.programme.pk,
        "amount_vnd": "5.000.000.000",
        "document_number": "UNC-1",
        "received_on": "2021-11-15",
    }
    address = f"/nguon-luc/cam-ket/{pledge.code}/nhan-tien/"
    assert client.post(address, receipt | {"amount_vnd": "năm tỷ"}).status_code == 400
    assert client.post(address, receipt).status_code == 302
    assert client.post(address, receipt).status_code == 400  # the same document twice
    assert MoneyReceipt.objects.count() == 1
    order = {"agreement": price.pk, "quantity": "601", "office": world.programme.pk}
    address = f"/nguon-luc/cam-ket/{pledge.code}/mua/"
    assert "còn 600 học sinh" in client.post(address, order).content.decode()
    assert client.post(address, order | {"quantity": "500"}).status_code == 302
    made = PurchaseOrder.objects.get()
    page = f"/nguon-luc/don-mua/{made.code}/"
    assert "Chờ người khác phê duyệt" in client.get(page).content.decode()
    assert client.post(f"{page}duyet/").status_code == 404
    assert sign_in(world.province_clerk).get(page).status_code == 404
    assert sign_in(world.approver).post(f"{page}duyet/").status_code == 302
    client = sign_in(world.clerk)
    assert client.post(f"{page}giao/", {"warehouse": world.warehouse.pk}).status_code == 302
    pay = {"amount_vnd": "1.250.000.000", "document_number": "CHI-1", "transferred_on": "2021-11-15"}
    assert client.post(f"{page}tra/", pay).status_code == 302
    assert client.post(f"{page}tra/", pay | {"document_number": "CHI-2"}).status_code == 400
    assert MoneyTransfer.objects.count() == 1
    assert "Đã giao" in client.get("/nguon-luc/don-mua/").content.decode()
    assert "1.250.000.000 đ" in client.get("/nguon-luc/tien/").content.decode()
    public = client.get(f"/cam-ket/{pledge.code}/").content.decode()
    assert made.code in public


def test_prices_and_staff_pledges(world, sign_in):
    client = sign_in(world.clerk)
    price = {"supplier": "Nhà máy A", "device_kind": "tablet", "model_name": "8 inch", "unit_price_vnd": "2.500.000",
             "valid_from": "2021-09-01", "valid_to": "2021-08-01"}  # fmt: skip
    assert client.post("/nguon-luc/gia/moi/", price).status_code == 400
    assert client.post("/nguon-luc/gia/moi/", price | {"valid_to": ""}).status_code == 302
    assert "2.500.000 đ" in client.get("/nguon-luc/gia/").content.decode()
    common = {"donor_kind": "agency", "name": "Uỷ ban", "kind": "device", "device_kind": "tablet", "quantity": "100000",
              "funding_source": "donation", "office": world.programme.pk}  # fmt: skip
    assert client.post("/nguon-luc/cam-ket/moi/", common | {"quantity": ""}).status_code == 400
    assert client.post("/nguon-luc/cam-ket/moi/", common).status_code == 302
    umbrella = Pledge.objects.get()
    member = common | {"name": "EVN", "quantity": "24000", "umbrella_code": umbrella.code.lower()}
    assert client.post("/nguon-luc/cam-ket/moi/", member).status_code == 302
    page = client.get("/nguon-luc/").content.decode()
    assert "100.000</strong>" in page
    assert "124.000" not in page
    assert client.post("/nguon-luc/cam-ket/moi/", member | {"umbrella_code": "CK-1"}).status_code == 400
    assert client.get("/nguon-luc/", {"q": "!!!"}).status_code == 200, "no word in it"
    rows = b"".join(client.get("/nguon-luc/cam-ket.csv", {"q": "evn"}).streaming_content).splitlines()
    assert len(rows) == 2


def test_a_province_manages_its_own_initiative_only(world, sign_in):
    national = world.pledge()
    client = sign_in(world.province_clerk)
    local = {"donor_kind": "enterprise", "name": "HTX", "kind": "device", "device_kind": "tablet", "quantity": "5",
             "funding_source": "local_donation", "office": world.department.pk}  # fmt: skip
    assert "dành cho địa phương nào" in client.post("/nguon-luc/cam-ket/moi/", local).content.decode()
    assert (
        client.post("/nguon-luc/cam-ket/moi/", local | {"earmark_unit": world.province.pk}).status_code == 302
    )
    page = client.get("/nguon-luc/").content.decode()
    assert "HTX" in page
    assert national.code not in page
    assert client.get(f"/nguon-luc/cam-ket/{national.code}/").status_code == 404
    assert client.post("/nguon-luc/cam-ket/moi/", local | {"office": world.programme.pk}).status_code == 400


def test_infrastructure_is_followed_like_the_rest(world, sign_in):
    pledge, _ = services.make_pledge(
        by=world.clerk, donor=world.donor(), kind="infrastructure", infrastructure_kind="tariff",
        description="10.000 SIM", at=AT, is_verified=True,
    )  # fmt: skip
    client = sign_in(world.clerk)
    assert client.post(f"/nguon-luc/cam-ket/{pledge.code}/ho-tro/", {"bat-dau": "1"}).status_code == 302
    assert client.post(f"/nguon-luc/cam-ket/{pledge.code}/ho-tro/", {"xong": "1"}).status_code == 302
    pledge.refresh_from_db()
    assert pledge.state == "fulfilled"
    assert sign_in(world.keeper).post(f"/nguon-luc/cam-ket/{pledge.code}/ho-tro/").status_code == 404


def test_money_moves_to_the_province_that_buys(world, sign_in):
    pledge = world.money(1_000_000_000)
    client = sign_in(world.clerk)
    move = {"from_office": world.programme.pk, "to_office": world.committee.pk, "amount_vnd": "600.000.000",
            "document_number": "CT-1", "transferred_on": "2021-11-15"}  # fmt: skip
    address = f"/nguon-luc/cam-ket/{pledge.code}/chuyen-tien/"
    assert client.post(address, move).status_code == 302
    assert "400.000.000 đ" in client.post(address, move | {"document_number": "CT-2"}).content.decode()


def test_a_clerk_withdraws_a_pledge_for_a_reason(world, sign_in):
    pledge = world.pledge()
    client = sign_in(world.clerk)
    address = f"/nguon-luc/cam-ket/{pledge.code}/rut/"
    assert client.post(address, {"reason": "vì thế"}).status_code == 400
    assert client.post(address, {"reason": "donor_request"}).status_code == 302
    pledge.refresh_from_db()
    assert pledge.state == "cancelled"


def test_an_order_is_cancelled_and_its_money_is_free_again(world, sign_in):
    world.students(100)
    pledge = world.money(100_000_000)
    order = services.propose_order(by=world.clerk, agreement=world.price(), pledge=pledge, quantity=40, at=AT)
    client = sign_in(world.clerk)
    assert client.post(f"/nguon-luc/don-mua/{order.code}/huy/").status_code == 302
    assert client.post(f"/nguon-luc/don-mua/{order.code}/huy/").status_code == 400


def test_a_company_sees_all_its_pledges_in_one_place(world, sign_in, user):
    donor = world.donor()
    mine = world.pledge(donor=donor)
    other = world.pledge(donor=world.donor("Khác"))
    assert sign_in(user).get("/ung-ho-cua-toi/").status_code == 404
    services.grant_membership(by=world.clerk, donor=donor, user=user, at=AT)
    client = sign_in(user)
    page = client.get("/ung-ho-cua-toi/").content.decode()
    assert mine.code in page
    assert other.code not in page
    assert len(b"".join(client.get("/ung-ho-cua-toi/cam-ket.csv").streaming_content).splitlines()) == 2


def test_a_clerk_names_who_acts_for_a_donor_and_an_umbrella(world, sign_in):
    umbrella, pledge = world.pledge(quantity=100), world.pledge(quantity=20)
    client = sign_in(world.clerk)
    page = f"/nguon-luc/cam-ket/{pledge.code}/"
    assert client.post(f"{page}dai-dien/", {"full_name": "Lê Mai", "email": "mai"}).status_code == 400
    assert (
        client.post(f"{page}dai-dien/", {"full_name": "Lê Mai", "email": "mai@example.vn"}).status_code == 302
    )
    assert list(pledge.donor.people.values_list("user__email", flat=True)) == ["mai@example.vn"]
    assert client.post(f"{page}cam-ket-chung/", {"umbrella_code": umbrella.code}).status_code == 302
    # One level only, and not inside itself.
    refused = client.post(
        f"/nguon-luc/cam-ket/{umbrella.code}/cam-ket-chung/", {"umbrella_code": pledge.code}
    )
    assert "chỉ có một cấp" in refused.content.decode()
    assert client.post(f"{page}cam-ket-chung/", {"umbrella_code": ""}).status_code == 302
    pledge.refresh_from_db()
    assert pledge.umbrella is None


def test_lists_cost_the_same_queries_for_one_and_five(world, sign_in, django_assert_max_num_queries):
    client = sign_in(world.clerk)
    for _ in range(5):
        world.pledge()
    client.get("/nguon-luc/")
    with django_assert_max_num_queries(22):
        client.get("/nguon-luc/")
    assert DAY
