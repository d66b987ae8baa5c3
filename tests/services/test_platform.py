"""An installation as several processes over one PostgreSQL and one Redis: scaled out, watched, and with a service away."""

import re
import urllib.error
import urllib.parse
import urllib.request
from http.cookiejar import CookieJar

import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families
from psycopg import sql

from tests.live import Platform, answer, redis_server, wait_until

JOBS = 12
HAND_OVER = f"""
from accounts.models import User
from common import jobs
from common.models import Job
by = User.objects.system()
for number in range({JOBS}):
    subject = User.objects.create_user(f"chu-de-{{number}}@example.vn", full_name="Chủ Đề")
    jobs.hand_over(by=by, kind="tests.leave_effect", subject=subject)
"""
SIGN_IN = """
from django.test import Client
from accounts.models import User
client = Client()
client.force_login(User.objects.create_user("can.bo@example.vn", full_name="Cán Bộ"))
print(client.session.session_key)
"""
PERSON = ("Trần Thị Bí Mật", "bi.mat.tran@example.vn", "0987612345")


@pytest.fixture
def redis(tmp_path):
    with redis_server(tmp_path / "redis") as url:
        yield url


@pytest.fixture
def first(platform, redis) -> Platform:
    # Tasks are ended at three quarters of it: on a busy machine a few seconds would end the one that waits below.
    made = platform(REDIS_URL=redis, VISIBILITY_TIMEOUT_S="240", METRICS_TOKEN="bi-mat", WEB_WORKERS="1")
    made.manage("collectstatic", "--no-input", "--verbosity", "0")
    made.query("CREATE TABLE effect (job uuid NOT NULL)")
    return made


def metrics(installation: Platform) -> dict[str, float]:
    asked = urllib.request.Request(f"{installation.url}/metrics", headers={"Authorization": "Bearer bi-mat"})
    with urllib.request.urlopen(asked, timeout=20) as response:
        families = text_string_to_metric_families(response.read().decode())
    return {sample.name: sample.value for family in families for sample in family.samples}


def test_two_web_and_two_worker_hosts_share_one_database_and_one_redis(first):
    second = Platform(first.database_url, first.folder, **{**first.env, "PORT": ""})
    second.env["PORT"] = str(second.port)
    try:
        first.start("web")
        second.start("web")
        first.python(HAND_OVER)
        waiting = metrics(second)
        assert waiting["sms_queue_length"] == JOBS
        assert 0 <= waiting["sms_queue_age_seconds"] < 120
        assert waiting["sms_jobs_unfinished"] == JOBS
        # A form begun on one host is finished on the other: drafts live in the database, cookies and throttles in Redis.
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
        page = browser.open(f"{first.url}/ung-ho/", timeout=20).read().decode()
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)[1]
        sent = urllib.parse.urlencode(
            {"csrfmiddlewaretoken": token, "donor_kind": "individual", "name": PERSON[0], "kind": "device"}
        )
        with browser.open(f"{second.url}/ung-ho/", sent.encode(), timeout=20) as reached:
            assert reached.status == 200
        # An address and a number, typed into a form and put into an address line, as people do.
        page = browser.open(f"{first.url}/tai-khoan/login/", timeout=20).read().decode()
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)[1]
        tried = {"csrfmiddlewaretoken": token, "login": PERSON[1], "password": PERSON[2]}
        refused = browser.open(
            f"{first.url}/tai-khoan/login/", urllib.parse.urlencode(tried).encode(), timeout=20
        )
        assert PERSON[1] in refused.read().decode()
        for said in PERSON:
            assert answer(f"{second.url}/tra-cuu/?ma={urllib.parse.quote(said)}")[0] in {200, 404, 422}

        first.start("worker", app="tests.worker_app")
        second.start("worker", app="tests.worker_app")
        wait_until(
            "mọi việc xong",
            lambda: first.query("SELECT count(*) FROM common_job WHERE state = 'done'") == [(JOBS,)],
            timeout_s=120,
        )
        assert first.query("SELECT count(*), count(DISTINCT job) FROM effect") == [(JOBS, JOBS)]
        seen = metrics(first)
        for name in ("sms_request_seconds_bucket", "sms_request_seconds_count", "sms_database_bytes"):
            assert seen[name] > 0, name
        assert answer(f"{second.url}/metrics")[0] == 403
        logs = "".join(path.read_text(errors="replace") for path in first.folder.glob("*.log"))
        assert "request.answered" in logs
        assert not [text for text in PERSON if text in logs]
    finally:
        second.kill()


def test_a_page_says_that_the_database_is_away_and_the_work_goes_on_when_it_is_back(first):
    first.start("web")
    (first.folder / "hold").touch()
    first.start("worker", app="tests.worker_app")
    first.python(HAND_OVER.replace(f"range({JOBS})", "range(1)"))
    wait_until(
        "việc đang chạy", lambda: first.query("SELECT state FROM common_job") == [("running",)], timeout_s=90
    )
    session = first.python(SIGN_IN).split()[-1]
    server, name = first.database_url.rsplit("/", 1)
    with psycopg.connect(f"{server}/postgres", autocommit=True) as admin:
        admin.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(sql.Identifier(name)))
        try:
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
            (first.folder / "hold").unlink()
            # A session is read before any page, here in the gate.
            staff = urllib.request.Request(
                f"{first.url}/tai-khoan/", headers={"Cookie": f"sessionid={session}"}
            )
            with pytest.raises(urllib.error.HTTPError, match="503") as refused:
                urllib.request.urlopen(staff, timeout=20)
            refused.value.close()
            status, page = answer(f"{first.url}/phan-anh/PA-ABCDE/")
            assert status == 503
            assert "chưa kết nối được với cơ sở dữ liệu" in page
            assert answer(f"{first.url}/healthz/live")[0] == 200
            assert answer(f"{first.url}/healthz/ready")[0] == 503
        finally:
            admin.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(sql.Identifier(name)))
    wait_until("trang trả lời lại", lambda: answer(f"{first.url}/healthz/ready")[0] == 200)
    assert answer(f"{first.url}/phan-anh/PA-ABCDE/")[0] == 404
    # The sweeper finds what the worker lost (here at once, as beat does every minute).
    sweep = "from common import jobs; import datetime as dt; from django.utils import timezone; jobs.sweep(at=timezone.now() + dt.timedelta(minutes=2))"

    def is_done() -> bool:
        if not first.processes["worker"].is_running:
            first.start("worker", app="tests.worker_app")
        first.python(sweep)
        found = first.query("SELECT state, attempts, message FROM common_job")
        assert found[0][0] == "done", f"{found} {first.processes['worker'].tail(20)}"
        return True

    wait_until("việc xong", is_done, timeout_s=120, every_s=1)
    assert first.query("SELECT count(*) FROM effect") == [(1,)]
