"""`make run`: the whole demonstration on this machine, under one supervisor.

Database, migrations, reference data, then web, worker, beat and the ledger's signer; the demonstration programme fills
behind them. Everything started here ends with this process, however it ends (`common.pg.die_with_parent`).
Texts are for the person at the terminal, so they are Vietnamese and go to standard error or output directly.
"""

import contextlib
import errno
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import django
import psycopg
import redis
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command, get_commands
from django.db import OperationalError, connections

from common import pg
from sms_program.demo import staff
from sms_program.processes import COMMANDS, Process, stop_all

NEEDED_BYTES = 1_000_000_000
# While it runs: below this the terminal says so, for PostgreSQL soon refuses to write.
LOW_BYTES = 50_000_000
WEB_TIMEOUT_S = 60
# A process that keeps falling is started again ever more slowly.
RESTART_AFTER_S = (0.5, 1, 2, 5, 10, 30)
# So long may the web server of a killed run take to let its port go.
AFTER_A_KILL_S = 20
# One that stood this long before it fell is started again at once.
STEADY_AFTER_S = 60
# Whom to sign in as first, of those that the sign-in page lists.
SHOWN_PARTS = ("dieu-phoi", "thu-kho", "so-75", "viettel", "kiem-toan")


class CannotRun(Exception):
    """Why the demonstration can't start and what to do, in Vietnamese."""


def say(text: str = "") -> None:
    """One line for the person at the terminal."""
    print(text, flush=True)  # noqa: T201 - this is the command's output


