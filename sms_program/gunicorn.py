"""gunicorn's configuration (`-c python:sms_program.gunicorn`)."""

import hashlib
import os
import shutil
from pathlib import Path

from common.pg import VAR_DIR, die_with_parent

bind = f"{os.environ.get('HOST', '127.0.0.1')}:{os.environ.get('PORT') or 8000}"
workers = int(os.environ.get("WEB_WORKERS") or 2 * (os.cpu_count() or 1))
# Sync workers measured best for our pages; one that hangs is replaced after a minute.
worker_class = "sync"
timeout = 60
graceful_timeout = 15
max_requests = 5_000
max_requests_jitter = 500
preload_app = True
# Nobody steers it over a socket, and one would lie in the home folder, shared by every installation of the user.
control_socket_disable = True
# The request record of common.middleware names the page instead of the address.
accesslog = None
errorlog = "-"
loglevel = "warning"
forwarded_allow_ips = os.environ.get("FORWARDED_ALLOW_IPS", "127.0.0.1")
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None
# Several workers, one /metrics: each counts in mapped files of this folder. In memory where there is such a place, for a
# mapped file on a full disk ends the process that writes to it.
if Path("/dev/shm").is_dir():
    _mark = hashlib.sha256(f"{VAR_DIR} {bind}".encode()).hexdigest()[:12]
    _default = Path(f"/dev/shm/song-may-tinh-{os.getuid()}-{_mark}")
else:
    _default = VAR_DIR / "metrics"
_metrics = Path(os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", str(_default)))
shutil.rmtree(_metrics, ignore_errors=True)
_metrics.mkdir(mode=0o700, parents=True, exist_ok=True)


def on_exit(server) -> None:
    """Nothing of ours stays in memory."""
    shutil.rmtree(_metrics, ignore_errors=True)


def child_exit(server, worker) -> None:
    """A worker that ended leaves its counters, not its gauges."""
    # The client looks at PROMETHEUS_MULTIPROC_DIR when it is imported, so not before it is set above.
    from prometheus_client import multiprocess  # noqa: PLC0415

    multiprocess.mark_process_dead(worker.pid)


def post_fork(server, worker) -> None:
    """End with the master, however it ends, for a child would keep the port; and leave its connections to it."""
    die_with_parent()
    # Django is loaded by now (preload_app), but not when gunicorn reads this file.
    from django.db import connections  # noqa: PLC0415

    connections.close_all()
