"""Offices, schools and people of the demonstration: set-based, the same tables and rules as everybody's."""

import random
from collections.abc import Iterable

from allauth.account.models import EmailAddress
from allauth.mfa.adapter import get_adapter
from allauth.mfa.models import Authenticator
from django.contrib.auth.hashers import make_password
from django.db import transaction

from accounts.models import User
from common.tables import upsert
from coverage.models import Operator, OperatorMember
from schools.models import AdministrativeUnit, Office, School, StaffRole
from sms_program.demo import staff
from sms_program.demo.places import Commune, DemoSchool, make_schools
from sms_program.demo.plan import FIRST_FREEZE, Size

STARTED_ON = FIRST_FREEZE.replace(year=2021, month=1, day=1)
# The known secret of the demonstration's second factor; production refuses DEMO=1, so it opens nothing real.
TOTP_SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
WAREHOUSES = [
    ("KHO-MT", "Kho tiếp nhận miền Trung – Tây Nguyên", "48"),
    ("KHO-MN", "Kho tiếp nhận miền Nam", "79"),
]
UNIVERSITIES = [
    ("DH-MH-01", "Trường Đại học Sư phạm Minh họa", "university", "01"),
    ("DH-MH-02", "Trường Đại học Nông Lâm Minh họa", "university", "46"),
    ("CD-MH-03", "Trường Cao đẳng Kỹ thuật Minh họa", "college", "79"),
]


def communes_of_2021() -> list[Commune]:
    """Every commune of 2021 with its district and province, in the order of codes."""
    rows = (
        AdministrativeUnit.objects.filter(vintage="2021", level="commune")
        .order_by("code")
        .values_list("code", "name", "parent__code", "parent__name", "province__code")
    )
    return [Commune(*row) for row in rows.iterator()]


def planned_schools(*, rng: random.Random, size: Size) -> list[DemoSchool]:
    """The invented schools, the same for the same seed and size."""
    return list(make_schools(rng, communes_of_2021(), size))


@transaction.atomic
def load_offices(*, schools: list[DemoSchool]) -> None:
    """Warehouses, universities and the invented schools. Repeatable: same seed, same rows."""
    units = {
        unit.code: unit
        for unit in AdministrativeUnit.objects.filter(vintage="2021").only(
            "id", "code", "level", "province_id", "parent_id"
        )
    }
    root, moet = Office.objects.get(code="CT"), Office.objects.get(code="BGD")
    parents = dict(
        Office.objects.filter(kind__in=["province_department", "district_office"]).values_list("code", "path")
    )
    ids = dict(Office.objects.values_list("code", "id"))
    offices = [
        _office(code, "warehouse", name, root.pk, root.path, units[province].pk)
        for code, name, province in WAREHOUSES
    ]
    offices += [
        _office(code, "university", name, moet.pk, moet.path, units[province].pk)
        for code, name, _, province in UNIVERSITIES
    ]
    for school in schools:
        above = f"S-{school.province}" if school.level == "upper_secondary" else f"P-{school.district}"
        offices.append(
            _office(school.code, "school", school.name, ids[above], parents[above], units[school.commune].pk)
        )
    upsert(Office, key=["code"], rows=offices)
    ids = dict(Office.objects.values_list("code", "id"))
    rows = [
        {
            "office_id": ids[school.code],
            "code": school.code,
            "level": school.level,
            "commune_id": units[school.commune].pk,
            "district_id": units[school.district].pk,
            "province_id": units[school.province].pk,
            "enrolment": school.enrolment,
            "teacher_count": school.teacher_count,
            "teachers_without_computer": school.teachers_without_computer,
        }
        for school in schools
    ]
    communes = {}
    for commune in communes_of_2021():
        communes.setdefault(commune.province, commune)
    rows += [
        {
            "office_id": ids[code],
            "code": code,
            "level": level,
            "commune_id": units[communes[province].code].pk,
            "district_id": units[communes[province].district].pk,
            "province_id": units[province].pk,
            "enrolment": 4_000,
            "teacher_count": 250,
            "teachers_without_computer": 12,
        }
        for code, _, level, province in UNIVERSITIES
    ]
    upsert(School, key=["code"], rows=rows)


def _office(code: str, kind: str, name: str, parent: int, path: str, unit: int) -> dict:
    return {
        "code": code,
        "kind": kind,
        "name": name,
        "parent_id": parent,
        "path": f"{path}{code}/",
        "unit_id": unit,
        "valid_from": STARTED_ON,
    }


@transaction.atomic
def load_people(*, schools: Iterable[DemoSchool], at) -> int:
    """Accounts with one shared password and one known second factor, and their roles; returns how many people."""
    provinces = AdministrativeUnit.objects.filter(vintage="2021", level="province").order_by("code")
    parts = list(staff.PROGRAMME)
    for province in provinces:
        parts += staff.province_parts(province.code, province.name)
    schools = list(schools)
    used = {school.district for school in schools}
    names = AdministrativeUnit.objects.filter(vintage="2021", level="district", code__in=used)
    parts += [staff.district_part(unit.code, unit.full_name) for unit in names.order_by("code")]
    parts += [staff.school_part(school.code, school.name) for school in schools]
    parts += [staff.school_part(code, name) for code, name, _, _ in UNIVERSITIES]
    operators = {code: pk for pk, code in Operator.objects.filter(is_mobile=True).values_list("pk", "code")}
    emails = {part.email: part.name for part in parts}
    emails[staff.ADMINISTRATOR] = "Quản trị hệ thống"
    emails |= {staff.operator_email(code): f"Điều hành mạng {code}" for code in operators}
    # One hash for all: hashing a thousand passwords would take minutes.
    password = make_password(staff.PASSWORD, salt="minhhoa2021minhhoa2021")
    known = set(User.objects.filter(email__in=emails).values_list("email", flat=True))
    User.objects.bulk_create(
        User(email=email, full_name=name, password=password)
        for email, name in emails.items()
        if email not in known
    )
    User.objects.filter(email=staff.ADMINISTRATOR).update(is_staff=True, is_superuser=True)
    ids = dict(User.objects.filter(email__in=emails).values_list("email", "pk"))
    fresh = [ids[email] for email in emails if email not in known]
    EmailAddress.objects.bulk_create(
        EmailAddress(user_id=ids[email], email=email, verified=True, primary=True)
        for email in emails
        if email not in known
    )
    secret = get_adapter().encrypt(TOTP_SECRET)
    Authenticator.objects.bulk_create(
        Authenticator(user_id=pk, type=Authenticator.Type.TOTP, data={"secret": secret}) for pk in fresh
    )
    offices = dict(Office.objects.values_list("code", "id"))
    system = User.objects.system()
    held = set(StaffRole.objects.values_list("user_id", "office_id", "role"))
    StaffRole.objects.bulk_create(
        StaffRole(
            user_id=ids[p.email], office_id=offices[p.office], role=p.role, granted_at=at, granted_by=system
        )
        for p in parts
        if (ids[p.email], offices[p.office], p.role) not in held
    )
    already = set(OperatorMember.objects.values_list("user_id", flat=True))
    OperatorMember.objects.bulk_create(
        OperatorMember(user_id=ids[staff.operator_email(code)], operator_id=pk, granted_at=at)
        for code, pk in operators.items()
        if ids[staff.operator_email(code)] not in already
    )
    return len(emails)
