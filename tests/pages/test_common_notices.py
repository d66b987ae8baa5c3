"""What everyone is told above the pages, forms that are closed for a while, and the administrator's view of the machinery."""

import datetime as dt

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.models import User
from common import jobs, notices
from common.models import Banner, Job, Programme, SentMail, Switch

pytestmark = pytest.mark.django_db
NOW = timezone.now()


@pytest.fixture
def administrator(sign_in):
    return sign_in(User.objects.create_superuser("quan.tri@example.vn", full_name="Quản Trị"))


def banner(**more):
    kept = {"text": "Bảo trì 22 giờ tối nay", "shows_from": NOW, "shows_until": NOW + dt.timedelta(hours=2)}
    return Banner.objects.create(**kept | more)


def test_a_notice_stands_above_pages_in_their_language_while_its_time_lasts(
    client, django_assert_num_queries
):
    banner(text_en="Maintenance at 22:00 tonight", is_warning=True)
    notices.publish(at=NOW + dt.timedelta(minutes=1))
    with django_assert_num_queries(0):
        assert notices.current()
    assert "Bảo trì 22 giờ tối nay" in client.get("/ung-ho/").content.decode()
    assert "Maintenance at 22:00 tonight" in client.get("/en/ung-ho/").content.decode()
    notices.publish(at=NOW + dt.timedelta(hours=3))
    assert "Bảo trì" not in client.get("/ung-ho/").content.decode()


def test_a_notice_saved_by_the_administrator_shows_at_once(administrator):
    form = {
        "text": "Hạn gửi danh sách: 30/11", "shows_from_0": "01/01/2021", "shows_from_1": "00:00",
        "shows_until_0": "01/01/2199", "shows_until_1": "00:00",
    }  # fmt: skip
    assert administrator.post("/quan-tri/common/banner/add/", form).status_code == 302
    assert "Hạn gửi danh sách: 30/11" in administrator.get("/ung-ho/").content.decode()


@pytest.mark.parametrize(
    ("name", "path"), [("pledges", "/ung-ho/"), ("grievances", "/phan-anh/"), ("pledges", "/en/ung-ho/")]
)
def test_a_closed_form_says_why_and_keeps_the_page_open(client, name, path):
    Switch.objects.create(name=name, is_on=False, why="Hệ thống nâng cấp, nhận lại từ 6 giờ ngày mai.")
    assert client.get(path).status_code == 200
    response = client.post(path, {"text": "Máy hỏng"})
    assert response.status_code == 503
    assert "nhận lại từ 6 giờ ngày mai" in response.content.decode()
    assert "chưa được ghi" in response.content.decode()


def test_closing_a_form_needs_a_reason():
    with pytest.raises(IntegrityError, match="switch_off_says_why"), transaction.atomic():
        Switch.objects.create(name="pledges", is_on=False)


def test_the_administrator_sees_work_and_mail_and_sends_failed_work_again(administrator):
    by = User.objects.system()
    subject = Programme.objects.get_or_create(pk=1)[0]
    job = jobs.hand_over(by=by, kind="tests.none", subject=subject)
    Job.objects.filter(pk=job.pk).update(state="failed", message="Tệp bị hỏng")
    SentMail.objects.create(
        kind="pledge", subject_type="donations.pledge", subject_id="7", recipient_hash=b"x", error="SMTPError"
    )
    assert "Tệp bị hỏng" in administrator.get("/quan-tri/common/job/").content.decode()
    mail = administrator.get("/quan-tri/common/sentmail/").content.decode()
    assert "SMTPError" in mail
    administrator.post("/quan-tri/common/job/", {"action": "send_again", "_selected_action": [str(job.pk)]})
    job.refresh_from_db()
    assert (job.state, job.message) == ("queued", "")
    administrator.post("/quan-tri/common/job/", {"action": "stop", "_selected_action": [str(job.pk)]})
    job.refresh_from_db()
    assert job.state == "cancelled"
