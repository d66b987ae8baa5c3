"""Pages of whoever reaches very much: lists counted so far, nobody's name unasked, what takes long on request."""

import pytest
from django.db import connection, transaction

from accounts.models import PersonalDataAccess
from common.models import Programme
from common.paging import MOST_COUNTED
from common.planning import MANY
from delivery.models import Shipment
from schools.forms.lists import MOST_OFFERED
from schools.models import Office, StaffRole, Student
from schools.views.audit import PAGE, event_models
from tests import delivery_world
from tests.delivery_world import AT, World, make_world

pytestmark = pytest.mark.django_db


def a_world(*, per_school: int) -> World:
    Programme.objects.create(today_on=AT.date(), is_demonstration=True)
    with transaction.atomic():
        return make_world(per_school=per_school)


@pytest.fixture
def world(db):
    return a_world(per_school=3)


@pytest.fixture
def large_world(db):
    """Three schools with more pupils and devices than are counted or looked at unasked."""
    return a_world(per_school=max(MOST_COUNTED, MANY) // 3 + 1)


def copy_rows(model, pk: int, count: int, **instead: str) -> None:
    """Insert `count` copies of a row; `instead` gives columns their own SQL, in which `n` counts from 1."""
    columns = {
        field.column for field in model._meta.concrete_fields if not field.primary_key
    } - instead.keys()
    names = ", ".join([f'"{column}"' for column in [*columns, *instead]])
    values = ", ".join([*(f'o."{column}"' for column in columns), *instead.values()])
    table, key = model._meta.db_table, model._meta.pk.column
    with connection.cursor() as cursor:
        cursor.execute(
            f'INSERT INTO {table} ({names}) SELECT {values} FROM {table} o, generate_series(1, %s) n WHERE o."{key}" = %s',
            [count, pk],
        )


def test_no_pupil_of_a_large_place_is_shown_before_a_name_is_typed(large_world, sign_in):
    client = sign_in(large_world.people["department"])
    child = Student.objects.order_by("pk").first()
    page = client.get("/hoc-sinh/").content.decode()
    assert "có hơn 10.000 em" in page
    assert "Hãy gõ họ tên" in page
    assert child.full_name not in page
    readings = PersonalDataAccess.objects.using("journal")
    assert not readings.exists()
    found = client.get("/hoc-sinh/", {"q": child.full_name})
    assert child.full_name in found.content.decode()
    assert readings.get().row_count == len(found.context["page_obj"].object_list)


def test_a_list_is_counted_so_far_and_says_that_there_is_more(world, sign_in):
    auditor = delivery_world._person(
        "kiem.toan",
        Office.objects.create(
            kind=Office.Kind.AUDIT, code="KT", name="Kiểm toán", path="/CT/KT/", parent=world.programme,
            valid_from=AT.date(),
        ),
        StaffRole.Role.AUDITOR,
    )  # fmt: skip
    events = event_models()["schools.office"]
    copy_rows(events, events.objects.order_by("pk").first().pk, MOST_COUNTED + 1)
    page = sign_in(auditor).get("/nhat-ky/", {"loai": "schools.office"}).content.decode()
    assert "trong hơn 10.000; hãy tìm hoặc lọc" in page
    assert f"trang={MOST_COUNTED // PAGE}" in page
    assert f"trang={MOST_COUNTED // PAGE + 1}" not in page


def test_a_small_store_sees_at_once_where_its_devices_go(world, sign_in):
    assert "Có thể chuyển tiếp ngay" in sign_in(world.people["keeper"]).get("/van-chuyen/").content.decode()


def test_a_large_store_looks_where_its_devices_go_when_asked(large_world, sign_in):
    client = sign_in(large_world.people["keeper"])
    assert "Có thể chuyển tiếp ngay" not in client.get("/van-chuyen/").content.decode()
    assert "Có thể chuyển tiếp ngay" in client.get("/van-chuyen/?xem-truoc=1").content.decode()
    assert client.post("/van-chuyen/soan/").status_code == 302
    assert Shipment.objects.filter(state="draft").count() == 1


def test_an_office_among_too_many_is_given_by_its_code(world, sign_in):
    school = world.schools[0].office
    copy_rows(
        Office,
        school.pk,
        MOST_OFFERED,
        code="o.code || '-' || n",
        path="replace(o.path, o.code, o.code || '-' || n)",
        name="o.name || n",
    )
    client = sign_in(world.people["department"])
    page = client.get("/nhu-cau/khao-sat/").content.decode()
    assert "Ghi mã đơn vị" in page
    assert 'select name="office"' not in page
    figure = {
        "group": "poor", "level": "primary", "counted_on": AT.strftime("%d/%m/%Y"), "students_without_computer": "7",
        "source": "Rà soát",
    }  # fmt: skip
    wrong = client.post("/nhu-cau/khao-sat/", figure | {"office": "S-99"})
    assert wrong.status_code == 422
    assert "không phụ trách đơn vị nào mang mã này" in wrong.content.decode()
    assert client.post("/nhu-cau/khao-sat/", figure | {"office": world.department.code}).status_code == 302
