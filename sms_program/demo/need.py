"""The need of the demonstration: every Sở and every university sends its workbook, staff read, commit, verify and approve it."""

import datetime as dt
import tempfile
from collections.abc import Sequence
from pathlib import Path

from accounts.models import User
from schools.models import AdministrativeUnit, Office, School, StudentList
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
            _send_province(build, code, path)

    _send_universities(build, done, communes, units)


def _send_universities(build, done: set[str], communes: dict[str, str], units: dict) -> None:
    """Institutions directly under their ministry send their own lists: no Sở stands between (Plan I.1a)."""
    moet = [build.person(f"bo-giao-duc-{part}") for part in ("tham-dinh", "duyet")]
    for school in School.objects.filter(office__kind="university").select_related("office").order_by("code"):
        if school.code in done:
            continue
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"Danh-sach-sinh-vien-chua-co-may-{school.code}.xlsx"
            rng = build.rng(f"students {school.code}")
            province = units[school.province.code]
            commune = school.commune.code
            rows = make_rows(
                rng,
                schools=[
                    DemoSchool(
                        school.code, school.office.name, school.level, commune, school.district.code, province.code,
                        school.enrolment, school.teacher_count, school.teachers_without_computer,
                    )
                ],
                commune_names=communes,
                citizen_prefix=province.citizen_prefix,
                total=max(8, build.size.students // 600),
            )  # fmt: skip
            title = f"DANH SÁCH SINH VIÊN CHƯA CÓ MÁY TÍNH – {school.office.name.upper()} (SỐ LIỆU MINH HỌA)"
            write_list(path, title=title, rows=rows, slips=rng)
            people = (build.person(f"truong-{school.code}"), *moet)
            _send(people, school.office, path, day=dt.date(2021, 9, 8))


def _send_province(build, code: str, path: Path) -> None:
    people = [build.person(f"so-{code}{part}") for part in ("", "-tham-dinh", "-lanh-dao")]
    day = dt.date(2021, 9, 6) + dt.timedelta(days=int(code) % 5)
    # Three provinces are left where people usually stop for a while, so that there is something to try.
    until = {"37": State.CHECKED, "95": State.CHECKED, "96": State.VERIFIED}.get(code, State.APPROVED)
    _send(people, Office.objects.get(code=f"S-{code}"), path, day=day, until=until)


def _send(
    people: Sequence[User], office: Office, path: Path, *, day: dt.date, until: str = State.APPROVED
) -> None:
    """The way of one list: a clerk uploads and submits, another verifies, a head approves; or only as far as `until`."""
    clerk, verifier, head = people
    student_list = list_reading.upload_list(
        by=clerk,
        office=office,
        content=path.read_bytes(),
        file_name=path.name,
        at=moment(day, 9),
        start=False,
    )
    list_reading.read_list(by=clerk, student_list=student_list, at=moment(day, 9, 5))
    student_list.refresh_from_db()
    if until == State.CHECKED:
        return
    warnings = [warning[0] for warning in lists.warnings_of(student_list)]
    lists.acknowledge(by=clerk, student_list=student_list, codes=warnings, at=moment(day, 9, 30))
    lists.commit_list(by=clerk, student_list=student_list, at=moment(day, 10))
    lists.submit_list(by=clerk, student_list=student_list, at=moment(day, 11))
    lists.verify_list(by=verifier, student_list=student_list, at=moment(day + dt.timedelta(days=1), 9))
    if until == State.VERIFIED:
        return
    lists.approve_list(by=head, student_list=student_list, at=moment(day + dt.timedelta(days=2), 9))
