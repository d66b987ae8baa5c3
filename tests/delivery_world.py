"""A small programme with allocated devices in a warehouse, for tests of what comes after: real rows, real ledger."""

import datetime as dt
import hashlib
from dataclasses import dataclass, field

from accounts.models import User
from allocation.models import Allocation, AllocationPolicy, AllocationRun, Phase
from common.vietnamese import search_key, sort_key
from coverage.models import Operator
from delivery.services import dispatch_shipments, plan_shipments, receive_shipments
from donations.models import Device, Donor, Lot, Pledge
from ledger.bulk import record_many
from ledger.codes import new_device_codes
from schools.models import AdministrativeUnit, Office, School, StaffRole, Student

ZONE = dt.timezone(dt.timedelta(hours=7))
AT = dt.datetime(2021, 11, 15, 9, 0, tzinfo=ZONE)
BEFORE = dt.datetime(2021, 10, 1, 9, 0, tzinfo=ZONE)
Kind, Role = Office.Kind, StaffRole.Role
# Who sends and who receives on the way from the warehouse to the first school.
HOPS = [("keeper", "department"), ("department", "district"), ("district", "school")]


@dataclass
class World:
    """Handles to what a test needs; `schools` are two of the district, then one directly under the Sở."""

    province: AdministrativeUnit
    district: AdministrativeUnit
    commune: AdministrativeUnit
    programme: Office
    warehouse: Office
    department: Office
    district_office: Office
    schools: list[School]
    operator: Operator
    lot: Lot
    run: AllocationRun
    people: dict[str, User] = field(default_factory=dict)
    allocations: list[Allocation] = field(default_factory=list)

    def codes(self, school: School) -> list[str]:
        return sorted(a.device.code for a in self.allocations if a.student.school_id == school.pk)


def _unit(level: str, code: str, name: str, parent=None, province=None) -> AdministrativeUnit:
    unit = AdministrativeUnit.objects.create(
        level=level,
        code=code,
        name=name,
        full_name=name,
        slug=search_key(name).replace(" ", "-") if level == "province" else "",
        parent=parent,
        province=province,
        search_key=search_key(name),
        valid_from=dt.date(2000, 1, 1),
    )
    if level == "province":
        unit.province = unit
        unit.save()
    return unit


def _office(kind: str, code: str, name: str, parent=None, unit=None) -> Office:
    return Office.objects.create(
        kind=kind,
        code=code,
        name=name,
        parent=parent,
        path=f"{parent.path if parent else '/'}{code}/",
        unit=unit,
        valid_from=dt.date(2000, 1, 1),
    )


def _person(name: str, office: Office, *roles: str) -> User:
    user = User.objects.create_user(f"{name}@example.vn", full_name=f"Cán bộ {name}")
    for role in roles:
        StaffRole.objects.create(user=user, office=office, role=role, granted_at=BEFORE, granted_by=user)
    return user


