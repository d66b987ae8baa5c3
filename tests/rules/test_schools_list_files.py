"""Broken, hostile and odd list files, made here by code, through the real reading process."""

import datetime as dt
import io
import struct
import unicodedata
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import pytest

from schools.lists import sandbox
from schools.lists.findings import Finding
from schools.lists.intake import Refused
from schools.lists.report import Tally
from schools.lists.rows import Options
from tests.lists_world import HEADINGS, SCHOOL, student_row, table, workbook

OPTIONS = Options(
    today=dt.date(2021, 11, 15), schools={SCHOOL: "Trường A", "01000303": "Trường B"}, other_schools=frozenset(["99000001"])
)  # fmt: skip


@dataclass
class Read:
    rows: list[list]
    head: dict
    tail: dict
    counts: dict

    def codes(self, number: int) -> set[str]:
        return {Finding(*f).code for row in self.rows if row[0] == number for f in row[16] or ()}

    def row(self, number: int) -> list:
        return next(row for row in self.rows if row[0] == number)


@pytest.fixture
def read(tmp_path):
    """`read(bytes)`: what the reading process says; the five outcomes always add up."""

    def read(content: bytes, options: Options = OPTIONS, **limits) -> Read:
        path = tmp_path / "list"
        path.write_bytes(content)
        reading, tally = sandbox.Reading(), Tally()
        rows = [row for batch in sandbox.read(path, options, reading, **limits) for row in tally.add(batch)]
        assert sum(tally.counts.values()) == reading.tail["rows_read"] == len(rows)
        return Read(rows, reading.head, reading.tail, tally.counts)

    return read


