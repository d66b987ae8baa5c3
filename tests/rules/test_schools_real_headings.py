"""Lists as schools, Phòng and Sở have them: titles, headings of two and three rows, marks, sections, signatures."""

import datetime as dt

import pytest

from schools.lists.rows import Options
from tests.lists_world import SCHOOL, workbook
from tests.rules.test_schools_list_odd_files import codes, read, refusal

__all__ = ["read"]
NAMED = {
    SCHOOL: "Trường THCS Tân Định",
    "79000702": "Trường THCS Đa Kao",
    "79000703": "Trường Tiểu học Đa Kao",
}
OFFICE = Options(today=dt.date(2021, 11, 15), schools=NAMED)
AT_SCHOOL = Options(today=dt.date(2021, 11, 15), schools={SCHOOL: NAMED[SCHOOL]}, school_code=SCHOOL)
TITLE = [
    ["SỞ GIÁO DỤC VÀ ĐÀO TẠO TP. HỒ CHÍ MINH", "", "", "", "", "CỘNG HÒA XÃ HỘI CHỦ NGHĨA VIỆT NAM"],
    ["TRƯỜNG THCS TÂN ĐỊNH", "", "", "", "", "Độc lập - Tự do - Hạnh phúc"],
    [""],
    ["DANH SÁCH HỌC SINH CHƯA CÓ MÁY TÍNH ĐỂ HỌC TRỰC TUYẾN"],
    ["(Kèm theo Công văn số 123/THCS-TĐ ngày 20 tháng 10 năm 2021)"],
    [""],
]
END = [
    ["", "Tổng cộng: 2 học sinh"],
    [""],
    ["", "Danh sách này gồm có 02 học sinh./."],
    ["", "", "", "", "", "Quận 1, ngày 20 tháng 10 năm 2021"],
    ["", "Người lập biểu", "", "", "", "HIỆU TRƯỞNG"],
    ["", "(Ký, ghi rõ họ tên)", "", "", "", "(Ký tên, đóng dấu)"],
    [""],
    ["", "Trần Thị Lập", "", "", "", "Nguyễn Văn Hiệu"],
]
# What is told apart of a row here: name, birth date, sex, group.
LAN = ["Lê Thị Lan", "2010-04-03", "female", "poor"]
NAM = ["Lê Văn Nam", "2010-06-05", "male", "near_poor"]


def told_of(rows: list[list]) -> list[list[str]]:
    return [[row[5], row[8], row[9], row[12]] for row in rows]


def test_a_birth_date_in_the_column_of_the_sex(read):
    cells = [*TITLE,
        ["TT", "Họ và tên học sinh", "Năm sinh", "", "Lớp", "Diện", "", ""],
        ["", "", "Nam", "Nữ", "", "Hộ nghèo", "Hộ cận nghèo", "Mồ côi do Covid-19"],
        ["(1)", "(2)", "(3)", "(4)", "(5)", "(6)", "(7)", "(8)"],
        [1, "Lê Thị Lan", "", "03/04/2010", "6A1", "x", "", ""],
        [2, "Lê Văn Nam", dt.date(2010, 6, 5), "", "6A1", "", "X", ""], *END]  # fmt: skip
    merged = ["C7:D7", "F7:H7", "A7:A8", "B7:B8", "E7:E8"]
    for ranges in (merged, ()):
        rows, told = read(workbook(cells, merged=ranges), options=AT_SCHOOL)
        assert told_of(rows) == [LAN, NAM]
        assert told["errors"] == 0
        assert set(told["skipped"]) == {*range(1, 7), 8, 9, *range(12, 20)}
    assert told["columns"]["Ngày sinh (nữ)"] == "Năm sinh Nữ"


def test_a_heading_of_three_rows(read):
    cells = [*TITLE,
        ["STT", "Thông tin học sinh", "", "", "", "Đối tượng", "", "Ghi chú"],
        ["", "Họ và tên", "Ngày sinh", "", "Lớp", "Hộ nghèo", "Hộ cận nghèo", ""],
        ["", "", "Nam", "Nữ", "", "", "", ""],
        [1, "Lê Thị Lan", "", "03/04/2010", "6A1", "✓", "", "ở với bà"],
        [2, "Lê Văn Nam", "05/06/2010", "", "6A1", "-", "+", ""], *END]  # fmt: skip
    merged = ["A7:A9", "B7:E7", "B8:B9", "C8:D8", "E8:E9", "F7:G7", "F8:F9", "G8:G9", "H7:H9"]
    rows, told = read(workbook(cells, merged=merged), options=AT_SCHOOL)
    assert told_of(rows) == [LAN, NAM]
    assert told["header_row"] == 8


def test_a_birth_date_in_both_columns_is_no_date_and_a_child_without_one_is_named(read):
    cells = [
        ["Họ và tên", "Ngày sinh", "", "Đối tượng"], ["", "Nam", "Nữ", ""],
        ["Lê Thị Lan", "03/04/2010", "03/04/2010", "Hộ nghèo"], ["Lê Văn Nam", "", "", "Hộ nghèo"],
    ]  # fmt: skip
    rows, told = read(workbook(cells, merged=["B1:C1"]), options=AT_SCHOOL)
    assert "born_not_date" in codes(told, 3)
    assert "born_missing" in codes(told, 4)
    assert [row[9] for row in rows] == ["", ""]


