"""Numbers, money and dates as Vietnamese readers write them; tables that no spreadsheet runs."""

import csv
import datetime as dt
import io
import re
import zipfile
from decimal import Decimal
from pathlib import Path

import openpyxl
import pytest
from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import override

from common import qr
from common.exports import csv_lines, neutralise, xlsx_bytes
from common.pdf import TemplateMissing, render_pdf
from common.qr import qr_svg, qr_svg_bytes
from common.templatetags import vi
from ledger.receipts import pack_family
from schools.lists.workbook import write_marked
from tests.payloads import PAYLOADS

UTC = dt.UTC
APPS = {"accounts", "allocation", "common", "coverage", "dashboards", "delivery", "donations", "ledger", "schools",
        "sms_program", "verifier"}  # fmt: skip


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (10_900_000, "10.900.000 đ"),
        (2_500_000_000_000, "2.500 tỷ đồng"),
        (36_300_000_000, "36,3 tỷ đồng"),
        (3_750_000_000, "3,75 tỷ đồng"),
        (3_755_000_000, "3.755.000.000 đ"),
        (25_000_000_001, "25.000.000.001 đ"),
        (0, "0 đ"),
        (None, "—"),
        (-2_000_000_000, "-2 tỷ đồng"),
    ],
)
def test_money_as_one_says_it(value, text):
    assert vi.format_money(value) == text


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [
        (1234, 0, "1.234"),
        (9.26, 1, "9,3"),
        (10.0, 1, "10"),
        (Decimal("0.05"), 1, "0,1"),
        (-1234.5, 1, "-1.234,5"),
    ],
)
def test_numbers_with_dots_and_a_comma(value, decimals, text):
    assert vi.format_number(value, decimals) == text


def test_english_pages_group_as_english_readers_do():
    with override("en"):
        assert vi.format_number(1234.5, 1) == "1,234.5"


def test_a_moment_is_shown_in_vietnams_time():
    assert vi.format_moment(dt.datetime(2021, 10, 4, 18, 30, tzinfo=UTC)) == "01:30 ngày 05/10/2021"
    assert vi.format_date(dt.datetime(2021, 10, 4, 18, 30, tzinfo=UTC)) == "05/10/2021"


def test_less_than_all_is_never_100_percent():
    assert vi.format_percent(999_999, 1_000_000) == "99,9%"
    assert vi.format_percent(1_000_000, 1_000_000) == "100%"
    assert vi.format_percent(5, 0) == "—"


@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_payload_is_live_in_a_csv_or_a_workbook(payload):
    text = "".join(csv_lines(["tên"], [[payload]])).removeprefix("\ufeff")
    cell = list(csv.reader(io.StringIO(text, newline="")))[1][0]
    assert cell.startswith("'")
    workbook = xlsx_bytes([("S", ["tên"], [[payload]])])
    sheet = openpyxl.load_workbook(io.BytesIO(workbook)).active
    assert sheet["A2"].data_type == "s"
    assert b"<f>" not in zipfile.ZipFile(io.BytesIO(workbook)).read("xl/worksheets/sheet1.xml")


HOME = Path(__file__).resolve().parents[2]
# Writers of sheets beside `common.exports`, and why nothing live can come out of them.
OTHER_WRITERS = {
    "common/exports.py",
    "common/admin_exports.py",  # neutralises: `test_no_model_with_an_export_in_the_admin_gives_a_formula_back`
    "schools/lists/workbook.py",  # texts are written as texts: `test_no_payload_is_live_in_a_marked_workbook`
    "allocation/files.py",  # the public files of a draw: codes and numbers only
    "sms_program/demo/lists.py",  # invented lists to be uploaded
    "verifier/backend.py",  # the record of a wheel
}


def test_every_sheet_that_staff_take_away_goes_through_the_safe_writers():
    tool = re.compile(
        r"^\s*(?:import|from) (?:xlsxwriter|openpyxl|tablib)\b(?!\.exceptions)|\bcsv\.(?:writer|DictWriter)\(",
        re.M,
    )
    sources = [path for app in APPS for path in (HOME / app).rglob("*.py")]
    assert len(sources) > 200
    writers = {
        str(path.relative_to(HOME)) for path in sources if tool.search(path.read_text(encoding="utf-8"))
    }
    assert writers <= OTHER_WRITERS


