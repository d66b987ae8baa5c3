"""Opening a file: the rows of the one table in it, numbered as the person sees them."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from python_calamine import CalamineError, CalamineWorkbook

from common.vietnamese import clean, number_text
from schools.lists import csv_text
from schools.lists.cells import Cell
from schools.lists.columns import HEADER_ROWS, Header, find_header, heading_texts
from schools.lists.intake import MAX_AREA, MAX_ROWS, Intake, Refused
from schools.lists.legacy_text import OldFont, old_font

_SAMPLE_ROWS = 400


@dataclass
class Table:
    """One table of one sheet: its header and all rows after it."""

    sheet: str
    header: Header
    old_font: OldFont | None
    total_rows: int
    before: list[int]
    rows: Iterator[tuple[int, Sequence[Cell]]]
    formulas: frozenset[tuple[int, int]] = frozenset()
    hidden_rows: int = 0


def open_table(
    path: Path,
    intake: Intake,
    *,
    sheet: str = "",
    learnt: Mapping[str, str] = {},
) -> Table:
    """Open the table of students in a file.

    ``sheet`` names the one to read when several hold a table; ``learnt`` is the office's mapping of
    headers. Raises `Refused` (``no_header``, ``several_sheets``, ``no_such_sheet``, ``broken_file``, …).
    """
    if intake.kind == "csv":
        return _open_csv(path, learnt)
    try:
        # By its content: a person may have given it the other format's name.
        workbook = CalamineWorkbook.from_filelike(path.open("rb"))
        names = workbook.sheet_names
    except CalamineError as error:
        raise _broken(error) from error
    if intake.kind == "xls" and set(names) != intake.sheets.keys():
        # Old names may be in any encoding; the order is sure.
        intake.sheets = dict(zip(names, intake.sheets.values(), strict=False))
    hidden = {name for name, known in intake.sheets.items() if known.is_hidden}
    if sheet and sheet not in names:
        raise Refused("no_such_sheet", f"Tệp không có trang “{sheet}”.", sheets=names)
    found: list[Table] = []
    top: list[list[Cell]] = []
    for name in [sheet] if sheet else names:
        if name in hidden and not sheet:
            continue
        try:
            table = _open_sheet(workbook, name, intake, learnt)
        except CalamineError as error:
            if "is not a worksheet" in str(error) or "not found" in str(error).lower():
                continue
            raise _broken(error) from error
        if isinstance(table, Table):
            found.append(table)
        else:
            top = top or table
    # A catalogue or a list of teachers beside the pupils has names too, but no birth dates.
    if not found:
        raise no_header(top)
    whole = [table for table in found if table.header.is_whole]
    found = whole or [max(found, key=lambda table: len(table.header.places))]
    if len(found) > 1:
        listed = ", ".join(f"“{table.sheet}”" for table in found)
        said = f"Tệp có {len(found)} trang đều có bảng học sinh ({listed}): chọn trang cần đọc, hoặc gộp thành một trang."
        raise Refused("several_sheets", said, sheets=[table.sheet for table in found])
    return found[0]


def no_header(top: Sequence[Sequence[Cell]]) -> Refused:
    """No row among the first looks like our header; what stands there is given for a mapping by hand."""
    said = (
        f"Không tìm thấy hàng tiêu đề trong {HEADER_ROWS} hàng đầu: cần ít nhất cột “Họ và tên” và “Ngày sinh”."
        " Thầy/cô chỉ ra cột tương ứng rồi đọc lại, hoặc đối chiếu với mẫu Excel của đơn vị."
    )
    headings = heading_texts(top)
    if sum("?" in text or "\ufffd" in text for text in headings) > 1:
        said = (
            "Chữ có dấu trong tệp đã mất (thành dấu ?): mở tệp gốc bằng Excel, lưu thành .xlsx hoặc"
            " “CSV UTF-8” rồi gửi lại."
        )
    return Refused("no_header", said, unknown=headings)


def _broken(error: Exception) -> Refused:
    if "password" in str(error).lower():
        return Refused("password", "Tệp đặt mật khẩu nên không đọc được: bỏ mật khẩu rồi gửi lại.")
    return Refused(
        "broken_file", "Không mở được bảng tính (tệp bị hỏng): mở bằng Excel, lưu thành .xlsx rồi gửi lại."
    )


def _open_sheet(
    workbook: CalamineWorkbook, name: str, intake: Intake, learnt: Mapping[str, str]
) -> Table | list[list[Cell]]:
    """The table of one sheet, or its first rows when no header is among them."""
    data = workbook.get_sheet_by_name(name)
    if data.end is None:
        return []
    last_row, last_column = data.end[0] + 1, data.end[1] + 1
    if last_row > MAX_ROWS + 1000 or last_row * last_column > MAX_AREA:
        said = f"Trang “{name}” có {number_text(last_row)} hàng và {number_text(last_column)} cột, quá lớn: xoá phần thừa hoặc tách tệp."
        raise Refused("stretched", said)
    # `iter_rows` begins at row 1 whatever is blank there, but at the first column in use.
    pad: list[Cell] = [""] * (data.start[1] if data.start else 0)
    numbered = ((n, [*pad, *row] if pad else row) for n, row in enumerate(data.iter_rows(), start=1))
    sample = [(row, list(cells)) for row, cells in itertools.islice(numbered, _SAMPLE_ROWS)]
    if not sample:
        return []
    top: list[list[Cell]] = [[] for _ in range(HEADER_ROWS)]
    for row, cells in sample:
        if row <= HEADER_ROWS:
            top[row - 1] = cells
    merged = data.merged_cell_ranges or []
    font = old_font(_texts(sample), intake.fonts)
    header = _header(top, merged, learnt, font)
    if header is None:
        return top
    known = intake.sheets.get(name)
    return Table(
        sheet=name,
        header=header,
        old_font=font,
        total_rows=max(last_row - header.last_row, 0),
        before=_skipped_before(header),
        rows=((row, cells) for row, cells in itertools.chain(sample, numbered) if row > header.last_row),
        formulas=frozenset(known.formulas) if known else frozenset(),
        hidden_rows=known.hidden_rows if known else 0,
    )


def _header(top, merged, learnt: Mapping[str, str], font: OldFont | None) -> Header | None:
    header = find_header(top, merged, learnt)
    if font:
        # Proper Unicode and old fonts may stand side by side: each header is converted only if it needs it.
        converted = find_header(top, merged, learnt, lambda text: font.convert(text) or clean(text))
        if converted and (header is None or len(converted.places) > len(header.places)):
            return converted
    return header


def _texts(sample: list[tuple[int, list[Cell]]]) -> list[str]:
    return [cell[:500] for _, cells in sample for cell in cells if isinstance(cell, str) and cell]


def _skipped_before(header: Header) -> list[int]:
    """Title and blank rows above the table, and the second row of its header."""
    return [row for row in range(1, header.last_row + 1) if row != header.row]


def _open_csv(path: Path, learnt: Mapping[str, str]) -> Table:
    text = csv_text.without_sep_line(csv_text.decode(path.read_bytes()))
    best: tuple[int, str, Header, OldFont | None] | None = None
    broken: Refused | None = None
    top: list[list[Cell]] = []
    for delimiter in csv_text.DELIMITERS:
        try:
            sample = [
                (row, list(cells))
                for row, cells in itertools.islice(csv_text.records(text, delimiter), _SAMPLE_ROWS)
            ]
        except Refused as refused:
            broken = broken or refused
            continue
        rows = [cells for _, cells in sample[:HEADER_ROWS]]
        top = max(top, rows, key=lambda rows: max(map(len, rows), default=0))
        font = old_font(_texts(sample))
        header = _header(rows, [], learnt, font)
        if header and (best is None or len(header.places) > best[0]):
            best = len(header.places), delimiter, header, font
    if best is None:
        raise broken or no_header(top)
    _, delimiter, header, font = best
    return Table(
        sheet="",
        header=header,
        old_font=font,
        total_rows=max(text.count("\n") + 1 - header.last_row, 0),
        before=_skipped_before(header),
        rows=((row, cells) for row, cells in csv_text.records(text, delimiter) if row > header.last_row),
    )
