"""The people and objects of two provinces, for tests that go through every page: the fixture `house`."""

import datetime as dt
from dataclasses import dataclass

from django.test import Client

from accounts.models import User
from allocation.models import AllocationPolicy, AllocationRun, Applicant
from coverage.models import CoveragePoint, Operator, OperatorMember
from delivery.models import Grievance, HandoverRecord, Loss, Shipment, ShipmentItem
from schools.models import Office, School, StaffRole, StudentList
from tests.delivery_world import AT, BEFORE, World, _office, _unit, make_world
from tests.signing_in import pass_second_factor

Role, Kind = StaffRole.Role, Office.Kind

POSTS = [
    (Role.MANAGER, Kind.PROGRAMME), (Role.CLERK, Kind.PROGRAMME), (Role.APPROVER, Kind.PROGRAMME),
    (Role.VIEWER, Kind.MOET), (Role.APPROVER, Kind.MOET), (Role.VIEWER, Kind.MIC), (Role.AUDITOR, Kind.AUDIT),
    (Role.KEEPER, Kind.WAREHOUSE), (Role.INSPECTOR, Kind.WAREHOUSE),
    (Role.CLERK, Kind.PROVINCE_COMMITTEE), (Role.CLERK, Kind.PROVINCE_INFORMATION),
    (Role.MANAGER, Kind.PROVINCE_DEPARTMENT), (Role.CLERK, Kind.PROVINCE_DEPARTMENT),
    (Role.APPROVER, Kind.PROVINCE_DEPARTMENT), (Role.CLERK, Kind.DISTRICT_OFFICE), (Role.CLERK, Kind.SCHOOL),
]  # fmt: skip
# Posts of another province, with everything that could tempt them: no object of ours is theirs.
NEIGHBOURS = [
    *[(role, kind) for kind in (Kind.PROVINCE_COMMITTEE, Kind.PROVINCE_DEPARTMENT, Kind.DISTRICT_OFFICE, Kind.SCHOOL)
      for role in (Role.MANAGER, Role.CLERK, Role.APPROVER)],
    (Role.CLERK, Kind.PROVINCE_INFORMATION), (Role.KEEPER, Kind.WAREHOUSE), (Role.INSPECTOR, Kind.WAREHOUSE),
]  # fmt: skip


@dataclass
class House:
    """A province with its objects, a neighbour without, and a signed-in client for every post in both."""

    world: World
    own: dict[tuple[str, str], Client]
    neighbours: dict[str, Client]
    people: dict[tuple[str, str], User]
    objects: dict[str, dict[str, object]]


def _client(user: User, *, second_factor: bool = True) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(user)
    if second_factor:
        pass_second_factor(client.session, user)
    return client


def _give(name: str, office: Office, role: str) -> User:
    user = User.objects.create_user(f"{name}@example.vn", full_name=name)
    StaffRole.objects.create(user=user, office=office, role=role, granted_at=BEFORE, granted_by=user)
    return user


def make_house() -> House:
    """Both provinces, with whoever works there."""
    world = make_world(per_school=1)
    programme, by = world.programme, world.people["programme"]
    offices = {office.kind: office for office in Office.objects.order_by("-pk")}
    offices[Kind.AUDIT] = _office(Kind.AUDIT, "KT", "Kiểm toán", programme)
    offices[Kind.PROVINCE_INFORMATION] = _office(
        Kind.PROVINCE_INFORMATION, "I-79", "Sở TT&TT", offices[Kind.PROVINCE_COMMITTEE], world.province
    )
    province = _unit("province", "75", "Đồng Nai")
    district = _unit("district", "731", "Biên Hoà", province, province)
    commune = _unit("commune", "25993", "Trảng Dài", district, province)
    committee = _office(Kind.PROVINCE_COMMITTEE, "T-75", "UBND Đồng Nai", programme, province)
    department = _office(Kind.PROVINCE_DEPARTMENT, "S-75", "Sở Đồng Nai", committee, province)
    district_office = _office(Kind.DISTRICT_OFFICE, "P-731", "Phòng Biên Hoà", department, district)
    school = _office(Kind.SCHOOL, "TR-75731001", "Trường Trảng Dài", district_office, commune)
    School.objects.create(
        office=school, code="75731001", level="primary", commune=commune, district=district, province=province
    )
    beside = {
        Kind.PROVINCE_COMMITTEE: committee,
        Kind.PROVINCE_DEPARTMENT: department,
        Kind.DISTRICT_OFFICE: district_office,
        Kind.SCHOOL: school,
        Kind.PROVINCE_INFORMATION: _office(
            Kind.PROVINCE_INFORMATION, "I-75", "Sở TT&TT", committee, province
        ),
        Kind.WAREHOUSE: _office(Kind.WAREHOUSE, "KHO-75", "Kho Đồng Nai", department, province),
    }
    people = {
        (role, kind): _give(f"{role}-{kind}".replace("_", "-"), offices[kind], role) for role, kind in POSTS
    }
    neighbours = {
        f"{role} in {kind}": _client(_give(f"ben-{role}-{kind}".replace("_", "-"), beside[kind], role))
        for role, kind in NEIGHBOURS
    }
    other_operator = Operator.objects.create(code="VNPT", name="VNPT")
    member = User.objects.create_user("vnpt@example.vn", full_name="VNPT")
    OperatorMember.objects.create(user=member, operator=other_operator, granted_at=BEFORE)
    neighbours["operator"] = _client(member)
    neighbours["nobody"] = _client(User.objects.create_user("khong-vai@example.vn", full_name="Không vai"))
    own = {post: _client(user) for post, user in people.items()}
    for user in people.values():
        user.remembers_roles = True  # asked of every page whether it is theirs; their roles stay
    return House(world, own, neighbours, people, _objects(world, by))