@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_payload_is_live_in_a_marked_workbook(payload):
    content = io.BytesIO()
    finding = ["full_name", "error", "name_odd", payload, payload]
    write_marked(
        content, [(2, {"full_name": payload, "class_name": payload}, [finding])], schools={"79": payload}
    )
    with zipfile.ZipFile(content) as archive:
        sheets = [archive.read(name) for name in archive.namelist() if name.startswith("xl/worksheets/sheet")]
    assert sheets
    assert not any(b"<f>" in sheet for sheet in sheets)


@pytest.mark.parametrize("value", ["Nguyễn Văn A", "-5", "+1.234,5", "", None, 7, "a=b"])
def test_plain_values_stay_as_they_are(value):
    assert neutralise(value) == value


def test_a_workbook_of_the_same_rows_has_the_same_bytes():
    rows = [["Hà Nội", 1, dt.date(2021, 9, 21)]]
    assert xlsx_bytes([("S", ["a", "b", "c"], rows)]) == xlsx_bytes([("S", ["a", "b", "c"], rows)])


def test_a_pdf_prints_markup_as_text_and_all_vietnamese_letters():
    letters = "ẠẢẤẦẨẪẬẮẰẲẴẶẸẺẼỀỀỂỄỆỈỊỌỎỐỒỔỖỘỚỜỞỠỢỤỦỨỪỬỮỰỲỴỶỸ ươđ ₫"
    data = {
        "title": "Thư", "subtitle": "#import \"x\"", "place_date": "", "office": f"*{letters}*", "paragraphs": ["#read(\"/etc/passwd\")"],
        "signer": "A",
    }  # fmt: skip
    pdf = render_pdf("dashboards/reminder.typ", data)
    assert pdf.startswith(b"%PDF-")
    assert pdf == render_pdf("dashboards/reminder.typ", data)


def test_a_template_outside_the_house_is_refused():
    with pytest.raises(TemplateMissing):
        render_pdf("../etc/passwd.typ", {})


def test_a_qr_code_has_a_title_and_no_style():
    svg = qr_svg("https://x.example/thiet-bi/7K3QF9XW2MDC/", title="Mã <máy>")
    assert "<title>Mã &lt;máy&gt;</title>" in svg
    assert "style" not in svg
    assert qr_svg_bytes("x").startswith(b"<svg")


def test_a_family_s_receipt_stays_coarse_enough_for_a_cheap_printer():
    """Five openings with long names: version 15 has 77 modules a side, 0.65 mm each on 5 cm of paper."""
    values = {
        "recipient": "Nguyễn Hoàng Phương Thảo Nguyên, 05/09/2011", "guardian": "Nguyễn Thị Hồng Nhung",
        "school": "VN2021-15-TH-000123", "date": "2021-10-05", "record": "BG-2021-000123",
    }  # fmt: skip
    openings = [(field, value, bytes(range(200, 232))) for field, value in values.items()]
    packed = pack_family("ZZZZZZZZZZZZ", bytes([255]) * 16, openings)
    code = qr.make(f"https://songvamaytinh.moet.gov.vn/so-cai/bien-nhan/#{packed}")
    assert (code.version <= 15, code.error) == (True, "M")


def test_codes_in_a_title_do_not_break_and_nothing_else_is_marked():
    assert vi.with_codes("Cam kết CK-2021-000123 <b>") == (
        'Cam kết <span class="code">CK-2021-000123</span> &lt;b&gt;'
    )
    assert vi.with_codes("Máy 7K3Q-F9XW-2MDC") == 'Máy <span class="code">7K3Q-F9XW-2MDC</span>'
    for words in ("Trường TH-THCS Sao Mai", "Lớp 5A, 2021-2022", "Điểm 3G/4G"):
        assert vi.with_codes(words) == words


def test_a_text_that_is_too_long_is_told_so_in_written_numbers():
    field = forms.CharField(max_length=2_000)
    with pytest.raises(ValidationError) as refused:
        field.clean("a" * 12_345)
    assert refused.value.messages == ["Nhiều nhất 2.000 ký tự; hiện có 12.345. Hãy viết ngắn lại."]
    with override("en"):
        assert refused.value.messages == ["At most 2,000 characters; there are 12,345. Please write less."]
