"""The CSV round trip of an operator: our list out, their states back, keyed by our code; all or nothing."""

import csv
import datetime as dt
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from django.core.exceptions import ValidationError

from common.vietnamese import number_text
from coverage.models import CoveragePoint
from coverage.rules import TECHNOLOGIES

COLUMNS = (
    "ma_diem",
    "thon_ban",
    "xa",
    "tinh",
    "vi_do",
    "kinh_do",
    "khan_cap",
    "han",
    "trang_thai",
    "vuong_mac",
    "ngay_do",
    "toc_do_kbps",
    "cuong_do_dbm",
    "cong_nghe",
)
NEEDED = ("ma_diem", "trang_thai")
STATES = {label.lower(): value for value, label in CoveragePoint.State.choices} | {
    value: value for value in CoveragePoint.State.values
}
BLOCKERS = {label.lower(): value for value, label in CoveragePoint.Blocker.choices} | {
    value: value for value in CoveragePoint.Blocker.values
}
FIELD_COLUMN = {
    "code": "ma_diem",
    "state": "trang_thai",
    "blocker": "vuong_mac",
    "measured_on": "ngay_do",
    "download_kbps": "toc_do_kbps",
    "signal_dbm": "cuong_do_dbm",
    "technology": "cong_nghe",
}
MAX_ROWS = 20_000


@dataclass(frozen=True)
class Fault:
    """One thing to mend in the file: line as the spreadsheet counts it, column, what is wrong."""

    line: int
    column: str
    message: str


class FileRefusedError(ValidationError):
    """The file as a whole can't be read."""


def rows_out(points) -> Iterator[Sequence]:
    """Rows of the file from a queryset of points, streamed."""
    values = points.values_list(
        "code", "name", "commune__full_name", "province__full_name", "latitude", "longitude", "is_urgent",
        "deadline_on", "state", "blocker",
    )  # fmt: skip
    for *head, urgent, deadline, state, blocker in values.iterator(chunk_size=2000):
        yield (
            *head,
            "x" if urgent else "",
            deadline,
            CoveragePoint.State(state).label,
            CoveragePoint.Blocker(blocker).label if blocker else "",
            "",
            "",
            "",
            "",
        )


def read(data: bytes) -> tuple[list[dict], list[Fault]]:
    """Reports from a filled-in file, and what is wrong with it; comma or semicolon, UTF-8 (with or without BOM).

    Each report carries its ``line``. Raises FileRefusedError when it is no such file at all.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileRefusedError(
            "Tệp không phải CSV mã UTF-8. Trong Excel hãy chọn «CSV UTF-8» khi lưu."
        ) from error
    if "\0" in text:
        raise FileRefusedError("Tệp này không phải CSV. Trong Excel hãy chọn «CSV UTF-8» khi lưu.")
    first = text.partition("\n")[0]
    reader = csv.DictReader(
        io.StringIO(text, newline=""), delimiter=";" if first.count(";") > first.count(",") else ","
    )
    try:
        names = [(name or "").strip().lower() for name in reader.fieldnames or []]
        reader.fieldnames = names
        absent = [name for name in NEEDED if name not in names]
        if absent:
            raise FileRefusedError(f"Tệp thiếu cột {', '.join(absent)}. Hãy tải lại tệp mẫu và điền vào đó.")
        rows, faults = [], []
        for number, row in enumerate(reader):
            if number >= MAX_ROWS:
                raise FileRefusedError(f"Tệp quá {number_text(MAX_ROWS)} dòng. Hãy chia thành nhiều tệp.")
            if any((value or "").strip() for value in row.values() if isinstance(value, str)):
                report, wrong = _row(row, reader.line_num)
                rows.append(report)
                faults += wrong
    except csv.Error as error:
        raise FileRefusedError(f"Dòng {reader.line_num} không đọc được như CSV. Hãy lưu lại tệp.") from error
    return rows, faults


def _row(row: Mapping[str, str | None], line: int) -> tuple[dict, list[Fault]]:
    cell = {key: (row.get(key) or "").strip().lstrip("'") for key in COLUMNS}
    faults: list[Fault] = []
    report = {"line": line, "code": cell["ma_diem"].upper()}
    report["state"] = STATES.get(cell["trang_thai"].lower(), "")
    if not report["state"]:
        labels = ", ".join(CoveragePoint.State.labels)
        faults.append(
            Fault(
                line, "trang_thai", f"Không có trạng thái «{cell['trang_thai']}». Chọn một trong: {labels}."
            )
        )
    report["blocker"] = BLOCKERS.get(cell["vuong_mac"].lower(), "")
    if cell["vuong_mac"] and not report["blocker"]:
        labels = ", ".join(CoveragePoint.Blocker.labels)
        faults.append(
            Fault(line, "vuong_mac", f"Không có vướng mắc «{cell['vuong_mac']}». Chọn một trong: {labels}.")
        )
    report["measured_on"] = _date(cell["ngay_do"])
    if cell["ngay_do"] and report["measured_on"] is None:
        faults.append(Fault(line, "ngay_do", f"«{cell['ngay_do']}» không phải ngày. Viết như 15/11/2021."))
    for field, column in (("download_kbps", "toc_do_kbps"), ("signal_dbm", "cuong_do_dbm")):
        text = cell[column].replace(".", "").replace("−", "-")
        try:
            report[field] = int(text) if text else None
        except ValueError:
            report[field] = None
            faults.append(Fault(line, column, f"«{cell[column]}» không phải số nguyên."))
    if report["download_kbps"] is not None and not 0 < report["download_kbps"] < 10**8:
        faults.append(Fault(line, "toc_do_kbps", "Tốc độ phải lớn hơn 0 và nhỏ hơn 100.000.000 kbit/s."))
    report["technology"] = cell["cong_nghe"].upper()
    if report["technology"] and report["technology"] not in TECHNOLOGIES:
        faults.append(Fault(line, "cong_nghe", f"Công nghệ là một trong: {', '.join(TECHNOLOGIES)}."))
    return report, faults


def _date(text: str) -> dt.date | None:
    for shape in ("%d/%m/%Y", "%Y-%m-%d", "%d-%m-%Y"):
        try:
            return dt.datetime.strptime(text, shape).date()  # noqa: DTZ007 - a date without a time of day
        except ValueError:
            continue
    return None


def changed(rows: list[dict], points: Mapping[str, tuple[str, str]]) -> list[dict]:
    """The reports that say something new; `points` maps code → (state, blocker) as it is now."""
    return [row for row in rows if points.get(row["code"]) != (row["state"], row["blocker"])]
