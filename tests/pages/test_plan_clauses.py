"""Clauses of the plan that no single room owns, and `docs/clauses.md`: every clause has its page and its test.

That the tests exist holds `tests/test_house.py`, as for every document.
"""

import datetime as dt
import io
import json
import re
from pathlib import Path

import openpyxl
import pytest
import time_machine
from django.conf import settings
from django.db import transaction
from django.urls import Resolver404, resolve
from django.utils.translation import override

from allocation.models import Phase
from common.models import Programme
from coverage.models import SchoolConnectivity
from dashboards import ministry, snapshot
from dashboards.services import store_figures
from delivery.services import (
    dispatch_shipments,
    hand_over,
    open_record,
    plan_shipments,
    receive_shipments,
)
from donations import services as donations
from donations.models import Donor, Pledge
from ledger.sequencer import seal
from schools.models import AdministrativeUnit, Office, School, StaffRole
from schools.services.need import report_figure
from tests import delivery_world
from tests.delivery_world import AT, allocate, carry, make_world
from tests.supply import World

ROOT = Path(settings.BASE_DIR)
ROW = re.compile(
    r"^\| (?P<ids>[IV][^|]*) \| (?P<what>[^|]*) \| (?P<pages>[^|]*) \| (?P<tests>[^|]*) \|$", re.M
)
# The plan's own clauses, as its text numbers them.
CLAUSES = [
    "I.1a",
    "I.1b",
    "I.2a",
    "I.2b",
    "I.2c",
    "I.2d",
    "I.2đ",
    "II.1a",
    "II.1b",
    "II.1c",
    "II.2a",
    "II.2b",
    "II.3a",
    "II.3",
    "II.3b",
    "II.3c",
    "II.3d",
    "III.1b",
    "III.1c",
    "III.1d",
    "III.1đ",
    "III.1e",
    "III.1g",
    "III.1h",
    "III.1i",
    "III.2a",
    "III.2b",
    "III.2c",
    "III.2d",
    "III.2đ",
    "III.2e",
    "III.3d",
    "IV.1",
]
SAMPLES = {"mã": "CK-CZ3664064", "tên-tỉnh": "ha-noi", "trường": "01018001", "đợt": "DPB-2021-01"}


def clauses() -> list[dict]:
    """The rows of docs/clauses.md."""
    return [row.groupdict() for row in ROW.finditer((ROOT / "docs" / "clauses.md").read_text())]


def test_every_clause_names_pages_and_tests_that_exist():
    rows = clauses()
    named = {clause.strip() for row in rows for clause in row["ids"].split(",")}
    assert named >= set(CLAUSES), set(CLAUSES) - named
    for row in rows:
        pages, tests = (re.findall(r"`([^`]+)`", row[key]) for key in ("pages", "tests"))
        assert pages, row
        assert tests, row
        for page in pages:
            _resolves(page)


def _resolves(page: str) -> None:
    address = re.sub(r"<([^>]+)>", lambda found: SAMPLES[found[1]], page)
    with override("vi"):
        try:
            resolve(address)
        except Resolver404:
            pytest.fail(f"không có trang {page}")


@pytest.mark.django_db
def test_a_student_of_a_university_is_reached_without_a_department():
    """Plan I.1a, III.2c: ministry → institution → student; no Sở stands between."""
    with transaction.atomic():
        world = make_world(per_school=0)
        moet = Office.objects.get(kind="moet")
        place = delivery_world._office(
            Office.Kind.UNIVERSITY, "DH-01", "Trường Đại học số 1", moet, world.commune
        )
        university = School.objects.create(
            office=place,
            code="DH-01",
            level=School.Level.UNIVERSITY,
            commune=world.commune,
            district=world.district,
            province=world.province,
            enrolment=4000,
        )
        clerk = delivery_world._person("dai.hoc", place, StaffRole.Role.CLERK)
        allocate(world, university, 2, area=world.province.public_code)
        [shipment] = plan_shipments(by=world.people["programme"], at=AT)
        assert (shipment.from_office, shipment.to_office) == (world.warehouse, place)
        dispatch_shipments(by=world.people["keeper"], shipments=[shipment], at=AT)
        receive_shipments(by=clerk, shipments=[shipment], at=AT)
        record = open_record(by=clerk, school=university, class_name="", held_on=AT.date(), at=AT)
        rows = [{"device": code} for code in world.codes(university)]
        assert len(hand_over(by=clerk, record=record, rows=rows, at=AT)) == 2


