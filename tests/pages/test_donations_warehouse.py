"""The warehouse's pages, through the client."""

import io

import pytest
import xlsxwriter
from django.core.files.uploadedfile import SimpleUploadedFile

from common.models import SentForm
from common.once import TOKEN
from donations import services
from donations.models import Device, DeviceCriteria, Lot
from donations.rules import Finding
from tests.supply import AT, World, person

pytestmark = pytest.mark.django_db
GOOD = {"m_screen_inch": "8,5", "m_ram_gb": "2", "m_wifi": "on", "is_child_protected": "on"}


@pytest.fixture
def world():
    made = World()
    made.criteria()
    return made


def workbook(rows) -> SimpleUploadedFile:
    target = io.BytesIO()
    with xlsxwriter.Workbook(target) as book:
        sheet = book.add_worksheet()
        for number, row in enumerate(rows):
            sheet.write_row(number, 0, row)
    return SimpleUploadedFile("may.xlsx", target.getvalue())


def test_a_keeper_receives_a_lot_and_pastes_serials(world, sign_in):
    client = sign_in(world.keeper)
    pledge = world.pledge(quantity=3)
    assert pledge.code in client.get("/kho/").content.decode()
    response = client.post(
        f"/kho/cam-ket/{pledge.code}/nhan/",
        {
            "warehouse": world.warehouse.pk,
            "device_kind": "tablet",
            "model_name": "Tab 8",
            "declared_count": "3",
        },
    )
    lot = Lot.objects.get()
    assert response["Location"] == f"/kho/lo/{lot.code}/nhap/"
    response = client.post(response["Location"], {"serials": "SN-1\nSN-2\t490154203237518\n\nSN-3\n"})
    assert response.status_code == 302, response.content.decode()
    page = client.get(f"/kho/lo/{lot.code}/").content.decode()
    assert "SN-2" in page
    assert "3 máy: đủ" in page
    labels = client.get(f"/kho/lo/{lot.code}/tem.pdf")
    assert labels.content.startswith(b"%PDF")
    device = Device.objects.first()
    # A scanner types the whole address of the label, or the serial.
    for typed in (f"https://x.example/thiet-bi/{device.code}/", "sn 1", device.code.lower()):
        assert client.get("/kho/", {"q": typed})["Location"] == f"/kho/may/{device.code}/"
    assert "Không có máy hay lô nào" in client.get("/kho/", {"q": "LẠ"}).content.decode()


def test_serials_from_a_file_all_or_nothing_with_row_and_column(world, sign_in):
    client = sign_in(world.keeper)
    lot = world.lot()
    world.devices(1, lot=lot, prefix="OLD")
    address = f"/kho/lo/{lot.code}/nhap/"
    head = ["STT", "Số sê-ri", "IMEI"]
    bad = workbook([["Danh sách máy"], head, [1, "A-001", ""], [2, "OLD 00000", ""], [3, "A001", "12"]])
    response = client.post(address, {"file": bad})
    page = response.content.decode()
    assert response.status_code == 400
    assert "Dòng 5" in page
    assert "không phải IMEI" in page
    assert Device.objects.count() == 1
    known = workbook([head, [1, "A-001", ""], [2, "OLD 00000", ""]])
    page = client.post(address, {"file": known}).content.decode()
    assert "Dòng 3" in page
    assert lot.code in page
    good = workbook([head, [1, "A-001", "490154203237518"], [2, 12345678901234, ""]])
    assert client.post(address, {"file": good}).status_code == 302
    assert set(Device.objects.values_list("serial_key", flat=True)) == {"OLD00000", "A001", "12345678901234"}
    csv = SimpleUploadedFile("may.csv", "serial;imei\nC-101;\nC-102;\n".encode("utf-8-sig"))
    assert client.post(address, {"file": csv}).status_code == 302


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.xlsx", b"%PDF-1.7", "PDF"),
        ("a.xlsx", b"PK\x03\x04broken", "tệp"),
        ("a.csv", "tên,ghi chú\nA,B\n".encode(), "Không thấy cột"),
        ("a.csv", b"\x00\x01\x02\x03", "không phải bảng tính"),
    ],
)
def test_a_file_that_is_no_list_says_why(world, sign_in, name, content, message):
    lot = world.lot()
    response = sign_in(world.keeper).post(
        f"/kho/lo/{lot.code}/nhap/", {"file": SimpleUploadedFile(name, content)}
    )
    assert response.status_code == 400
    assert message in response.content.decode()


