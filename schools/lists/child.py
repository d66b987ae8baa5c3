"""The process that opens a stranger's file: no secrets, no database, little memory, little time.

Started by ``sandbox``: ``python -m schools.lists.child FILE`` with `Options` as JSON on standard input.
Answers on standard output, one JSON array a line: ``["H", head]``, ``["R", [row, …]]`` many times,
``["Z", tail]``; or ``["X", {"code", "message", …}]`` when the file is refused.
"""

import datetime as dt
import gc
import io
import json
import resource
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from common.vietnamese import number_text
from schools.lists.cells import Cell
from schools.lists.columns import ALL_TITLES, BIRTH, TITLES, Header, column_letters, missing_required
from schools.lists.findings import Finding
from schools.lists.intake import MAX_ROWS, Refused, examine
from schools.lists.rows import Options, RowChecker
from schools.lists.sheets import Table, open_table

MEMORY_BYTES = 950 * 2**20
CPU_SECONDS = 120
BATCH = 250
# From so many rows on, what is wrong with most of them is said once, of the file.
_MANY = 5


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 5))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def _say(tag: str, content) -> None:
    sys.stdout.write(json.dumps([tag, content], ensure_ascii=False, separators=(",", ":")))
    sys.stdout.write("\n")


def read(path: Path, options: Options) -> None:
    """Read, check and stream one file. Raises `Refused`."""
    intake = examine(path)
    table = open_table(path, intake, sheet=options.sheet, learnt=options.mapping)
    _refuse_columns(table.header, options)
    _say("H", _head(table))
    checker = RowChecker(
        options, table.header, table.old_font, date_1904=intake.date_1904, formulas=table.formulas
    )
    seen = _Seen(skipped=dict.fromkeys(table.before, "title"))
    batch: list = []
    for checked in _checked_rows(table, checker, seen):
        batch.append(checked)
        if len(batch) == BATCH:
            _say("R", batch)
            batch = []
    _refuse_whole(table.header, seen)
    _say("R", batch)
    _say("Z", _tail(table, list(intake.notices), seen))


@dataclass
class _Seen:
    """What was met while reading, for what is said of the file as a whole."""

    skipped: dict[int, str]
    rows_read: int = 0
    elsewhere: int = 0
    only_years: int = 0
    converted: int = 0
    sample: list[tuple[str, str]] = field(default_factory=list)

    def note(self, findings: Iterable[Finding], full_name: str) -> None:
        for finding in findings:
            if finding.code == "school_of_other_office":
                self.elsewhere += 1
            elif finding.code == "born_only_year":
                self.only_years += 1
            elif finding.code.startswith("converted_"):
                self.converted += 1
                if len(self.sample) < 5 and finding.column == "full_name":
                    self.sample.append((finding.value, full_name))


def _refuse_columns(header: Header, options: Options) -> None:
    """Refuse a file with a column twice, or without one that every row needs."""
    for key, twice in header.repeated.items():
        said = f"Cột “{ALL_TITLES[key]}” xuất hiện hai lần: {' và '.join(twice)}. Đổi tên hoặc xoá một cột rồi gửi lại."
        raise Refused("repeated_column", said, **_whose(header))
    header.name_stands_for_code(is_given=bool(options.school_code))
    missing = missing_required(header.places, {"group": options.group, "school_code": options.school_code})
    if missing:
        names = ", ".join(f"“{TITLES[key]}”" for key in missing)
        hints = []
        if "group" in missing:
            hints.append("đối tượng có thể chọn chung cho cả tệp")
        if "school_code" in missing:
            hints.append("trường có thể chọn chung cho cả tệp")
        hint = f" ({'; '.join(hints)})" if hints else ""
        said = f"Tệp thiếu cột bắt buộc: {names}{hint}. Thêm cột hoặc chỉ ra cột tương ứng rồi kiểm tra lại."
        raise Refused("missing_columns", said, missing=missing, **_whose(header))


def _whose(header: Header) -> dict:
    return {"columns": header.theirs, "unknown": header.unknown, "row": header.row}


def _head(table: Table) -> dict:
    header = table.header
    return {
        "sheet": table.sheet,
        "header_row": header.row,
        "columns": {ALL_TITLES[key]: header.theirs[key] for key in ALL_TITLES if key in header.places},
        "letters": {key: column_letters(place) for key, place in header.places.items()},
        "unknown": header.unknown,
        "converted_from": table.old_font.encoding if table.old_font else None,
        "total_rows": table.total_rows,
    }