@pytest.mark.django_db
def test_the_gap_to_100_percent_counts_schools_teachers_and_students(sign_in):
    """Plan I.1b, III.3d: shown for each, in the nation and in a province."""
    Programme.objects.create(today_on=AT.date(), is_demonstration=True)
    with transaction.atomic():
        world = make_world(per_school=2)
    School.objects.update(teacher_count=40, teachers_without_computer=4)
    SchoolConnectivity.objects.create(
        school=world.schools[0], state="connected", source="Khảo sát", surveyed_on=AT.date()
    )
    found = {gap.name: (gap.total, gap.reached, gap.missing) for gap in ministry.gaps()}
    assert found == {
        "Trường có Internet": (3, 1, 2),
        "Giáo viên có máy": (120, 108, 12),
        "Học sinh thuộc đối tượng đã nhận máy": (6, 0, 6),
        "Riêng hộ nghèo, cận nghèo (giai đoạn 2)": (6, 0, 6),
    }
    assert ministry.gaps(province=world.province.public_code) == ministry.gaps()
    viewer = sign_in(world.people["moet"])
    assert "Khoảng cách đến 100%" in viewer.get("/dieu-hanh/").content.decode()


@pytest.mark.django_db
@pytest.mark.parametrize("kind", Donor.Kind.values)
def test_every_kind_of_donor_can_pledge_without_an_account(client, kind):
    """Plan I.2b, III.1d, III.2d: in the five steps, from the first page to the pledge's own."""
    World().criteria()
    answers = [
        {"donor_kind": kind, "name": "Nhà tài trợ thử", "tax_code": "0101248141", "kind": "device"},
        {"device_kind": "tablet", "quantity": "2", "condition": "new"},
        {"scope": "anywhere"},
        {"contact_name": "Người liên hệ", "contact_email": "ai@example.vn"},
    ]
    address = "/ung-ho/"
    with time_machine.travel("2029-12-31 23:59:30"):
        for step in answers:
            address = client.post(address, step)["Location"]
        client.get(address)
    with time_machine.travel("2030-01-01", tick=True):
        private = client.post(address)["Location"]
    assert client.get(private).status_code == 200
    assert Pledge.objects.get().donor.kind == kind


@pytest.mark.django_db
def test_phase_2_counts_what_the_survey_found_where_no_list_is_yet(sign_in):
    """Plan II.2b: the gap to 100% of poor and near-poor households, by province, from the need survey."""
    Programme.objects.create(today_on=AT.date(), is_demonstration=True)
    with transaction.atomic():
        world = make_world(per_school=2)
    elsewhere = AdministrativeUnit.objects.create(
        level="province", code="49", name="Quảng Nam", full_name="Tỉnh Quảng Nam", slug="quang-nam",
        valid_from=dt.date(2004, 1, 1),
    )  # fmt: skip
    AdministrativeUnit.objects.filter(pk=elsewhere.pk).update(province=elsewhere)
    silent = delivery_world._office(
        Office.Kind.PROVINCE_DEPARTMENT, "S-49", "Sở GD&ĐT Quảng Nam", world.programme, elsewhere
    )
    figure = {
        "level": "upper_secondary",
        "students_without_computer": 300,
        "counted_on": AT.date(),
        "source": "CV 1",
    }
    for group in ("near_poor", "covid_orphan"):
        report_figure(by=world.people["programme"], office=silent, group=group, at=AT, **figure)

    def students(province: str = "") -> list[tuple]:
        return [(gap.total, gap.reached, gap.missing) for gap in ministry.gaps(province=province)[2:]]

    assert students() == [(606, 0, 606), (306, 0, 306)]
    assert students("VN2021-49") == [(600, 0, 600), (300, 0, 300)]
    assert students(world.province.public_code) == [(6, 0, 6), (6, 0, 6)]
    # A phase without a number of devices aims at every child of its own groups, not of all three.
    Phase.objects.update(target_devices=None, groups=["poor", "near_poor"])
    shot = snapshot.latest()
    (phase, *_) = ministry.targets(shot=shot, today=AT.date(), nation=ministry.children())
    assert phase.pace.target == 306
    page = sign_in(world.people["moet"]).get("/dieu-hanh/tinh/quang-nam/").content.decode()
    assert "trong đó 300 em theo số khảo sát, chưa có danh sách" in page


