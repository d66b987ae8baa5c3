"""The embedded PostgreSQL: started, killed, interrupted, refused to strangers. A real server each time."""

import json
import os
import signal
import stat
from pathlib import Path

import psycopg
import pytest

from common import pg
from tests.live import wait_until


@pytest.fixture
def server(tmp_path):
    """A server of its own, in a folder that the server's user can reach."""
    parent = Path("/var/lib/song-may-tinh") if os.geteuid() == 0 else tmp_path
    home = parent / f"test-{os.getpid()}-{tmp_path.name}"
    target = pg.Server(home / "pg", tmp_path / "pg.json", pg.unprivileged_user())
    yield target
    pg.stop(target)
    pg.shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def start(server):
    """`start()` starts the server as `make run` does; what it started is waited for at the end."""
    started = []

    def start():
        process = pg.start(server)
        if process is not None:
            started.append(process)
        return process

    yield start
    pg.stop(server)
    for process in started:
        process.wait()


def value(server, statement: str):
    with psycopg.connect(server.url()) as connection:
        return connection.execute(statement).fetchone()[0]


def test_it_starts_keeps_its_data_over_a_kill_and_lets_nobody_in_without_the_password(server, start):
    process = start()
    assert process is not None
    assert value(server, "SELECT current_setting('server_version_num')::int") >= 180000
    assert value(server, "SELECT current_setting('listen_addresses')") == "127.0.0.1"
    assert stat.S_IMODE(server.state.stat().st_mode) == 0o600
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS n")

    # A second start finds it running.
    assert start() is None

    kept = json.loads(server.state.read_text())
    wrong = f"postgresql://{pg.ROLE}:sai@127.0.0.1:{kept['port']}/{pg.DATABASE}"
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(wrong, connect_timeout=5)

    # Still stopping, as after a killed supervisor, it is waited for.
    process.send_signal(signal.SIGINT)
    restarted = start()
    process.wait()
    assert restarted is not None
    assert value(server, "SELECT n FROM kept") == 7
    process = restarted

    # Killed with all its children, it comes back with its data.
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    wait_until("máy chủ đã chết", lambda: not pg.is_running(server))
    assert start() is not None
    assert value(server, "SELECT n FROM kept") == 7


def test_an_interrupted_first_start_begins_anew(server, start):
    # Cut off in initdb: a half-made folder, no password kept.
    half = server.home / "data.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    server.state.write_text('{"port": 1')
    assert start() is not None
    assert value(server, "SELECT 1") == 1


def test_what_postgres_says_becomes_what_a_person_can_do():
    full = pg._explain("initdb: error: could not write: No space left on device")
    assert "Đĩa đã đầy" in full
    assert "giải phóng" in full
