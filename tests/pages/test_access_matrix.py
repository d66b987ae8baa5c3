"""The matrix: every address of the house × every kind of person × own and foreign objects.

Addresses find themselves, and what is expected comes from the views' own declarations; a short table written by hand
says it again for what is most sensitive. A page with an object in its address that is in neither `FOREIGN` nor
`SHARED` fails the test, so a new page can't be forgotten.
"""

import datetime as dt
import html
import re
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

import pytest
from allauth.mfa.models import Authenticator
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, resolve

from accounts.models import User
from allocation.models import AllocationPolicy, AllocationRun, Applicant
from common.access import access_of
from coverage.models import CoveragePoint, Operator, OperatorMember
from delivery.models import Grievance, HandoverRecord, Shipment
from schools.models import Office, School, StaffRole, StudentList
from tests.delivery_world import AT, BEFORE, World, _office, _unit, make_world
from tests.signing_in import pass_second_factor

Role, Kind = StaffRole.Role, Office.Kind
pytestmark = pytest.mark.django_db

# --- addresses ------------------------------------------------------------------------------------------------

# Values of no object: an address with them is of nothing, for everyone.
NOTHING = {
    "int": "999999999",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "slug": "khong-co",
    "str": "KHONG-CO",
}
PARAMETER = re.compile(r"<(?:(\w+):)?(\w+)>")
# Needs a real file behind it or belongs to a library whose own tests cover it.
LIBRARIES = ("quan-tri/", "tai-khoan/", "en/")


def addresses(resolver: URLResolver | None = None, prefix: str = ""):
    """Every (route, view) with a route that can be filled in."""
    for entry in (resolver or get_resolver()).url_patterns:
        route = prefix + str(entry.pattern)
        if isinstance(entry, URLPattern):
            yield route, entry.callback
        else:
            yield from addresses(entry, route)


def fill(route: str, values: dict[str, object] | None = None) -> str:
    values = values or {}
    return "/" + PARAMETER.sub(lambda m: str(values.get(m[2], NOTHING.get(m[1] or "str", "x"))), route)


PAGES = [
    (route, access_of(view))
    for route, view in addresses()
    if not route.startswith(LIBRARIES) and not set(PARAMETER.sub("", route)) & set("^$(?\\")
]
CLOSED = [(route, access) for route, access in PAGES if not access.is_public]

# --- people ---------------------------------------------------------------------------------------------------

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


@pytest.fixture
def house() -> House:
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


FOREIGN = (
    "van-chuyen/<str:code>", "ban-giao/bien-ban/<str:code>", "ban-giao/<str:code>", "phan-anh/xu-ly/<str:code>",
    "phan-bo/dot/<str:code>/hoc-sinh/<int:student>", "phan-bo/dot/<str:code>", "phan-bo/thu-hoi/<int:allocation>",
    "kho/lo/<str:code>", "kho/may/<str:code>", "nguon-luc/cam-ket/<str:code>", "phu-song/truong/<str:code>",
    "diem-song/<str:code>", "co-quan/<str:code>", "vai-tro/<int:pk>", "danh-sach/<int:pk>", "hoc-sinh/<int:pk>",
)  # fmt: skip
# Objects that no single office owns, with the reason why there is nothing foreign about them.
SHARED = {
    "van-chuyen/thu-hoi/": "recalls are national orders of the programme and the ministry",
    "phan-bo/chinh-sach/": "policies are national and published",
    "phan-bo/so-sanh/": "comparisons count, they name nobody",
    "phan-bo/cat-giam/<int:pk>": "tested with two provinces in test_allocation_pages",
    "phan-bo/thu-hoi/<int:pk>": "tested with two provinces in test_allocation_pages",
    "kho/tieu-chi/": "criteria are national and published",
    "kho/cam-ket/": "any warehouse may receive what a donor brings",
    "nguon-luc/don-mua/": "orders are tested by office in test_donations_resources",
    "nen-tang/ra-soat/": "platforms are reviewed by both ministries together",
    "danh-sach/nghi-trung/": "duplicate cases span offices by nature; tested in test_schools_lists_pages",
    "dieu-hanh/": "the ministries' dashboard is national",
    "kiem-toan/": "an auditor sees everything",
    "so-cai/hang-doi/": "requests to correct the public log are handled by the programme for the nation",
    "tep-yeu-cau/": "a file is shown to whoever asked for it; tested in test_dashboards_files",
}


