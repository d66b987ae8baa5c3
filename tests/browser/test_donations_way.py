"""The supply in a real browser: a donor on a phone pledges, the programme confirms, the warehouse takes in; axe."""

import os
from email import message_from_bytes, policy
from pathlib import Path

import pytest

from tests.browser.acting import follow
from tests.live import wait_until

pytestmark = pytest.mark.timeout(600)
# Beside the reference data: offices and people of this story under codes of their own.
SEED = """
import datetime as dt
from accounts.models import User
from donations import services
from donations.models import DeviceCriteria
from schools.models import AdministrativeUnit, Office, School, Student
from tests.supply import AT, office, person
root = Office.objects.filter(kind="programme").first() or office("programme", "CT")
store = office("warehouse", "KHO-TRINH", parent=root)
clerk = person("kho.chuyen.vien", ("clerk", root))
person("kho.thu.kho", ("keeper", store))
person("kho.kiem.dinh", ("inspector", store))
for row in DeviceCriteria.objects.filter(published_at=None):
    services.publish_criteria(by=clerk, criteria=row, at=AT)
price = services.agree_price(by=clerk, supplier="Nhà máy A", device_kind="tablet", model_name="Bảng 8 inch",
    unit_price_vnd=2_500_000, valid_from=dt.date(2021, 9, 1), at=AT)
commune = AdministrativeUnit.objects.filter(level="commune", province__code="15").select_related("parent", "province").first()
place = office("school", "TR-KHO-1", parent=root, unit=commune)
school = School.objects.create(office=place, code="15KHO001", level="primary", commune=commune, district=commune.parent,
    province=commune.province, enrolment=200)
Student.objects.bulk_create(
    Student(school=school, full_name=f"Em {n}", search_key=f"em {n}", sort_key=f"{n:05}", born_on=dt.date(2012, 5, 1),
        group="poor", state="approved", approved_at=AT, approved_by=clerk) for n in range(100))
money, _ = services.make_pledge(by=clerk, donor=services.register_donor(by=clerk, kind="enterprise", name="Ngân hàng",
    at=AT, is_named_in_public=True), kind="money", amount_vnd=5_000_000_000, at=AT, is_verified=True)
services.receive_money(by=clerk, pledge=money, office=root, amount_vnd=5_000_000_000, document_number="UNC-KHO",
    received_on=AT.date(), at=AT)
order = services.propose_order(by=clerk, agreement=price, pledge=money, quantity=20, at=AT)
print("MADE", money.code, order.code, store.pk)
"""
# A folder for screenshots, to look at while developing.
SHOTS = os.environ.get("SCREENSHOTS", "")


@pytest.fixture(scope="module")
def supplied(live):
    """The live platform with this story's warehouse; codes of a money pledge and an order in `made`."""
    live.made = live.python(SEED).partition("MADE ")[2].split()
    return live


def look(page, check_page, name: str) -> None:
    check_page(page)
    if SHOTS:
        page.screenshot(path=Path(SHOTS) / f"{name}-{page.viewport_size['width']}.png", full_page=True)


