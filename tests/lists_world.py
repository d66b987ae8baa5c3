"""A small tree of offices with schools and people, and list files made by code."""

import datetime as dt
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import xlsxwriter
from xlsxwriter.utility import xl_cell_to_rowcol

from accounts.models import User
from common.vietnamese import search_key
from schools.lists.columns import TITLES
from schools.models import AdministrativeUnit, Office, School, StaffRole, StudentList
from schools.services import list_reading, lists

ZONE = dt.timezone(dt.timedelta(hours=7))
AT = dt.datetime(2021, 11, 15, 9, 0, tzinfo=ZONE)
Kind, Role = Office.Kind, StaffRole.Role
HEADINGS = list(TITLES.values())
SCHOOL = "79000701"


@dataclass
class World:
    """Two Sở, the first with a Phòng and two schools, the second with a school of its own."""

    offices: dict[str, Office] = field(default_factory=dict)
    schools: dict[str, School] = field(default_factory=dict)
    people: dict[str, User] = field(default_factory=dict)


def _unit(level: str, code: str, name: str, parent=None, province=None) -> AdministrativeUnit:
    unit = AdministrativeUnit.objects.create(
        level=level, code=code, name=name, full_name=name, parent=parent, province=province,
        slug=search_key(name).replace(" ", "-") if level == "province" else "",
        search_key=search_key(name), valid_from=dt.date(2000, 1, 1),
    )  # fmt: skip
    if level == "province":
        unit.province = unit
        unit.save()
    return unit


def make_world() -> World:
    """Build the tree and one person per role that lists need."""
    world = World()

    def office(code: str, kind: str, name: str, parent: str = "", unit=None) -> Office:
        above = world.offices.get(parent)
        made = Office.objects.create(
            code=code, kind=kind, name=name, parent=above, unit=unit,
            path=f"{above.path if above else '/'}{code}/", valid_from=dt.date(2000, 1, 1),
        )  # fmt: skip
        world.offices[code] = made
        return made

    def school(code: str, name: str, parent: str, commune, district, province) -> None:
        made = office(code, Kind.SCHOOL, name, parent, commune)
        world.schools[code] = School.objects.create(
            office=made, code=code, level="lower_secondary", commune=commune, district=district, province=province,
            enrolment=500, teacher_count=40, teachers_without_computer=4,
        )  # fmt: skip

    def person(name: str, office: str, *roles: str) -> None:
        user = User.objects.create_user(f"{name}@example.vn", full_name=f"Cán bộ {name}")
        for role in roles:
            StaffRole.objects.create(
                user=user, office=world.offices[office], role=role, granted_at=AT, granted_by=user
            )
        world.people[name] = user

    saigon = _unit("province", "79", "Thành phố Hồ Chí Minh")
    first = _unit("district", "760", "Quận 1", saigon, saigon)
    dinh = _unit("commune", "26734", "Phường Tân Định", first, saigon)
    hanoi = _unit("province", "01", "Thành phố Hà Nội")
    ba_dinh = _unit("district", "001", "Quận Ba Đình", hanoi, hanoi)
    phuc_xa = _unit("commune", "00001", "Phường Phúc Xá", ba_dinh, hanoi)
    office("CT", Kind.PROGRAMME, "Văn phòng Chương trình")
    office("BGD", Kind.MOET, "Bộ Giáo dục và Đào tạo", "CT")
    for code, unit in (("79", saigon), ("01", hanoi)):
        office(f"UBND-{code}", Kind.PROVINCE_COMMITTEE, f"UBND {unit.name}", "BGD", unit)
        office(f"S-{code}", Kind.PROVINCE_DEPARTMENT, f"Sở GD&ĐT {unit.name}", f"UBND-{code}", unit)
    office("P-760", Kind.DISTRICT_OFFICE, "Phòng GD&ĐT Quận 1", "S-79", first)
    school(SCHOOL, "Trường THCS Tân Định", "P-760", dinh, first, saigon)
    school("79000702", "Trường THCS Đa Kao", "P-760", dinh, first, saigon)
    school("01000301", "Trường THCS Phúc Xá", "S-01", phuc_xa, ba_dinh, hanoi)
    person("lap", "S-79", Role.CLERK)
    person("lap2", "S-79", Role.CLERK)
    person("duyet", "S-79", Role.APPROVER)
    person("hanoi", "S-01", Role.CLERK)
    person("duyet_hanoi", "S-01", Role.APPROVER)
    person("bo", "BGD", Role.CLERK)
    person("truong", SCHOOL, Role.CLERK)
    return world


def student_row(number: int = 1, **changed: str) -> dict[str, str]:
    """A good row by our column keys; ``number`` makes another child."""
    row = {
        "school_code": SCHOOL,
        "class_name": "6A1",
        "student_code": f"79{number:08d}",
        "full_name": f"Nguyễn Thị {['Hồng', 'Lan', 'Mai', 'Cúc', 'Đào', 'Liên', 'Huệ', 'Quế', 'Trúc', 'Thu'][number % 10]} Hạnh",
        "born_on": f"{number % 28 + 1:02d}/{number // 28 % 12 + 1:02d}/2010",
        "sex": "Nữ",
        "identity": f"079310{number:06d}",
        "group": "Hộ nghèo",
        "household_code": f"HO{number:05d}",
        "commune": "Phường Tân Định",
        "has_device": "Không",
    }
    return row | changed


def table(rows: Iterable[dict[str, object]], columns: Sequence[str] = tuple(TITLES)) -> list[list[object]]:
    """Header and rows as a table of cells, in the order of ``columns``."""
    return [[TITLES[key] for key in columns], *[[row.get(key, "") for key in columns] for row in rows]]


def workbook(
    cells: Sequence[Sequence[object]], *, sheet: str = "Danh sách", more=(), merged: Sequence[str] = ()
) -> bytes:
    """An .xlsx of these cells; ``more`` are further (name, cells), ``merged`` ranges of the first sheet, "A1:C1"."""
    content = io.BytesIO()
    book = xlsxwriter.Workbook(content, {"in_memory": True, "strings_to_numbers": False})
    date = book.add_format({"num_format": "dd/mm/yyyy"})
    for name, its_cells in [(sheet, cells), *more]:
        page = book.add_worksheet(name)
        for at_row, row in enumerate(its_cells):
            for at_column, cell in enumerate(row):
                if isinstance(cell, (dt.date, dt.datetime)):
                    page.write_datetime(at_row, at_column, cell, date)
                elif isinstance(cell, str) and cell.startswith("="):
                    page.write_formula(at_row, at_column, cell)
                elif cell != "":
                    page.write(at_row, at_column, cell)
    for place in merged:
        row, column = xl_cell_to_rowcol(place.split(":")[0])
        book.worksheets()[0].merge_range(place, cells[row][column])
    book.close()
    return content.getvalue()


def send_list(world: World, rows, *, office: str = "S-79", by: str = "lap", **options) -> StudentList:
    """A list of these rows, uploaded and read."""
    student_list = list_reading.upload_list(
        by=world.people[by], office=world.offices[office], content=workbook(table(rows)),
        file_name="danh-sach.xlsx", at=AT, start=False, **options,
    )  # fmt: skip
    return list_reading.read_list(by=world.people[by], student_list=student_list, at=AT)


def commit_list(world: World, student_list: StudentList, *, by: str = "lap", **options) -> StudentList:
    """Its good rows, written."""
    return lists.commit_list(by=world.people[by], student_list=student_list, at=AT, **options)
