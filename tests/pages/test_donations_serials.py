"""A donor announces serials on the private page; the warehouse finds them at intake and sees what is missing."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from donations import rules, services
from donations.models import AnnouncedSerial, Device, Pledge
from tests.supply import AT, World

pytestmark = pytest.mark.django_db


@pytest.fixture
def world():
    return World()


@pytest.fixture
def announced(world):
    """A confirmed pledge of three, and the address of its serials."""
    donor = services.register_donor(by=None, kind="enterprise", name="Công ty Ánh Dương", at=AT)
    pledge, secret = services.make_pledge(
        by=None, donor=donor, kind="device", device_kind="tablet", quantity=3, at=AT, warehouse=world.warehouse,
    )  # fmt: skip
    services.confirm_pledge(by=world.clerk, pledge=pledge, at=AT, warehouse=world.warehouse)
    return pledge, f"/cam-ket/{pledge.code}/rieng/{secret}/"


def test_typed_and_from_a_file_the_last_list_holds(announced, client):
    pledge, private = announced
    assert "Khai số sê-ri" in client.get(private).content.decode()
    page = private + "so-se-ri/"
    assert client.post(page, {"serials": "A-001\nA-002, 490154203237518\n"}).status_code == 302
    assert "Đã khai 2 số sê-ri" in client.get(private).content.decode()
    at = AnnouncedSerial.objects.values_list("pk", "announced_at")
    before = set(at)
    client.post(page, {"serials": "A-001\nA-002, 490154203237518"})
    assert set(at.all()) == before, "gửi lại cùng danh sách thì không đổi gì"
    shown = client.get(page).content.decode()
    assert "A-002, 490154203237518" in shown
    file = SimpleUploadedFile("may.csv", "Số sê-ri;IMEI\nB-1001;\nB-1002;\nB-1003;\n".encode("utf-8-sig"))
    assert client.post(page, {"file": file, "serials": "A-001"}).status_code == 302
    assert set(pledge.announced_serials.values_list("serial_key", flat=True)) == {"B1001", "B1002", "B1003"}


@pytest.mark.parametrize("head", ["Serial No.", "Serial Number", "S/N", "Mã sê-ri", "SỐ SERI MÁY"])
def test_a_file_with_the_heads_that_makers_print(announced, client, head):
    pledge, private = announced
    file = SimpleUploadedFile("may.csv", f"Danh sách máy\nSTT;{head};Ghi chú\n1;C-1001;mới\n".encode())
    assert client.post(private + "so-se-ri/", {"file": file}).status_code == 302
    assert [row.serial_key for row in pledge.announced_serials.all()] == ["C1001"]


@pytest.mark.parametrize(
    ("serials", "said"),
    [
        ("A-001\na 001", "trùng với dòng 1"),
        ("A-001, 12", "không phải IMEI"),
        ("A", "ít nhất 3"),
        ("A-1001\nA-1002\nA-1003\nA-1004", "Danh sách có 4 máy, cam kết là 3 máy"),
        ("   ", "Hãy nhập số sê-ri"),
    ],
)
def test_what_is_wrong_is_said_by_row_and_nothing_is_lost(announced, client, serials, said):
    pledge, private = announced
    services.announce_serials(by=None, pledge=pledge, rows=[("CU-001", "")], at=AT)
    response = client.post(private + "so-se-ri/", {"serials": serials})
    assert response.status_code == 400
    assert said in response.content.decode()
    assert [row.serial for row in services.announced(pledge)] == ["CU-001"]


def test_a_file_that_is_none_and_a_pledge_that_is_over(announced, client, world):
    pledge, private = announced
    bad = SimpleUploadedFile("may.xlsx", b"%PDF-1.7")
    response = client.post(private + "so-se-ri/", {"file": bad})
    assert response.status_code == 400
    assert "PDF" in response.content.decode()
    # A donor who reads English: rows, columns and the file's fault.
    said = client.post("/en" + private + "so-se-ri/", {"serials": "CU-001\ncu001\n1,123"}).content.decode()
    for part in (
        "Serial number",
        "is the same as on row 1",
        "needs at least 3 letters",
        "is not a valid IMEI",
    ):
        assert part in said
    bad = SimpleUploadedFile("may.xlsx", b"%PDF-1.7")
    assert "This is a PDF" in client.post("/en" + private + "so-se-ri/", {"file": bad}).content.decode()
    services.cancel_pledge(by=None, pledge=pledge, at=AT, reason="donor_request")
    assert (
        "không khai số sê-ri nữa" in client.post(private + "so-se-ri/", {"serials": "A-001"}).content.decode()
    )
    assert "Khai số sê-ri" not in client.get(private).content.decode()
    assert client.get(f"/cam-ket/{pledge.code}/rieng/sai/so-se-ri/").status_code == 404
    money, secret = services.make_pledge(
        by=None, donor=pledge.donor, kind="money", amount_vnd=5_000_000, at=AT
    )
    assert client.get(f"/cam-ket/{money.code}/rieng/{secret}/so-se-ri/").status_code == 404


def test_the_warehouse_finds_them_and_sees_missing_and_unexpected(announced, client, sign_in, world):
    pledge, private = announced
    client.post(private + "so-se-ri/", {"serials": "A-001\nA-002\nA-003"})
    pledge.refresh_from_db()
    lot = services.receive_lot(
        by=world.keeper, pledge=pledge, warehouse=world.warehouse, device_kind="tablet", at=AT
    )
    keeper, address = sign_in(world.keeper), f"/kho/lo/{lot.code}/nhap/"
    page = keeper.get(address)
    assert page.context["form"]["serials"].value() == "A-001\nA-002\nA-003"
    assert not keeper.get(address + "?trong=1").context["form"]["serials"].value()
    compared = keeper.post(address, {"serials": "a001\nA-003\nLA-9", "so-sanh": "1"})
    assert compared.status_code == 200
    gap = compared.context["gap"]
    assert (gap.matching, [r.serial for r in gap.missing], [r.serial for r in gap.unexpected]) == (
        2, ["A-002"], ["LA-9"],
    )  # fmt: skip
    assert "chưa ghi máy nào" in compared.content.decode()
    assert not Device.objects.exists()
    assert keeper.post(address, {"serials": "a001\nA-003\nLA-9"}).status_code == 302
    text = keeper.get(f"/kho/lo/{lot.code}/").content.decode()
    assert "So với 3 số sê-ri nhà tài trợ khai" in text
    assert "A-002" in text
    assert keeper.get(address).context["form"]["serials"].value() == "A-002"
    assert "kho đã nhận 2 máy" in client.get(private + "so-se-ri/").content.decode()
    assert Pledge.objects.get(pk=pledge.pk).state == "fulfilled", "số máy đủ, dù khác máy đã khai"


def test_comparing_is_by_serial_in_any_spelling():
    def rows(*serials):
        return [rules.SerialRow(n, s, rules.serial_key(s), "") for n, s in enumerate(serials, 1)]

    gap = rules.compare_serials(rows("A-1 1", "B-22"), rows("a11", "C33"))
    assert (gap.matching, gap.missing[0].serial, gap.unexpected[0].serial) == (1, "B-22", "C33")
