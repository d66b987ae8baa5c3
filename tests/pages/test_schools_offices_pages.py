"""Pages of offices and of the trail, by a head of the programme and by people who may not."""

import datetime as dt

import pytest
from django.core import mail
from django.urls import reverse

from accounts.models import User
from accounts.services import record_reading
from allocation.models import Allocation
from common.models import SentMail
from coverage.models import DataPlan, Operator
from delivery.models import PhoneHandover
from schools.models import ListRow, Office, StaffRole, Student
from schools.tasks import send_invitation
from schools.views.audit import event_models
from tests.services.test_schools_offices import AT, Role, World, make_student, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def world() -> World:
    return World()


def test_a_head_finds_an_office_and_invites_a_person(client, sign_in, world):
    sign_in(world.head)
    assert "P-001" in client.get(reverse("schools:office_list"), {"q": "P-001"}).content.decode()
    page = reverse("schools:invite", args=["P-001"])
    response = client.post(page, {"full_name": "Cô Lan", "email": "lan@example.vn", "role": "clerk"})
    assert response.url == reverse("schools:office", args=["P-001"])
    role = StaffRole.objects.get(user__email="lan@example.vn")
    assert role.granted_by == world.head
    assert "Cô Lan" in client.get(response.url).content.decode()
    send_invitation(role_id=role.pk)
    send_invitation(role_id=role.pk)
    assert len(mail.outbox) == 1
    assert "Gửi mã đăng nhập qua thư" in mail.outbox[0].body
    assert SentMail.objects.get(kind="invitation").delivered_on_clock_at


def test_an_incompatible_role_is_explained_and_what_was_typed_stays(client, sign_in, world):
    sign_in(world.head)
    user = make_user("hai-vai")
    world.give(user, world.department, Role.CLERK)
    page = reverse("schools:invite", args=["S-01"])
    response = client.post(page, {"full_name": "Hai Vai", "email": user.email, "role": "approver"})
    assert "người lập không được duyệt" in response.content.decode()
    assert "Hai Vai" in response.content.decode()
    assert user.staff_roles.count() == 1


def test_a_role_ends_after_a_question(client, sign_in, world):
    sign_in(world.head)
    role = world.give(make_user("chuyen-vien"), world.department, Role.CLERK)
    page = reverse("schools:end_role", args=[role.pk])
    assert "Thu vai trò" in client.get(page).content.decode()
    client.post(page)
    role.refresh_from_db()
    assert role.ended_by == world.head


def test_the_last_head_reads_why_not(client, sign_in, world):
    sign_in(world.head)
    role = StaffRole.objects.get(user=world.head)
    assert "phụ trách cuối cùng" in client.post(reverse("schools:end_role", args=[role.pk])).content.decode()


def test_a_school_merges_on_the_page(client, sign_in, world):
    sign_in(world.head)
    page = reverse("schools:close_office", args=[world.school.code])
    wrong = client.post(page, {"successor": "KHONG-CO", "reason": "QĐ 1", "confirm": "on"})
    assert "Không có cơ quan nào mang mã này" in wrong.content.decode()
    client.post(page, {"successor": world.other_school.code, "reason": "QĐ 1", "confirm": "on"})
    assert Office.objects.get(pk=world.school.pk).successor == world.other_school.office
    assert "Đã ngừng" in client.get(reverse("schools:office_list")).content.decode()


def test_a_head_of_a_province_manages_no_other_and_not_itself(client, sign_in, world):
    head = make_user("phu-trach-so")
    world.give(head, world.department, Role.MANAGER)
    sign_in(head)
    assert client.get(reverse("schools:office", args=["P-001"])).status_code == 200
    assert client.get(reverse("schools:office", args=["S-75"])).status_code == 404
    assert client.get(reverse("schools:close_office", args=["S-01"])).status_code == 404
    assert client.post(reverse("schools:invite", args=["S-75"]), {}).status_code == 404


