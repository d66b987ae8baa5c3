"""Large tables asked for: written in the background, given only to who asked and still may, gone after some days."""

import datetime as dt
import io

import openpyxl
import pytest
from django.core.files.storage import default_storage
from django.db import transaction
from django.utils import timezone

from accounts.models import PersonalDataAccess
from common import requested_files
from common.models import Job, RequestedFile
from common.tasks import clear_expired, write_requested_file
from schools.models import Student
from tests.delivery_world import make_world

pytestmark = pytest.mark.django_db(transaction=True)
ADDRESS = "/tep-yeu-cau/"


@pytest.fixture(autouse=True)
def _own_uploads(settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path


@pytest.fixture
def world():
    with transaction.atomic():
        return make_world(per_school=3)


def ask(client, kind: str = "hoc-sinh", filters: str = "") -> RequestedFile:
    answer = client.post(ADDRESS, {"loai": kind, "loc": filters})
    assert answer.status_code == 302
    return RequestedFile.objects.get(pk=answer.url.rstrip("/").rsplit("/", 1)[1])


def write(requested: RequestedFile) -> Job:
    """What the worker does with the message."""
    job = Job.objects.for_subject(requested).get()
    write_requested_file(job_id=str(job.pk))
    job.refresh_from_db()
    return job


def fetch(client, requested: RequestedFile) -> list[tuple]:
    answer = client.get(f"{ADDRESS}{requested.pk}/tai/")
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]
    book = openpyxl.load_workbook(io.BytesIO(answer.getvalue()))
    return [row for sheet in book for row in sheet.iter_rows(values_only=True)]


def test_asked_for_written_and_fetched_with_no_live_formula(world, sign_in):
    staff = world.people["department"]
    client = sign_in(staff)
    Student.objects.order_by("pk").filter(school=world.schools[0]).update(full_name="=HYPERLINK(1)")
    requested = ask(client)
    page = client.get(f"{ADDRESS}{requested.pk}/").content.decode()
    assert "Đang chờ đến lượt" in page
    polled = client.get(f"{ADDRESS}{requested.pk}/", headers={"HX-Request": "true"}).content.decode()
    assert 'hx-trigger="every 2s"' in polled
    assert "<html" not in polled
    early = client.get(f"{ADDRESS}{requested.pk}/tai/", follow=True).content.decode()
    assert "Tệp chưa sẵn sàng" in early
    assert write(requested).state == "done"
    assert "Tải tệp Excel" in client.get(f"{ADDRESS}{requested.pk}/").content.decode()
    head, *rows = fetch(client, requested)
    seen = Student.objects.for_user(staff)
    assert head[4] == "Họ và tên"
    assert sorted(row[4] for row in rows) == sorted(seen.values_list("full_name", flat=True))
    book = openpyxl.load_workbook(io.BytesIO(default_storage.open(requested.file_name).read()))
    assert {cell.data_type for row in book.active.iter_rows() for cell in row} <= {"s", "n"}
    read = PersonalDataAccess.objects.get(subject_id=str(requested.pk))
    assert read.row_count == len(rows) == seen.count()
    assert "Học sinh, sinh viên" in client.get(ADDRESS).content.decode()


def test_the_filter_of_the_page_holds_in_the_file(world, sign_in):
    client = sign_in(world.people["department"])
    Student.objects.filter(pk=world.allocations[0].student_id).update(search_key="tran thi rieng")
    requested = ask(client, filters="q=Trần+Thị+Riêng&trang=2")
    write(requested)
    assert len(fetch(client, requested)) == 2


def test_a_long_list_of_schools_is_asked_for_a_short_one_given_at_once(world, sign_in, monkeypatch):
    client = sign_in(world.people["mic"])
    assert "Tải danh sách Excel" in client.get("/phu-song/truong/").content.decode()
    monkeypatch.setattr("coverage.views.schools.DIRECT_ROWS", 2)
    page = client.get("/phu-song/truong.xlsx?state=unknown", follow=True)
    assert page.request["QUERY_STRING"] == "state=unknown"
    assert "Yêu cầu tệp Excel" in page.content.decode()
    requested = ask(client, "truong-internet", "state=unknown")
    assert write(requested).state == "done"
    head, *rows = fetch(client, requested)
    assert head[4] == "Kết nối"
    assert [row[4] for row in rows] == ["Chưa rõ"] * len(world.schools)


def test_a_second_click_asks_for_nothing_more(world, sign_in):
    client = sign_in(world.people["department"])
    assert ask(client).pk == ask(client).pk
    assert ask(client, filters="q=an").pk != ask(client).pk
    assert Job.objects.count() == RequestedFile.objects.count() == 2