def patched(content: bytes, changes: Mapping[str, bytes | None] = MappingProxyType({}), replace=()) -> bytes:
    """An .xlsx with members changed, added or (None) left out; ``replace`` are (member, old, new)."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            data = changes.get(name, old.read(name))
            for member, before, after in replace:
                if member == name:
                    assert before in data
                    data = data.replace(before, after, 1)
            if data is not None:
                new.writestr(name, data)
        for name, data in changes.items():
            if name not in old.namelist() and data is not None:
                new.writestr(name, data)
    return out.getvalue()


SHEET = "xl/worksheets/sheet1.xml"
GOOD = workbook(table([student_row(1), student_row(2)]))


def bomb() -> bytes:
    return patched(GOOD, {"xl/worksheets/sheet9.xml": b"<a/>" * 30_000_000})


def encrypted() -> bytes:
    return (
        bytes.fromhex("d0cf11e0a1b11ae1") + b"\0" * 600 + "EncryptedPackage".encode("utf-16-le") + b"\0" * 600
    )


def flagged_as_encrypted() -> bytes:
    data = bytearray(GOOD)
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = data.find(mark)
        while place >= 0:
            data[place + at] |= 1
            place = data.find(mark, place + 4)
    return bytes(data)


def cell_at(ref: str) -> bytes:
    row = "".join(char for char in ref if char.isdigit())
    return patched(
        GOOD,
        replace=[
            (SHEET, b"</sheetData>", f'<row r="{row}"><c r="{ref}"><v>1</v></c></row></sheetData>'.encode())
        ],
    )


REFUSED = {
    "empty file": (b"", "empty_file"),
    "pdf": (b"%PDF-1.7\n%...", "not_workbook"),
    "html called xls": (b"<html><table><tr><td>Ho va ten</td></tr></table></html>", "not_workbook"),
    "xml spreadsheet 2003": (b'<?xml version="1.0"?><Workbook></Workbook>', "not_workbook"),
    "picture": (b"\x89PNG\r\n\x1a\n" + b"\0" * 100, "not_workbook"),
    "random bytes": (bytes(range(256)) * 20, "not_workbook"),
    "gzip": (b"\x1f\x8b\x08" + b"\0" * 50, "not_workbook"),
    "plain zip": (patched(GOOD, {"xl/workbook.xml": None}), "not_workbook"),
    "cut off": (GOOD[: len(GOOD) // 2], "broken_file"),
    "directory only": (b"PK\x05\x06" + b"\0" * 18, "not_workbook"),
    "flipped bytes": (GOOD[:400] + bytes(60) + GOOD[460:], "broken_file"),
    "word": (bytes.fromhex("d0cf11e0a1b11ae1") + "WordDocument".encode("utf-16-le") + b"\0" * 999, "not_workbook"),
    "ole garbage": (bytes.fromhex("d0cf11e0a1b11ae1") + struct.pack("<I", 7) * 900, "not_workbook"),
    "password": (encrypted(), "password"),
    "zip password": (flagged_as_encrypted(), "password"),
    "macro": (patched(GOOD, {"xl/vbaProject.bin": b"x"}), "macro"),
    "xlsb": (patched(GOOD, {"xl/workbook.xml": None, "xl/workbook.bin": b"x"}), "not_workbook"),
    "zip bomb": (bomb, "zip_bomb"),
    "too many members": (patched(GOOD, {f"x/{n}.xml": b"" for n in range(2100)}), "zip_bomb"),
    "xxe": (
        patched(GOOD, replace=[(SHEET, b"<worksheet", b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><worksheet')]),
        "xml_entities",
    ),
    "billion laughs": (
        patched(GOOD, {"xl/sharedStrings.xml": b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha">]><sst>&a;</sst>'}),
        "xml_entities",
    ),
    "cell at the end of the world": (cell_at("XFD1048576"), "stretched"),
    "cell far right": (cell_at("AAA5"), "stretched"),
    "cell far down": (cell_at("A900000"), "stretched"),
    "broken xml": (patched(GOOD, {SHEET: b"<worksheet><sheetData><row"}), "broken_file"),
    "broken workbook": (patched(GOOD, {"xl/workbook.xml": b"<workbook"}), "broken_file"),
    "no header": (workbook([["a", "b"], ["c", "d"]]), "no_header"),
    "header too low": (workbook([[""]] * 15 + table([student_row(1)])), "no_header"),
    "header only": (workbook([HEADINGS]), "no_rows"),
    "empty sheet": (workbook([]), "no_header"),
    "no birth date column": (
        workbook(table([student_row(1)], ["school_code", "full_name", "group", "class_name"])), "missing_columns",
    ),
    "no group column": (workbook(table([student_row(1)], ["school_code", "full_name", "born_on"])), "missing_columns"),
    "name twice": (workbook([[*HEADINGS, "Họ tên"], *table([student_row(1)])[1:]]), "repeated_column"),
    "two tables": (
        workbook(table([student_row(1)]), more=[("Lớp 7", table([student_row(2)]))]), "several_sheets",
    ),
    "other office": (workbook(table([student_row(n, school_code="99000001") for n in range(3)])), "other_office"),
    "csv without header": (b"a;b;c\n1;2;3\n", "no_header"),
    "csv with an endless cell": (",".join(HEADINGS).encode() + b'\n"' + b"x" * 300_000, "broken_file"),
    "only the example": (
        workbook(table([student_row(1, school_code="VÍ DỤ", full_name="Ví dụ: Nguyễn Thị Hoa")])), "no_rows",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_cannot_be_taken_is_refused_with_a_reason_in_vietnamese(read, name):
    content, code = REFUSED[name]
    with pytest.raises(Refused) as refusal:
        read(content() if callable(content) else content)
    assert refusal.value.code == code
    assert not refusal.value.message.isascii()


def test_a_reading_that_takes_too_long_is_stopped(read):
    rows = table([student_row(n) for n in range(3000)])
    with pytest.raises(Refused) as refusal:
        read(workbook(rows), wall_seconds=0.05)
    assert refusal.value.code == "too_slow"


def one(read, **changed) -> Read:
    return read(workbook(table([student_row(1, **changed)])))


def test_a_lying_dimension_drops_no_row(read):
    content = patched(GOOD, replace=[(SHEET, b'<dimension ref="A1:K3"/>', b'<dimension ref="A1:B1"/>')])
    assert read(content).counts["ok"] == 2


def test_a_million_shared_strings_and_external_links_are_harmless(read):
    strings = b"".join(b"<si><t>%d</t></si>" % n for n in range(1_000_000))
    content = patched(GOOD, {"xl/externalLinks/externalLink1.xml": b"<externalLink/>"})
    content = patched(content, replace=[("xl/sharedStrings.xml", b"</sst>", strings + b"</sst>")])
    assert read(content).tail["notices"]


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        (unicodedata.normalize("NFD", "Nguyễn Thị Hạnh"), "text_cleaned"),
        ("Nguyễn\u200b Thị Hạnh", "text_cleaned"),
        ("Nguyễn\u00a0Thị Hạnh", "text_cleaned"),
        ("\ufeffNguyễn Thị Hạnh", "text_cleaned"),
        ("Nguyễn Thị Hạnh   ", "text_cleaned"),
        ("NGUYỄN THỊ HẠNH", "name_case"),
        ("nguyễn thị hạnh", "name_case"),
    ],
)
def test_names_come_out_in_one_spelling(read, typed, code):
    found = one(read, full_name=typed)
    assert found.counts["corrected"] == 1
    assert found.rows[0][5] == "Nguyễn Thị Hạnh"
    assert code in found.codes(2)


@pytest.mark.parametrize(
    ("typed", "code"), [("", "name_missing"), ("123", "name_not_text"), ("x" * 90, "name_too_long")]
)
def test_what_is_no_name_is_an_error(read, typed, code):
    assert code in one(read, full_name=typed).codes(2)


@pytest.mark.parametrize(
    ("typed", "kept", "code"),
    [
        (dt.date(2010, 4, 3), "2010-04-03", None),
        ("03/04/2010", "2010-04-03", None),
        ("3-4-2010", "2010-04-03", None),
        (40271, "2010-04-03", "born_serial"),
        ("40271", "2010-04-03", "born_serial"),
        ("2010-04-03", "2010-04-03", "born_rewritten"),
        ("3/4/10", "2010-04-03", "born_short_year"),
        ("31/02/2010", "", "born_impossible"),
        ("12/25/2010", "", "born_impossible"),
        ("2010", "", "born_only_year"),
        ("", "", "born_missing"),
        ("hôm qua", "", "born_not_date"),
        ("01/01/2030", "", "born_in_future"),
    ],
)
def test_birth_dates_are_day_month_year(read, typed, kept, code):
    found = one(read, born_on=typed, identity="")
    assert found.rows[0][8] == kept
    assert code is None or code in found.codes(2)


@pytest.mark.parametrize(
    ("typed", "kept", "code"),
    [
        (79310000001, "079310000001", "leading_zero"),
        ("79310000001", "079310000001", "leading_zero"),
        ("079 310 000001", "079310000001", None),
        ("7.9331E+10", "", "digits_lost"),
        ("123456789", "", "identity_form"),
        ("07931000000X", "", "identity_form"),
        ("079210000001", "079210000001", "identity_sex"),
        ("079309000001", "079309000001", "identity_year"),
        ("999310000001", "999310000001", "identity_province"),
        ("", "", "identity_missing"),
    ],
)
def test_citizen_numbers_get_their_zero_back_and_are_compared(read, typed, kept, code):
    found = one(read, identity=typed)
    assert found.rows[0][10] == kept
    assert code is None or code in found.codes(2)
    digits = "".join(char for char in str(typed) if char.isdigit())
    assert len(digits) < 9 or digits not in str(found.rows[0][16])


def test_school_codes_get_their_zero_back_and_others_are_named(read):
    found = read(workbook(table([student_row(1, school_code=1000303), student_row(2, school_code="4"), student_row(3), student_row(4, school_code="99000001")])))  # fmt: skip
    assert found.row(2)[2] == "01000303"
    assert "school_unknown" in found.codes(3)
    assert "school_of_other_office" in found.codes(5)


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("HỘ NGHÈO", "poor"),
        ("cận nghèo", "near_poor"),
        ("Mồ côi do Covid-19", "covid_orphan"),
        ("Mồ côi", ""),
        ("Khó khăn", ""),
    ],
)
def test_only_the_three_groups_of_the_plan(read, typed, kept):
    assert one(read, group=typed).rows[0][12] == kept


def test_old_fonts_are_converted_with_a_sample(read):
    for name, encoding in (("NguyÔn ThÞ Hång H¹nh", "tcvn3"), ("Nguyeãn Thò Hoàng Haïnh", "vni")):
        found = one(read, full_name=name)
        assert found.rows[0][5] == "Nguyễn Thị Hồng Hạnh"
        assert found.tail["converted_from"] == encoding
        assert found.tail["sample"] == [[name, "Nguyễn Thị Hồng Hạnh"]]


def test_old_font_headers_are_understood(read):
    cells = table([student_row(1, full_name="TrÇn V¨n Nam")])
    cells[0][3], cells[0][4] = "Hä vµ tªn", "Ngµy sinh"
    assert read(workbook(cells)).rows[0][5] == "Trần Văn Nam"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1258"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv_in_what_people_save(read, encoding, delimiter):
    name = "Nguyễn Thị Hạnh"
    lines = [delimiter.join(row) for row in table([student_row(1, full_name=name)])]
    text = "\r\n".join(lines)
    content = _windows_1258(text) if encoding == "cp1258" else text.encode(encoding)
    assert read(content).rows[0][5] == name


def _windows_1258(text: str) -> bytes:
    """As Windows does: letters composed, tones after them."""
    out = bytearray()
    for char in unicodedata.normalize("NFC", text):
        try:
            out += char.encode("cp1258")
        except UnicodeEncodeError:
            parts = unicodedata.normalize("NFD", char)
            tone = next(part for part in parts if part in "\u0300\u0301\u0303\u0309\u0323")
            base = unicodedata.normalize("NFC", parts.replace(tone, ""))
            out += base.encode("cp1258") + tone.encode("cp1258")
    return bytes(out)


def test_titles_blank_total_example_and_footer_rows_are_listed_as_skipped(read):
    rows = table([student_row(1)])
    example = table([student_row(3, full_name="Ví dụ: Trần Thị Hoa")])[1]
    cells = [["DANH SÁCH HỌC SINH"], [""], rows[0], example, rows[1], [""], table([student_row(2)])[1],
             ["Tổng cộng", "", "", 2], ["", "", "", "", "", "", "", "Ngày 5 tháng 11 năm 2021"], ["Người lập biểu"]]  # fmt: skip
    found = read(workbook(cells))
    assert [row[0] for row in found.rows] == [5, 7]
    assert found.tail["skipped"] == [1, 2, 4, 6, 8, 9, 10]


def test_a_pupil_called_tong_cong_is_no_total(read):
    assert one(read, full_name="Tống Công Minh", school_code=SCHOOL).counts["ok"] == 1


def test_a_header_of_two_rows(read):
    cells = [
        ["Mã trường", "Lớp", "Họ và tên", "Ngày sinh", "", "", "Đối tượng"],
        ["", "", "", "Ngày", "Tháng", "Năm", ""],
        [SCHOOL, "6A", "Lê Thị Lan", 3, 4, 2010, "Hộ nghèo"],
    ]
    found = read(workbook(cells))
    assert found.rows[0][8] == "2010-04-03"
    assert found.head["header_row"] == 1


def test_family_and_given_names_in_two_columns(read):
    cells = [
        ["Mã trường", "Họ và tên đệm", "Tên", "Ngày sinh", "Đối tượng"],
        [SCHOOL, "Lê Thị", "Lan", "03/04/2010", "Hộ nghèo"],
    ]
    assert read(workbook(cells)).rows[0][5] == "Lê Thị Lan"


def test_groups_as_columns_to_tick(read):
    cells = [
        ["Mã trường", "Họ tên", "Ngày sinh", "Hộ nghèo", "Cận nghèo"],
        [SCHOOL, "Lê Thị Lan", "03/04/2010", "", "x"],
    ]
    assert read(workbook(cells)).rows[0][12] == "near_poor"


def test_the_ministrys_file_as_it_is_with_its_catalogues(read):
    cells = [[""], ["BỘ GIÁO DỤC VÀ ĐÀO TẠO"], [""], ["STT", "Mã lớp", "Mã học sinh", "Họ tên", "Ngày sinh", "Giới tính",
             "Trạng thái HS", "Ngày nhập trạng thái", "Dân tộc", "Loại khuyết tật", "Số định danh cá nhân"],
             [1, "6A1", 7900000001, "Lê Thị Lan", "03/04/2010", "Nữ", "Đang học", "", "Kinh", "", "079310000001"],
             [2, "6A1", 7900000002, "Lê Thị Mai", "03/05/2010", "Nữ", "Chuyển đi", "", "Kinh", "", "079310000002"]]  # fmt: skip
    options = Options(today=OPTIONS.today, schools=OPTIONS.schools, school_code=SCHOOL, group="poor")
    found = read(workbook(cells, sheet="Sheet1", more=[("DanToc", [["Mã", "Tên"], ["1", "Kinh"]])]), options)
    assert found.head["sheet"] == "Sheet1"
    assert found.row(5)[12] == "poor"
    assert "not_studying" in found.codes(6)
    assert "Dân tộc" in found.head["unknown"]


def test_formulas_in_our_columns_are_errors_and_elsewhere_are_not(read):
    cells = table([student_row(1), student_row(2, full_name='="Lê "&"Lan"')])
    cells = [["STT", *cells[0]], ["=ROW()-1", *cells[1]], ["=ROW()-1", *cells[2]]]
    found = read(workbook(cells))
    assert "formula" in found.codes(3)
    assert found.codes(2) == set()


def test_hidden_rows_are_read_and_said(read):
    content = patched(GOOD, replace=[(SHEET, b'<row r="3"', b'<row r="3" hidden="1"')])
    found = read(content)
    assert len(found.rows) == 2
    assert "1 hàng đang ẩn" in found.tail["notices"][0]


def test_the_same_child_twice_is_a_duplicate_and_a_namesake_is_not(read):
    name = {"full_name": "Lê Thị Lan", "born_on": "03/04/2010"}
    rows = [student_row(1, **name, identity=""), student_row(1, **name, identity=""),
            student_row(3, **name, identity="079310000003")]  # fmt: skip
    found = read(workbook(table(rows)))
    assert "same_code_in_file" in found.codes(3)
    assert "same_name_in_file" in found.codes(4)


def test_a_class_that_excel_took_for_a_date_comes_back(read):
    assert one(read, class_name=dt.date(2021, 1, 6)).rows[0][3] == "6/1"


def test_a_missing_household_of_a_poor_family_is_a_warning(read):
    assert one(read, household_code="").codes(2) == {"household_missing"}
    assert one(read, household_code="", group="Mồ côi do COVID-19").codes(2) == set()
