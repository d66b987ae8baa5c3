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
# Three provinces are left where people usually stop for a while, so that there is something to try.
LEFT_AT = {"37": State.CHECKED, "95": State.CHECKED, "96": State.VERIFIED}


def send_lists(build) -> None:
    """One list per province; a run that was stopped goes on with each list where it stands."""
    schools: dict[str, list[DemoSchool]] = {}
    for school in build.schools:
        schools.setdefault(school.province, []).append(school)
    counts = shares(sorted(schools), build.size.students)
    units = {unit.code: unit for unit in AdministrativeUnit.objects.filter(vintage="2021", level="province")}
    communes = dict(
        AdministrativeUnit.objects.filter(vintage="2021", level="commune").values_list("code", "full_name")
    )
    for number, code in enumerate(sorted(schools)):
        build.tell(number, len(schools))
        office, day = (
            Office.objects.get(code=f"S-{code}"),
            dt.date(2021, 9, 6) + dt.timedelta(days=int(code) % 5),
        )
        people = [build.person(f"so-{code}{part}") for part in ("", "-tham-dinh", "-lanh-dao")]
        if _go_on(people, office, day=day, until=LEFT_AT.get(code, State.APPROVED)):
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
            _upload(people[0], office, path, day=day)
        _go_on(people, office, day=day, until=LEFT_AT.get(code, State.APPROVED))

    _send_universities(build, communes, units)


def _send_universities(build, communes: dict[str, str], units: dict) -> None:
    """Institutions directly under their ministry send their own lists: no Sở stands between (Plan I.1a)."""
    moet = [build.person(f"bo-giao-duc-{part}") for part in ("tham-dinh", "duyet")]
    for school in School.objects.filter(office__kind="university").select_related("office").order_by("code"):
        people, day = (build.person(f"truong-{school.code}"), *moet), dt.date(2021, 9, 8)
        if _go_on(people, school.office, day=day):
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
            _upload(people[0], school.office, path, day=day)
        _go_on(people, school.office, day=day)


def _upload(clerk: User, office: Office, path: Path, *, day: dt.date) -> None:
    list_reading.upload_list(
        by=clerk,
        office=office,
        content=path.read_bytes(),
        file_name=path.name,
        at=moment(day, 9),
        start=False,
    )


def _go_on(people: Sequence[User], office: Office, *, day: dt.date, until: str = State.APPROVED) -> bool:
    """Take the office's list from where it stands as far as `until`; False if it sent none yet.

    A clerk reads, commits and submits it, another verifies, a head approves: every step a transaction of its own.
    """
    clerk, verifier, head = people
    student_list = StudentList.objects.filter(office=office).order_by("-pk").first()
    if student_list is None:
        return False
    while student_list.state != until:
        if student_list.state == State.UPLOADED:
            list_reading.read_list(by=clerk, student_list=student_list, at=moment(day, 9, 5))
        elif student_list.state == State.CHECKED:
            warnings = [warning[0] for warning in lists.warnings_of(student_list)]
            lists.acknowledge(by=clerk, student_list=student_list, codes=warnings, at=moment(day, 9, 30))
            lists.commit_list(by=clerk, student_list=student_list, at=moment(day, 10))
        elif student_list.state == State.COMMITTED:
            lists.submit_list(by=clerk, student_list=student_list, at=moment(day, 11))
        elif student_list.state == State.SUBMITTED:
            lists.verify_list(
                by=verifier, student_list=student_list, at=moment(day + dt.timedelta(days=1), 9)
            )
        elif student_list.state == State.VERIFIED:
            lists.approve_list(by=head, student_list=student_list, at=moment(day + dt.timedelta(days=2), 9))
        else:
            return True  # somebody who tries the demonstration took it elsewhere meanwhile
        student_list.refresh_from_db()
    return True
