"""The processes the platform is made of: one list for `make run`, the tests and docker-compose.yml."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from common.pg import die_with_parent

BASE_DIR = Path(__file__).resolve().parent.parent

# After `python`: production starts the very same lines (tests/test_deployment.py compares).
COMMANDS: dict[str, list[str]] = {
    "web": ["-m", "gunicorn", "-c", "python:sms_program.gunicorn", "sms_program.wsgi"],
    "worker": [
        "-m",
        "celery",
        "-A",
        "sms_program",
        "worker",
        "--loglevel",
        "WARNING",
        "--without-gossip",
        "--without-mingle",
    ],
    "beat": ["-m", "celery", "-A", "sms_program", "beat", "--loglevel", "WARNING"],
    "signer": ["manage.py", "ledger", "sign", "--forever"],
}


class Process:
    """One of the processes above, its output in a file, ended with its parent and restarted on request."""

    def __init__(self, name: str, argv: list[str], *, env: dict[str, str], log: Path):
        self.name = name
        self.argv = argv
        self.env = env
        self.log = log
        self.popen: subprocess.Popen | None = None
        self.starts = 0
        self.started_at = 0.0

    def start(self) -> None:
        """Start in a process group of its own, so that Ctrl-C in the terminal reaches only the supervisor."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > 20_000_000:
            self.log.replace(self.log.with_suffix(".log.1"))
        # Children of one that was killed would still hold its port.
        self._signal(signal.SIGKILL)
        self.starts += 1
        self.started_at = time.monotonic()
        self.popen = self.spawn()

    def spawn(self) -> subprocess.Popen:
        """The operating system's process, just started."""
        with self.log.open("ab") as output:
            return subprocess.Popen(
                [sys.executable, *self.argv],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=BASE_DIR,
                env=os.environ | self.env | {"PROCESS_NAME": self.name},
                start_new_session=True,
                preexec_fn=die_with_parent,
            )

    @property
    def is_running(self) -> bool:
        return self.popen is not None and self.popen.poll() is None

    def kill(self) -> None:
        """SIGKILL to the process and all its children, as a crash or the kernel's memory killer would."""
        self._signal(signal.SIGKILL)
        if self.popen is not None:
            self.popen.wait()

    def ask_to_stop(self) -> None:
        """SIGTERM to the process itself: gunicorn and celery end their own children."""
        if self.is_running and self.popen is not None:
            with contextlib.suppress(ProcessLookupError):
                self.popen.send_signal(signal.SIGTERM)

    def wait_stopped(self, timeout_s: float) -> None:
        """Wait for the end after `ask_to_stop`; what is left of the group afterwards is killed."""
        if self.popen is None:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.popen.wait(timeout_s)
        self._signal(signal.SIGKILL)
        self.popen.wait()

    def _signal(self, number: int) -> None:
        if self.popen is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.popen.pid, number)

    def tail(self, lines: int = 15) -> str:
        """The last lines of its output, to explain a start that failed."""
        with contextlib.suppress(FileNotFoundError):
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        return ""


def stop_all(processes: list[Process], timeout_s: float = 15) -> None:
    """Ask all to stop at once, then wait for all within one time limit; nothing is left behind."""
    for process in processes:
        process.ask_to_stop()
    deadline = time.monotonic() + timeout_s
    for process in processes:
        process.wait_stopped(max(0.1, deadline - time.monotonic()))
