"""An installation's own Python with Django loaded once: what a test asks of it runs in a fork of its own.

To start Python and to load Django takes seconds on a busy machine, a fork takes none. Settings, database and files are
the installation's, as in a process that was started anew; a fork shares no connection, for none is open before it.
The platform's processes run their own command lines in such forks; test_run and the drill `run` start them anew.
"""

import contextlib
import gc
import json
import os
import runpy
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from common.pg import die_with_parent
from sms_program.processes import BASE_DIR, Process
from tests.roomy import roomy


class Warm:
    """`run(...)` answers as `subprocess.run` would, `start(...)` leaves a process running; `stop()` ends all of them."""

    def __init__(self, env: Mapping[str, str]):
        self.lock = threading.Lock()
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "tests.warm"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=BASE_DIR,
            env=os.environ | env,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )

    def run(self, log: Path, *, code: str = "", command: Sequence[str] = ()) -> int:
        """Run Python code or a management command, its output in `log`; the exit code, negative for a signal."""
        log.unlink(missing_ok=True)
        return self._ask({"log": str(log), "code": code, "command": list(command)})

    def start(self, process: Process) -> "Fork":
        """Start one of the platform's processes, in a process group of its own."""
        return Fork(self._ask({"log": str(process.log), "name": process.name, "argv": process.argv}))

    def _ask(self, asked: dict) -> int:
        with self.lock:
            assert self.popen.stdin is not None
            assert self.popen.stdout is not None
            print(json.dumps(asked), file=self.popen.stdin, flush=True)
            return int(self.popen.stdout.readline() or 1)

    def stop(self) -> None:
        """End it, and what still runs of it."""
        self.popen.kill()
        self.popen.communicate()


class Fork:
    """A process that `Warm.start` left running, as `subprocess.Popen` would show it."""

    def __init__(self, pid: int):
        self.pid = pid

    def poll(self) -> int | None:
        """None while it runs."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return 0
        return None

    def wait(self, timeout: float = 60) -> int:
        """Raises subprocess.TimeoutExpired when it still runs after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            time.sleep(0.01)
        return 0

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)


class WarmProcess(Process):
    """A process of the platform that a fork becomes."""

    def __init__(self, *arguments, warm: Warm, **named):
        super().__init__(*arguments, **named)
        self.warm = warm

    def spawn(self) -> Fork:
        return self.warm.start(self)


def serve() -> None:
    """Read what to run from standard input, answer with exit codes and process ids, until the other side is gone."""
    started: set[int] = set()

    def reap(*_signal) -> None:
        for pid in tuple(started):
            with contextlib.suppress(ChildProcessError):
                if os.waitpid(pid, os.WNOHANG)[0]:
                    started.discard(pid)

    signal.signal(signal.SIGCHLD, reap)
    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork()
        if not child:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            if "argv" in asked:
                os.setpgid(0, 0)
            die_with_parent()
            _redirect(asked["log"])
            os._exit(_outcome(lambda asked=asked: roomy(lambda: _run(asked))))
        if "argv" in asked:
            with contextlib.suppress(OSError):  # the child was faster
                os.setpgid(child, child)
            started.add(child)
            reap()  # it may have ended already
            answer = child
        else:
            answer = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(answer, flush=True)  # noqa: T201 - the answer


def _redirect(log: str) -> None:
    nothing, written = (
        os.open(os.devnull, os.O_RDONLY),
        os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
    )
    os.dup2(nothing, 0)
    os.dup2(written, 1)
    os.dup2(written, 2)


def _run(asked: dict) -> None:
    # Loaded by now, in the process that forked.
    from django.core.management import execute_from_command_line  # noqa: PLC0415

    if argv := asked.get("argv"):
        os.environ["PROCESS_NAME"] = asked["name"]
        if argv[0] == "-m":
            sys.argv = argv[1:]
            runpy.run_module(argv[1], run_name="__main__", alter_sys=True)
        else:
            sys.argv = argv
            runpy.run_path(argv[0], run_name="__main__")
    elif asked["command"]:
        execute_from_command_line(["manage.py", *asked["command"]])
    else:
        exec(compile(asked["code"], "<test>", "exec"), {"__name__": "__main__"})


def _outcome(run: Callable[[], None]) -> int:
    """The exit code with which Python itself would end, its last words written."""
    try:
        run()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code


if __name__ == "__main__":
    import django
    from django.urls import get_resolver

    django.setup()
    _ = get_resolver().url_patterns  # every command's checks would load them
    # What is loaded stays; a fork that looked through it for garbage would have to copy each page of memory it touches.
    gc.collect()
    gc.freeze()
    serve()
