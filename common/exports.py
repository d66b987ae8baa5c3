"""Tables as CSV and XLSX, safe to open in a spreadsheet, streamed from any iterable.

Names come from uploads and are opened in Excel: a text that a spreadsheet would run as a formula gets
an apostrophe in front (OWASP, CSV Injection); in XLSX texts are written as texts.
"""

import csv
import io
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import IO

import xlsxwriter
from django.http import FileResponse, StreamingHttpResponse
from django.utils import timezone

BOM = "\ufeff"
XLSX_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
XLSX_MAX_ROWS = 1_048_575  # a sheet holds 2**20 rows, one of them the head
_PLAIN_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)*\Z")


def neutralise(value: object) -> object:
    """A cell that no spreadsheet runs: `=1+1` becomes `'=1+1`. Numbers and other texts stay as they are."""
    if not isinstance(value, str) or not value:
        return value
    start = value.lstrip(" \u00a0\u3000")[:1]
    if start in ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠") and not _PLAIN_NUMBER.match(
        value
    ):
        return "'" + value
    return value


def _csv_cell(value: object) -> object:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, datetime):
        return timezone.localtime(value).isoformat() if timezone.is_aware(value) else value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    return neutralise(value)


class _Line:
    """A file that gives back what is written, so that csv.writer can stream."""

    def write(self, value: str) -> str:
        return value


def csv_lines(columns: Sequence[str], rows: Iterable[Sequence]) -> Iterator[str]:
    """RFC 4180 lines with CRLF; the first starts with a byte order mark, for Excel to see UTF-8."""
    writer = csv.writer(_Line())
    yield BOM + writer.writerow([neutralise(column) for column in columns])
    for row in rows:
        yield writer.writerow([_csv_cell(value) for value in row])


def write_csv(target: IO[str], columns: Sequence[str], rows: Iterable[Sequence]) -> int:
    """Write to a text file opened with newline=''; returns how many rows."""
    count = -1
    for line in csv_lines(columns, rows):
        target.write(line)
        count += 1
    return count


def csv_response(filename: str, columns: Sequence[str], rows: Iterable[Sequence]) -> StreamingHttpResponse:
    """A CSV download that streams; memory stays flat."""
    response = StreamingHttpResponse(
        (line.encode() for line in csv_lines(columns, rows)), content_type="text/csv; charset=utf-8"
    )
    response["Content-Disposition"] = f'attachment; filename="{filename}"'
    return response


def write_xlsx(
    target: str | Path | IO[bytes],
    sheets: Iterable[tuple[str, Sequence[str], Iterable[Sequence]]],
    *,
    at: datetime | None = None,
) -> int:
    """A workbook of (sheet name, columns, rows), row by row with flat memory; returns the rows written.

    at: the moment in its metadata (the same content then gives the same bytes).
    Raises ValueError when a sheet has more rows than a workbook can hold.
    """
    options = {
        "constant_memory": True,
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
        "remove_timezone": True,
    }
    count = 0
    with xlsxwriter.Workbook(target, options) as book:
        book.set_properties({"created": (at or datetime(2021, 9, 21, tzinfo=UTC)).replace(tzinfo=None)})
        head = book.add_format({"bold": True, "bg_color": "#eff3ff", "bottom": 1, "text_wrap": True})
        day = book.add_format({"num_format": "dd/mm/yyyy"})
        moment = book.add_format({"num_format": "hh:mm dd/mm/yyyy"})
        number = book.add_format({"num_format": "#,##0"})
        for name, columns, rows in sheets:
            sheet = book.add_worksheet(name[:31])
            sheet.freeze_panes(1, 0)
            for index, column in enumerate(columns):
                sheet.set_column(index, index, max(12, min(40, len(column) + 3)))
                sheet.write_string(0, index, column, head)
            for index, row in enumerate(rows, start=1):
                if index > XLSX_MAX_ROWS:
                    raise ValueError("Bảng có quá nhiều dòng cho một tệp Excel; hãy tải CSV.")
                for position, value in enumerate(row):
                    if isinstance(value, bool):
                        sheet.write_boolean(index, position, value)
                    elif isinstance(value, datetime):
                        local = timezone.localtime(value) if timezone.is_aware(value) else value
                        sheet.write_datetime(index, position, local.replace(tzinfo=None), moment)
                    elif isinstance(value, date):
                        sheet.write_datetime(index, position, value, day)
                    elif isinstance(value, int) and abs(value) < 10**15:
                        sheet.write_number(index, position, value, number)
                    elif isinstance(value, float):
                        sheet.write_number(index, position, value)
                    elif value is not None:
                        sheet.write_string(index, position, str(value))
                count += 1
    return count


def xlsx_response(
    filename: str, sheet: str, columns: Sequence[str], rows: Iterable[Sequence]
) -> FileResponse:
    """An Excel download, written to a temporary file first."""
    target = tempfile.TemporaryFile()  # noqa: SIM115 – FileResponse closes it
    write_xlsx(target, [(sheet, columns, rows)])
    target.seek(0)
    return FileResponse(target, as_attachment=True, filename=filename, content_type=XLSX_TYPE)


def xlsx_bytes(sheets: Iterable[tuple[str, Sequence[str], Iterable[Sequence]]]) -> bytes:
    """A small workbook in memory, for an attachment."""
    target = io.BytesIO()
    write_xlsx(target, sheets)
    return target.getvalue()
