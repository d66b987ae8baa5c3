"""Lists in a real browser, against the real web, worker and reading process: phone and desk."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.acting import follow, see_result
from tests.lists_world import student_row, table, workbook

MAKE = """
from django.db import transaction
from schools.models import Office, School, StaffRole, AdministrativeUnit
from accounts.models import User
import datetime as dt
at = dt.datetime(2021, 9, 1, 9, 0, tzinfo=dt.timezone.utc)
with transaction.atomic():
    for code, school, place in (("S-79", "79000701", "26734"), ("S-01", "01000301", "00001")):
        above = Office.objects.get(code=code)
        commune = AdministrativeUnit.objects.get(code=place, vintage="2021")
        office, made = Office.objects.get_or_create(code=school, defaults=dict(kind="school", name=f"Trường thử {school}",
            parent=above, path=f"{above.path}{school}/", unit=commune, valid_from=dt.date(2000, 1, 1)))
        if made:
            School.objects.create(office=office, code=school, level="lower_secondary", commune=commune,
                district=commune.parent, province=commune.province, enrolment=500)
        user, made = User.objects.get_or_create(email=f"lap.{code.lower()}@example.vn", defaults=dict(full_name="Trần Thị Lập"))
        if made:
            StaffRole.objects.create(user=user, office=above, role="clerk", granted_at=at, granted_by=user)
"""


@pytest.fixture(scope="module")
def offices(live):
    """Two Sở with a school and a clerk each: one for the phone's test, one for the desk's."""
    live.python(MAKE)


def _the_way(page: Page, check_page, *, school: str, first: int) -> None:
    rows = [student_row(n, school_code=school, commune="") for n in range(first, first + 4)]
    rows[1]["born_on"] = "31/02/2010"
    page.goto("/danh-sach/gui/")
    check_page(page)
    page.set_input_files(
        "input[type=file]", {"name": "khong-phai.xlsx", "mimeType": "x", "buffer": b"%PDF-1.4"}
    )
    follow(page.get_by_role("button", name="Tải lên và kiểm tra"))
    see_result(page.get_by_text("Không đọc được tệp").first)
    check_page(page)

    page.goto("/danh-sach/gui/")
    page.set_input_files(
        "input[type=file]", {"name": "danh-sach.xlsx", "mimeType": "x", "buffer": workbook(table(rows))}
    )
    follow(page.get_by_role("button", name="Tải lên và kiểm tra"))
    see_result(page.get_by_role("heading", name="Kết quả đọc: 4 hàng"))
    check_page(page)
    follow(page.get_by_role("link", name="Hàng 3, sửa"))
    check_page(page)
    page.get_by_label("Ngày sinh").fill(rows[0]["born_on"])
    follow(page.get_by_role("button", name="Lưu và kiểm tra lại hàng này"))
    follow(page.get_by_role("button", name="Ghi 4 hàng tốt vào hệ thống"))
    expect(page.get_by_text("Đang ghi vào hệ thống").first).to_be_visible()
    see_result(page.get_by_role("button", name="Hoàn tác việc ghi"))
    check_page(page)
    follow(page.get_by_role("button", name="Hoàn tác việc ghi"))
    expect(page.get_by_text("Đã hoàn tác: hệ thống như trước")).to_be_visible()
    page.goto("/danh-sach/")
    check_page(page)
    for address in (
        "/danh-sach/nghi-trung/",
        "/hoc-sinh/",
        "/nhu-cau/",
        "/nhu-cau/khao-sat/",
        "/danh-sach/mau/",
    ):
        page.goto(address)
        check_page(page)


def test_upload_fix_commit_and_undo_on_a_phone(offices, small_screen, signed_in_as, check_page):
    page = signed_in_as(small_screen, "lap.s-79@example.vn")
    _the_way(page, check_page, school="79000701", first=1)


def test_upload_fix_commit_and_undo_at_a_desk(offices, wide_screen, signed_in_as, check_page):
    page = signed_in_as(wide_screen, "lap.s-01@example.vn")
    _the_way(page, check_page, school="01000301", first=20)
