"""The need of the demonstration: every Sở sends its workbook, staff read, commit, verify and approve it."""

import datetime as dt
import tempfile
from pathlib import Path

from schools.models import AdministrativeUnit, Office, StudentList
from schools.services import list_reading, lists
from sms_program.demo.lists import make_rows, write_list
from sms_program.demo.places import DemoSchool, shares
from sms_program.demo.plan import moment

State = StudentList.State


def send_lists(build) -> None:
    """One list per province; a run that was stopped goes on with the provinces that are not approved yet."""
    schools: dict[str, list[DemoSchool]] = {}
    for school in build.schools:
        schools.setdefault(school.province, []).append(school)
    counts = shares(sorted(schools), build.size.students)
    units = {unit.code: unit for unit in AdministrativeUnit.objects.filter(vintage="2021", level="province")}
    communes = dict(
        AdministrativeUnit.objects.filter(vintage="2021", level="commune").values_list("code", "full_name")
    )
    done = set(
        StudentList.objects.filter(state__in=[State.APPROVED, State.VERIFIED, State.CHECKED]).values_list(
            "office__code", flat=True
        )
    )
    for number, code in enumerate(sorted(schools)):
        build.tell(number, len(schools))
        if f"S-{code}" in done:
            continue
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"Danh-sach-hoc-sinh-chua-co-may-{units[code].slug}.xlsx"
            rng = build.rng(f"students {code}")
            rows = make_rows(
                rng,
                schools=schools[code],
                commune_names=communes,
                citizen_prefix=units[code].citizen_prefix,
                total=counts[code],
            )
            title = (
                f"DANH SÁCH HỌC SINH CHƯA CÓ MÁY TÍNH – {units[code].full_name.upper()} (SỐ LIỆU MINH HỌA)"
            )
            write_list(path, title=title, rows=rows, slips=rng)
            _send(build, code, path)


def _send(build, code: str, path: Path) -> None:
    """The way of one list: a clerk uploads and submits, another verifies, the head of the Sở approves."""
    clerk, verifier, head = (build.person(f"so-{code}{part}") for part in ("", "-tham-dinh", "-lanh-dao"))
    day = dt.date(2021, 9, 6) + dt.timedelta(days=int(code) % 5)
    student_list = list_reading.upload_list(
        by=clerk,
        office=Office.objects.get(code=f"S-{code}"),
        content=path.read_bytes(),
        file_name=path.name,
        at=moment(day, 9),
        start=False,
    )
    list_reading.read_list(by=clerk, student_list=student_list, at=moment(day, 9, 5))
    student_list.refresh_from_db()
    # Two provinces are left where people usually stop for a while, so that there is something to try.
    if code in {"37", "95"}:
        return
    warnings = [warning[0] for warning in lists.warnings_of(student_list)]
    lists.acknowledge(by=clerk, student_list=student_list, codes=warnings, at=moment(day, 9, 30))
    lists.commit_list(by=clerk, student_list=student_list, at=moment(day, 10))
    lists.submit_list(by=clerk, student_list=student_list, at=moment(day, 11))
    lists.verify_list(by=verifier, student_list=student_list, at=moment(day + dt.timedelta(days=1), 9))
    if code == "96":
        return
    lists.approve_list(by=head, student_list=student_list, at=moment(day + dt.timedelta(days=2), 9))
