"""Opening a file: the rows of the one table in it, numbered as the person sees them."""

import csv
import itertools
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from python_calamine import CalamineError, CalamineWorkbook

from common.vietnamese import clean
from schools.lists.cells import Cell
from schools.lists.columns import HEADER_ROWS, Header, find_header
from schools.lists.intake import MAX_AREA, MAX_ROWS, Intake, Refused
from schools.lists.legacy_text import CONVERTERS, detect, needs_conversion

_SAMPLE_ROWS = 400
_DELIMITERS = (",", ";", "\t", "|")


@dataclass
class Table:
    """One table of one sheet: its header and all rows after it."""

    sheet: str
    header: Header
    encoding: str | None
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
    encoding: str | None = None,
) -> Table:
    """Open the table of students in a file.

    ``sheet`` names the one to read when several hold a table; ``learnt`` is the office's mapping of
    headers. Raises `Refused` (``no_header``, ``several_sheets``, ``no_such_sheet``, ``broken_file``, …).
    """
    if intake.kind == "csv":
        return _open_csv(path, learnt)
    try:
        workbook = CalamineWorkbook.from_path(str(path))
        names = workbook.sheet_names
    except CalamineError as error:
        raise _broken(error) from error
    hidden = {name for name, known in intake.sheets.items() if known.is_hidden}
    if sheet and sheet not in names:
        raise Refused("no_such_sheet", f"Tệp không có trang “{sheet}”.", sheets=names)
    found: list[Table] = []
    for name in [sheet] if sheet else names:
        if name in hidden and not sheet:
            continue
        try:
            table = _open_sheet(workbook, name, intake, learnt)
        except CalamineError as error:
            if "is not a worksheet" in str(error) or "not found" in str(error).lower():
                continue
            raise _broken(error) from error
        if table:
            found.append(table)
    if not found:
        raise no_header()
    if len(found) > 1:
        listed = ", ".join(f"“{table.sheet}”" for table in found)
        said = f"Tệp có {len(found)} trang đều có bảng học sinh ({listed}): chọn trang cần đọc, hoặc gộp thành một trang."
        raise Refused("several_sheets", said, sheets=[table.sheet for table in found])
    return found[0]


def no_header() -> Refused:
    said = (
        f"Không tìm thấy hàng tiêu đề trong {HEADER_ROWS} hàng đầu: cần ít nhất cột “Họ và tên” và “Ngày sinh”."
        " Có thể tải mẫu Excel của đơn vị để đối chiếu."
    )
    return Refused("no_header", said)


def _broken(error: Exception) -> Refused:
    if "password" in str(error).lower():
        return Refused("password", "Tệp đặt mật khẩu nên không đọc được: bỏ mật khẩu rồi gửi lại.")
    return Refused(
        "broken_file", "Không mở được bảng tính (tệp bị hỏng): mở bằng Excel, lưu thành .xlsx rồi gửi lại."
    )


def _open_sheet(
    workbook: CalamineWorkbook, name: str, intake: Intake, learnt: Mapping[str, str]
) -> Table | None:
    data = workbook.get_sheet_by_name(name)
    if data.end is None:
        return None
    last_row, last_column = data.end[0] + 1, data.end[1] + 1
    if last_row > MAX_ROWS + 1000 or last_row * last_column > MAX_AREA:
        said = (
            f"Trang “{name}” có {last_row} hàng và {last_column} cột, quá lớn: xoá phần thừa hoặc tách tệp."
        )
        raise Refused("stretched", said)
    # `iter_rows` begins at row 1 whatever is blank there, but at the first column in use.
    pad: list[Cell] = [""] * data.start[1]
    numbered = ((n, [*pad, *row] if pad else row) for n, row in enumerate(data.iter_rows(), start=1))
    sample = [(row, list(cells)) for row, cells in itertools.islice(numbered, _SAMPLE_ROWS)]
    if not sample:
        return None
    top: list[list[Cell]] = [[] for _ in range(HEADER_ROWS)]
    for row, cells in sample:
        if row <= HEADER_ROWS:
            top[row - 1] = cells
    merged = data.merged_cell_ranges or []
    encoding = detect(_texts(sample), intake.fonts)
    header = _header(top, merged, learnt, encoding)
    if header is None:
        return None
    known = intake.sheets.get(name)
    return Table(
        sheet=name,
        header=header,
        encoding=encoding,
        total_rows=max(last_row - header.last_row, 0),
        before=_skipped_before(sample, header),
        rows=((row, cells) for row, cells in itertools.chain(sample, numbered) if row > header.last_row),
        formulas=frozenset(known.formulas) if known else frozenset(),
        hidden_rows=known.hidden_rows if known else 0,
    )


