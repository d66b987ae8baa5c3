"""The log while the servers under it fall: PostgreSQL killed, Redis emptied, and 100,000 damaged files for the verifier."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg
import redis

from common import pg
from drills import drill
from ledger.audit import audit
from ledger.disk import Disk
from ledger.log import verify_log
from ledger.publisher import public_keys
from tests.ledger_fuzz import fuzz
from tests.live import Platform, redis_server, wait_until

DATABASE_KILLS, FLUSHES, WRITERS, FUZZES = 10, 10, 50, 100_000
# Threads that record devices: a line "try" before each commit and "ok" after it, so that a commit whose answer was lost
# is known to be uncertain. A database that is away is waited for.
WRITE = """
import django; django.setup()
import random, sys, threading, time
from django.db import Error, connection, transaction
from django.utils import timezone
from ledger.codes import new_device_code
from ledger.services import record
lock, until = threading.Lock(), time.monotonic() + float(sys.argv[2])

def say(*words):
    with lock:
        print(*words, flush=True)

def write(seed):
    chance = random.Random(seed)
    while time.monotonic() < until:
        try:
            with transaction.atomic():
                eid = record(event="device.received", on=timezone.localdate(), device=new_device_code(), to="KHO-TU", kind="tablet")
                say("try", eid)
            say("ok", eid)
        except Error:
            connection.close()
        time.sleep(chance.random())

threads = [threading.Thread(target=write, args=(seed,)) for seed in range(int(sys.argv[1]))]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""
SEQUENCE = """
import django; django.setup()
import time
from django.db import Error, connection
from django.utils import timezone
from ledger.management.commands.ledger import inline_signer
from ledger.publisher import seal_and_publish
signer = inline_signer()
while True:
    try:
        seal_and_publish(at=timezone.now(), today=timezone.localdate(), signer=signer, at_once=True)
    except Error:
        connection.close()
    time.sleep(0.05)
"""


def _start(platform: Platform, code: str, *arguments: str, output: Path | None = None) -> subprocess.Popen:
    """Python with the platform's settings, ended with this process."""
    with contextlib.ExitStack() as stack:
        out = stack.enter_context(output.open("w")) if output else subprocess.DEVNULL
        return subprocess.Popen(
            [sys.executable, "-c", code, *arguments], env=os.environ | platform.env, stdout=out,
            stderr=subprocess.DEVNULL, preexec_fn=pg.die_with_parent,
        )  # fmt: skip


def _settled(platform: Platform, said: Path, *, disk: Disk) -> dict:
    """Compare what the writers were told with the log and its files; the figures."""
    lines = [line.split() for line in said.read_text().splitlines()]
    tried = {eid for word, eid in lines if word == "try"}
    told = {eid for word, eid in lines if word == "ok"}
    sealed = [
        str(eid) for (eid,) in platform.query("SELECT eid FROM ledger_entry WHERE event = 'device.received'")
    ]
    assert platform.query("SELECT count(*) FROM ledger_outbox") == [(0,)]
    assert len(sealed) == len(set(sealed)), "doubled"
    assert told <= set(sealed), "lost"
    assert set(sealed) <= tried, "from nowhere"
    ((size, last),) = platform.query("SELECT count(*), max(index) FROM ledger_entry")
    assert last == size - 1, "a gap"
    report = audit(disk.fetch, public_keys(disk.root))
    assert report["size"] == size
    assert report["problem_count"] == 0, report["problems"]
    return {"entries": len(sealed), "acknowledged": len(told), "lost": 0, "doubled": 0, "gaps": 0}


