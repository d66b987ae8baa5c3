"""Jobs without a broker: claimed once, ended by what happened, swept when silent."""

import datetime as dt

import pytest
from django.db import IntegrityError, connections, transaction
from django.utils import timezone

from accounts.models import User
from common import jobs
from common.models import Job, Programme

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def job():
    by = User.objects.create_user("can.bo@example.vn", full_name="Lê Văn Cán")
    subject = Programme.objects.get_or_create(pk=1)[0]
    return jobs.hand_over(by=by, kind="tests.none", subject=subject, total_rows=10)


def ended(job) -> tuple[str, str]:
    job.refresh_from_db()
    return job.state, job.message


def test_work_that_ends_is_done(job):
    with jobs.claim(str(job.pk)) as claimed:
        claimed.progress(10, 10)
    assert ended(job) == ("done", "")
    assert job.done_rows == 10


def test_progress_is_seen_while_the_work_is_in_a_transaction(job):
    with jobs.claim(str(job.pk)) as claimed, transaction.atomic():
        claimed.progress(4, 10, step="đọc tệp")
        seen = Job.objects.using("journal").get(pk=job.pk)
    assert (seen.done_rows, seen.step) == (4, "đọc tệp")


def test_a_second_delivery_stays_out_while_the_first_works_and_afterwards(job, raw_connection):
    key = job.pk.int & (2**63 - 1)
    raw_connection.execute("SELECT pg_advisory_lock(%s)", [key])
    with jobs.claim(str(job.pk)) as claimed:
        assert claimed is None
    raw_connection.execute("SELECT pg_advisory_unlock(%s)", [key])
    with jobs.claim(str(job.pk)) as claimed:
        assert claimed is not None
    with jobs.claim(str(job.pk)) as claimed:
        assert claimed is None


def test_a_reason_is_shown_and_an_error_is_not(job):
    with jobs.claim(str(job.pk)):
        raise jobs.CannotContinue("Tệp không phải bảng tính. Hãy lưu lại thành .xlsx rồi tải lên.")
    assert ended(job) == ("failed", "Tệp không phải bảng tính. Hãy lưu lại thành .xlsx rồi tải lên.")


def test_an_unforeseen_error_fails_the_job_and_goes_on(job):
    with pytest.raises(ZeroDivisionError), jobs.claim(str(job.pk)):
        raise ZeroDivisionError("012345678901")
    state, message = ended(job)
    assert state == "failed"
    assert "012345678901" not in message
    assert "thử lại" in message


def test_a_lost_database_leaves_the_job_to_be_done_again(job):
    lost = connections["default"].Database.OperationalError
    with pytest.raises(lost), jobs.claim(str(job.pk)):
        raise lost("server closed the connection unexpectedly")
    assert ended(job)[0] == "running"


def test_who_asked_may_stop_it_before_and_while_it_runs(job):
    with jobs.claim(str(job.pk)) as claimed:
        jobs.request_cancel(by=job.created_by, job=job)
        claimed.progress(10, 10)
    assert ended(job)[0] == "cancelled"


def test_one_unfinished_job_of_a_kind_per_subject(job):
    with pytest.raises(IntegrityError, match="job_one_unfinished_per_subject"):
        jobs.hand_over(by=job.created_by, kind=job.kind, subject=Programme.objects.get())


def test_the_sweeper_sends_silent_work_again_and_gives_up_at_last(job):
    now = timezone.now()
    assert jobs.sweep(at=now) == 0
    assert jobs.sweep(at=now + dt.timedelta(minutes=2)) == 1
    Job.objects.update(attempts=jobs.MAX_ATTEMPTS)
    assert jobs.sweep(at=now + dt.timedelta(minutes=2)) == 0
    assert ended(job)[0] == "failed"
    assert "quản trị" in job.message


def test_silent_work_that_a_living_process_holds_is_left_alone(job, raw_connection):
    now = timezone.now() + dt.timedelta(minutes=2)
    Job.objects.update(state="running", attempts=jobs.MAX_ATTEMPTS, beat_at=timezone.now())
    key = job.pk.int & (2**63 - 1)
    raw_connection.execute("SELECT pg_advisory_lock(%s)", [key])
    assert jobs.sweep(at=now) == 0
    assert ended(job)[0] == "running"
    raw_connection.execute("SELECT pg_advisory_unlock(%s)", [key])
    jobs.sweep(at=now)
    assert ended(job)[0] == "failed"


def test_an_administrator_sends_failed_work_again(job):
    with jobs.claim(str(job.pk)):
        raise jobs.CannotContinue("Tệp bị hỏng.")
    jobs.restart(by=job.created_by, job=job)
    assert ended(job) == ("queued", "")
    with jobs.claim(str(job.pk)) as claimed:
        assert claimed is not None
    jobs.restart(by=job.created_by, job=job)
    assert ended(job)[0] == "done"


def test_the_database_refuses_a_state_that_does_not_follow(job):
    with jobs.claim(str(job.pk)):
        pass
    with pytest.raises(IntegrityError, match="Không chuyển được"):
        Job.objects.filter(pk=job.pk).update(state="queued")