def inspecting(world, count: int) -> tuple[str, list[str]]:
    """Address of the inspection of a lot of so many devices, and their codes."""
    codes = world.devices(count, lot=world.lot())
    return f"/kho/lo/{Lot.objects.get().code}/kiem-dinh/", codes


def states(codes: list[str]) -> list[str]:
    return [Device.objects.get(code=code).state for code in codes]


def test_an_inspector_accepts_a_lot_but_for_one_device(world, sign_in):
    address, codes = inspecting(world, 3)
    client = sign_in(world.inspector)
    assert "3 máy chờ" in client.get(address).content.decode()
    typed = GOOD | {"waiting": "3", "d_1": f"https://x.vn/thiet-bi/{codes[1]}/", "f_1": "screen_cracked"}
    check = client.post(address, typed)
    assert check.status_code == 200
    assert "1 máy – chờ sửa" in check.content.decode().lower()
    assert states(codes) == ["received"] * 3
    again = client.post(address, typed | {"sua": "1"})
    assert codes[1] in again.content.decode()
    assert 'value="8,5"' in again.content.decode()
    response = client.post(address, typed | {"da-xem": "1"})
    assert response.status_code == 302, response.content.decode()
    assert states(codes) == ["accepted", "to_repair", "accepted"]
    page = client.get(f"/kho/may/{codes[1]}/").content.decode()
    assert "Màn hình nứt" in page
    # The inspector is not the keeper: repair is refused to them.
    assert client.post(f"/kho/may/{codes[1]}/", {"sua": "1"}).status_code == 404


def test_enter_after_a_scan_adds_rows_and_records_nothing(world, sign_in):
    address, codes = inspecting(world, 4)
    client = sign_in(world.inspector)
    typed = GOOD | {"d_1": codes[0], "d_2": codes[1], "d_3": codes[2], "m_ram_gb": "chưa đo"}
    page = client.post(address, typed | {"them-dong": "1"})
    assert page.status_code == 200
    text = page.content.decode()
    assert all(f'value="{code}"' in text for code in codes[:3])
    assert 'value="chưa đo"' in text
    assert 'name="d_6"' in text
    assert 'role="alert"' not in text
    assert states(codes) == ["received"] * 4


def test_a_part_of_a_lot_is_inspected_by_what_is_listed(world, sign_in):
    address, codes = inspecting(world, 4)
    client = sign_in(world.inspector)
    serial = Device.objects.get(code=codes[2]).serial_number
    listed = {"only": f"{codes[0]}\n\n {serial.lower()} \n{codes[0]}"}
    outside = client.post(address, GOOD | listed | {"d_1": codes[3], "f_1": "no_power"})
    assert outside.status_code == 400
    assert "không nằm trong các máy ghi" in outside.content.decode()
    assert client.post(address, GOOD | listed).status_code == 302
    assert states(codes) == ["accepted", "received", "accepted", "received"]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"d_1": "KHONGCO", "f_1": "no_power"}, "Không có máy “KHONGCO”"),
        ({"f_2": "no_power"}, "Ghi mã trên tem hoặc số sê-ri của máy có lỗi này"),
        ({"d_1": "{0}"}, "Chọn lỗi của máy này"),
        ({"d_1": "{0}", "f_1": "no_power", "d_2": "{0}", "f_2": "malware"}, "đã ghi ở dòng 1"),
        ({"d_1": "{0}", "f_1": "nonsense"}, "Lỗi của máy 1: "),
        ({"only": "{0}\nX-1\nX-2"}, "“X-1”, “X-2”: không có máy này"),
        ({"waiting": "9"}, "đổi từ 9 thành 2"),
        ({"d_1": "\u202e" * 300, "f_1": "no_power"}, "200"),
        ({"m_ram_gb": ""}, "RAM"),
    ],
)
def test_what_is_wrong_on_an_inspection_is_said_and_what_was_typed_stays(world, sign_in, typed, said):
    address, codes = inspecting(world, 2)
    typed = {name: value.format(*codes) for name, value in typed.items()}
    response = sign_in(world.inspector).post(address, GOOD | typed)
    assert response.status_code == 400
    text = response.content.decode()
    assert said in text
    assert 'href="#id_' in text or "waiting" in typed
    assert 'value="8,5"' in text
    assert states(codes) == ["received"] * 2


def test_the_page_of_an_inspection_is_as_short_for_many_devices(world, sign_in):
    address, _ = inspecting(world, 135)
    page = sign_in(world.inspector).get(address).content.decode()
    assert page.count("<select") == 3