def test_from_the_donors_phone_to_a_device_in_stock(
    supplied, small_screen, screens, signed_in_as, check_page
):
    donor = small_screen
    donor.goto("/ung-ho/")
    donor.get_by_role("radio", name="Cá nhân").check()
    donor.get_by_label("Tên cá nhân hoặc tên đơn vị").fill("Trần Thị Hoa")
    donor.get_by_role("radio", name="Thiết bị").check()
    look(donor, check_page, "1-ai")
    follow(donor.get_by_role("button", name="Tiếp tục"))
    donor.get_by_label("Máy tính bảng").check()
    donor.get_by_label("Số lượng").fill("3")
    donor.get_by_label("Màn hình (inch)").fill("7")
    donor.watch.expected.add(donor.evaluate("location.pathname"))
    follow(donor.get_by_role("button", name="Tiếp tục"))
    assert "ít nhất 8" in donor.locator(".error-summary").inner_text()
    look(donor, check_page, "2-loi")
    donor.get_by_label("Màn hình (inch)").fill("8")
    follow(donor.get_by_role("button", name="Tiếp tục"))
    donor.get_by_label("Nơi cần nhất").check()
    look(donor, check_page, "3-noi-nhan")
    follow(donor.get_by_role("button", name="Tiếp tục"))
    donor.get_by_label("Người liên hệ").fill("Trần Thị Hoa")
    donor.get_by_label("Thư điện tử").fill("hoa@example.vn")
    look(donor, check_page, "4-lien-he")
    follow(donor.get_by_role("button", name="Tiếp tục"))
    look(donor, check_page, "5-kiem-tra")
    donor.wait_for_timeout(3000)  # a person reads; a faster sender is taken for a robot
    follow(donor.get_by_role("button", name="Gửi cam kết"))
    assert "Đã ghi nhận cam kết của bạn" in donor.locator("h1").inner_text()
    code = donor.locator(".confirm .code").inner_text()
    private = donor.url.split("?")[0]
    look(donor, check_page, "6-da-gui")
    follow(donor.get_by_role("link", name="Khai số sê-ri"))
    donor.get_by_role("textbox", name="Số sê-ri").fill("BR-001\nBR-002\nbr 002")
    donor.watch.expected.add(donor.evaluate("location.pathname"))
    follow(donor.get_by_role("button", name="Gửi danh sách số sê-ri"))
    assert "trùng với dòng 2" in donor.locator("main").inner_text()
    look(donor, check_page, "7-se-ri-loi")
    donor.get_by_role("textbox", name="Số sê-ri").fill("BR-001\nBR-002\nBR-003")
    follow(donor.get_by_role("button", name="Gửi danh sách số sê-ri"))
    assert "Đã khai 3" in donor.locator("main").inner_text()

    clerk = signed_in_as(screens({"width": 1280, "height": 900}), "kho.chuyen.vien@example.vn")
    clerk.goto("/nguon-luc/")
    look(clerk, check_page, "nguon-luc")
    follow(clerk.get_by_role("link", name=code))
    look(clerk, check_page, "cam-ket-quan-ly")
    follow(clerk.get_by_role("link", name="Xác nhận với nhà tài trợ"))
    clerk.get_by_label("Kho sẽ tiếp nhận").select_option(supplied.made[2])
    look(clerk, check_page, "xac-nhan")
    follow(clerk.get_by_role("button", name="Xác nhận"))

    keeper = signed_in_as(screens({"width": 390, "height": 844}), "kho.thu.kho@example.vn")
    keeper.goto("/kho/")
    look(keeper, check_page, "kho")
    follow(keeper.get_by_role("link", name=f"Nhận lô của {code}"))
    keeper.get_by_label("Mẫu máy").fill("Tab 8")
    keeper.get_by_label("Số máy theo giấy giao hàng").fill("3")
    look(keeper, check_page, "nhan-lo")
    follow(keeper.get_by_role("button", name="Mở lô và nhập số sê-ri"))
    keeper.get_by_role("textbox", name="Số sê-ri").fill("BR-001\nBR-002\nbr 001")
    keeper.watch.expected.add(keeper.evaluate("location.pathname"))
    follow(keeper.get_by_role("button", name="Ghi các máy này"))
    assert "trùng với dòng 1" in keeper.locator("main").inner_text()
    look(keeper, check_page, "se-ri-loi")
    keeper.get_by_role("textbox", name="Số sê-ri").fill("BR-001\nBR-002\nBR-003")
    follow(keeper.get_by_role("button", name="Ghi các máy này"))
    look(keeper, check_page, "lo")
    lot = keeper.url

    inspector = signed_in_as(screens({"width": 1280, "height": 900}), "kho.kiem.dinh@example.vn")
    inspector.goto(lot)
    look(inspector, check_page, "lo")
    follow(inspector.get_by_role("link", name="Kiểm định 3 máy chờ"))
    measured = {
        "screen_inch": "8,5",
        "ram_gb": "3",
        "storage_gb": "32",
        "android": "11",
        "battery_mah": "5100",
    }
    for name, value in (measured | {"warranty_months": "12"}).items():
        inspector.locator(f"[name=m_{name}]").fill(value)
    inspector.get_by_label("Đã bật bảo vệ trẻ em trên mạng").check()
    faulty = inspector.locator("#may-cho option").nth(1).get_attribute("value")
    inspector.get_by_label("Máy có lỗi 1").fill(faulty)
    # A scanner ends with Enter: that makes room for the next device and records nothing.
    with inspector.expect_navigation():
        inspector.keyboard.press("Enter")
    assert inspector.get_by_label("Máy có lỗi 1").input_value() == faulty
    inspector.get_by_label("Lỗi của máy 1").select_option("screen_cracked")
    look(inspector, check_page, "kiem-dinh")
    follow(inspector.get_by_role("button", name="Ghi kết quả kiểm định"))
    assert "1 máy – chờ sửa" in inspector.locator("main").inner_text().lower()
    look(inspector, check_page, "kiem-dinh-xem-lai")
    follow(inspector.get_by_role("button", name="Ghi kết quả của 3 máy"))
    assert "2 đạt, 1 cần sửa" in inspector.locator("main").inner_text()
    follow(inspector.locator("tbody a").nth(1))
    look(inspector, check_page, "may")
    inspector.goto("/kho/tieu-chi/")
    look(inspector, check_page, "tieu-chi")

    donor.goto(private)
    assert "Giấy xác nhận tiếp nhận (PDF)" in donor.locator("main").inner_text()
    look(donor, check_page, "rieng")
    donor.goto(f"/cam-ket/{code}/")
    assert "hoa@example.vn" not in donor.content()

    # The way of each device is drawn from the log: it is there once beat has published.
    def is_published() -> bool:
        donor.goto(donor.url)
        return donor.locator("tbody tr").count() == 3

    wait_until("sổ cái có ba máy của cam kết", is_published, timeout_s=60, every_s=1)
    look(donor, check_page, "cam-ket")
    sent = "SELECT 1 FROM common_sentmail WHERE kind = 'pledge.made' AND delivered_on_clock_at IS NOT NULL"
    wait_until("worker gửi thư", lambda: supplied.query(sent), timeout_s=60)
    letters = [
        message_from_bytes(path.read_bytes(), policy=policy.default)
        for path in Path(supplied.folder, "mail").glob("*.log")
    ]
    (letter,) = [letter for letter in letters if code in letter["Subject"]]
    assert letter["To"] == "hoa@example.vn"
    assert private in letter.get_content()