def test_the_trail_says_who_when_before_and_after(client, sign_in, world):
    sign_in(world.head)
    client.post(reverse("schools:rename_office", args=["P-001"]), {"name": "Phòng GD&ĐT mới"})
    page = client.get(
        reverse("schools:changes"), {"loai": "schools.office", "ma": world.district.pk}
    ).content.decode()
    assert "Cơ quan P-001 → Phòng GD&amp;ĐT mới" in page
    assert str(world.head) in page
    assert reverse("schools:rename_office", args=["P-001"]) in page
    by_another = client.get(
        reverse("schools:changes"), {"loai": "schools.office", "nguoi": "khac@example.vn"}
    )
    assert "Chưa có thay đổi nào" in by_another.content.decode()


def test_what_turns_the_direction_of_writing_is_left_out_and_staff_are_told(client, sign_in, world):
    sign_in(world.head)
    for hidden in "\u200e\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069":
        page = client.post(
            reverse("schools:rename_office", args=["P-001"]),
            {"name": f"Phòng{hidden} 👨\u200d👧"},
            follow=True,
        )
        world.district.refresh_from_db()
        assert world.district.name == "Phòng 👨\u200d👧"
        assert "Đã bỏ khỏi những gì thầy/cô vừa gửi các ký tự ẩn" in page.content.decode()
        world.district.name = "Phòng cũ"
        world.district.save()


def test_the_trail_sees_raw_sql_and_bulk_changes_too(client, sign_in, world):
    sign_in(world.head)
    User.objects.filter(pk=world.head.pk).update(phone="0900000000")
    page = client.get(
        reverse("schools:changes"), {"loai": "accounts.user", "ma": world.head.pk}
    ).content.decode()
    assert "0900000000" in page
    assert "Trực tiếp trên cơ sở dữ liệu" in page


@pytest.mark.parametrize("asked", ["5", "²", "9" * 25, "không"])
def test_the_trail_of_every_kind_bears_any_key(client, sign_in, world, asked):
    sign_in(world.head)
    for kind in event_models():
        answer = client.get(reverse("schools:changes"), {"loai": kind, "ma": asked})
        assert answer.status_code == 200, kind


def test_the_trail_says_of_a_child_s_row_what_changed_and_not_from_what_to_what(client, sign_in, world):
    plan = DataPlan.objects.create(
        student=make_student(world.school), operator=Operator.objects.create(code="VT", name="Viettel"),
        device_code="M1", daily_mb=4096, starts_on=AT.date(), ends_on=AT.date() + dt.timedelta(days=90), started_at=AT, started_by=world.head,
    )  # fmt: skip
    DataPlan.objects.update(sim_number="0987654321")
    sign_in(world.head)
    page = client.get(reverse("schools:changes"), {"loai": "coverage.dataplan", "ma": plan.pk}).text
    assert "số SIM" in page
    assert "0987654321" not in page


def test_every_kind_of_a_child_s_row_is_marked_for_the_trail():
    """An allocation has no name, number or text of anybody in it."""
    of_children = {
        model.pgh_tracked_model
        for model in event_models().values()
        if {Student, ListRow} & {field.related_model for field in model.pgh_tracked_model._meta.fields}
    }
    assert {Student, *of_children} - {Allocation} == {
        model.pgh_tracked_model
        for model in event_models().values()
        if model.pgh_tracked_model.is_about_children
    } - {PhoneHandover}


@pytest.mark.django_db(transaction=True)
def test_readings_of_personal_data_are_kept_and_shown_with_their_reason(client, sign_in):
    world = World()
    record_reading(
        by=world.head, subject_type="schools.student", subject_id=7, fields="họ tên", reason="đối chiếu hồ sơ"
    )
    sign_in(world.head)
    page = client.get(reverse("schools:readings"), {"nguoi": world.head.email}).content.decode()
    assert "đối chiếu hồ sơ" in page


def test_the_trail_is_closed_to_those_who_are_not_to_see_it(client, sign_in, world):
    clerk = make_user("chuyen-vien")
    world.give(clerk, world.department, Role.MANAGER)
    sign_in(clerk)
    assert client.get(reverse("schools:changes")).status_code == 404
    assert client.get(reverse("schools:readings")).status_code == 404
