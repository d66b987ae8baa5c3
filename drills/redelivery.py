"""Redis loses everything again and again while workers work: every effect once, caught up in time."""

import tempfile
import threading
import time
from pathlib import Path

import redis

from drills import drill
from drills.restore import _database
from tests.live import Platform, redis_server, wait_until

JOBS, DELIVERIES, FLUSHES = 300, 3, 10
CAUGHT_UP_WITHIN_S = 300
HAND_OVER = f"""
from accounts.models import User
from celery import current_app
from common import jobs
by = User.objects.system()
for number in range({JOBS}):
    subject = User.objects.create_user(f"chu-de-{{number}}@example.vn", full_name="Chủ Đề")
    job = jobs.hand_over(by=by, kind="tests.leave_effect", subject=subject)
    for _ in range({DELIVERIES} - 1):
        current_app.send_task("tests.leave_effect", kwargs={{"job_id": str(job.pk)}})
"""


@drill("redelivery.flushall")
def flushed() -> dict:
    """Each task delivered three times, FLUSHALL ten times in mid-run, a worker killed twice; beat's sweeper mends it."""
    with tempfile.TemporaryDirectory(prefix="redelivery-") as name, redis_server(Path(name) / "redis") as url:
        made = Platform(
            _database("redelivery"), Path(name), REDIS_URL=url, WORKERS="2", VISIBILITY_TIMEOUT_S="30"
        )
        made.manage("migrate", "--verbosity", "0")
        made.query("CREATE TABLE effect (job uuid NOT NULL)")
        (Path(name) / "hold").touch()
        made.start("worker", app="tests.worker_app")
        made.start("beat")
        try:
            handing = threading.Thread(target=made.python, args=[HAND_OVER])
            handing.start()
            with redis.Redis.from_url(url) as client:
                for number in range(FLUSHES):
                    time.sleep(1)
                    client.flushall()
                    if number == 2:
                        (Path(name) / "hold").unlink()
                    if number in (4, 7):
                        made.processes["worker"].kill()
                        made.start("worker", app="tests.worker_app")
            handing.join()
            started = time.monotonic()
            done = "SELECT count(*) FROM common_job WHERE state = 'done'"
            wait_until(
                "mọi việc xong",
                lambda: made.query(done) == [(JOBS,)],
                timeout_s=CAUGHT_UP_WITHIN_S,
                every_s=0.5,
            )
            caught_up_s = time.monotonic() - started
            effects = made.query("SELECT count(*), count(DISTINCT job) FROM effect")
            assert effects == [(JOBS, JOBS)], effects
            states = made.query("SELECT DISTINCT state FROM common_job")
            assert states == [("done",)], states
        finally:
            made.stop()
        return {
            "jobs": JOBS,
            "deliveries": JOBS * DELIVERIES,
            "flushes": FLUSHES,
            "kills": 2,
            "lost": 0,
            "doubled": 0,
            "caught_up_seconds": round(caught_up_s, 1),
        }