def _ask(client: Client, verb: str, path: str):
    """The answer, read to its end, so that what it streams from is closed."""
    response = getattr(client, verb)(path)
    if response.streaming:
        response.getvalue()
    return response


# --- the matrix -----------------------------------------------------------------------------------------------


def _kind(response) -> str:
    if response.status_code == 302 and "/tai-khoan/login/" in response.url:
        return "sign in"
    if response.status_code == 302 and "/tai-khoan/" in response.url:
        return "second factor"
    if response.status_code in {401, 403}:
        return "sign in"
    if response.status_code == 404:
        return "hidden"
    if response.status_code >= 500:
        return f"error {response.status_code} {getattr(response, 'exc_info', None)}"
    return "answered"


def test_a_stranger_reaches_only_what_is_declared_public():
    client = Client(raise_request_exception=False)
    wrong = []
    for route, access in PAGES:
        for verb in ("get", "post"):
            kind = _kind(_ask(client, verb, fill(route)))
            if kind.startswith("error") or (kind != "sign in") is not access.is_public:
                wrong.append((route, access.name, kind))
    assert not wrong, "\n".join(map(str, wrong))


def test_every_post_opens_exactly_what_the_pages_declare(house):
    """The right post reaches the page (which may then know no such object), every other finds nothing there."""
    wrong = []
    for route, access in CLOSED:
        members = access.alternatives or (access,)
        for post, client in house.own.items():
            may = any(member.test(house.people[post]) for member in members)
            kind = _kind(_ask(client, "get", fill(route)))
            has_object = bool(PARAMETER.search(route))
            fine = {"answered", "hidden"} if may and has_object else {"answered"} if may else {"hidden"}
            if kind not in fine:
                wrong.append((route, access.name, post, kind))
    assert not wrong, "\n".join(map(str, wrong))


def test_without_the_second_factor_no_staff_page_opens(house):
    wrong = []
    for route, access in CLOSED:
        members = access.alternatives or (access,)
        if all(member.second_factor == "never" for member in members):
            continue
        for post, user in house.people.items():
            mine = [member for member in members if member.test(user)]
            if not mine or any(member.second_factor == "never" for member in mine):
                continue
            client = _client(user, second_factor=False)
            for verb in ("get", "post"):
                if (kind := _kind(_ask(client, verb, fill(route)))) != "second factor":
                    wrong.append((route, post, kind))
            break
    assert not wrong, "\n".join(map(str, wrong))
    assert not Authenticator.objects.exists()


def test_no_page_with_an_object_is_forgotten():
    forgotten = [
        route
        for route, _ in CLOSED
        if PARAMETER.search(route) and not route.startswith(FOREIGN) and not route.startswith(tuple(SHARED))
    ]
    assert not forgotten


@pytest.mark.parametrize("verb", ["get", "post"])
def test_nobody_reaches_an_object_of_another_province(house, verb):
    """404, whatever the post, for reading and for writing; 405 says only that the address takes the other verb."""
    leaks = []
    for route, _access in CLOSED:
        beginning = next((known for known in house.objects if route.startswith(known)), None)
        if beginning is None or route.startswith(tuple(SHARED)):
            continue
        path = fill(route, house.objects[beginning])
        for name, client in house.neighbours.items():
            response = _ask(client, verb, path)
            if response.status_code not in {404, 405}:
                leaks.append((route, name, response.status_code))
    assert not leaks, "\n".join(map(str, leaks))


def test_the_owner_reaches_the_same_objects(house):
    """The counter-check: these addresses are of real objects, which the right people do open; none breaks."""
    opened, broken = set(), []
    for route, _access in CLOSED:
        beginning = next((known for known in house.objects if route.startswith(known)), None)
        if beginning is None or route.startswith(tuple(SHARED)):
            continue
        for post, client in house.own.items():
            response = _ask(client, "get", fill(route, house.objects[beginning]))
            if response.status_code == 200:
                opened.add(beginning)
            elif (kind := _kind(response)).startswith("error"):
                broken.append((route, post, kind))
    assert not broken, "\n".join(map(str, broken))
    assert opened == set(house.objects)