@drill("ledger.postgres_killed")
def postgres_killed() -> dict:
    """SIGKILL to PostgreSQL 10 times under 50 writers and the sequencer: nothing acknowledged is lost or doubled."""
    chance = random.Random(3667)
    parent = "/var/lib/song-may-tinh" if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="pg-", dir=parent) as home, tempfile.TemporaryDirectory() as var:
        Path(home).chmod(0o711)
        target = pg.Server(Path(home) / "pg", Path(home) / "pg.json", pg.unprivileged_user())
        pg.start(target, durable=True, with_parent=True)
        try:
            platform = Platform(target.url() or "", Path(var))
            platform.manage("migrate", "-v", "0")
            said, disk = Path(var) / "said", Disk(Path(var) / "ledger")
            writers = _start(platform, WRITE, str(WRITERS), "90", output=said)
            sequencer = _start(platform, SEQUENCE)
            kills = 0
            while kills < DATABASE_KILLS and writers.poll() is None:
                before = said.stat().st_size
                wait_until(
                    "có mục mới", lambda before=before: said.stat().st_size > before + 2000, timeout_s=60
                )
                time.sleep(chance.random())
                _kill(target)
                pg.start(target, durable=True, with_parent=True)
                kills += 1
                if (disk.root / "checkpoint").exists():
                    verify_log(disk.fetch, public_keys(disk.root))
                sys.stderr.write(f"  {kills} of {DATABASE_KILLS} kills\n")
            writers.wait(timeout=240)
            waiting = "SELECT count(*) FROM ledger_outbox"
            wait_until("mọi mục đã vào sổ", lambda: platform.query(waiting) == [(0,)], timeout_s=120)
            time.sleep(1)
            sequencer.kill()
            sequencer.wait()
            platform.manage("ledger", "publish", "--now", "--inline-signer")
            return {"kills": kills, "writers": WRITERS, **_settled(platform, said, disk=disk)}
        finally:
            pg.stop(target)


def _kill(target: pg.Server) -> None:
    """SIGKILL to the postmaster and all its children, as when the machine stops."""
    pid = int((target.data / "postmaster.pid").read_text().split("\n")[0])
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    for one in [pid, *map(int, children)]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)


@drill("ledger.redis_emptied")
def redis_emptied() -> dict:
    """FLUSHALL 10 times while worker and beat seal what 50 writers record: all of it published within 5 minutes."""
    chance = random.Random(3667)
    server = os.environ["DATABASE_URL"].rsplit("/", 1)[0]
    with (
        tempfile.TemporaryDirectory(prefix="flush-") as name,
        redis_server(Path(name) / "redis") as redis_url,
    ):
        with psycopg.connect(f"{server}/postgres", autocommit=True) as admin:
            admin.execute("DROP DATABASE IF EXISTS drill_flush WITH (FORCE)")
            admin.execute("CREATE DATABASE drill_flush")
        platform = Platform(f"{server}/drill_flush", Path(name), REDIS_URL=redis_url)
        platform.manage("prepare")
        said, disk = Path(name) / "said", Disk(Path(name) / "ledger")
        try:
            platform.start("signer", "worker", "beat")
            writers = _start(platform, WRITE, str(WRITERS), "60", output=said)
            flushes = 0
            while flushes < FLUSHES:
                time.sleep(2 + 4 * chance.random())
                _flush_all(redis_url)
                flushes += 1
                if (disk.root / "checkpoint").exists():
                    verify_log(disk.fetch, public_keys(disk.root))
                sys.stderr.write(f"  {flushes} of {FLUSHES} FLUSHALL\n")
            writers.wait(timeout=120)
            started = time.monotonic()
            waiting = "SELECT count(*) FROM ledger_outbox"
            wait_until("mọi mục đã vào sổ", lambda: platform.query(waiting) == [(0,)], timeout_s=300)
            caught_up = time.monotonic() - started
        finally:
            platform.stop()
        platform.manage("ledger", "publish", "--now", "--inline-signer")
        return {"flushes": flushes, "caught_up_s": round(caught_up, 1), **_settled(platform, said, disk=disk)}


def _flush_all(url: str) -> None:
    redis.Redis.from_url(url).flushall()


@drill("ledger.fuzz")
def damaged_files() -> dict:
    """100,000 damaged files of every kind given to the verifier: an exit code and one line each, never a traceback."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    try:
        seen = fuzz(folder, count=FUZZES, seed=2021)
    finally:
        shutil.rmtree(folder)
    return {"damaged": FUZZES, "tracebacks": 0, **{f"exit_{code}": seen[code] for code in sorted(seen)}}
