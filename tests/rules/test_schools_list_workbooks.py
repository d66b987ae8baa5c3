"""The workbooks we give, opened again with another library: dropdowns, texts, marks."""

import io

import openpyxl
import pytest

from schools.lists.columns import TITLES
from schools.lists.workbook import ERROR_TITLE, write_marked, write_template

SCHOOLS = {"01000301": "Trường THCS Phúc Xá", "01000302": "Trường THCS Ba Đình"}


@pytest.fixture
def template() -> openpyxl.Workbook:
    target = io.BytesIO()
    write_template(target, schools=SCHOOLS, communes=["Phường Phúc Xá"], classes=["6A1", "6A2", "7B"])
    return openpyxl.load_workbook(target)


def choices(book: openpyxl.Workbook, key: str) -> list[str]:
    """What the dropdown of a column offers, read from the hidden sheet that it points to."""
    page = book["Danh sách"]
    at = f"{openpyxl.utils.get_column_letter(list(TITLES).index(key) + 1)}2"
    rule = next(rule for rule in page.data_validations.dataValidation if at in rule.sqref)
    assert rule.promptTitle
    assert rule.prompt
    name, cells = rule.formula1.lstrip("=").split("!")
    sheet = book[name.strip("'")]
    assert sheet.sheet_state == "hidden"
    return [row[0].value for row in sheet[cells.replace("$", "")]]


def test_the_template_offers_the_offices_own_schools_classes_and_the_plans_groups(template):
    assert [cell.value for cell in template["Danh sách"][1]] == list(TITLES.values())
    assert choices(template, "school_code") == list(SCHOOLS)
    assert choices(template, "class_name") == ["6A1", "6A2", "7B"]
    assert choices(template, "group") == ["Hộ nghèo", "Hộ cận nghèo", "Mồ côi do COVID-19"]
    assert choices(template, "sex") == ["Nam", "Nữ"]
    assert choices(template, "commune") == ["Phường Phúc Xá"]
    assert choices(template, "has_device") == ["Có", "Không"]


def test_columns_of_the_template_are_text_and_its_header_stays_in_sight(template):
    page = template["Danh sách"]
    letters = [openpyxl.utils.get_column_letter(place) for place in range(1, len(TITLES) + 1)]
    widths = page.column_dimensions
    assert page.freeze_panes == "A2"
    assert all(page[f"{letter}2"].number_format == "@" for letter in letters)
    assert widths["A"].width >= 10


def test_a_marked_workbook_shows_where_and_why_and_runs_no_formula():
    target = io.BytesIO()
    cells = {"full_name": "=1+1", "born_on": "31/02/2010", "school_code": "01000301"}
    findings = [["born_on", "error", "born_impossible", "31/02/2010", "Ngày 31/02/2010 không có trong lịch."]]
    write_marked(target, [(7, cells, findings)], schools=SCHOOLS)
    page = openpyxl.load_workbook(target)["Danh sách"]
    born = page.cell(2, list(TITLES).index("born_on") + 1)
    assert born.fill.fgColor.rgb == "FFF8B4B4"
    assert "không có trong lịch" in born.comment.text
    assert page.cell(1, len(TITLES) + 1).value == ERROR_TITLE
    assert page.cell(2, len(TITLES) + 1).value.startswith("(Hàng 7) Ngày sinh:")
    assert page.auto_filter.ref == "A1:L2"
    name = page.cell(2, list(TITLES).index("full_name") + 1)
    assert (name.value, name.data_type) == ("=1+1", "s") or name.quotePrefix
