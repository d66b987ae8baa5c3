"""Read and check list files from the command line, as the pages do; nothing is written to the database."""

import datetime as dt
import json
import sys
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from xlsxwriter.exceptions import FileCreateError

from common import clock, crypto
from schools.lists import sandbox
from schools.lists.findings import DUPLICATE, GRAVITY, Finding
from schools.lists.intake import Refused
from schools.lists.report import Tally, report
from schools.lists.workbook import write_marked
from schools.models import Office, Student
from schools.services.list_reading import options_for

_CHUNK = 5000
# The same comparison as `list_matching`, on rows that are nowhere but in memory.
_COMPARE = """
SELECT q.number, found.rank, o.path LIKE %(path)s || '%%', sc.code = q.school, found.is_like, o.name, p.full_name
FROM unnest(%(numbers)s::int[], %(indexes)s::bytea[], %(codes)s::text[], %(keys)s::text[], %(born)s::date[],
    %(schools)s::text[]) AS q(number, identity, code, key, born_on, school)
CROSS JOIN LATERAL (
    SELECT s.school_id, 1 AS rank, s.search_key = q.key OR s.born_on = q.born_on AS is_like
    FROM schools_student s WHERE s.identity_index = q.identity
    UNION ALL
    SELECT s.school_id, 2, s.search_key = q.key OR s.born_on = q.born_on
    FROM schools_student s WHERE s.code = q.code AND s.code <> ''
    UNION ALL
    SELECT s.school_id, 3, true FROM schools_student s
    JOIN schools_school theirs ON theirs.office_id = s.school_id
    JOIN schools_school ours ON ours.code = q.school AND ours.province_id = theirs.province_id
    WHERE s.search_key = q.key AND s.born_on = q.born_on
      AND NOT (s.identity_index IS NOT NULL AND q.identity IS NOT NULL AND s.identity_index <> q.identity)
      AND NOT (s.code <> '' AND q.code <> '' AND s.code <> q.code)
) found
JOIN schools_office o ON o.id = found.school_id
JOIN schools_school sc ON sc.office_id = found.school_id
JOIN schools_administrativeunit p ON p.id = sc.province_id
ORDER BY q.number, found.rank, sc.code = q.school DESC
"""
_LABELS = {
    "sex": {"male": "Nam", "female": "Nữ"},
    "group": dict(Student.Group.choices),
    "has_device": {"1": "Có", "0": ""},
}
_PLACES = {
    "school_code": 2, "class_name": 3, "student_code": 4, "full_name": 5, "born_on": 8, "sex": 9, "identity": 11,
    "group": 12, "household_code": 13, "commune": 14, "has_device": 15,
}  # fmt: skip