def _checked_rows(table: Table, checker: RowChecker, seen: _Seen) -> Iterator[list]:
    """The rows that are data, checked; what else there is is noted."""
    header, is_old_font = table.header, table.old_font is not None
    width = max(header.places.values()) + 1
    for number, row in table.rows:
        reason = checker.skip_reason(row) if _odd(row, header, width, is_old_font=is_old_font) else None
        if reason:
            seen.skipped[number] = reason
            continue
        seen.rows_read += 1
        if seen.rows_read > MAX_ROWS:
            raise Refused("too_many_rows", f"Tệp có hơn {number_text(MAX_ROWS)} hàng: tách thành nhiều tệp.")
        checked = checker.check(number, row)
        if checked[16]:
            seen.note(checked[16], checked[5])
        yield checked


def _refuse_whole(header: Header, seen: _Seen) -> None:
    """Refuse a file that has no pupil, or in which most rows have the same fault."""
    rows_read = seen.rows_read
    if rows_read == 0:
        raise Refused("no_rows", "Tệp có hàng tiêu đề nhưng không có học sinh nào.")
    if seen.elsewhere and seen.elsewhere * 2 > rows_read:
        said = f"{number_text(seen.elsewhere)} trong {number_text(rows_read)} hàng là học sinh của trường thuộc đơn vị khác: kiểm tra xem có nhầm tệp không."
        raise Refused("other_office", said)
    if seen.only_years >= _MANY and seen.only_years * 2 > rows_read:
        theirs = " và ".join(
            f"“{header.theirs[key]}”" for key in sorted(BIRTH & header.places.keys(), reverse=True)
        )
        said = (
            f"Cột {theirs} chỉ có năm ở {number_text(seen.only_years)} trong {number_text(rows_read)} hàng: cần đủ ngày, tháng, năm sinh của từng em"
            " để biết các em không bị ghi hai lần. Điền ngày/tháng/năm, ví dụ 03/04/2010, rồi gửi lại."
        )
        raise Refused("only_birth_years", said)


def _tail(table: Table, notices: list[str], seen: _Seen) -> dict:
    if table.hidden_rows:
        notices.append(f"Tệp có {number_text(table.hidden_rows)} hàng đang ẩn; các hàng ẩn vẫn được đọc.")
    return {
        "rows_read": seen.rows_read,
        "skipped": sorted(seen.skipped),
        "skipped_why": seen.skipped,
        "notices": notices,
        "converted_from": table.old_font.encoding if table.old_font and seen.converted else None,
        "sample": seen.sample,
        "peak_mb": _peak_mb(),
    }


def _peak_mb() -> float:
    """This process's own largest memory; `ru_maxrss` would count its parent's pages as well."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return 0.0
    return next(
        (int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM")), 0.0
    )


def _odd(row: Sequence[Cell], header: Header, width: int, *, is_old_font: bool) -> bool:
    """Whether a row may be no data: something of what every data row has is absent, or it looks like an example."""
    if len(row) < width:
        return True
    places = header.places
    for key in ("full_name", "born_on", "group", "school_code"):
        place = places.get(key)
        if place is not None:
            cell = row[place]
            if not cell or not isinstance(cell, str):
                # A birth date that Excel knows as one is as good as a text; a number may number the columns.
                if key != "born_on" or not isinstance(cell, dt.date):
                    return True
            elif key == "full_name" and (
                cell[0].isdigit() or _perhaps_example(cell, is_old_font) or cell.strip() == header.theirs[key]
            ):
                return True
    if "born_on" not in places and not any(row[places[key]] for key in BIRTH if key in places):
        return True
    first = row[0]
    return isinstance(first, str) and _perhaps_example(first, is_old_font)


def _perhaps_example(text: str, is_old_font: bool) -> bool:
    """Whether a text may begin "Ví dụ"; many pupils are called Vũ or Võ."""
    return text[:1] in "([" or (text[:1] in "Vv" and (is_old_font or text[1:2] in "íÍiI"))


def main() -> int:
    _limit()
    # Nothing here makes cycles by the row, and the process ends with its file.
    gc.disable()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="replace")
    options = Options.loads(sys.stdin.read())
    try:
        read(Path(sys.argv[1]), options)
    except Refused as refused:
        _say("X", {"code": refused.code, "message": refused.message, **refused.details})
        return 2
    except MemoryError:
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
