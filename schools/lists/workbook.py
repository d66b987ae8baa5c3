"""The workbooks we give: the template of an office, and a list with its errors marked.

XlsxWriter with texts as texts: nothing that somebody typed becomes a formula.
"""

import itertools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO

import xlsxwriter

from schools.lists.cells import GROUP_LABELS
from schools.lists.columns import TITLES
from schools.lists.findings import CORRECTION, DUPLICATE, ERROR, WARNING

ERROR_TITLE = "Cần sửa"
_LAST_ROW = 20_000
_WIDTHS = {"full_name": 28, "identity": 20, "group": 22, "commune": 24, "school_code": 14, "student_code": 14}
_HINTS = {
    "school_code": "Chọn hoặc gõ mã trường; danh mục ở trang Danh mục.",
    "class_name": "Ví dụ 6A1.",
    "student_code": "10 chữ số của ngành, nếu có.",
    "full_name": "Viết đủ họ, đệm, tên có dấu.",
    "born_on": "ngày/tháng/năm, ví dụ 03/04/2010 là 3 tháng 4.",
    "sex": "Nam hoặc Nữ.",
    "identity": "12 chữ số; có thể để trống nhưng khi đó khó phát hiện trùng.",
    "group": "Hộ nghèo, Hộ cận nghèo hoặc Mồ côi do COVID-19.",
    "household_code": "Các em cùng hộ ghi cùng mã hộ.",
    "commune": "Nơi em đang ở.",
    "has_device": "Có nếu em đã có máy tính.",
}
_COLOURS = {ERROR: "#f8b4b4", DUPLICATE: "#fbd5a5", WARNING: "#fef3c7", CORRECTION: "#e6f0fa"}
EXAMPLE = {
    "school_code": "VÍ DỤ", "class_name": "6A1", "student_code": "7900000001", "full_name": "Ví dụ: Nguyễn Thị Hoa",
    "born_on": "03/04/2010", "sex": "Nữ", "identity": "", "group": "Hộ nghèo", "household_code": "HO001",
    "commune": "", "has_device": "Không",
}  # fmt: skip


def _begin(
    target: Path | IO[bytes],
    schools: Mapping[str, str],
    communes: Iterable[str],
    classes: Iterable[str] = (),
    *,
    errors: bool,
):
    """A workbook with the list's sheet, header, formats, dropdowns and the hidden catalogue."""
    # A folder's path would be kept in memory otherwise; rows are written from top to bottom.
    book = xlsxwriter.Workbook(
        target, {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    )
    head = book.add_format(
        {"bold": True, "bg_color": "#0b5394", "font_color": "white", "text_wrap": True, "border": 1}
    )
    text = book.add_format({"num_format": "@"})
    page = book.add_worksheet("Danh sách")
    lists = {
        "school_code": list(schools),
        "group": list(GROUP_LABELS.values()),
        "sex": ["Nam", "Nữ"],
        "has_device": ["Có", "Không"],
        "commune": list(communes),
        "class_name": list(classes),
    }
    # The hidden sheet's columns: what may be chosen, and beside the codes the schools' names.
    columns = {
        key: chr(ord("A") + place) for place, key in enumerate(("school_code", "", *list(lists)[1:])) if key
    }
    page.freeze_panes(1, 0)
    for place, (key, title) in enumerate(TITLES.items()):
        page.set_column(place, place, _WIDTHS.get(key, 12), text)
        check: dict = {"validate": "any", "input_title": title, "input_message": _HINTS[key]}
        if lists.get(key):
            source = f"='Danh mục'!${columns[key]}$2:${columns[key]}${len(lists[key]) + 1}"
            check |= {"validate": "list", "source": source, "error_type": "warning"}
            check |= {"error_title": title, "error_message": "Giá trị không có trong danh mục. Vẫn giữ?"}
            # A new class is nothing to warn of.
            check["show_error"] = key != "class_name"
        page.data_validation(1, place, _LAST_ROW, place, check)
    catalogue = book.add_worksheet("Danh mục")
    heads = ["Mã trường", "Tên trường", *(TITLES[key] for key in list(lists)[1:])]
    catalogue.write_row(0, 0, heads, head)
    catalogue.set_column(1, 1, 40)
    written = [lists["school_code"], list(schools.values()), *list(lists.values())[1:]]
    for row, cells in enumerate(itertools.zip_longest(*written, fillvalue=""), start=1):
        for column, cell in enumerate(cells):
            if cell:
                catalogue.write_string(row, column, cell)
    catalogue.hide()
    page.write_row(0, 0, TITLES.values(), head)
    if errors:
        page.write(0, len(TITLES), ERROR_TITLE, head)
        page.set_column(len(TITLES), len(TITLES), 60)
    return book, page, text


def write_template(
    target: Path | IO[bytes],
    *,
    schools: Mapping[str, str],
    communes: Iterable[str] = (),
    classes: Iterable[str] = (),
) -> None:
    """The office's template: its schools, classes and communes as dropdowns, one example row that the reading skips."""
    book, page, _ = _begin(target, schools, communes, classes, errors=False)
    grey = book.add_format({"num_format": "@", "italic": True, "font_color": "#6b7280"})
    for place, key in enumerate(TITLES):
        page.write_string(1, place, EXAMPLE[key], grey)
    book.close()


def write_marked(
    target: Path | IO[bytes],
    rows: Iterable[tuple[int, Mapping[str, str], list]],
    *,
    schools: Mapping[str, str],
    communes: Iterable[str] = (),
) -> None:
    """A list with what is to be mended: coloured cells with a comment, and a column to filter by.

    Args:
        rows: (row number in the sent file, text by our column key, findings as (column, kind, code, value, message)).
    """
    book, page, text = _begin(target, schools, communes, errors=True)
    colours = {
        kind: book.add_format({"num_format": "@", "bg_color": colour}) for kind, colour in _COLOURS.items()
    }
    gravity = (CORRECTION, WARNING, DUPLICATE, ERROR)
    last = 0
    comments = 0
    for at_row, (number, cells, findings) in enumerate(rows, start=1):
        last = at_row
        said: dict[str, list] = {}
        for finding in findings or ():
            said.setdefault(finding[0], []).append(finding)
        for place, key in enumerate(TITLES):
            mine = said.get(key)
            kind = max((finding[1] for finding in mine), key=gravity.index) if mine else None
            page.write_string(at_row, place, cells.get(key, "") or "", colours[kind] if kind else text)
            if mine and kind != CORRECTION and comments < 5000:
                comments += 1
                page.write_comment(at_row, place, "\n".join(finding[4] for finding in mine), {"x_scale": 2})
        graver = [finding for finding in findings or () if finding[1] != CORRECTION]
        if graver:
            lines = [f"{TITLES.get(finding[0], '')}: {finding[4]}" for finding in graver]
            page.write_string(at_row, len(TITLES), f"(Hàng {number}) " + " ".join(lines))
    page.autofilter(0, 0, max(last, 1), len(TITLES))
    book.close()
