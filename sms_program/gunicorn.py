"""gunicorn's configuration (`-c python:sms_program.gunicorn`)."""

import os
import shutil
from pathlib import Path

from common.pg import VAR_DIR

bind = f"{os.environ.get('HOST', '127.0.0.1')}:{os.environ.get('PORT') or 8000}"
workers = int(os.environ.get("WEB_WORKERS") or 2 * (os.cpu_count() or 1))
# Sync workers measured best for our pages; one that hangs is replaced after a minute.
worker_class = "sync"
timeout = 60
graceful_timeout = 15
max_requests = 5_000
max_requests_jitter = 500
preload_app = True
# The request record of common.middleware names the page instead of the address.
accesslog = None
errorlog = "-"
loglevel = "warning"
forwarded_allow_ips = os.environ.get("FORWARDED_ALLOW_IPS", "127.0.0.1")
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None
# Several workers, one /metrics: each writes its counts into files of this folder.
_metrics = Path(os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", str(VAR_DIR / "metrics")))
shutil.rmtree(_metrics, ignore_errors=True)
_metrics.mkdir(parents=True, exist_ok=True)


def child_exit(server, worker) -> None:
    """A worker that ended leaves its counters, not its gauges."""
    # The client looks at PROMETHEUS_MULTIPROC_DIR when it is imported, so not before it is set above.
    from prometheus_client import multiprocess  # noqa: PLC0415

    multiprocess.mark_process_dead(worker.pid)


def post_fork(server, worker) -> None:
    """Connections opened while the application was loaded belong to the master."""
    # Django is loaded by now (preload_app), but not when gunicorn reads this file.
    from django.db import connections  # noqa: PLC0415

    connections.close_all()
