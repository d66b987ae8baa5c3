"""The public's pages and files, the ministries', the auditor's: opened, refused, and fed with wrong input."""

import csv
import datetime as dt
import gzip
import json
import re

import pytest
from django.db import connection, transaction
from django.template.loader import render_to_string
from django.test.utils import CaptureQueriesContext

from allocation.models import AllocationRun
from common.models import Programme
from coverage.services import add_points
from dashboards import opendata, services, stuck
from dashboards.models import Story
from dashboards.views.ministry import letter_texts
from delivery.services import dispatch, hand_over, open_record, plan_shipments, receive_shipment
from donations.services import make_pledge, register_donor
from schools.models import AdministrativeUnit, Office, StaffRole
from tests.delivery_world import AT, _office, _person, carry, make_world

pytestmark = pytest.mark.django_db
DAY = AT.date()


@pytest.fixture
def world(db):
    with transaction.atomic():
        world = make_world(per_school=1)
        audit = _office(Office.Kind.AUDIT, "KT", "Kiểm toán Nhà nước", world.programme)
        world.people["auditor"] = _person("kiem.toan", audit, StaffRole.Role.AUDITOR)
    Programme.objects.update_or_create(pk=1, defaults={"is_demonstration": True, "today_on": DAY})
    services.store_figures(by=world.people["programme"], at=AT)
    return world


PUBLIC = [
    "/", "/en/", "/gia-dinh/", "/cach-tinh/", "/en/cach-tinh/", "/tin-tuc/", "/tin-tuc.rss", "/nha-tai-tro/", "/en/nha-tai-tro/",
    "/sao-ke/", "/en/sao-ke/", "/du-lieu-mo/", "/en/du-lieu-mo/", "/huy-hieu.svg", "/api/v1/", "/api/v1/schema/",
    "/tien-do-theo-tinh.csv", "/tinh/thanh-pho-ho-chi-minh/", "/en/tinh/thanh-pho-ho-chi-minh/",
    *[f"/du-lieu-mo/{slug}.{kind}" for slug in opendata.DATASETS for kind in opendata.FORMATS],
    *[f"/api/v1/{slug}/" for slug in opendata.DATASETS],
]  # fmt: skip


def test_public_pages_open_without_cookie_or_inline_code(client, world):
    for path in PUBLIC:
        response = client.get(path)
        assert response.status_code == 200, path
        assert not response.cookies, path
        body = response.getvalue()  # also closes the file behind it
        if response["Content-Type"].startswith("text/html"):
            html = body.decode()
            for inline in ("style=", "<script>", "onclick"):
                assert inline not in html, path
            # The first view stays under 150 KB with the styles (about 35 KB) and four fonts (67 KB).
            assert len(gzip.compress(body)) < 40_000, path


def test_the_home_page_says_as_of_when_and_that_figures_are_a_demonstration(client, world):
    html = client.get("/").content.decode()
    assert "09:00 ngày 15/11/2021" in html
    assert "Số liệu minh họa" in html
    assert "trên 63 địa phương" in html
    assert "Quần đảo Hoàng Sa" in html


def test_the_home_page_opens_before_the_first_figures(client, db):
    html = client.get("/").content.decode()
    assert "Chưa có kỳ số liệu nào" in html


def test_an_english_page_is_english_and_leads_back(client, world):
    html = client.get("/en/").content.decode()
    assert '<html lang="en">' in html
    assert 'href="/"' in html
    assert "National progress" in html


MISSING = [
    "/tinh/khong-co/",
    "/tin-tuc/khong-co/",
    "/sao-ke/THU-KHONGCO/",
    "/du-lieu-mo/figures.exe",
    "/du-lieu-mo/pupils.csv",
    "/du-lieu-mo/ban-ngay/2021-11-15/..%2Fmanifest.json",
    "/du-lieu-mo/ban-ngay/../manifest.json",
    "/api/v1/devices/XXXXXXXXXXXX/",
    "/api/v1/devices/7K3QF9XW2MDC/",
]


def test_what_does_not_exist_is_404(client, world):
    assert {path: client.get(path).status_code for path in MISSING} == dict.fromkeys(MISSING, 404)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        *(
            (f"limit={number}", "Cần một số nguyên từ 1 đến 1.000")
            for number in ("x", "-1", "0", "2000", "٣")
        ),
        ("offset=100", "Hãy dùng after"),
        *((f"after={place}", "Không có chỗ này") for place in ("x", "-1", "٣", "9" * 20)),
    ],
)
def test_the_api_says_what_is_wrong_with_a_page(client, world, query, said):
    response = client.get(f"/api/v1/figures/?{query}")
    assert response.status_code == 400
    assert said in response.content.decode()