def test_below_the_criteria_the_whole_lot_is_refused_and_says_so(world, sign_in):
    address, _ = inspecting(world, 2)
    client = sign_in(world.inspector)
    assert "2 máy – không đạt" in client.post(address, GOOD | {"m_screen_inch": "7"}).content.decode().lower()
    response = client.post(address, GOOD | {"m_screen_inch": "7", "da-xem": "1"}, follow=True)
    assert "2 không đạt" in response.content.decode()
    assert client.post(address, GOOD | {"m_ram_gb": ""}).status_code == 302  # nothing waits any more


def test_a_keeper_repairs_and_writes_off(world, sign_in):
    first, second = world.devices(2)
    services.inspect_devices(
        by=world.inspector,
        findings=[Finding(first, faults=("battery_weak",)), Finding(second, faults=("no_power",))],
        at=AT,
    )
    client = sign_in(world.keeper)
    assert client.post(f"/kho/may/{first}/", {"sua": "1"}).status_code == 302
    assert Device.objects.get(code=first).state == "received"
    assert client.post(f"/kho/may/{second}/", {}).status_code == 400
    assert client.post(f"/kho/may/{second}/", {"reason": "recycled"}).status_code == 302
    assert Device.objects.get(code=second).state == "retired"


def test_another_warehouse_sees_nothing_of_this_one(world, sign_in):
    (code,) = world.devices(1)
    lot = Lot.objects.get()
    client = sign_in(world.other_keeper)
    for address in (f"/kho/lo/{lot.code}/", f"/kho/lo/{lot.code}/nhap/", f"/kho/lo/{lot.code}/tem.pdf",
                    f"/kho/lo/{lot.code}/may.csv", f"/kho/may/{code}/"):  # fmt: skip
        assert client.get(address).status_code == 404
    page = client.get("/kho/").content.decode()
    assert lot.code not in page
    assert lot.pledge.code not in page


def test_the_csv_of_a_lot_streams_its_devices(world, sign_in):
    world.devices(3)
    response = sign_in(world.keeper).get(f"/kho/lo/{Lot.objects.get().code}/may.csv")
    assert len(b"".join(response.streaming_content).splitlines()) == 4
    template = sign_in(world.keeper).get("/kho/mau-so-se-ri.xlsx")
    assert b"".join(template.streaming_content).startswith(b"PK")
    template.close()


def test_the_ministry_drafts_and_publishes_criteria(world, sign_in):
    client = sign_in(person("bo", ("clerk", world.moet)))
    data = {"device_kind": "tablet", "legal_reference": "Công văn 1", "screen_inch_min": "10", "wifi": "on"}
    assert (
        client.post("/kho/tieu-chi/moi/", {"device_kind": "tablet", "legal_reference": "x"}).status_code
        == 400
    )
    assert client.post("/kho/tieu-chi/moi/", data).status_code == 302
    row = DeviceCriteria.objects.get(version=2)
    assert row.limits == {"screen_inch_min": 10, "wifi": True}
    assert DeviceCriteria.objects.in_force(device_kind="tablet", is_used=False).version == 1
    assert client.post(f"/kho/tieu-chi/{row.pk}/cong-bo/").status_code == 302
    assert DeviceCriteria.objects.in_force(device_kind="tablet", is_used=False).version == 2
    assert "từ 10 inch" in client.get("/kho/tieu-chi/").content.decode()
    # A keeper reads them and edits nothing.
    client = sign_in(world.keeper)
    assert client.get("/kho/tieu-chi/").status_code == 200
    assert client.get("/kho/tieu-chi/moi/").status_code == 404


def test_what_was_refused_on_the_next_page_is_not_remembered_as_recorded(world, sign_in):
    client = sign_in(person("bo", ("clerk", world.moet)))
    row = DeviceCriteria.objects.get()
    for _ in range(2):
        again = client.post(f"/kho/tieu-chi/{row.pk}/cong-bo/", {TOKEN: "a" * 64}, follow=True)
        assert "Phiên bản này đã công bố." in again.content.decode()
        assert "Đã ghi nhận lúc" not in again.content.decode()
    assert not SentForm.objects.exists()
    made = {"device_kind": "tablet", "legal_reference": "Công văn 1", "wifi": "on", TOKEN: "b" * 64}
    first, second = (client.post("/kho/tieu-chi/moi/", made, follow=True) for _ in range(2))
    assert "Đã lưu bản thảo" in first.content.decode()
    assert "Đã ghi nhận lúc" in second.content.decode()
    assert DeviceCriteria.objects.count() == 2