@pytest.fixture
def handed_over(db):
    """Two devices in hand in a nation with a first phase; the figures of the day stored."""
    Programme.objects.create(today_on=AT.date(), is_demonstration=True)
    with transaction.atomic():
        world = make_world(per_school=2)
        carry(world)
    Phase.objects.update(target_devices=1_000_000, clause="II.2a", ends_on=AT.date() + dt.timedelta(days=44))
    school = world.schools[0]
    record = open_record(
        by=world.people["school"],
        school=school,
        class_name="7A",
        held_on=AT.date(),
        at=AT,
        operator=world.operator,
    )
    rows = [{"device": code} for code in world.codes(school)]
    hand_over(by=world.people["school"], record=record, rows=rows, at=AT)
    seal(today=AT.date(), at_once=True)
    store_figures(by=world.people["programme"], at=AT)
    return world


def test_phase_1_stands_against_its_target_with_the_pace_it_needs(handed_over, sign_in):
    """Plan II.2a: 1,000,000 computers within 2021."""
    page = sign_in(handed_over.people["mic"]).get("/dieu-hanh/").content.decode()
    row = re.sub(r"<[^>]+>|\s+", " ", page.split("(II.2a)")[1].split("</tr>")[0])
    assert "1.000.000 máy" in row
    assert "còn 45 ngày" in row
    assert "22.222,2" in row, "999,998 in 45 days, today among them"


def test_the_report_to_the_ministers_is_read_printed_and_exported_with_the_same_figures(handed_over, sign_in):
    """Plan IV.1."""
    client = sign_in(handed_over.people["moet"])
    said = ["Máy đã bàn giao cho học sinh", "2"]
    page = client.get("/dieu-hanh/bao-cao/").content.decode()
    assert re.search(rf"{said[0]}\s*</th>\s*<td[^>]*>\s*{said[1]}\s*<", page)
    book = openpyxl.load_workbook(io.BytesIO(client.get("/dieu-hanh/bao-cao.xlsx").getvalue()))
    assert said in [list(row) for row in book["Kết quả chính"].values]
    assert client.get("/dieu-hanh/bao-cao.pdf").getvalue().startswith(b"%PDF-")


def test_the_press_finds_one_figure_on_the_page_the_badge_and_in_open_data(handed_over, client):
    """Plan III.1g, III.2e."""
    assert ">2</text>" in client.get("/huy-hieu.svg").content.decode()
    rows = json.loads(client.get("/du-lieu-mo/figures.json").getvalue())["rows"]
    assert {row["name"]: row["value"] for row in rows}["handed_over"] == 2
    home = re.sub(r"<[^>]+>|\s+", " ", client.get("/").content.decode())
    assert re.search(r"Máy tính đã đến tay học sinh +2 ", home)


@pytest.mark.django_db
def test_the_telecom_fund_is_reported_apart(sign_in):
    """Plan III.2c: support from the public-utility telecom fund follows the Telecom Law."""
    world = World()
    world.money(2_000_000_000)
    world.money(500_000_000, donor=world.donor("Quỹ Viễn thông"), funding_source="telecom_fund")
    page = sign_in(world.clerk).get("/nguon-luc/tien/")
    by_source = {row[0]: row[1] for row in page.context["by_source"]}
    assert by_source["Quỹ Dịch vụ viễn thông công ích"] == "500.000.000 đ"
    assert by_source["Ủng hộ, tài trợ"] == "2.000.000.000 đ"


