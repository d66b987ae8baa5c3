"""What tasks promise, with real workers on both brokers: killed, repeated or lost, every effect once."""

import pytest

from tests.live import redis_server, wait_until

HAND_OVER = """
from accounts.models import User
from common import jobs
from common.models import Programme
by = User.objects.system()
subject, _ = Programme.objects.get_or_create(pk=1)
print("job", jobs.hand_over(by=by, kind="tests.leave_effect", subject=subject).pk)
"""


@pytest.fixture(params=["pgmq", "redis"])
def installation(request, platform, tmp_path):
    """An installation on the embedded queue, or on a real Redis."""
    if request.param == "pgmq":
        made = platform()
        made.manage("prepare_queue")
        yield _with_effects(made)
        return
    with redis_server(tmp_path / "redis") as url:
        # Redis gives a message back after the visibility timeout only: seconds here, an hour in production, where
        # the sweeper is faster.
        made = platform(REDIS_URL=url, VISIBILITY_TIMEOUT_S="6")
        yield _with_effects(made)
        made.kill()


def _with_effects(made):
    made.query("CREATE TABLE effect (job uuid NOT NULL)")
    return made


def hand_over(installation) -> str:
    return installation.python(HAND_OVER).split()[-1]


def state(installation, job: str) -> str:
    return installation.query("SELECT state FROM common_job WHERE id = %s", job)[0][0]


def is_done(installation, job: str):
    return lambda: state(installation, job) == "done"


def test_a_killed_worker_loses_nothing_and_repeats_nothing(installation):
    (installation.folder / "hold").touch()
    installation.start("worker", app="tests.worker_app")
    job = hand_over(installation)
    wait_until("việc đang chạy", lambda: state(installation, job) == "running", timeout_s=90)
    installation.processes["worker"].kill()
    (installation.folder / "hold").unlink()
    installation.start("worker", app="tests.worker_app")
    wait_until("việc xong sau khi tiến trình bị giết", is_done(installation, job), timeout_s=90)
    assert installation.query("SELECT count(*) FROM effect") == [(1,)]
    assert installation.query("SELECT attempts >= 2, done_rows FROM common_job WHERE id = %s", job) == [
        (True, 1)
    ]


def test_three_deliveries_have_one_effect_and_a_lost_message_is_sent_again(installation):
    # Handed over while no worker lives, then every message of the broker is lost.
    job = hand_over(installation)
    if installation.env["REDIS_URL"]:
        installation.python(
            "import redis; from django.conf import settings; redis.Redis.from_url(settings.REDIS_URL).flushall()"
        )
    else:
        installation.query("SELECT pgmq.purge_queue('viec')")
    again = "from common import jobs; import datetime as dt; from django.utils import timezone; "
    sent = installation.python(again + "print(jobs.sweep(at=timezone.now() + dt.timedelta(minutes=2)))")
    assert sent.split()[-1] == "1"
    send = f"from celery import current_app; current_app.send_task('tests.leave_effect', kwargs={{'job_id': '{job}'}}); "
    installation.python(send * 2)
    installation.start("worker", app="tests.worker_app")
    wait_until("việc xong", is_done(installation, job), timeout_s=90)
    length = "from common import broker; print(broker.queue()[0])"
    wait_until("hàng đợi rỗng", lambda: installation.python(length).split()[-1] == "0", timeout_s=90)
    assert installation.query("SELECT count(*) FROM effect") == [(1,)]


OPEN_RUN = """
import datetime as dt
from allocation import services
from tests.allocation_world import AllocationWorld
world = AllocationWorld()
world.students(6)
world.stock(4)
run = world.opened(draw_at=dt.datetime(2099, 1, 1, tzinfo=dt.UTC))
print("job", services.request_freeze(by=world.clerk, run=run).pk)
"""


def test_a_freeze_delivered_three_times_fixes_one_list(installation):
    job = installation.python(OPEN_RUN).split()[-1]
    send = f"from celery import current_app; current_app.send_task('allocation.tasks.freeze', kwargs={{'job_id': '{job}'}}); "
    installation.python(send * 2)
    installation.start("worker", app="tests.worker_app")
    wait_until("đã chốt", is_done(installation, job), timeout_s=90)
    length = "from common import broker; print(broker.queue()[0])"
    wait_until("hàng đợi rỗng", lambda: installation.python(length).split()[-1] == "0", timeout_s=90)
    run = "SELECT state, applicant_count, supply_count FROM allocation_allocationrun"
    assert installation.query(run) == [("frozen", 6, 4)]
    assert installation.query("SELECT count(*), count(DISTINCT code) FROM allocation_applicant") == [(6, 6)]
    assert installation.query("SELECT count(*) FROM ledger_outbox WHERE event = 'run.frozen'") == [(1,)]