class Command(BaseCommand):
    help = "Đọc và kiểm tra một tệp danh sách học sinh; không ghi gì vào hệ thống. Mã thoát 2 nếu tệp bị từ chối."

    def add_arguments(self, parser):
        parser.add_argument("file", type=Path)
        parser.add_argument("--office", required=True, help="mã đơn vị gửi danh sách, ví dụ S-79")
        parser.add_argument(
            "--output", type=Path, help="ghi báo cáo JSON vào tệp này (mặc định: in ra màn hình)"
        )
        parser.add_argument("--marked", type=Path, help="ghi bảng tính đã đánh dấu chỗ cần sửa vào tệp này")
        parser.add_argument(
            "--group", choices=Student.Group.values, default="", help="đối tượng chung cho cả tệp"
        )
        parser.add_argument("--school", default="", help="mã trường chung cho cả tệp")
        parser.add_argument("--sheet", default="", help="tên trang tính cần đọc")

    def handle(self, *args, **given):
        path: Path = given["file"]
        if not path.is_file():
            raise CommandError(f"Không có tệp {path}.", returncode=2)
        reading = sandbox.Reading()
        tally = Tally()
        rows: list[list] = []
        refused = None
        options = None
        try:
            office = Office.objects.filter(code=given["office"]).first()
            if office is None:
                raise Refused("office_unknown", f"Không có đơn vị nào mang mã {given['office']}.")
            options = options_for(
                office,
                today=clock.today(),
                school_code=given["school"],
                group=given["group"],
                sheet=given["sheet"],
            )
            for batch in sandbox.read(path, options, reading):
                rows += batch
                self.stderr.write(f"\r{len(rows)} / {reading.head.get('total_rows', '?')} hàng", ending="")
            if Student.objects.exists():
                for start in range(0, len(rows), _CHUNK):
                    _compare(office, rows[start : start + _CHUNK])
            for _ in tally.add(rows):
                pass
        except Refused as reason:
            refused = reason
        result = report(
            file_sha256=sandbox.sha256_of(path),
            head=reading.head,
            tail=reading.tail,
            tally=tally,
            refused=refused,
        )
        text = json.dumps(result, ensure_ascii=False, indent=1)
        try:
            if given["output"]:
                given["output"].write_text(text + "\n", encoding="utf-8")
            else:
                self.stdout.write(text)
            if given["marked"] and not refused:
                write_marked(given["marked"], map(_for_marked, rows), schools=options.schools)
        except (OSError, FileCreateError) as error:
            raise CommandError(f"Không ghi được tệp kết quả: {error}") from error
        unknown = refused.details.get("unknown") if refused else reading.head.get("unknown")
        if unknown:
            self.stderr.write(f"\rCột không dùng: {', '.join(unknown)}.")
        for notice in reading.tail.get("notices", ()):
            self.stderr.write(notice)
        if refused:
            self.stderr.write(f"\rKhông đọc được: {refused.message}")
            sys.exit(2)
        counts = ", ".join(f"{name} {count}" for name, count in tally.counts.items())
        self.stderr.write(f"\rĐã đọc {result['rows_read']} hàng: {counts}.")


def _compare(office: Office, rows: list[list]) -> None:
    """Add a duplicate finding to each row whose child the system has elsewhere."""
    asked = {row[0]: row for row in rows if row[1] < GRAVITY[DUPLICATE]}
    if not asked:
        return
    values = {
        "path": office.path,
        "numbers": list(asked),
        "indexes": [crypto.blind_index(row[10]) if row[10] else None for row in asked.values()],
        "codes": [row[4] for row in asked.values()],
        "keys": [row[6] for row in asked.values()],
        "born": [dt.date.fromisoformat(row[8]) for row in asked.values()],
        "schools": [row[2] for row in asked.values()],
    }
    with connection.cursor() as cursor:
        cursor.execute(_COMPARE, values)
        found = cursor.fetchall()
    seen: set[int] = set()
    for number, rank, is_ours, is_same_school, is_like, name, province in found:
        if number in seen:
            continue
        seen.add(number)
        if is_ours and is_like and (rank < 3 or is_same_school):
            continue
        where = name if is_ours else f"một trường thuộc {province}, ngoài đơn vị của thầy/cô"
        column, code, said = {
            1: ("identity", "same_identity_in_system", "Số định danh này đã có ở"),
            2: ("student_code", "same_code_in_system", "Mã học sinh này đã có ở"),
            3: ("full_name", "likely_in_system", "Cùng họ tên, ngày sinh với một em đã có ở"),
        }[rank]
        row = asked[number]
        row[16] = [*(row[16] or []), Finding(column, DUPLICATE, code, "", f"{said} {where}.")]
        row[1] = max(row[1], GRAVITY[DUPLICATE])


def _for_marked(row: list) -> tuple[int, dict[str, str], list]:
    cells = {key: str(row[place] or "") for key, place in _PLACES.items()}
    for key, labels in _LABELS.items():
        cells[key] = labels.get(cells[key], cells[key])
    if cells["born_on"]:
        cells["born_on"] = dt.date.fromisoformat(cells["born_on"]).strftime("%d/%m/%Y")
    for finding in row[16] or ():
        # What could not be understood stands as it was typed.
        if finding[1] == "error" and row[17] and finding[0] in row[17]:
            cells[finding[0]] = row[17][finding[0]]
    return row[0], cells, row[16] or []