@pytest.mark.django_db
def test_a_provinces_own_initiative_stands_beside_the_national_programme(client):
    """Plan I.2c, III.3d: on the province's public page, its own resources first, and nobody who did not agree."""
    world = World()
    Programme.objects.create(today_on=AT.date(), is_demonstration=True)
    world.students(12)
    national = world.pledge(quantity=7, donor=world.donor("Tập đoàn X"), earmark_unit=world.province)
    local, _ = donations.make_pledge(
        by=world.province_clerk,
        donor=world.donor("Quỹ Khuyến học tỉnh", kind="organisation", named=False),
        kind="device",
        device_kind="tablet",
        quantity=5,
        funding_source="local_donation",
        earmark_unit=world.province,
        office=world.department,
        at=AT,
        is_verified=True,
    )
    store_figures(by=world.clerk, at=AT)
    page = client.get("/tinh/yen-bai/").content.decode()
    assert page.index(local.code) < page.index(national.code)
    assert "Huy động tại địa phương" in page
    assert "Quỹ Khuyến học tỉnh" not in page
    assert "Tập đoàn X" in page
    assert local.code not in client.get("/tinh/lao-cai/").content.decode()


@pytest.mark.django_db
def test_schools_find_guidance_that_leads_to_pages_that_exist(client):
    """Plan III.2đ: how to receive, hand over and use the computers and the data."""
    page = client.get("/huong-dan/").content.decode()
    links = set(re.findall(r'href="(/[^"#]*)"', page.split("<main")[1].split("</main>")[0]))
    assert links >= {"/viec-can-lam/", "/nen-tang/", "/phu-song/", "/phan-anh/"}
    for link in links:
        _resolves(link)
    # Plan III.1e: how to check the child protection of each device.
    assert "Bật bảo vệ trẻ em trên mạng" in page
    assert 'href="/huong-dan/"' in client.get("/").content.decode()


@pytest.mark.django_db
def test_a_family_finds_who_gets_a_computer_and_the_draws(client):
    """Plan III.2c: from the first page, the look-up and the foot of every page, in words of a family."""
    page = client.get("/gia-dinh/").content.decode().split("<main")[1].split("</main>")[0]
    assert page.index("hộ nghèo") < page.index("hộ cận nghèo") < page.index("COVID-19")
    links = set(re.findall(r'href="(/[^"#]*)"', page))
    assert links >= {"/phan-bo/cong-khai/", "/phan-anh/", "/tra-cuu/", "/so-cai/yeu-cau/"}
    for link in links:
        _resolves(link)
    for address in ("/", "/tra-cuu/"):
        main = client.get(address).content.decode().split("<main")[1].split("</main>")[0]
        assert 'href="/gia-dinh/"' in main, address
    assert 'href="/gia-dinh/"' in client.get("/phan-anh/").content.decode().split("<footer")[1]


@pytest.mark.django_db
def test_a_page_without_english_is_shown_at_its_own_address(client):
    response = client.get("/en/phu-song/?operator=VNPT")
    assert (response.status_code, response["Location"]) == (302, "/phu-song/?operator=VNPT")
    assert 'href="/phu-song/"' in client.get("/en/").content.decode()
    assert client.get("/en/ung-ho/").status_code == 200


@pytest.mark.django_db
def test_pages_are_sent_compressed(client):
    small = client.get("/", headers={"accept-encoding": "gzip"})
    assert small["Content-Encoding"] == "gzip"
    assert len(small.content) < len(client.get("/").content) / 3
    assert "Content-Encoding" not in client.get("/tien-do-theo-tinh.csv", headers={"accept-encoding": "gzip"})