def make_world(*, per_school: int = 3, area: str = "school") -> World:
    """Build it: `per_school` allocated devices for each of three schools, all in the national warehouse.

    Args:
        area: `school`, `district` or `province`: how fine the public area of every allocation is.
    """
    province = _unit("province", "79", "Thành phố Hồ Chí Minh")
    district = _unit("district", "760", "Quận 1", province, province)
    commune = _unit("commune", "26734", "Phường Tân Định", district, province)
    programme = _office(Kind.PROGRAMME, "CT", "Văn phòng Chương trình")
    warehouse = _office(Kind.WAREHOUSE, "KHO-TW", "Kho trung ương", programme)
    moet = _office(Kind.MOET, "BGD", "Bộ Giáo dục và Đào tạo", programme)
    mic = _office(Kind.MIC, "BTTTT", "Bộ Thông tin và Truyền thông", programme)
    committee = _office(Kind.PROVINCE_COMMITTEE, "T-79", "UBND Thành phố", programme, province)
    department = _office(Kind.PROVINCE_DEPARTMENT, "S-79", "Sở GD&ĐT Thành phố", committee, province)
    district_office = _office(Kind.DISTRICT_OFFICE, "P-760", "Phòng GD&ĐT Quận 1", department, district)
    schools = []
    for number, parent in enumerate([district_office, district_office, department], 1):
        office = _office(Kind.SCHOOL, f"TR-7976000{number}", f"Trường số {number}", parent, commune)
        schools.append(
            School.objects.create(
                office=office,
                code=f"7976000{number}",
                level=School.Level.LOWER_SECONDARY,
                commune=commune,
                district=district,
                province=province,
                enrolment=400,
            )
        )
    people = {
        "programme": _person("chuong.trinh", programme, Role.CLERK),
        "leader": _person("lanh.dao", programme, Role.APPROVER),
        "keeper": _person("thu.kho", warehouse, Role.KEEPER),
        "department": _person("so", department, Role.CLERK),
        "district": _person("phong", district_office, Role.CLERK),
        "school": _person("truong.mot", schools[0].office, Role.CLERK),
        "school2": _person("truong.hai", schools[1].office, Role.CLERK),
        "school3": _person("truong.ba", schools[2].office, Role.CLERK),
        "moet": _person("bo.gd", moet, Role.APPROVER),
        "mic": _person("bo.tttt", mic, Role.CLERK),
    }
    by = people["programme"]
    operator = Operator.objects.create(code="VIETTEL", name="Viettel")
    donor = Donor.objects.create(kind=Donor.Kind.ENTERPRISE, name="Công ty Ánh Dương", created_at=BEFORE)
    pledge = Pledge.objects.create(
        code=f"CK-{new_device_codes(1)[0]}",
        donor=donor,
        kind=Pledge.Kind.DEVICE,
        device_kind="tablet",
        quantity=1000,
        office=programme,
        secret_hash=hashlib.sha256(b"x").digest(),
        created_at=BEFORE,
        made_at=BEFORE,
    )
    lot = Lot.objects.create(
        code="LO-0001",
        pledge=pledge,
        warehouse=warehouse,
        device_kind="tablet",
        model_name="Máy bảng A8",
        received_at=BEFORE,
        received_by=people["keeper"],
    )
    phase = Phase.objects.create(
        code="GD1",
        name="Giai đoạn 1",
        clause="II.2a",
        starts_on=dt.date(2021, 9, 1),
        ends_on=dt.date(2021, 12, 31),
        groups=["poor"],
    )
    policy = AllocationPolicy.objects.create(phase=phase, version=1, name="Chính sách 1", rules={
        "groups": ["poor", "near_poor"], "locality_first": True, "margin": "proportional",
    })  # fmt: skip
    run = AllocationRun.objects.create(
        code="DPB-2021-01",
        policy=policy,
        randomness_source="XSMB",
        draw_at=BEFORE + dt.timedelta(days=3),
        opened_at=BEFORE,
        opened_by=by,
        state="committed",
    )
    world = World(
        province, district, commune, programme, warehouse, department, district_office, schools, operator, lot,
        run, people,
    )  # fmt: skip
    places = {"district": district.public_code, "province": province.public_code}
    for number, school in enumerate(schools):
        allocate(
            world, school, per_school, area=places.get(area, school.office.code), start=number * per_school
        )
    return world


def carry(world: World, hops: list[tuple[str, str]] = HOPS) -> None:
    """Everything that lies with the senders, to the next office hop by hop; by default to the schools."""
    for sender, receiver in hops:
        shipments = plan_shipments(by=world.people[sender], at=AT)
        dispatch_shipments(by=world.people[sender], shipments=shipments, at=AT)
        receive_shipments(by=world.people[receiver], shipments=shipments, at=AT)


def make_devices(world: World, count: int) -> list[Device]:
    """Accepted devices of the lot, received and inspected in the ledger too."""
    codes = new_device_codes(count)
    devices = Device.objects.bulk_create(
        [
            Device(
                code=code,
                lot=world.lot,
                serial_number=f"SN{code}",
                serial_key=f"SN{code}",
                state=Device.State.ACCEPTED,
                is_child_protected=True,
                accepted_at=BEFORE,
                accepted_by=world.people["programme"],
            )
            for code in codes
        ]
    )
    day = BEFORE.date()
    record_many(
        event="device.received",
        on=day,
        rows=[{"device": code, "to": world.warehouse.code, "kind": "tablet"} for code in codes],
    )
    record_many(
        event="device.inspected", on=day, rows=[{"device": code, "outcome": "accepted"} for code in codes]
    )
    return devices


def make_students(world: World, school: School, count: int, *, start: int = 0) -> list[Student]:
    """Approved pupils of a class, with synthetic names."""
    names = [
        f"Nguyễn Văn {chr(65 + (start + i) % 26)}{'abcdefghij'[(start + i) // 26 % 10]}" for i in range(count)
    ]
    return Student.objects.bulk_create(
        [
            Student(
                school=school,
                class_name="7A",
                grade=7,
                full_name=name,
                search_key=search_key(name),
                sort_key=sort_key(name),
                born_on=dt.date(2009, 1, 1) + dt.timedelta(days=start + i),
                group=Student.Group.POOR,
                state=Student.State.APPROVED,
                approved_at=BEFORE,
                approved_by=world.people["programme"],
            )
            for i, name in enumerate(names)
        ]
    )


def allocate(world: World, school: School, count: int, *, area: str, start: int = 0) -> None:
    """Allocate new devices to new students of a school."""
    if not count:
        return
    devices = make_devices(world, count)
    students = make_students(world, school, count, start=start)
    world.allocations += Allocation.objects.bulk_create(
        [
            Allocation(
                run=world.run,
                device=device,
                student=student,
                tier="1.1.1",
                engine_pass=Allocation.Pass.FREE,
                public_area=area,
            )
            for device, student in zip(devices, students, strict=True)
        ]
    )
    record_many(
        event="device.allocated",
        on=BEFORE.date(),
        rows=[{"device": device.code, "run": world.run.code, "area": area} for device in devices],
    )