def test_columns_for_day_month_and_year_stay_what_they_are(read):
    cells = [
        ["Họ và tên", "Ngày sinh", "", "", "Đối tượng"], ["", "Ngày", "Tháng", "Năm", ""],
        ["Lê Thị Lan", 3, 4, 2010, "Hộ nghèo"],
    ]  # fmt: skip
    rows, _ = read(workbook(cells, merged=["B1:D1"]), options=AT_SCHOOL)
    assert told_of(rows) == [["Lê Thị Lan", "2010-04-03", "", "poor"]]


def test_only_years_of_birth_are_said_once_of_the_file_not_of_each_row(read):
    rows = [
        [n, f"Lê Thị {name}", 2010, "Hộ nghèo"] for n, name in enumerate(["An", "Ba", "Chi", "Dung", "Em"])
    ]
    cells = [["TT", "Họ và tên", "Năm sinh", "Đối tượng"], *rows]
    with pytest.raises(Exception, match="chỉ có năm ở 5 trong 5 hàng") as refused:
        read(workbook(cells), options=AT_SCHOOL)
    assert refused.value.code == "only_birth_years"
    # A few rows without a whole date are errors of their own.
    _, told = read(workbook([*cells[:1], *rows[:4]]), options=AT_SCHOOL)
    assert told["errors"] == 4


def test_sections_and_marks_for_the_sex(read):
    cells = [*TITLE,
        ["TT", "Họ và tên", "Ngày tháng năm sinh", "Giới tính", "", "Lớp", "Hoàn cảnh gia đình", "Địa chỉ"],
        ["", "", "", "Nam", "Nữ", "", "", ""],
        ["A", "B", 1, 2, 3, 4, 5, 6],
        ["I", "Khối 6", "", "", "", "", "", ""],
        [1, "Lê Thị Lan", "03/04/2010", "", "x", "6A1", "Hộ nghèo", "Tổ 5"],
        ["II", "KHỐI 7", "", "", "", "", "", ""],
        ["", "Trường THCS Đa Kao", "", "", "", "", "", ""],
        [1, "Lê Văn Nam", "05/06/2010", "x", "", "7A1", "hộ cận nghèo", "Tổ 6"],
        ["", "Cộng", "", 1, 1, "", "", ""], *END]  # fmt: skip
    merged = ["D7:E7", "A7:A8", "B7:B8", "C7:C8", "F7:F8", "G7:G8", "H7:H8"]
    rows, told = read(workbook(cells, merged=merged), options=AT_SCHOOL)
    assert told_of(rows) == [LAN, NAM]
    assert told["errors"] == 0


@pytest.mark.parametrize("given", ["Tên HS", "Tên học sinh", "Tên"])
def test_a_given_name_beside_the_family_name_is_half_of_it(read, given):
    cells = [
        ["Họ đệm", given, "Ngày sinh", "Đối tượng"],
        ["Lê Thị", "Lan", "03/04/2010", "Hộ nghèo"],
    ]
    rows, told = read(workbook(cells), options=AT_SCHOOL)
    assert [row[5] for row in rows] == ["Lê Thị Lan"]
    assert told["errors"] == 0


def test_a_column_of_girls_tells_girls_and_of_others_nothing(read):
    cells = [
        ["Họ tên", "Ngày sinh", "Nữ", "Đối tượng"],
        ["Lê Thị Lan", "03/04/2010", "x", "Hộ nghèo"], ["Lê Văn Nam", "05/06/2010", "", "Hộ nghèo"],
        ["Khối Thị Hoa", "05/07/2010", "x", "Hộ nghèo"],
    ]  # fmt: skip
    rows, _ = read(workbook(cells), options=AT_SCHOOL)
    assert [(row[5], row[9]) for row in rows] == [
        ("Lê Thị Lan", "female"), ("Lê Văn Nam", ""), ("Khối Thị Hoa", "female"),
    ]  # fmt: skip


def test_schools_by_name_in_the_list_of_an_office(read):
    cells = [*TITLE,
        ["Stt", "Họ và tên HS", "Ngày, tháng, năm sinh", "Nam/Nữ", "Dân tộc", "Lớp", "Trường", "Thuộc hộ nghèo, cận nghèo"],
        [1, "LÊ THỊ LAN", "03/04/2010", "Nữ", "Kinh", "6A1", "THCS Tân Định", "HN"],
        [2, "LÊ VĂN NAM", "05/06/2010", "Nam", "Tày", "6A1", "Trường Trung học cơ sở Đa Kao", "Cận nghèo"],
        [3, "LÊ VĂN BA", "05/06/2011", "Nam", "Tày", "6A1", "Tân Định", "Cận nghèo"],
        [4, "LÊ VĂN TƯ", "05/06/2012", "Nam", "Tày", "6A1", "Đa Kao", "Cận nghèo"],
        [5, "LÊ VĂN NĂM", "05/06/2013", "Nam", "Tày", "6A1", "Trường nào đó", "Cận nghèo"], *END]  # fmt: skip
    rows, told = read(workbook(cells), options=OFFICE)
    assert [row[2] for row in rows] == [SCHOOL, "79000702", SCHOOL, "", ""]
    assert codes(told, 11) >= {"school_name_unclear"}, (
        "two schools are called so: which one is for a person to say"
    )
    assert codes(told, 12) >= {"school_unknown"}
    # A school's own list says whose it is; what stands in that column is beside the point.
    rows, told = read(workbook(cells), options=AT_SCHOOL)
    assert {row[2] for row in rows} == {SCHOOL}