def _objects(world: World, by: User) -> dict[str, dict[str, object]]:
    """One object of our province for each kind of address, by the beginning of the route."""
    school, allocation = world.schools[0], world.allocations[0]
    shipment = Shipment.objects.create(
        code="VC-0001",
        from_office=world.department,
        to_office=world.district_office,
        created_at=AT,
        created_by=by,
    )
    come = Shipment.objects.create(
        code="VC-0002",
        from_office=world.department,
        to_office=world.district_office,
        created_at=AT,
        created_by=by,
        state=Shipment.State.ARRIVED,
        dispatched_at=AT,
        dispatched_by=by,
        arrived_at=AT,
        arrived_by=world.people["district"],
    )
    missing = ShipmentItem.objects.create(
        shipment=come, device=world.allocations[1].device, result="missing", is_open=False
    )
    loss = Loss.objects.create(
        item=missing, reason="in_transit", account="Đã hỏi lái xe.", requested_at=AT, requested_by=by
    )
    record = HandoverRecord.objects.create(
        code="BG-0001",
        school=school,
        held_on=AT.date(),
        created_at=AT,
        created_by=by,
        operator=world.operator,
    )
    grievance = Grievance.objects.create(
        code="PA-0001", kind=Grievance.Kind.values[0], office=school.office, province=world.province, text="Máy hỏng",
        opened_at=AT, due_on=AT.date(),
    )  # fmt: skip
    AllocationPolicy.objects.update(
        rules={"locality_first": True, "margin": "proportional", "groups": ["poor"], "reserve_percent": 0}
    )
    run = AllocationRun.objects.create(
        code="DPB-79", policy=AllocationPolicy.objects.get(), province=world.province, randomness_source="XSMB",
        draw_at=AT + dt.timedelta(days=3), opened_at=AT, opened_by=by,
    )  # fmt: skip
    point = CoveragePoint.objects.create(
        code="DS-0001", name="Thôn 1", commune=world.commune, province=world.province, operator=world.operator,
        deadline_on=AT.date(),
    )  # fmt: skip
    student_list = StudentList.objects.create(
        office=school.office, file="lists/a.xlsx", file_name="a.xlsx", file_sha256="0" * 64, uploaded_at=AT,
        uploaded_by=by,
    )  # fmt: skip
    role = StaffRole.objects.filter(office=school.office).first()
    student = {"student": allocation.student_id}
    Applicant.objects.create(
        run=world.run, student_id=allocation.student_id, code="HS-1", school_id=school.pk, group=0, is_priority=True,
        household=-1, held=0,
    )  # fmt: skip
    return {
        "van-chuyen/mat/<int:pk>": {"pk": loss.pk},
        "van-chuyen/<str:code>": {"code": shipment.code, "verb": "gui"},
        "ban-giao/bien-ban/<str:code>": {"code": record.code},
        "ban-giao/<str:code>": {"code": school.code},
        "phan-anh/xu-ly/<str:code>": {"code": grievance.code},
        "phan-bo/dot/<str:code>/hoc-sinh/<int:student>": {"code": world.run.code} | student,
        "phan-bo/dot/<str:code>": {"code": run.code},
        "phan-bo/thu-hoi/<int:allocation>": {"allocation": allocation.pk},
        "kho/lo/<str:code>": {"code": world.lot.code},
        "kho/may/<str:code>": {"code": allocation.device.code},
        "nguon-luc/cam-ket/<str:code>": {"code": world.lot.pledge.code},
        "phu-song/truong/<str:code>": {"code": school.code},
        "diem-song/<str:code>": {"code": point.code},
        "co-quan/<str:code>": {"code": school.office.code},
        "vai-tro/<int:pk>": {"pk": role.pk},
        "danh-sach/<int:pk>": {"pk": student_list.pk, "number": 1},
        "hoc-sinh/<int:pk>": {"pk": allocation.student_id},
    }