@pytest.mark.parametrize(
    "place", ["x", "2021-10-05", "2021-13-05~a~0", "2021-10-05~a~" + "9" * 20, "~~", "~"]
)
def test_the_api_knows_no_place_that_no_page_gave(client, world, place):
    assert client.get("/api/v1/history/", {"after": place}).status_code == 400


def test_what_a_file_has_for_true_and_false_is_said_beside_the_column(client, world):
    said = {
        row.name: str(row.description)
        for row in opendata.DATASETS["provinces"].fields
        if row.type == "boolean"
    }
    rows = list(
        csv.DictReader(client.get("/du-lieu-mo/provinces.csv").getvalue().decode("utf-8-sig").splitlines())
    )
    assert {row["is_demonstration"] for row in rows} == {"1"}
    assert said == {"is_demonstration": "Số liệu minh họa (CSV: 1 đúng, 0 không)"}
    others = [row for one in opendata.DATASETS.values() for row in one.fields if row.type == "boolean"]
    assert all("CSV: 1 đúng, 0 không" in str(row.description) for row in others)


def test_the_api_pages_through_every_set(client, world):
    _points(world, 9)
    for slug, dataset in opendata.DATASETS.items():
        whole, read, after = list(dataset.objects()), [], ""
        while after is not None:
            answer = client.get(f"/api/v1/{slug}/", {"limit": 2, "after": after}).json()
            assert len(answer["rows"]) <= 2
            read += answer["rows"]
            after = answer["next"]
        assert read == json.loads(json.dumps(whole)), slug
    assert len(list(opendata.DATASETS["points"].objects())) == 9
    assert len(list(opendata.DATASETS["history"].objects())) >= 7


def test_the_api_walks_no_rows_to_a_page_far_down(client, world):
    _points(world, 3_000)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE coverage_coveragepoint")
        with CaptureQueriesContext(connection) as asked:
            rows = client.get("/api/v1/points/", {"after": "D01000"}).json()["rows"]
        (query,) = (q["sql"] for q in asked.captured_queries if '"coverage_coveragepoint"' in q["sql"])
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}")
        plan = json.dumps(cursor.fetchone()[0])
    assert (len(rows), rows[0]["code"]) == (100, "D01001")
    assert "Index Cond" in plan
    assert max(float(count) for count in re.findall(r'"Actual Rows": ([0-9.]+)', plan)) <= 101, plan


def _points(world, count: int) -> None:
    place = {
        "commune_id": world.commune.pk,
        "province_id": world.province.pk,
        "operator_id": world.operator.pk,
    }
    rows = ({"code": f"D{number:05}", "name": f"Bản {number}"} for number in range(count))
    more = {"latitude": None, "longitude": None, "is_urgent": False, "deadline_on": dt.date(2021, 12, 31)}
    add_points(by=world.people["mic"], rows=(row | place | more for row in rows))


def test_the_api_shows_a_devices_entries_by_its_full_code_only(client, world):
    from_log = world.codes(world.schools[0])[0]
    assert client.get(f"/api/v1/devices/{from_log}/").status_code == 404  # not in the public log yet
    assert "devices/" not in json.dumps(client.get("/api/v1/provinces/").json())


def test_open_data_may_be_read_by_pages_of_others(client, world):
    response = client.get("/du-lieu-mo/figures.json")
    assert response["Access-Control-Allow-Origin"] == "*"
    assert json.loads(response.getvalue())["dataset"] == "figures"


def test_the_statement_bears_any_filter(client, world):
    for query in ["?since=hôm+qua", "?trang=x", "?trang=99999", "?direction=up", "?words=" + "%27%25" * 20]:
        assert client.get(f"/sao-ke/{query}").status_code == 200, query


def test_news_appear_on_their_day_and_not_before(client, world):
    for slug, day in (("hom-nay", DAY), ("ngay-mai", DAY + dt.timedelta(days=1))):
        Story.objects.create(slug=slug, title=slug, summary="Tóm tắt", body="Nội dung", published_on=day)
    assert client.get("/tin-tuc/hom-nay/").status_code == 200
    assert client.get("/tin-tuc/ngay-mai/").status_code == 404
    feed = client.get("/tin-tuc.rss").content.decode()
    assert "hom-nay" in feed
    assert "ngay-mai" not in feed