def test_a_code_of_the_school_is_surer_than_its_name_and_a_class_than_a_grade(read):
    cells = [
        ["Mã trường", "Tên trường", "Khối", "Lớp", "Họ tên", "Ngày sinh", "Đối tượng"],
        ["79000702", "THCS Tân Định", 6, "6A1", "Lê Thị Lan", "03/04/2010", "Hộ nghèo"],
    ]
    rows, _ = read(workbook(cells), options=OFFICE)
    assert (rows[0][2], rows[0][3]) == ("79000702", "6A1")
    rows, _ = read(workbook([[row[place] for place in (0, 2, 4, 5, 6)] for row in cells]), options=OFFICE)
    assert rows[0][3] == "6"


def test_what_only_helps_may_stand_twice(read):
    cells = [
        ["Mã trường", "Trường", "Đơn vị", "Khối", "Khối lớp", "Họ tên", "Ngày sinh", "Đối tượng"],
        ["79000702", "THCS Đa Kao", "Phòng GD&ĐT Quận 1", 6, "6", "Lê Thị Lan", "03/04/2010", "Hộ nghèo"],
    ]
    rows, told = read(workbook(cells), options=OFFICE)
    assert (rows[0][2], rows[0][3], told["errors"]) == ("79000702", "6", 0)


def test_a_formula_in_a_column_to_tick_is_said_of_the_group(read):
    cells = [["Họ tên", "Ngày sinh", "Hộ nghèo"], ["Lê Thị Lan", "03/04/2010", '=IF(1,"x","")']]
    _, told = read(workbook(cells), options=AT_SCHOOL)
    formula = next(finding for finding in told["findings"] if finding["code"] == "formula")
    assert (formula["column"], formula["value"]) == ("Đối tượng", "công thức ở ô C2")


def test_orphans_are_of_the_programme_only_where_covid_is_named(read):
    head = ["Họ tên", "Ngày sinh", "Hộ nghèo", "Mồ côi"]
    pupils = [["Lê Thị Lan", "03/04/2010", "", "x"], ["Lê Văn Nam", "05/06/2010", "x", "x"]]
    rows, told = read(workbook([head, *pupils]), options=AT_SCHOOL)
    assert [row[12] for row in rows] == ["", "poor"]
    assert codes(told, 2) >= {"group_unclear"}
    rows, _ = read(workbook([[*head[:3], "Mồ côi do dịch Covid-19"], *pupils]), options=AT_SCHOOL)
    assert [row[12] for row in rows] == ["covid_orphan", "poor"]


def test_a_list_without_a_group_says_what_is_missing_and_how_to_go_on(read):
    cells = [
        *TITLE,
        ["TT", "Họ và tên học sinh", "Ngày sinh", "Lớp", "Ghi chú"],
        [1, "Lê Thị Lan", "03/04/2010", "6A1", ""],
    ]
    refused = refusal(lambda content: read(content, options=AT_SCHOOL), workbook(cells))
    assert refused.code == "missing_columns"
    assert "“Đối tượng”" in refused.message
    assert "chọn chung cho cả tệp" in refused.message


def test_true_dates_beside_examples_titles_and_totals(read):
    cells = [
        ["Mã trường", "Họ và tên", "Ngày sinh", "Đối tượng"],
        ["VÍ DỤ", "Ví dụ: Nguyễn Thị Hoa", dt.date(2010, 4, 3), "Hộ nghèo"],
        [SCHOOL, "Ví dụ: Trần Thị Mai", dt.date(2010, 4, 3), "Hộ nghèo"],
        [SCHOOL, "Vi Thị Dụ", dt.date(2010, 4, 3), "Hộ nghèo"],
        [SCHOOL, "Lê Thị Lan", dt.date(2010, 4, 3), "Hộ nghèo"],
        [SCHOOL, "", dt.date(2010, 4, 3), "Hộ nghèo"],
        ["Tổng cộng", "", "", 4],
        ["", "", "", dt.date(2021, 10, 20)],
    ]
    rows, told = read(workbook(cells), options=OFFICE)
    assert [row[0] for row in rows] == [4, 5, 6]
    assert [row[8] for row in rows] == ["2010-04-03"] * 3
    assert told["skipped"] == [2, 3, 7, 8]
    assert codes(told, 6) >= {"name_missing"}