SENSITIVE = {
    "nhat-ky/": {(Role.AUDITOR, Kind.AUDIT), (Role.MANAGER, Kind.PROGRAMME)},
    "nhat-ky/doc-du-lieu/": {(Role.AUDITOR, Kind.AUDIT), (Role.MANAGER, Kind.PROGRAMME)},
    "co-quan/": {(Role.MANAGER, Kind.PROGRAMME), (Role.MANAGER, Kind.PROVINCE_DEPARTMENT)},
    "co-quan/<str:code>/moi/": {(Role.MANAGER, Kind.PROGRAMME), (Role.MANAGER, Kind.PROVINCE_DEPARTMENT)},
    "phan-bo/dot/<str:code>/phe-duyet/": {
        (Role.APPROVER, Kind.PROGRAMME),
        (Role.APPROVER, Kind.PROVINCE_DEPARTMENT),
    },
    "phan-bo/chinh-sach/<int:pk>/cong-bo/": {(Role.APPROVER, Kind.PROGRAMME)},
    "kho/lo/<str:code>/kiem-dinh/": {(Role.INSPECTOR, Kind.WAREHOUSE)},
    "kho/lo/<str:code>/nhap/": {(Role.KEEPER, Kind.WAREHOUSE)},
    "ban-giao/bien-ban/<str:code>/ky/": {(Role.CLERK, Kind.SCHOOL), (Role.CLERK, Kind.DISTRICT_OFFICE)},
}


def test_the_most_sensitive_pages_are_for_whom_we_wrote_down(house):
    declared = dict(CLOSED)
    found = {
        route: {
            post
            for post, user in house.people.items()
            if any(member.test(user) for member in declared[route].alternatives or (declared[route],))
        }
        for route in SENSITIVE
    }
    assert found == SENSITIVE


def test_the_ministry_of_information_reaches_no_child(house):
    client = house.own[(Role.VIEWER, Kind.MIC)]
    children = ("hoc-sinh/", "danh-sach/", "ban-giao/", "phan-bo/dot/<str:code>/hoc-sinh/")
    for route, _ in CLOSED:
        if route.startswith(children):
            beginning = next((known for known in house.objects if route.startswith(known)), None)
            path = fill(route, house.objects[beginning] if beginning else None)
            assert _ask(client, "get", path).status_code in {404, 405}, route


# --- links ----------------------------------------------------------------------------------------------------

LINK = re.compile(r'<a\b[^>]*?\bhref="([^"#]*)')
CLICKS = 3


def _links(client: Client, start: str, tried: dict[str, int]) -> list[tuple[str, str, int]]:
    """Follow every link of the staff's pages from `start`, up to CLICKS deep; (page, link, status) of those that fail.

    `tried` remembers public pages, which answer everyone alike; from those one goes no further.
    """
    dead, seen, now = [], {start.lstrip("/")}, [("", start)]
    for _ in range(CLICKS + 1):
        found = []
        for page, path in now:
            address = urlsplit(path).path
            is_public = access_of(resolve(address).func).is_public
            status = tried.get(path)
            if status is None:
                response = client.get(path)
                body = response.getvalue() if response.streaming else response.content
                status = response.status_code
                if is_public:
                    tried[path] = status
                elif response.get("Content-Type", "").startswith("text/html"):
                    found += [
                        (path, urljoin(path, html.unescape(link))) for link in LINK.findall(body.decode())
                    ]
            if status >= 400:
                dead.append((page, path, status))
        now = []
        for page, link in found:
            if not link.startswith("/") or link.startswith(LEAVES):
                continue
            # Of addresses that differ only in their object or filter one is tried.
            route = resolve(urlsplit(link).path).route
            if route not in seen:
                seen.add(route)
                now.append((page, link))
    return dead


# Signing out ends the crawl; scripts, fonts and the languages' own tests are elsewhere.
LEAVES = ("//", "/tai-khoan/", "/quan-tri/", "/static/", "/en/")


def test_no_link_leads_where_the_reader_may_not_go(house):
    """Every post follows every link that it is shown: none ends in a refusal, a missing page or an error."""
    AllocationRun.objects.filter(code="DPB-79").update(
        state=AllocationRun.State.FROZEN,
        frozen_at=AT,
        frozen_by=house.world.people["programme"],
        applicant_count=1,
    )
    allocation = house.world.allocations[0]
    Applicant.objects.create(
        run=AllocationRun.objects.get(code="DPB-79"), student_id=allocation.student_id, code="HS-2",
        school_id=house.world.schools[0].pk, group=0, is_priority=True, household=-1, held=0,
    )  # fmt: skip
    tried: dict[str, int] = {}
    dead = []
    for post, client in house.own.items():
        dead += [(post, *where) for where in _links(client, "/viec-can-lam/", tried)]
    assert not dead, "\n".join(map(str, dead))
    assert len(tried) > 10
