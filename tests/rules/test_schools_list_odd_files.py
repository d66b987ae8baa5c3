"""Files as they really arrive, several traps at once: no row lost, no name spoilt, one clear answer each."""

import datetime as dt
import io
import unicodedata
import zipfile
from pathlib import Path

import pytest

from schools.lists import sandbox
from schools.lists.intake import Refused
from schools.lists.report import Tally, report
from schools.lists.rows import Options
from tests.lists_world import HEADINGS, SCHOOL, student_row, table, workbook

OPTIONS = Options(
    today=dt.date(2021, 11, 15),
    schools={SCHOOL: "Trường THCS Tân Định", "79000702": "Trường THCS Đa Kao"},
    other_schools=frozenset(["01000301"]),
)
SHEET = "xl/worksheets/sheet1.xml"
NAMES = [
    "Nguyễn Thị Hồng Hạnh", "Vũ Nam Anh", "Mai Thanh Tú", "Lan Phú", "Tạ Khoa", "Đỗ Đức Dũng", "Lê Thị Ánh", "Trần Ước",
    "Bùi Quý", "Hồ Thị Mỹ Ý", "Đặng Út", "Hoàng Ái My", "Mai Anh Dũng", "Lý Tú Anh", "La Thị Ngọc Ấm", "Lò Văn Hặc",
    "Huỳnh Nhật Thư", "Từ Hỷ", "Võ Kỳ Ỷ",
]  # fmt: skip
# Small letters only: a .Vn font has no capital with a tone, people type the small one.
TCVN3 = dict(
    zip(
        "àảãáạăằẳẵắặâầẩẫấậđèẻẽéẹêềểễếệìỉĩíịòỏõóọôồổỗốộơờởỡớợùủũúụưừửữứựỳỷỹýỵĂÂÊÔƠƯĐ",
        "µ¶·¸¹¨»¼½¾Æ©ÇÈÉÊË®ÌÎÏÐÑªÒÓÔÕÖ×ØÜÝÞßáâãä«åæçèé¬êëìíîïñòóô\u00adõö÷øùúûüýþ¡¢£¤¥¦§",
        strict=True,
    )
)


def tcvn3(text: str) -> str:
    return "".join(TCVN3.get(char) or TCVN3.get(char.lower(), char) for char in text)


def vni(text: str) -> str:
    """After the published VNI-Windows layout: a letter, then its mark as a second letter."""
    plain = {"\u0301": "ù", "\u0300": "ø", "\u0309": "û", "\u0303": "õ", "\u0323": "ï"}
    hat = {"\u0301": "á", "\u0300": "à", "\u0309": "å", "\u0303": "ã", "\u0323": "ä"}
    bowl = {"\u0301": "é", "\u0300": "è", "\u0309": "ú", "\u0303": "ü", "\u0323": "ë"}
    out = ""
    for char in text:
        small = unicodedata.normalize("NFD", char.lower())
        tone = next((mark for mark in small if mark in plain), "")
        if char.isascii():
            made = char
        elif char in "đĐ":
            made = "ñ"
        elif "\u031b" in small:
            made = {"o": "ô", "u": "ö"}[small[0]] + (plain[tone] if tone else "")
        elif "\u0302" in small:
            made = small[0] + (hat[tone] if tone else "â")
        elif "\u0306" in small:
            made = small[0] + (bowl[tone] if tone else "ê")
        elif small[0] == "i":
            made = {"\u0301": "í", "\u0300": "ì", "\u0309": "æ", "\u0303": "ó", "\u0323": "ò"}[tone]
        else:
            made = "î" if small[0] == "y" and tone == "\u0323" else small[0] + plain[tone]
        out += made.upper() if char.isupper() else made
    return out


@pytest.fixture
def read(tmp_path):
    """`read(bytes)`: (rows, report) of the real reading process; the five outcomes add up to the rows read."""

    def read(content: bytes, *, name: str = "list", options: Options = OPTIONS) -> tuple[list[list], dict]:
        path = tmp_path / name
        path.write_bytes(content)
        reading, tally = sandbox.Reading(), Tally()
        rows = [row for batch in sandbox.read(path, options, reading) for row in tally.add(batch)]
        told = report(file_sha256="", head=reading.head, tail=reading.tail, tally=tally)
        outcomes = [told[key] for key in ("ok", "corrected", "warnings", "duplicates", "errors")]
        assert sum(outcomes) == told["rows_read"] == len(rows)
        return rows, told

    return read


def codes(told: dict, row: int) -> set[str]:
    return {finding["code"] for finding in told["findings"] if finding["row"] == row}


def refusal(read, content: bytes) -> Refused:
    with pytest.raises(Refused) as refused:
        read(content)
    return refused.value