def test_pages_of_money_are_accessible_on_both_screens(supplied, screens, signed_in_as, check_page):
    pledge, order, _store = supplied.made
    narrow = signed_in_as(screens({"width": 390, "height": 844}), "kho.chuyen.vien@example.vn")
    wide = signed_in_as(screens({"width": 1280, "height": 900}), "kho.chuyen.vien@example.vn")
    pages = {
        "quan-ly-tien": f"/nguon-luc/cam-ket/{pledge}/",
        "don-mua": f"/nguon-luc/don-mua/{order}/",
        "don-mua-ds": "/nguon-luc/don-mua/",
        "tien": "/nguon-luc/tien/",
        "gia": "/nguon-luc/gia/",
        "gia-moi": "/nguon-luc/gia/moi/",
        "de-xuat": f"/nguon-luc/cam-ket/{pledge}/mua/",
        "nhan-tien": f"/nguon-luc/cam-ket/{pledge}/nhan-tien/",
        "ghi-nhan": "/nguon-luc/cam-ket/moi/",
        "cong-khai-tien": f"/cam-ket/{pledge}/",
        "kho": "/kho/",
    }
    for name, path in pages.items():
        for page in (
            (narrow, wide) if name in ("quan-ly-tien", "tien", "cong-khai-tien", "kho") else (narrow,)
        ):
            page.goto(path)
            look(page, check_page, name)


def tab_to(page, selector: str) -> None:
    """Press Tab until the element has the focus, as somebody without a mouse does."""
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.locator(f"{selector}:focus").count():
            return
    raise AssertionError(f"không tới được {selector} bằng phím Tab ở {page.url}")


def test_a_pledge_by_keyboard_alone_and_without_javascript(supplied, screens):
    page = screens({"width": 390, "height": 844}, java_script_enabled=False)
    page.goto("/ung-ho/")
    tab_to(page, "[name=donor_kind]")
    page.keyboard.press("Space")
    tab_to(page, "[name=name]")
    page.keyboard.type("Sở Tư pháp tỉnh A")
    tab_to(page, "[name=kind]")
    page.keyboard.press("Space")
    steps = [
        [("[name=device_kind]", "Space"), ("[name=quantity]", "2")],
        [("[name=scope]", "Space")],
        [("[name=contact_name]", "Nguyễn Văn Bình"), ("[name=contact_email]", "binh@example.vn")],
    ]
    for answers in [[], *steps]:
        for selector, keys in answers:
            tab_to(page, selector)
            page.keyboard.press(keys) if keys == "Space" else page.keyboard.type(keys)
        tab_to(page, "main button")
        with page.expect_navigation():
            page.keyboard.press("Enter")
    page.wait_for_timeout(3000)  # a person reads; a faster sender is taken for a robot
    tab_to(page, "main button")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    assert "Đã ghi nhận cam kết của bạn" in page.locator("h1").inner_text()
