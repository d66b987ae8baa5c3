"""What every request passes through: reads that can't write, pages for what went wrong, readiness, metrics."""

import io
import logging

import pytest
import time_machine
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import InternalError, close_old_connections
from django.test import Client, RequestFactory

from common.tasks import beat
from common.throttle import is_too_often
from sms_program.logs import config

READ_ONLY = "read-only transaction"


@pytest.fixture(autouse=True)
def _misbehaving_addresses(settings):
    settings.ROOT_URLCONF = "tests.pages.urls_ground"


@pytest.fixture
def answers() -> Client:
    """A client that shows the page a person would see, instead of raising."""
    return Client(raise_request_exception=False)


@pytest.mark.django_db
@pytest.mark.parametrize("address", ["/thu/ghi", "/thu/ghi-giao-dich", "/thu/ghi-sql"])
def test_a_get_that_writes_is_refused_by_the_database_inside_a_transaction(client, address):
    with pytest.raises(InternalError, match=READ_ONLY):
        client.get(address)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("address", ["/thu/ghi", "/thu/ghi-giao-dich", "/thu/ghi-sql"])
def test_a_get_that_writes_is_refused_by_the_database_and_nothing_stays(client, address):
    with pytest.raises(InternalError, match=READ_ONLY):
        client.get(address)
    assert not get_user_model().objects.exists()
    # The connection is handed to the next request able to write.
    assert client.post(address.replace("-sql", "")).status_code == 200


@pytest.mark.django_db
def test_a_view_with_a_reason_may_write_on_get(client):
    assert client.get("/thu/ghi-co-ly-do").status_code == 200
    assert get_user_model().objects.count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("address", ["/thu/mat-csdl", "/thu/mat-csdl-truoc-trang"])
def test_a_lost_database_gives_a_page_that_says_so_and_the_next_request_works(answers, address):
    lost = answers.get(address)
    assert lost.status_code == 503
    assert lost["Retry-After"]
    assert "chưa được ghi" in lost.content.decode()
    # What Django does at the end of each real request; the test client leaves it out.
    close_old_connections()
    assert answers.get("/healthz/ready").status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize("address", ["/thu/het-cho-csdl", "/thu/het-cho-tep"])
def test_a_full_disk_gives_a_page_that_says_so(answers, address):
    full = answers.get(address)
    assert full.status_code == 503
    assert full["Retry-After"]
    assert "hết chỗ lưu" in full.content.decode()
    assert "chưa được ghi" in full.content.decode()


@pytest.mark.django_db
def test_a_lost_broker_gives_a_page_that_says_so(answers):
    lost = answers.post("/thu/mat-hang-doi")
    assert lost.status_code == 503
    assert "Hàng đợi" in lost.content.decode()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("address", "status", "words"),
    [
        ("/khong-co-trang-nay", 404, "Không có trang này"),
        ("/thu/cam", 403, "không được làm việc đó"),
        ("/thu/ngo", 400, "không hiểu yêu cầu"),
        ("/thu/loi", 500, "Đây không phải lỗi của bạn"),
    ],
)
def test_what_went_wrong_is_said_in_vietnamese_and_names_nobody(answers, address, status, words):
    answer = answers.get(address)
    page = answer.content.decode()
    assert answer.status_code == status
    assert words in page
    assert page.count("<h1>") == 1
    assert "012345678901" not in page
    assert "Traceback" not in page


@pytest.mark.django_db
def test_what_no_column_can_hold_is_no_error_of_ours(answers):
    for answer in (answers.get("/thu/tim?ma=a%00b"), answers.post("/thu/tim?ma=a%00b")):
        assert answer.status_code == 400
        assert "không hiểu yêu cầu" in answer.content.decode()
    assert answers.get("/thu/tim?ma=ab").status_code == 200


@pytest.mark.django_db
def test_a_form_without_its_token_is_refused_with_a_way_out():
    answer = Client(enforce_csrf_checks=True).post("/thu/ghi")
    assert answer.status_code == 403
    assert "Biểu mẫu đã hết hạn" in answer.content.decode()


@pytest.mark.django_db
def test_every_page_carries_the_strict_policy(client):
    policy = client.get("/khong-co").headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy


@pytest.mark.django_db
def test_readiness_tells_of_a_worker_that_has_not_worked(client):
    assert client.get("/healthz/ready").json()["worker"] == "not yet"
    beat("worker")
    assert client.get("/healthz/ready").json() == {
        "ready": True,
        "database": "ok",
        "broker": "ok",
        "worker": "ok",
    }
    with pytest.raises(SystemExit) as ended:
        call_command("heartbeat", "worker", stderr=io.StringIO())
    assert ended.value.code == 0


@pytest.mark.django_db
def test_a_process_without_a_heartbeat_is_unhealthy():
    with pytest.raises(SystemExit) as ended:
        call_command("heartbeat", "worker", stderr=io.StringIO())
    assert ended.value.code == 1


@pytest.mark.django_db
def test_metrics_need_their_token(client, settings):
    settings.METRICS_TOKEN = "bi-mat"
    assert client.get("/metrics").status_code == 403
    answer = client.get("/metrics", headers={"Authorization": "Bearer bi-mat"})
    assert answer.status_code == 200
    assert "sms_queue_length" in answer.content.decode()


@pytest.mark.django_db
def test_the_request_log_holds_neither_addresses_nor_persons(answers, capsys):
    handler = logging.StreamHandler(stream := io.StringIO())
    structured = config(level="INFO", json=True)["formatters"]["structured"]
    handler.setFormatter(structured["()"](**{key: value for key, value in structured.items() if key != "()"}))
    logger = logging.getLogger("request")
    logger.addHandler(handler)
    try:
        answers.get("/healthz/ready?ten=Nguyen")
        answers.get("/cam-ket/CK-KHONG-CO/")
        answers.get("/thu/loi")
        logger.error(
            "hỏng: lan@example.vn, 001201000123, DETAIL: Key (identity)=(001201000123) already exists"
        )
    finally:
        logger.removeHandler(handler)
    written = stream.getvalue()
    assert "request.answered" in written
    # Of an error its kind and place, never its text.
    assert "request.failed" in written
    assert "urls_ground.py" in written
    assert not any(
        text in written
        for text in ["Nguyen", "Nguyễn Văn A", "CK-KHONG-CO", "lan@example.vn", "001201000123"]
    )


@pytest.mark.parametrize("kind", ["filebased.FileBasedCache", "locmem.LocMemCache"])
def test_an_hour_s_limit_lasts_the_hour(settings, tmp_path, kind):
    settings.CACHES = {
        "default": {"BACKEND": f"django.core.cache.backends.{kind}", "LOCATION": str(tmp_path)},
    }
    request = RequestFactory().post("/")
    told = []
    for minute in (0, 10, 59, 61):
        with time_machine.travel(f"2021-11-15T09:{minute:02}:00Z" if minute < 60 else "2021-11-15T10:01:00Z"):
            told.append(is_too_often(request, what="thu", limit=2, seconds=3600))
    assert told == [False, False, True, False]