STEERING = [
    "/dieu-hanh/", "/dieu-hanh/dang-ket/", "/dieu-hanh/dang-ket/?csv=1", "/dieu-hanh/dang-ket/?viec=held",
    "/dieu-hanh/tinh/thanh-pho-ho-chi-minh/",
]  # fmt: skip
NATIONAL = ["/dieu-hanh/bao-cao/", "/dieu-hanh/bao-cao.pdf", "/dieu-hanh/bao-cao.xlsx"]
AUDIT = [
    "/kiem-toan/", "/kiem-toan/nhan-hai-may/", "/kiem-toan/ton-kho/?csv=1", "/kiem-toan/may/", "/kiem-toan/mau/",
    "/kiem-toan/mau/?hat=XSMB+12345&so=5", "/kiem-toan/mau/?hat=&so=0", "/kiem-toan/mau/?hat=a&so=5&tinh=%27",
]  # fmt: skip


@pytest.mark.parametrize("name", ["programme", "moet", "mic"])
def test_the_ministries_open_their_pages(sign_in, world, name):
    client = sign_in(world.people[name])
    for path in STEERING + NATIONAL:
        response = client.get(path)
        assert response.status_code == 200, path
        assert response.getvalue(), path


def test_a_run_says_need_cap_allocated_sent_and_received_apart(sign_in, db):
    with transaction.atomic():
        made = make_world()
        AllocationRun.objects.update(
            summary={
                "cells": [
                    {"province": "VN2021-79", "group": "poor", "need": 40, "served": 10},
                    {"province": "VN2021-01", "group": "poor", "need": 7, "served": 0},
                ]
            }
        )
        AdministrativeUnit.objects.create(
            level="province", code="01", name="Hà Nội", full_name="Thành phố Hà Nội", slug="ha-noi",
            valid_from=dt.date(2004, 1, 1),
        )  # fmt: skip
    path = f"/dieu-hanh/dot/{made.run.code}/"

    def numbers(name="programme"):
        text = sign_in(made.people[name]).get(f"{path}?csv=1").getvalue().decode("utf-8-sig")
        return {row[0]: [int(cell) for cell in row[1:]] for row in list(csv.reader(text.splitlines()))[1:]}

    city, capital = "Thành phố Hồ Chí Minh", "Thành phố Hà Nội"
    assert numbers() == {capital: [7, 0, 0, 0, 0, 0], city: [40, 10, 9, 0, 0, 0]}
    (shipment,) = plan_shipments(by=made.people["keeper"], at=AT)
    dispatch(by=made.people["keeper"], shipment=shipment, at=AT)
    assert numbers()[city] == [40, 10, 9, 9, 0, 0]
    late = made.codes(made.schools[0])[0]
    receive_shipment(
        by=made.people["department"], shipment=shipment, results={late: "missing"}, rest="arrived", at=AT
    )
    assert numbers("department") == {city: [40, 10, 9, 8, 8, 0]}
    html = sign_in(made.people["programme"]).get(path).content.decode()
    assert "Tất cả" in html
    assert "Hạn mức" in html
    assert sign_in(made.people["programme"]).get("/dieu-hanh/dot/DPB-0/").status_code == 404


def test_a_province_sees_itself_and_not_the_nations_report(sign_in, world):
    client = sign_in(world.people["department"])
    for path in NATIONAL:
        assert client.get(path).status_code == 404, path
    assert "Thành phố Hồ Chí Minh" in client.get("/dieu-hanh/").content.decode()


def test_a_province_does_not_see_another(sign_in, world):
    from_elsewhere = world.province.__class__.objects.create(
        level="province",
        code="01",
        name="Hà Nội",
        full_name="Thành phố Hà Nội",
        slug="ha-noi",
        valid_from=dt.date(2004, 1, 1),
    )
    assert (
        sign_in(world.people["department"]).get(f"/dieu-hanh/tinh/{from_elsewhere.slug}/").status_code == 404
    )


def test_a_school_opens_none_of_them(sign_in, world):
    client = sign_in(world.people["school"])
    for path in STEERING + NATIONAL + AUDIT:
        assert client.get(path).status_code == 404, path


def test_nobody_opens_them_without_signing_in(client, world):
    for path in [*STEERING, *NATIONAL, *AUDIT, "/viec-can-lam/"]:
        response = client.get(path)
        assert response.status_code == 302, path
        assert "tai-khoan" in response["Location"]


def test_the_auditor_opens_every_question(sign_in, world):
    client = sign_in(world.people["auditor"])
    for path in AUDIT:
        assert client.get(path).status_code == 200, path


def test_the_auditor_finds_the_holder_of_a_device_and_no_child(sign_in, world):
    client = sign_in(world.people["auditor"])
    allocation = world.allocations[0]
    html = client.get("/kiem-toan/may/", {"may": allocation.device.code.lower()}).content.decode()
    assert world.warehouse.name in html
    assert allocation.student.full_name not in html