def csv_of(rows: list[list[object]], delimiter: str = ",") -> str:
    return "\r\n".join(delimiter.join(map(str, row)) for row in rows)


def with_sheet(change, content: bytes) -> bytes:
    """An .xlsx with its first sheet's XML changed."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for member in old.namelist():
            data = old.read(member)
            new.writestr(member, change(data) if member == SHEET else data)
    return out.getvalue()


@pytest.mark.parametrize("encode", [tcvn3, vni])
@pytest.mark.parametrize("kind", ["xlsx", "csv"])
def test_old_fonts_keep_every_name_right_also_words_that_are_well_formed_as_they_stand(read, encode, kind):
    # "Vò", "Tó", "Phó" and "Dòng" are good Unicode words, and here they are Vũ, Tú, Phú and Dũng.
    rows = [student_row(n, full_name=name) for n, name in enumerate(NAMES, start=1)]
    cells = [[encode(str(cell)) for cell in row] for row in table(rows)]
    content = workbook(cells) if kind == "xlsx" else csv_of(cells, ";").encode("latin-1")
    rows, told = read(content)
    assert [row[5] for row in rows] == NAMES
    assert told["converted_from"] == encode.__name__
    assert told["columns"].keys() == set(HEADINGS)


def test_old_fonts_beside_proper_unicode_are_told_apart_cell_by_cell(read):
    mixed = [tcvn3(name) if place % 2 else name for place, name in enumerate(NAMES)]
    rows, _ = read(workbook(table([student_row(n, full_name=name) for n, name in enumerate(mixed, start=1)])))
    assert [row[5] for row in rows] == NAMES
    proper = ["Lê Thanh Tú", "Hà Phú", "Tô Ý", "Cù Là", "Lý Tú"]
    rows, told = read(workbook(table([student_row(n, full_name=name) for n, name in enumerate(proper)])))
    assert [row[5] for row in rows] == proper
    assert told["converted_from"] is None


def test_whoever_has_a_name_is_read_whatever_else_the_row_looks_like(read):
    rows = [
        student_row(1, full_name="Vi Duy Khánh"),  # no example: Vi is a family name
        student_row(2, full_name="Vi Dũng"),
        student_row(3, full_name="Tổng Văn Cộng"),
        student_row(4, born_on=""),
        student_row(5, born_on="", student_code="", identity=""),
    ]
    cells = [[*row, note] for row, note in zip(table(rows), ["Ghi chú", "", "", "", "QĐ ngày 5 tháng 11 năm 2021", "Tổng hợp"], strict=True)]  # fmt: skip
    rows, told = read(workbook(cells))
    assert [row[0] for row in rows] == [2, 3, 4, 5, 6]
    assert told["skipped"] == []
    assert codes(told, 5) == codes(told, 6) - {"identity_missing"} == {"born_missing"}


def test_tables_under_each_other_with_headers_totals_and_signatures(read):
    head, *rows = table([student_row(n) for n in range(1, 5)])
    cells = [["DANH SÁCH LỚP 6A1"], head, *rows[:2], ["Tổng cộng: 2 em"], [""], ["DANH SÁCH LỚP 6A2"], head, *rows[2:],
             ["Tổng cộng", "", "", "2 em"], ["", "", "", "Người lập biểu", "", "", "", "Hiệu trưởng"],
             ["", "", "", "Nguyễn Văn Lập", "", "", "", "Trần Thị Hiệu"],
             [SCHOOL, "6A2", "", "", "", "", "", "Hộ nghèo"]]  # fmt: skip
    rows, told = read(workbook(cells))
    assert [row[0] for row in rows] == [3, 4, 9, 10]
    assert told["skipped"] == [1, 5, 6, 7, 8, 11, 12, 13, 14]


def test_csv_rows_have_the_numbers_that_a_spreadsheet_shows(read):
    cells = table([student_row(1, full_name='"LÊ\nLAN"'), student_row(2, born_on="31/02/2010")])
    _, told = read(("sep=;\r\n" + csv_of(cells, ";")).encode())
    assert told["header_row"] == 1
    assert codes(told, 3) == {"born_impossible"}
    _, told = read(("Danh sách, năm 2021\r\n\r\n" + csv_of(cells)).encode())
    assert told["header_row"] == 3
    assert told["skipped"] == [1, 2]
    assert codes(told, 5) == {"born_impossible"}


def test_csv_in_odd_clothes_loses_nothing(read):
    cells = table([student_row(1, commune="Phường\u2028Tân Định"), student_row(2, household_code="A\x0bB")])
    rows, _ = read(csv_of(cells).encode())
    assert [row[0] for row in rows] == [2, 3]
    cells = table([student_row(1), student_row(2, identity='="079310000002"', school_code=f'="{SCHOOL}"')])
    _, told = read(csv_of(cells).encode("utf-16-le"))
    assert told["ok"] == 2
    broken = (
        csv_of(table([student_row(n) for n in range(1, 9)])).encode().replace("Hồng".encode(), b"H\xffng", 1)
    )
    _, told = read(broken)
    assert (told["errors"], told["ok"]) == (0, 8) if b"\xff" not in broken else (1, 7)
    mojibake = csv_of(table([student_row(1)])).encode().decode("latin-1").encode()
    _, told = read(mojibake)
    assert told["ok"] == 1


def test_a_stray_quote_never_swallows_rows(read):
    cells = table(
        [
            student_row(1),
            student_row(2, full_name='"Lê Lan'),
            student_row(3),
            student_row(4, class_name='"6A'),
        ]
    )
    assert refusal(read, csv_of(cells).encode()).code == "broken_file"
    assert (
        "hàng"
        in refusal(read, csv_of(table([student_row(1), student_row(2, commune='"Xã')])).encode()).message
    )


def test_letters_lost_in_saving_are_an_error_and_never_a_name(read):
    lost = csv_of(table([student_row(1)])).encode("cp1252", "replace")
    assert "mất" in refusal(read, lost).message
    rows, told = read(workbook(table([student_row(1, full_name="Nguy?n Th? H?ng")])))
    assert (rows[0][5], codes(told, 2)) == ("", {"letters_lost"})


def test_identity_numbers_out_of_their_column_stay_nowhere_in_the_clear(read):
    number = "079310000001"
    places = [
        "student_code",
        "full_name",
        "class_name",
        "commune",
        "group",
        "sex",
        "has_device",
        "born_on",
        "school_code",
    ]
    rows = [student_row(n, **{place: f"{number}"}) for n, place in enumerate(places, start=10)]
    rows, told = read(workbook(table(rows)))
    assert told["errors"] == len(places)
    shown = [row[:10] + row[12:] for row in rows]
    assert number not in str(shown)
    assert number not in str(told)


def test_placeholders_are_blanks_and_no_child_shares_them(read):
    rows = [student_row(n, student_code=code, household_code=code, identity=code)
            for n, code in enumerate(["-", "0", "không có", "x"], start=1)]  # fmt: skip
    rows, told = read(workbook(table(rows)))
    assert told["warnings"] == 4
    assert {row[4] + row[10] + row[13] for row in rows} == {""}


@pytest.mark.parametrize(
    "typed",
    [3042010, "20100403", "ngày 3 tháng 4 năm 2010", "03-Apr-2010", "'03/04/2010", "3/4/2010 12:00:00 AM",
     "2010-04-03T00:00:00.000Z", 40271.25],
)  # fmt: skip
def test_more_ways_to_write_the_third_of_april(read, typed):
    assert read(workbook(table([student_row(1, born_on=typed, identity="")])))[0][0][8] == "2010-04-03"


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("Mồ côi cha do Covid", "covid_orphan"),
        ("Có mẹ mất vì dịch COVID-19", "covid_orphan"),
        ("Hộ nghèo; mồ côi do COVID-19", "poor"),
        ("Hộ cận nghèo, hộ nghèo", "poor"),
        ("Hộ nghèo đa chiều", "poor"),
        ("Hộ thoát nghèo", ""),
        ("Không thuộc hộ nghèo", ""),
        ("Không mồ côi do Covid", ""),
        ("Hộ nghèo, khó khăn khác", ""),
    ],
)
def test_groups_in_other_words(read, typed, kept):
    assert read(workbook(table([student_row(1, group=typed)])))[0][0][12] == kept


def test_a_school_may_be_written_with_its_name(read):
    rows, told = read(workbook(table([student_row(1, school_code=f"{SCHOOL} - Trường THCS Tân Định"), student_row(2, school_code="trường thcs đa kao")])))  # fmt: skip
    assert [row[2] for row in rows] == [SCHOOL, "79000702"]
    assert told["corrected"] == 2


def test_whole_names_beside_given_names_are_put_together_once(read):
    cells = [
        ["Mã trường", "Họ và tên", "Tên", "Ngày sinh", "Đối tượng", "Chủ hộ"],
        [SCHOOL, "Lê Thị", "Lan", "03/04/2010", "Hộ nghèo", "Lê Văn Ba"],
        [SCHOOL, "Lê Thị Mai", "Mai", "05/04/2010", "Hộ nghèo", "LÊ VĂN BA"],
    ]
    rows, told = read(workbook(cells))
    assert [row[5] for row in rows] == ["Lê Thị Lan", "Lê Thị Mai"]
    assert rows[0][13] == rows[1][13] != ""
    assert "household_missing" not in codes(told, 2)


def test_a_letter_that_only_looks_like_d_is_replaced(read):
    rows, told = read(workbook(table([student_row(1, full_name="Lê \u00d0ức Anh")])))
    assert rows[0][5] == "Lê Đức Anh"
    assert told["corrected"] == 1


def test_a_formula_is_one_error_and_nothing_else_is_said_of_its_cell(read):
    _, told = read(workbook(table([student_row(1, full_name='="Lê "&"An"')])))
    assert [finding["code"] for finding in told["findings"]] == ["formula"]
    _, told = read(
        csv_of(table([student_row(1, full_name="=cmd|calc"), student_row(2, class_name="@SUM(A1)")])).encode()
    )
    assert told["errors"] == 2


def test_a_missing_name_column_is_named_and_the_unknown_ones_are_offered(read):
    cells = table([student_row(1)])
    cells[0][3] = "Cháu nào"
    refused = refusal(read, workbook(cells))
    assert (refused.code, refused.details["missing"], refused.details["unknown"]) == ("missing_columns", ["full_name"], ["Cháu nào"])  # fmt: skip
    refused = refusal(read, workbook([["A", "Bê", "Xê"], ["x", "y", "z"]]))
    assert (refused.code, refused.details["unknown"]) == ("no_header", ["A", "Bê", "Xê"])


def test_an_optional_column_that_stands_twice_is_the_one_with_our_name(read):
    cells = table([student_row(1)])
    cells[0] += ["Tên lớp", "Xã"]
    cells[1] += ["Sáu", "Nơi khác"]
    rows, told = read(workbook(cells))
    assert rows[0][3] == "6A1"
    assert told["columns"]["Xã/phường"] == "Xã/phường"
    cells[0][-1], cells[1][-1] = "Ngày sinh", "04/04/2010"
    assert refusal(read, workbook(cells)).code == "repeated_column"


def test_other_sheets_with_names_do_not_stand_in_the_way(read):
    more = [
        ("DMLop", [["Lớp", "Tên"], ["6A1", "Sáu"]]),
        ("GV", [["Họ và tên", "Giới tính"], ["Cô Lan", "Nữ"]]),
    ]
    assert read(workbook(table([student_row(1)]), more=more))[1]["sheet"] == "Danh sách"


def test_the_ministrys_old_xls_is_taken_as_it_is_under_any_name(read):
    content = (Path(__file__).parents[1] / "files" / "C1-HocSinh.xls").read_bytes()
    for name in ("C1-HocSinh.xls", "C1-HocSinh.xlsx"):
        rows, told = read(content, name=name)
        assert (told["sheet"], told["header_row"], told["skipped"]) == ("Sheet1", 5, [1, 2, 3, 4])
        assert (told["ok"], told["errors"]) == (5, 4)
        assert rows[0][5:9] == ["Lê Thị Mai Băn", "le thi mai ban", rows[0][7], "2010-04-01"]
        assert codes(told, 8) == {"not_studying"}
    assert read(workbook(table([student_row(1)])), name="list.xls")[1]["ok"] == 1


@pytest.mark.parametrize(
    "cell",
    [b"<row r='1048576'><c r='XFD1048576'><v>1</v></c></row>", b'<row\nr = "1048576"><c\nr = "XFD1048576"/></row>',
     b'<row r="9"><c t="n" r="xfd9"><v>1</v></c></row>'],
)  # fmt: skip
def test_a_far_cell_is_named_however_it_is_written(read, cell):
    content = with_sheet(
        lambda xml: xml.replace(b"</sheetData>", cell + b"</sheetData>"), workbook(table([student_row(1)]))
    )
    assert refusal(read, content).code == "stretched"


def test_a_giant_cell_or_heading_is_cut_and_costs_nothing(read):
    content = workbook(
        table([student_row(1), student_row(2, commune="GIANT"), student_row(3, full_name="GIANT")])
    )
    giant = b"A1b2 " * 2_000_000
    strings = "xl/sharedStrings.xml"
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for member in old.namelist():
            data = old.read(member)
            data = data.replace(b"GIANT", giant).replace("Lớp".encode(), "Lớp".encode() + giant)
            new.writestr(member, data if member == strings else old.read(member))
    rows, told = read(out.getvalue())
    assert (told["ok"], told["errors"]) == (1, 2)
    assert max(len(str(row)) for row in rows) < 10_000


def test_xlsm_without_its_macro_part_is_refused_as_such(read):
    out = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(workbook(table([student_row(1)])))) as old,
        zipfile.ZipFile(out, "w") as new,
    ):
        for member in old.namelist():
            kind = b"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"
            new.writestr(
                member,
                old.read(member).replace(kind, b"application/vnd.ms-excel.sheet.macroEnabled.main+xml"),
            )
    assert refusal(read, out.getvalue()).code == "macro"
