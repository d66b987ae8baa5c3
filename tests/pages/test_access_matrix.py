"""The matrix: every address of the house × every kind of person × own and foreign objects.

Addresses find themselves, and what is expected comes from the views' own declarations; a short table written by hand
says it again for what is most sensitive. A page with an object in its address that is in neither `FOREIGN` nor
`SHARED` fails the test, so a new page can't be forgotten.
"""

import html
import re
from urllib.parse import urljoin, urlsplit

import pytest
from allauth.mfa.models import Authenticator
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, resolve

from allocation.models import AllocationRun, Applicant
from common.access import access_of
from schools.models import Office, StaffRole
from tests.delivery_world import AT
from tests.house import _client

Role, Kind = StaffRole.Role, Office.Kind
pytestmark = [pytest.mark.django_db, pytest.mark.long]

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

FOREIGN = (
    "van-chuyen/mat/<int:pk>",
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


def _ask(client: Client, verb: str, path: str, data: dict[str, str] | None = None):
    """The answer, read to its end, so that what it streams from is closed."""
    response = getattr(client, verb)(path, data)
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
