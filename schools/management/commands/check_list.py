"""Read and check list files from the command line, as the pages do; nothing is written to the database."""

import datetime as dt
import json
import sys
from pathlib import Path

from django.core.management.base import CommandError
from xlsxwriter.exceptions import FileCreateError

from common import clock
from common.command import PlainCommand
from schools.lists import sandbox
from schools.lists.intake import Refused
from schools.lists.report import Tally, report
from schools.lists.workbook import write_marked
from schools.models import Office, Student
from schools.services.list_checking import compare_without_trace
from schools.services.list_reading import options_for

_LABELS = {
    "sex": {"male": "Nam", "female": "Nữ"},
    "group": dict(Student.Group.choices),
    "has_device": {"1": "Có", "0": ""},
}
_PLACES = {
    "school_code": 2, "class_name": 3, "student_code": 4, "full_name": 5, "born_on": 8, "sex": 9, "identity": 11,
    "group": 12, "household_code": 13, "commune": 14, "has_device": 15,
}  # fmt: skip


class Command(PlainCommand):
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
                compare_without_trace(office=office, rows=rows)
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