def test_it_is_nobody_elses_and_not_for_a_changed_post(world, sign_in):
    staff = world.people["department"]
    requested = ask(sign_in(staff))
    write(requested)
    addresses = [f"{ADDRESS}{requested.pk}/", f"{ADDRESS}{requested.pk}/tai/"]
    other = sign_in(world.people["programme"])
    assert [other.get(address).status_code for address in addresses] == [404, 404]
    assert other.post(f"{ADDRESS}{requested.pk}/xoa/").status_code == 404
    role = staff.staff_roles.get()
    role.pk = None
    role.role = "viewer" if role.role != "viewer" else "clerk"
    role.save()
    again = sign_in(staff)
    assert [again.get(address).status_code for address in addresses] == [404, 404]
    assert "Học sinh, sinh viên" not in again.get(ADDRESS).content.decode()


def test_a_post_that_ended_meanwhile_gets_no_file(world, sign_in):
    staff = world.people["department"]
    requested = ask(sign_in(staff))
    staff.staff_roles.update(ended_at=timezone.now(), ended_by=staff)
    job = write(requested)
    assert job.state == "failed"
    assert "Vai trò của thầy/cô đã thay đổi" in job.message
    assert not default_storage.exists(requested.file_name)


def test_a_table_that_is_not_for_the_post_cannot_be_asked_for(world, sign_in):
    client = sign_in(world.people["department"])
    for kind in ("thiet-bi", "kiem-toan-nhan-hai-may", "khong-co", ""):
        assert client.post(ADDRESS, {"loai": kind}).status_code == 404
    assert not RequestedFile.objects.exists()


def test_every_table_on_offer_can_be_written(world, sign_in):
    staff = world.people["programme"]
    client = sign_in(staff)
    kinds = [kind for kind, offered in requested_files.offers.items() if offered.may(staff)]
    assert "thiet-bi" in kinds
    assert len(kinds) > 3
    for kind in kinds:
        requested = ask(client, kind)
        job = write(requested)
        assert job.state == "done", (kind, job.message)
        assert fetch(client, requested)


def test_its_time_ends_and_what_no_row_knows_is_cleared(world, sign_in):
    client = sign_in(world.people["department"])
    requested, kept = ask(client), ask(client, filters="q=an")
    write(requested)
    write(kept)
    RequestedFile.objects.filter(pk=requested.pk).update(
        created_at=timezone.now() - dt.timedelta(days=4), expires_on_clock_at=timezone.now()
    )
    orphan = default_storage.save("requested/la.xlsx", io.BytesIO(b"x"))
    assert client.get(f"{ADDRESS}{requested.pk}/tai/").status_code == 404
    clear_expired()
    assert [default_storage.exists(name) for name in (requested.file_name, orphan)] == [False, False]
    assert default_storage.exists(kept.file_name)
    assert [one.pk for one in RequestedFile.objects.all()] == [kept.pk]


def test_it_can_be_stopped_and_dropped(world, sign_in):
    client = sign_in(world.people["department"])
    requested = ask(client)
    stopped = client.post(f"{ADDRESS}{requested.pk}/dung/", headers={"HX-Request": "true"}).content.decode()
    assert "Thầy/cô đã dừng việc này." in stopped, stopped
    assert write(requested).state == "cancelled"
    again = ask(client)
    write(again)
    client.post(f"{ADDRESS}{again.pk}/xoa/")
    assert not default_storage.exists(again.file_name)
    assert not RequestedFile.objects.filter(pk=again.pk).exists()


def test_too_many_files_are_refused_with_what_to_do(world, sign_in):
    client = sign_in(world.people["department"])
    for number in range(requested_files.MOST_KEPT):
        ask(client, filters=f"q={number}")
    answer = client.post(ADDRESS, {"loai": "hoc-sinh", "loc": "q=nua"}, follow=True).content.decode()
    assert "Hãy tải hoặc xoá bớt" in answer


def test_a_long_list_is_asked_for_and_a_short_one_given_at_once(world, sign_in, monkeypatch):
    client = sign_in(world.people["department"])
    direct = client.get("/hoc-sinh/tai-ve/")
    assert direct["Content-Disposition"].endswith('"hoc-sinh.xlsx"')
    assert direct.getvalue().startswith(b"PK")
    monkeypatch.setattr("schools.views.students.DIRECT_ROWS", 1)
    page = client.get("/hoc-sinh/").content.decode()
    assert "Yêu cầu tệp Excel" in page
    assert "Tải Excel" not in page
    assert "bấm «Yêu cầu tệp Excel»" in client.get("/hoc-sinh/tai-ve/", follow=True).content.decode()


def test_more_rows_than_a_sheet_holds_go_on_to_another(world, sign_in, monkeypatch):
    monkeypatch.setattr("common.exports.XLSX_MAX_ROWS", 2)
    client = sign_in(world.people["department"])
    requested = ask(client)
    assert write(requested).state == "done"
    book = openpyxl.load_workbook(io.BytesIO(default_storage.open(requested.file_name).read()))
    count = Student.objects.for_user(world.people["department"]).count()
    assert len(book.worksheets) == -(-count // 2) > 1
    assert sum(sheet.max_row - 1 for sheet in book) == count