def main() -> int:
    """Start everything, wait for Ctrl-C, stop everything. Returns the exit code."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sms_program.settings")
    if not os.environ.get("PRODUCTION"):
        os.environ.setdefault("DEMO", "1")
    # A shell starts background commands with SIGINT ignored, and that would be inherited here.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGHUP, _interrupt)
    try:
        with contextlib.ExitStack() as stack:
            port = _port()
            _check_web_workers()
            _check_room()
            was_killed = stack.enter_context(_only_one(port))
            _check_port(port, patience_s=AFTER_A_KILL_S if was_killed else 0)
            database = stack.enter_context(_database())
            _run(port, stack, database)
    except KeyboardInterrupt:
        say("\nĐã dừng tất cả. Dữ liệu vẫn còn; `make run` để chạy tiếp.")
        return 0
    except (CannotRun, ImproperlyConfigured, pg.PgError) as error:
        say(f"\nKhông chạy được: {error}")
        return 1
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            say(f"\nKhông chạy được: {_no_room()}")
            return 1
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            say(
                f"\nKhông chạy được: không ghi được {error.filename or pg.VAR_DIR}. Hãy chạy bằng người dùng sở hữu "
                "thư mục này, hoặc chọn thư mục khác: VAR_DIR=/đường/dẫn make run"
            )
            return 1
        raise
    return 0


def _interrupt(number, frame) -> None:
    raise KeyboardInterrupt


# --- before ---------------------------------------------------------------------------------------------------


def _check_room() -> None:
    try:
        pg.VAR_DIR.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, FileNotFoundError, NotADirectoryError):
        raise CannotRun(
            f"không tạo được thư mục {pg.VAR_DIR}. Hãy chọn thư mục khác: VAR_DIR=/đường/dẫn make run"
        ) from None
    if _without_room(NEEDED_BYTES):
        raise CannotRun(_no_room())


def _folders() -> list[Path]:
    """Where we write: files, and the rows of the embedded server, which root keeps elsewhere."""
    home = pg.server().home
    return (
        [pg.VAR_DIR]
        if os.environ.get("DATABASE_URL") or home.is_relative_to(pg.VAR_DIR)
        else [pg.VAR_DIR, home]
    )


def _without_room(needed_bytes: int) -> list[Path]:
    """Folders of ours on whose disk less is free; a folder that is still to be made counts by the one above it."""
    return [
        folder
        for folder in _folders()
        if shutil.disk_usage(next(path for path in (folder, *folder.parents) if path.exists())).free
        < needed_bytes
    ]


def _no_room() -> str:
    full = " và ".join(str(folder) for folder in _without_room(NEEDED_BYTES) or _folders())
    return f"ổ đĩa chứa {full} còn dưới 1 GB trống. Hãy giải phóng chỗ rồi chạy lại; dữ liệu đã có vẫn còn."


@contextlib.contextmanager
def _only_one(port: int) -> Iterator[bool]:
    """Two supervisors on one data folder would fight; the lock goes with its process.

    Yields whether a former run at the same address was killed: its web server may still be about to end.
    """
    address = f"http://127.0.0.1:{port}/"
    with (pg.VAR_DIR / "run.lock").open("a+") as handle:
        handle.seek(0)
        former = handle.read().strip()
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CannotRun(
                f"bản trình diễn của thư mục này đang chạy rồi, tại {former or 'một cửa sổ khác'}. "
                "Hãy mở địa chỉ đó, hoặc dừng nó bằng Ctrl-C trước."
            ) from None
        handle.truncate(0)
        handle.write(address)
        handle.flush()
        yield former == address
        handle.truncate(0)


def _port() -> int:
    given = os.environ.get("PORT") or "8000"
    if not given.isdecimal() or not 0 < int(given) < 65536:
        raise CannotRun(f"PORT={given} không phải số cổng. Hãy chọn số từ 1024 đến 65535: PORT=8000 make run")
    return int(given)


def _check_web_workers() -> None:
    """gunicorn's configuration reads it before Django's settings could say what is wrong."""
    given = os.environ.get("WEB_WORKERS") or "1"
    if not given.isdecimal() or int(given) < 1:
        raise CannotRun(f"WEB_WORKERS={given} không đọc được: cần một số nguyên từ 1. Xem .env.example.")


def _check_port(port: int, *, patience_s: float) -> None:
    deadline = time.monotonic() + patience_s
    while True:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((os.environ.get("HOST", "127.0.0.1"), port))
                return
            except PermissionError:
                raise CannotRun(
                    f"cổng {port} cần quyền quản trị. Hãy chọn cổng khác: PORT=8000 make run"
                ) from None
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise CannotRun(
                        f"không mở được cổng {port} ở HOST={os.environ.get('HOST', '127.0.0.1')}: {error.strerror}"
                    ) from None
                if time.monotonic() > deadline:
                    raise CannotRun(
                        f"cổng {port} đang được chương trình khác dùng. Hãy chọn cổng khác: PORT={port % 65000 + 1} make run"
                    ) from None
        time.sleep(0.2)


class _Database:
    """The embedded server while we run: started, started again when it falls, stopped; nothing for DATABASE_URL."""

    def __init__(self, target: pg.Server | None):
        self.target = target
        self.popen: subprocess.Popen | None = None
        self.tries = 0
        self.next_try_at = 0.0

    def start(self) -> None:
        """A server that a former run (killed) or a developer left running is used, and only stopped if it is ours."""
        if self.target is not None:
            self.popen = pg.start(self.target, with_parent=True)

    def stop(self) -> None:
        if settings.configured:  # not when they are what is wrong
            connections.close_all()
        if self.target is not None and self.popen is not None:
            pg.stop(self.target)

    def mend(self, now: float) -> None:
        """Start the server again when it was killed; its data survive, what was under way begins anew."""
        if self.target is None or self.popen is None or self.popen.poll() is None or now < self.next_try_at:
            return
        say(f"PostgreSQL dừng (mã {self.popen.returncode}); đang khởi động lại. Xem {self.target.log}")
        try:
            self.start()
            self.tries = 0
        except pg.PgError as error:
            self.next_try_at = now + RESTART_AFTER_S[min(self.tries, len(RESTART_AFTER_S) - 1)]
            self.tries += 1
            say(f"Chưa khởi động lại được, sẽ thử tiếp: {error}")


@contextlib.contextmanager
def _database() -> Iterator[_Database]:
    """The database of DATABASE_URL, or the embedded one for as long as we run."""
    if url := os.environ.get("DATABASE_URL"):
        pg.check_address(url)
        try:
            psycopg.connect(url, connect_timeout=5).close()
        except psycopg.Error as error:
            raise CannotRun(f"không kết nối được cơ sở dữ liệu của DATABASE_URL: {error}") from None
        yield _Database(None)
        return
    say("Cơ sở dữ liệu: đang khởi động PostgreSQL…")
    database = _Database(pg.server())
    database.start()
    try:
        yield database
    finally:
        database.stop()


# --- preparing ------------------------------------------------------------------------------------------------


def _prepare() -> None:
    django.setup()
    try:
        call_command("prepare")
    except OperationalError as error:
        if "No space left" in str(error):
            raise CannotRun(_no_room()) from None
        raise CannotRun(f"cơ sở dữ liệu từ chối: {error}") from None
    finally:
        connections.close_all()


# --- running --------------------------------------------------------------------------------------------------


def _run(port: int, stack: contextlib.ExitStack, database: _Database) -> None:
    if settings.REDIS_URL:
        warn_without_redis(settings.REDIS_URL)
    _prepare()
    logs = pg.VAR_DIR / "log"
    processes = [
        Process(name, argv, env=_environment(), log=logs / f"{name}.log") for name, argv in COMMANDS.items()
    ]
    filling = Process("demo", ["manage.py", "demo"], env=_environment(), log=logs / "demo.log")
    everything = [*processes, filling]
    stack.callback(lambda: _stop(everything))
    for process in processes:
        process.start()
    address = f"http://127.0.0.1:{port}/"
    _wait_for_web(processes[0], address)
    if settings.DEMO and "demo" in get_commands():
        filling.log.unlink(missing_ok=True)
        filling.start()
    say(_welcome(address))
    _watch(processes, filling, database, address)


def warn_without_redis(url: str) -> None:
    """Say so when the Redis of REDIS_URL does not answer: everything starts all the same and works once it is back."""
    try:
        with redis.Redis.from_url(url, socket_connect_timeout=3, socket_timeout=3) as broker:
            broker.ping()
    except (redis.RedisError, ValueError):
        # Never the address itself: it may hold a password.
        say(
            "Chú ý: Redis của REDIS_URL không trả lời. Việc chạy nền chờ đến khi Redis hoạt động; hãy khởi động Redis "
            "hoặc sửa REDIS_URL. Bỏ trống REDIS_URL thì hệ thống dùng hàng đợi trong cơ sở dữ liệu."
        )


def _environment() -> dict[str, str]:
    return {"DJANGO_SETTINGS_MODULE": "sms_program.settings", "PYTHONUNBUFFERED": "1"}


def _wait_for_web(web: Process, address: str) -> None:
    deadline = time.monotonic() + WEB_TIMEOUT_S
    while time.monotonic() < deadline:
        if not web.is_running:
            raise CannotRun(f"máy chủ web dừng ngay khi khởi động:\n{web.tail()}")
        with contextlib.suppress(urllib.error.URLError, OSError):
            urllib.request.urlopen(f"{address}healthz/live", timeout=2).close()
            return
        time.sleep(0.1)
    raise CannotRun(f"máy chủ web không trả lời sau {WEB_TIMEOUT_S} giây. Xem {web.log}")


def _welcome(address: str) -> str:
    lines = ["", f"Đã chạy: {address}", ""]
    if settings.DEMO:
        lines += [
            "Thử trước tiên:",
            f"  1. {address}                 tiến độ chương trình",
            f"  2. {address}ung-ho/          ủng hộ 20 máy tính bảng, không cần mật khẩu",
            f"  3. {address}so-cai/          sổ cái công khai và bằng chứng",
            "",
            *_sign_ins(address),
            "",
        ]
    lines += [f"Nhật ký: {pg.VAR_DIR / 'log'}   Dừng: Ctrl-C"]
    return "\n".join(lines)


def _sign_ins(address: str) -> list[str]:
    return [
        f"Đăng nhập cán bộ: {address}tai-khoan/login/",
        f"  mật khẩu chung {staff.PASSWORD}; mã xác thực của lúc này và mọi tài khoản ghi ngay trên trang đăng nhập",
        *(f"  {f'{name}@{staff.DOMAIN}':<30} {staff.PARTS[name]}" for name in SHOWN_PARTS),
    ]


def _watch(processes: list[Process], filling: Process, database: _Database, address: str) -> None:
    """Until Ctrl-C: start again what falls, show how far the demonstration is."""
    restart_at: dict[str, float] = {}
    is_low = False
    progress = _Tail(filling, at_end="\n".join([f"Địa chỉ: {address}", *_sign_ins(address)]))
    while True:
        now = time.monotonic()
        database.mend(now)
        if bool(full := _without_room(LOW_BYTES)) != is_low:
            is_low = bool(full)
            say(_low(full) if is_low else "Ổ đĩa đã có chỗ trở lại.")
        for process in processes:
            if process.is_running:
                continue
            if process.name not in restart_at:
                if now - process.started_at > STEADY_AFTER_S:
                    process.starts = 1
                pause = RESTART_AFTER_S[min(process.starts - 1, len(RESTART_AFTER_S) - 1)]
                code = process.popen.returncode if process.popen else None
                say(f"{process.name} dừng (mã {code}); khởi động lại sau {pause} giây. Xem {process.log}")
                restart_at[process.name] = now + pause
            elif now >= restart_at[process.name]:
                del restart_at[process.name]
                process.start()
        progress.show()
        time.sleep(0.3)


def _low(full: list[Path]) -> str:
    return (
        f"\nỔ đĩa chứa {' và '.join(map(str, full))} sắp hết chỗ (còn dưới {LOW_BYTES // 10**6} MB). Hãy giải phóng chỗ: "
        "dữ liệu đã có vẫn còn, việc mới chỉ ghi được khi có chỗ."
    )


class _Tail:
    """Shows the newest line of the demonstration's log, in place on a terminal, else every few seconds."""

    EVERY_S = 5

    def __init__(self, process: Process, *, at_end: str):
        self.process = process
        self.at_end = at_end
        self.position = 0
        self.shown_at = 0.0
        self.is_over = process.popen is None

    def show(self) -> None:
        if self.is_over:
            return
        ended = not self.process.is_running
        with self.process.log.open(errors="replace") as handle:
            handle.seek(self.position)
            lines = handle.read().replace("\r", "\n").splitlines()
            self.position = handle.tell()
        line = next((line for line in reversed(lines) if line.strip() and not line.startswith("{")), "")
        if sys.stdout.isatty():
            if line:
                sys.stdout.write(f"\r\033[K{line[:110]}")
                sys.stdout.flush()
        elif line and (ended or time.monotonic() - self.shown_at > self.EVERY_S):
            self.shown_at = time.monotonic()
            say(line)
        if ended:
            self.is_over = True
            code = self.process.popen.returncode if self.process.popen else 0
            if code:
                say(f"\nSố liệu minh họa dừng giữa chừng (mã {code}); `make run` lần sau sẽ tiếp tục.")
                say(self.process.tail(5))
            else:
                say(f"\nSố liệu minh họa đã đầy đủ.\n{self.at_end}\nDừng: Ctrl-C")


def _stop(processes: list[Process]) -> None:
    # A second Ctrl-C must not leave half of it running.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    say("\nĐang dừng…")
    stop_all(processes)


if __name__ == "__main__":
    sys.exit(main())