def _header(top, merged, learnt: Mapping[str, str], encoding: str | None) -> Header | None:
    header = find_header(top, merged, learnt)
    if encoding:
        # Proper Unicode and old fonts may stand side by side: each header is converted only if it needs it.
        convert = CONVERTERS[encoding]
        converted = find_header(
            top,
            merged,
            learnt,
            lambda text: convert(text) if needs_conversion(text, encoding) else clean(text),
        )
        if converted and (header is None or len(converted.places) > len(header.places)):
            return converted
    return header


def _texts(sample: list[tuple[int, list[Cell]]]) -> list[str]:
    return [cell for _, cells in sample for cell in cells if isinstance(cell, str) and cell]


def _skipped_before(sample: list[tuple[int, list[Cell]]], header: Header) -> list[int]:
    """Title and blank rows above the table, and the second row of its header."""
    return [row for row in range(1, header.last_row + 1) if row != header.row]


def _decode(content: bytes) -> str:
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16", "replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    # Old fonts are Latin-1 to the file; a real Windows-1258 file composes into Vietnamese syllables.
    latin = content.decode("latin-1")
    viet = unicodedata.normalize("NFC", content.decode("cp1258", "replace"))
    return latin if detect(latin[:200_000].split()) and not _vietnamese(viet) else viet


def _vietnamese(text: str) -> bool:
    composed = sum("\u1ea0" <= char <= "\u1ef9" or char in "ơưƠƯ" for char in text[:200_000])
    loose = sum(unicodedata.combining(char) > 0 or char == "\ufffd" for char in text[:200_000])
    return composed > 4 * loose


def _bad_csv() -> Refused:
    said = "Tệp CSV có một ô quá dài hoặc dấu nháy không đóng: lưu lại thành .xlsx rồi gửi lại."
    return Refused("broken_file", said)


def _open_csv(path: Path, learnt: Mapping[str, str]) -> Table:
    text = _decode(path.read_bytes())
    if text.count("\x00") > 0:
        raise Refused(
            "not_workbook", "Tệp có ký tự nhị phân nên không phải CSV: lưu lại từ Excel rồi gửi lại."
        )
    lines = text.splitlines(keepends=True)
    offset = 0
    if lines and lines[0].lower().startswith("sep=") and len(lines[0].strip()) == 5:
        lines, offset = lines[1:], 1
    csv.field_size_limit(100_000)
    best: tuple[int, str, Header, str | None] | None = None
    for delimiter in _DELIMITERS:
        try:
            sample = [
                (n + 1, list(row))
                for n, row in enumerate(
                    itertools.islice(csv.reader(lines, delimiter=delimiter), _SAMPLE_ROWS)
                )
            ]
        except csv.Error as error:
            raise _bad_csv() from error
        top = [cells for _, cells in sample[:HEADER_ROWS]]
        encoding = detect(_texts(sample))
        header = _header(top, [], learnt, encoding)
        if header and (best is None or len(header.places) > best[0]):
            best = len(header.places), delimiter, header, encoding
    if best is None:
        raise no_header()
    _, delimiter, header, encoding = best
    header.row += offset
    header.last_row += offset

    def rows() -> Iterator[tuple[int, Sequence[Cell]]]:
        reader = csv.reader(lines, delimiter=delimiter)
        try:
            for n, row in enumerate(reader, start=1 + offset):
                if n > header.last_row:
                    yield n, row
        except csv.Error as error:
            raise _bad_csv() from error

    return Table(
        sheet="",
        header=header,
        encoding=encoding,
        total_rows=max(len(lines) + offset - header.last_row, 0),
        before=[row for row in range(1, header.last_row + 1) if row != header.row],
        rows=rows(),
    )
