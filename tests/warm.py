"""An installation's own Python with Django loaded once: what a test asks of it runs in a fork of its own.

To start Python and to load Django takes seconds on a busy machine, a fork takes none. Settings, database and files are
the installation's, as in a process that was started anew; a fork shares no connection, for none is open before it.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from common.pg import die_with_parent
from sms_program.processes import BASE_DIR


class Warm:
    """`run(...)` answers as `subprocess.run` would; `stop()` ends the process that the forks come from."""

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
        asked = json.dumps({"log": str(log), "code": code, "command": list(command)})
        with self.lock:
            assert self.popen.stdin is not None
            assert self.popen.stdout is not None
            print(asked, file=self.popen.stdin, flush=True)
            return int(self.popen.stdout.readline() or 1)

    def stop(self) -> None:
        """End it, and a fork that still runs."""
        self.popen.kill()
        self.popen.communicate()


def serve() -> None:
    """Read what to run from standard input, answer with exit codes, until the other side is gone."""
    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork()
        if not child:
            die_with_parent()
            _redirect(asked["log"])
            os._exit(_outcome(lambda asked=asked: _run(asked["code"], asked["command"])))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)  # noqa: T201 - the answer


def _redirect(log: str) -> None:
    nothing, written = (
        os.open(os.devnull, os.O_RDONLY),
        os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
    )
    os.dup2(nothing, 0)
    os.dup2(written, 1)
    os.dup2(written, 2)


def _run(code: str, command: Sequence[str]) -> None:
    # Loaded by now, in the process that forked.
    from django.core.management import execute_from_command_line  # noqa: PLC0415

    if command:
        execute_from_command_line(["manage.py", *command])
    else:
        exec(compile(code, "<test>", "exec"), {"__name__": "__main__"})


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

    django.setup()
    serve()