@pytest.mark.parametrize(
    ("typed", "answer"),
    [("khong-phai-ma", "Mã này không đúng"), ("", "Hãy điền mục này."), ("7K3QF9XW2MDC", "Không có máy nào")],
)
def test_a_wrong_code_is_explained(sign_in, world, typed, answer):
    html = sign_in(world.people["auditor"]).get("/kiem-toan/may/", {"may": typed}).content.decode()
    assert answer in html or "Mã này không đúng" in html


def test_a_sample_is_drawn_in_a_province_of_the_programme_and_leads_to_the_devices(sign_in, world):
    now = world.province
    AdministrativeUnit.objects.create(
        code="79", name=now.name, full_name=now.full_name, level="province", vintage="2025", public_code="VN2025-79",
        valid_from=dt.date(2025, 7, 1),
    )  # fmt: skip
    carry(world)
    record = open_record(
        by=world.people["school"], school=world.schools[0], class_name="", held_on=DAY, at=AT
    )
    (code,) = world.codes(world.schools[0])
    hand_over(by=world.people["school"], record=record, rows=[{"device": code}], at=AT)
    page = (
        sign_in(world.people["auditor"])
        .get("/kiem-toan/mau/", {"hat": "XSMB", "so": 5, "tinh": now.public_code})
        .text
    )
    assert page.count("Hồ Chí Minh</option>") == 1
    assert f'href="/kho/may/{code}/"' in page


def test_there_is_no_letter_where_nothing_waits(sign_in, world):
    client = sign_in(world.people["moet"])
    assert client.get(f"/dieu-hanh/don-doc/held/{world.schools[0].office.code}/").status_code == 404
    assert client.get("/dieu-hanh/don-doc/gi-day/CT/").status_code == 404


def test_a_letter_is_drawn_as_pdf_for_what_is_stuck(sign_in, world):
    world.lot.devices.filter(pk=world.allocations[0].device_id).update(
        state="received", accepted_at=None, accepted_by=None
    )
    client = sign_in(world.people["moet"])
    path = f"/dieu-hanh/don-doc/inspection/{world.warehouse.code}"
    html = client.get(f"{path}/").content.decode()
    assert "Kính gửi: Kho trung ương" in html
    assert "1 máy, từ ngày 01/10/2021" in html
    assert client.get(f"{path}.pdf").content.startswith(b"%PDF-")
    assert "<strong>Bộ Giáo dục và Đào tạo</strong>" in html
    assert "để Bộ Giáo dục và Đào tạo cùng tháo gỡ" in html


def test_nobody_writes_to_the_own_office(sign_in, world):
    make_pledge(
        by=None, donor=register_donor(by=None, kind="individual", name="Hoa", at=AT), kind="device",
        device_kind="tablet", quantity=5, at=AT - dt.timedelta(days=90),
    )  # fmt: skip
    address = f"/dieu-hanh/don-doc/pledge/{world.programme.code}/"
    assert address in sign_in(world.people["moet"]).get("/dieu-hanh/dang-ket/").text
    own = sign_in(world.people["programme"])
    assert "Cam kết chưa được xác nhận" in (page := own.get("/dieu-hanh/dang-ket/").text)
    assert address not in page
    assert own.get(address).status_code == 404


@pytest.mark.parametrize(
    ("kind", "count", "said"),
    [("money", 141_250, "141,25 tỷ đồng"), ("money", 750, "750.000.000 đ"), ("held", 1234, "1.234 máy")],
)
def test_what_waits_is_counted_as_one_says_it(kind, count, said):
    row = stuck.Waiting(stuck.KINDS[kind], "Kho trung ương", "KHO-TW", "", count, AT.date(), 9)
    assert row.amount == said
    letter = letter_texts(row, sender="Bộ Giáo dục và Đào tạo", today=AT.date())
    assert f": {said}, từ ngày" in letter["paragraphs"][1]
    assert ("em nhỏ học thiếu" in letter["paragraphs"][-1]) == (row.kind.unit == "máy")
    assert said in render_to_string("components/stuck_table.html", {"rows": [row]})


def test_everyone_has_a_page_of_what_to_do(sign_in, world):
    for name in ["programme", "keeper", "department", "district", "school", "moet", "mic", "auditor"]:
        html = sign_in(world.people[name]).get("/viec-can-lam/").content.decode()
        assert "Vai trò của thầy/cô" in html, name


def test_someone_without_a_role_reads_what_to_do_about_it(sign_in, world, user):
    html = sign_in(user).get("/viec-can-lam/").content.decode()
    assert "chưa có vai trò nào" in html


def test_the_menu_shows_only_rooms_that_open(sign_in, world):
    html = sign_in(world.people["school"]).get("/viec-can-lam/").content.decode()
    assert "/dieu-hanh/" not in html
    html = sign_in(world.people["moet"]).get("/viec-can-lam/").content.decode()
    assert 'href="/dieu-hanh/"' in html
