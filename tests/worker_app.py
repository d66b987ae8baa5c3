"""Tasks of the broker tests, beside the real ones: `celery -A tests.worker_app`."""

import os
import time
from pathlib import Path

import django

# Celery loads this module before it sets Django up, and the tasks below import models.
django.setup()

from django.db import connection  # noqa: E402 - after the set-up above

from common import jobs  # noqa: E402
from sms_program.celery import app  # noqa: E402

__all__ = ["app"]


@app.task(name="tests.leave_effect")
def leave_effect(*, job_id, **_ignored) -> None:
    """One row in `effect` per job, whatever the broker does; waits for the file `go` when `hold` is there."""
    folder = Path(os.environ["VAR_DIR"])
    with jobs.claim(job_id) as job:
        if job is None:
            return
        job.progress(0, 2, step="đang làm")
        deadline = time.monotonic() + 60
        while (folder / "hold").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        job.progress(1, 2, step="sắp xong")
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO effect (job) VALUES (%s)", [job_id])
