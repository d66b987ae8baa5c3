"""`make run`: starts, says what is wrong, stops everything, leaves nothing behind, not even when it is killed."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from common import pg
from sms_program import run as run_module
from sms_program.processes import BASE_DIR
from sms_program.run import warn_without_redis
from tests.live import answer, free_port, redis_server, wait_until


def environment(folder: Path, port: int | str, database_url: str = "") -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in {"DJANGO_SETTINGS_MODULE", "DATABASE_URL"}
    }
    made = kept | {
        "VAR_DIR": str(folder),
        "PORT": str(port),
        "PYTHONUNBUFFERED": "1",
        "WEB_WORKERS": "1",
        "WORKERS": "1",
    }
    return made | ({"DATABASE_URL": database_url} if database_url else {})


def run(folder: Path, port: int | str, database_url: str = "") -> subprocess.Popen:
    with (folder / "run.out").open("w") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "sms_program.run"],
            cwd=BASE_DIR,
            env=environment(folder, port, database_url),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def said(folder: Path) -> str:
    return (folder / "run.out").read_text()


def left_behind(folder: Path) -> list[str]:
    """Command lines of living processes that were started for this folder."""
    mark = f"VAR_DIR={folder}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "environ").read_bytes().split(b"\0"):
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


def test_a_port_in_use_is_said_with_the_way_out(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        process = run(tmp_path, port := taken.getsockname()[1])
        assert process.wait(60) == 1
    assert f"cổng {port} đang được chương trình khác dùng" in said(tmp_path)
    assert "PORT=" in said(tmp_path)
    assert "Traceback" not in said(tmp_path)


def test_a_port_that_is_none_is_said(tmp_path):
    process = run(tmp_path, "tám nghìn")
    assert process.wait(60) == 1
    assert "PORT=tám nghìn không phải số cổng" in said(tmp_path)


def test_too_little_room_is_said_of_every_disk_we_write_to(monkeypatch):
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setattr(run_module, "NEEDED_BYTES", 10**18)
    with pytest.raises(run_module.CannotRun) as refused:
        run_module._check_room()
    home = pg.server().home
    assert str(pg.VAR_DIR) in str(refused.value)
    assert home.is_relative_to(pg.VAR_DIR) or str(home) in str(refused.value)


def test_a_database_that_does_not_answer_is_said(tmp_path):
    process = run(tmp_path, free_port(), "postgresql://nobody@127.0.0.1:1/none")
    assert process.wait(60) == 1
    assert "không kết nối được cơ sở dữ liệu của DATABASE_URL" in said(tmp_path)
    assert "Traceback" not in said(tmp_path)


def test_a_redis_that_is_down_is_said_without_its_password(tmp_path, capsys):
    with redis_server(tmp_path / "redis") as url:
        warn_without_redis(url)
        assert not capsys.readouterr().out
    warn_without_redis(f"redis://:mat-khau@127.0.0.1:{free_port()}/0")
    warned = capsys.readouterr().out
    assert "Redis của REDIS_URL không trả lời" in warned
    assert "mat-khau" not in warned


@pytest.mark.long
def test_it_runs_once_stops_whole_and_leaves_nothing_when_killed(tmp_path, new_database):
    url = new_database()
    port = free_port()
    process = run(tmp_path, port, url)
    wait_until("lời chào", lambda: "Dừng: Ctrl-C" in said(tmp_path), timeout_s=120, every_s=0.2)
    assert answer(f"http://127.0.0.1:{port}/healthz/ready")[0] == 200

    # A second one in the same folder says where the first is, and disturbs nothing.
    second = tmp_path / "second"
    second.mkdir()
    with (second / "run.out").open("w") as output:
        code = subprocess.run(
            [sys.executable, "-m", "sms_program.run"],
            cwd=BASE_DIR,
            env=environment(tmp_path, port, url),
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        ).returncode
    assert code == 1
    assert f"đang chạy rồi, tại http://127.0.0.1:{port}/" in said(second)

    # Nor is its data thrown away under it.
    reset = subprocess.run(
        [sys.executable, "-m", "common.pg", "drop"],
        cwd=BASE_DIR,
        env=environment(tmp_path, port, url),
        capture_output=True,
        text=True,
        check=False,
    )
    assert reset.returncode == 1
    assert "đang chạy tại" in reset.stderr

    assert any("celery" in line and "worker" in line for line in left_behind(tmp_path))
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
    assert "Đã dừng tất cả" in said(tmp_path)
    assert left_behind(tmp_path) == []

    process = run(tmp_path, port, url)
    wait_until("lời chào lần hai", lambda: "Dừng: Ctrl-C" in said(tmp_path), timeout_s=120, every_s=0.2)
    process.kill()
    process.wait()
    wait_until("không còn tiến trình nào", lambda: left_behind(tmp_path) == [], timeout_s=60, every_s=0.2)

    # Reset takes all that a run keeps, wherever that is, and nothing of others; never a production's.
    (tmp_path / "khac").mkdir()
    for production, code, left in (("1", 1, {"ledger", "keys", "khac"}), ("", 0, set())):
        dropped = subprocess.run(
            [sys.executable, "-m", "common.pg", "drop"],
            cwd=BASE_DIR,
            env=environment(tmp_path, port, url) | {"PRODUCTION": production},
            check=False,
        )
        assert dropped.returncode == code
        assert left <= {path.name for path in tmp_path.iterdir()}
    assert {path.name for path in tmp_path.iterdir()} == {"khac", "second", "run.out"}
