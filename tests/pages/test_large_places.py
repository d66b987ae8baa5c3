"""Pages of whoever reaches very much: lists counted so far, nobody's name unasked, what takes long on request."""

import pytest
from django.db import transaction

from accounts.models import PersonalDataAccess
from common.models import Programme
from delivery.models import Shipment
from schools.models import Office, StaffRole, Student
from tests import delivery_world
from tests.delivery_world import AT, make_world

pytestmark = pytest.mark.django_db


@pytest.fixture
def world(db):
    Programme.objects.create(today_on=AT.date(), is_demonstration=True)
    with transaction.atomic():
        return make_world()


def test_no_pupil_of_a_large_place_is_shown_before_a_name_is_typed(world, sign_in, monkeypatch):
    monkeypatch.setattr("common.paging.MOST_COUNTED", 2)
    client = sign_in(world.people["department"])
    child = Student.objects.order_by("pk").first()
    page = client.get("/hoc-sinh/").content.decode()
    assert "Hãy gõ họ tên" in page
    assert child.full_name not in page
    readings = PersonalDataAccess.objects.using("journal")
    assert not readings.exists()
    found = client.get("/hoc-sinh/", {"q": child.full_name}).content.decode()
    assert child.full_name in found
    assert readings.get().row_count == 1


def test_a_list_is_counted_so_far_and_says_that_there_is_more(world, sign_in, monkeypatch):
    monkeypatch.setattr("common.paging.MOST_COUNTED", 2)
    monkeypatch.setattr("schools.views.audit.PAGE", 1)
    auditor = delivery_world._person(
        "kiem.toan",
        Office.objects.create(
            kind=Office.Kind.AUDIT, code="KT", name="Kiểm toán", path="/CT/KT/", parent=world.programme,
            valid_from=AT.date(),
        ),
        StaffRole.Role.AUDITOR,
    )  # fmt: skip
    page = sign_in(auditor).get("/nhat-ky/", {"loai": "schools.office"}).content.decode()
    assert "trong hơn 2; hãy tìm hoặc lọc" in page
    assert "trang=2" in page
    assert "trang=3" not in page


def test_a_large_store_looks_where_its_devices_go_when_asked(world, sign_in, monkeypatch):
    client = sign_in(world.people["keeper"])
    at_once = client.get("/van-chuyen/").content.decode()
    assert "Có thể chuyển tiếp ngay" in at_once
    monkeypatch.setattr("delivery.services.shipments.MANY", 9)
    page = client.get("/van-chuyen/").content.decode()
    assert "Có thể chuyển tiếp ngay" not in page
    assert "Có thể chuyển tiếp ngay" in client.get("/van-chuyen/?xem-truoc=1").content.decode()
    assert client.post("/van-chuyen/soan/").status_code == 302
    assert Shipment.objects.filter(state="draft").count() == 1


def test_an_office_among_too_many_is_given_by_its_code(world, sign_in, monkeypatch):
    monkeypatch.setattr("schools.forms.lists.MOST_OFFERED", 1)
    client = sign_in(world.people["department"])
    page = client.get("/nhu-cau/khao-sat/").content.decode()
    assert "Ghi mã đơn vị" in page
    assert "<option" not in page.split('name="office"')[0]
    figure = {
        "group": "poor", "level": "primary", "counted_on": AT.strftime("%d/%m/%Y"), "students_without_computer": "7",
        "source": "Rà soát",
    }  # fmt: skip
    wrong = client.post("/nhu-cau/khao-sat/", figure | {"office": "S-99"})
    assert wrong.status_code == 422
    assert "không phụ trách đơn vị nào mang mã này" in wrong.content.decode()
    assert client.post("/nhu-cau/khao-sat/", figure | {"office": world.department.code}).status_code == 302
