"""The process that opens a stranger's file of serials: no secrets, no database, little memory, little time.

Started by ``serial_files``: ``python -m donations.serial_child FILE``. Answers one JSON object on standard output:
``{"rows": [[row, serial, imei], …]}`` or ``{"refused": "sentence"}``.
"""

import csv
import io
import json
import resource
import sys
from pathlib import Path

from python_calamine import CalamineError, CalamineWorkbook

from common.vietnamese import number_text, search_key
from schools.lists.intake import Refused, examine

MEMORY_BYTES = 600 * 2**20
CPU_SECONDS = 30
MAX_ROWS = 20_000
# Heads that people give the two columns, in plain letters.
SERIAL_HEADS = {
    *(
        "so seri",
        "so se ri",
        "so serial",
        "seri",
        "se ri",
        "ma seri",
        "ma se ri",
        "so seri may",
        "so se ri may",
    ),
    *("serial", "serial number", "serial no", "serial num", "device serial", "service tag", "sn", "s n"),
}
IMEI_HEADS = ("imei", "so imei", "imei 1", "imei1")


def _cell(value) -> str:
    """A cell as text; a serial that Excel took for a number keeps its digits."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def _table(path: Path) -> list[list[str]]:
    intake = examine(path)
    if intake.kind == "csv":
        content = path.read_bytes()
        encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
        text = content.decode(encoding, "replace")
        delimiter = max(",;\t", key=text[:2000].count)
        return [[cell.strip() for cell in row] for row in csv.reader(io.StringIO(text), delimiter=delimiter)]
    sheet = CalamineWorkbook.from_path(str(path)).get_sheet_by_index(0)
    rows = []
    for number, row in enumerate(sheet.iter_rows()):
        if number > MAX_ROWS + 50:
            break
        rows.append([_cell(value) for value in row])
    # calamine starts at the first used row; the person counts from the sheet's first.
    start = sheet.start
    return [[] for _ in range(start[0])] + rows if start else rows


def read(path: Path) -> list[tuple[int, str, str]]:
    """Rows of (row from 1, serial, imei) of the first sheet. Raises `Refused`."""
    table = _table(path)
    heads = [[search_key(cell) for cell in row] for row in table[:20]]
    number = next((n for n, row in enumerate(heads) if set(row) & SERIAL_HEADS), None)
    if number is None:
        raise Refused(
            "no_header",
            "Không thấy cột “Số sê-ri” trong 20 dòng đầu của trang đầu tiên. Hãy thêm dòng tiêu đề có “Số sê-ri” và, nếu có, “IMEI”.",
        )
    serial = next(i for i, head in enumerate(heads[number]) if head in SERIAL_HEADS)
    imei = next((i for i, head in enumerate(heads[number]) if head in IMEI_HEADS), None)
    found = []
    for index, row in enumerate(table[number + 1 :], start=number + 2):
        values = [row[i] if i is not None and i < len(row) else "" for i in (serial, imei)]
        if any(values):
            found.append((index, *values))
        elif any(cell for cell in row):
            found.append((index, "", values[1]))
    if len(found) > MAX_ROWS:
        raise Refused("too_many", f"Tệp có hơn {number_text(MAX_ROWS)} dòng. Hãy tách thành nhiều tệp.")
    if not found:
        raise Refused("empty", "Tệp không có dòng số sê-ri nào dưới tiêu đề.")
    return found


def main() -> int:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 2))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        answer = {"rows": read(Path(sys.argv[1]))}
    except Refused as refused:
        answer = {"refused": refused.message}
    except (CalamineError, ValueError, KeyError, OSError, csv.Error):
        answer = {"refused": "Không đọc được tệp: hãy mở bằng Excel, lưu thành .xlsx mới rồi gửi lại."}
    json.dump(answer, sys.stdout, ensure_ascii=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
