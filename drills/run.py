"""`make run` as a whole: the first page in time, what the demonstration then holds, a database killed, a disk full."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from http.cookiejar import CookieJar
from pathlib import Path

import psycopg

from drills import drill
from sms_program.processes import BASE_DIR
from tests.live import answer, free_port, wait_until
from tests.services.test_run import environment, left_behind, said

KILLS, BACK_WITHIN_S = 3, 60
FIRST_PAGE_WITHIN_S, FILLED_WITHIN_S = 60, 900
# What issue and facts promise of the programme that one looks at: at least so many, the places exactly.
PLACES = {"province": 63, "district": 705, "commune": 10_599}
POINTS = {"points": 1_910, "urgent": 283}
AT_LEAST = {"departments": 63, "schools": 600, "students": 20_000, "devices": 5_000, "handed_over": 1}
# A device given up by two people, and one that waits for the decision.
LOSSES = {"lost": 1, "losses_to_decide": 1}
COUNTS = """
    SELECT level, count(*) FROM schools_administrativeunit
    WHERE coalesce(valid_to > '2021-10-01', true) AND valid_from <= '2021-10-01' GROUP BY level
    UNION ALL SELECT 'points', count(*) FROM coverage_coveragepoint
    UNION ALL SELECT 'urgent', count(*) FROM coverage_coveragepoint WHERE is_urgent
    UNION ALL SELECT 'departments', count(*) FROM schools_office WHERE kind = 'province_department'
    UNION ALL SELECT 'schools', count(*) FROM schools_school
    UNION ALL SELECT 'students', count(*) FROM schools_student
    UNION ALL SELECT 'devices', count(*) FROM donations_device
    UNION ALL SELECT 'handed_over', count(*) FROM delivery_handover
    UNION ALL SELECT 'lost', count(confirmed_at) FROM delivery_loss
    UNION ALL SELECT 'losses_to_decide', count(*) FROM delivery_loss WHERE confirmed_at IS NULL
"""


PID = "from common import pg; print((pg.server().data / 'postmaster.pid').read_text().split()[0])"


def _postmaster(settings: dict[str, str]) -> int:
    """Process id of the server that the supervisor with these settings started."""
    return int(subprocess.check_output([sys.executable, "-c", PID], cwd=BASE_DIR, env=settings))


HOME = "from common import pg; print(pg.server().home.parent)"


@contextlib.contextmanager
def _small_disk(folder: Path, settings: dict[str, str], size_mb: int) -> Iterator[None]:
    """One disk of so much room for the files and for the rows, which root keeps elsewhere. Needs root."""
    home = Path(
        subprocess.check_output([sys.executable, "-c", HOME], cwd=BASE_DIR, env=settings, text=True).strip()
    )
    with contextlib.ExitStack() as undo:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_mb}m", "tmpfs", folder], check=True)
        undo.callback(subprocess.run, ["umount", folder], check=True)
        (folder / "rows").mkdir(mode=0o711)
        home.mkdir(mode=0o711, parents=True)
        undo.callback(shutil.rmtree, home)
        subprocess.run(["mount", "--bind", folder / "rows", home], check=True)
        undo.callback(subprocess.run, ["umount", home], check=True)
        yield


@contextlib.contextmanager
def _run(*, disk_mb: int = 0, **variables: str) -> Iterator[tuple[str, Path, dict[str, str]]]:
    """The supervisor in a folder and with a database of its own: its address, folder and environment. Asserts that
    Ctrl-C then ends it in order and leaves nothing behind."""
    with tempfile.TemporaryDirectory(prefix="drill-run-") as name, contextlib.ExitStack() as stack:
        folder, port = Path(name), free_port()
        settings = environment(folder, port) | variables
        if disk_mb:
            stack.enter_context(_small_disk(folder, settings, disk_mb))
        with (folder / "run.out").open("w") as output:
            command = [sys.executable, "-m", "sms_program.run"]
            running = subprocess.Popen(command, cwd=BASE_DIR, env=settings, stdout=output, stderr=output)
        try:
            yield f"http://127.0.0.1:{port}", folder, settings
        finally:
            running.send_signal(signal.SIGINT)
            code = running.wait(60)
            subprocess.run(
                [sys.executable, "-m", "common.pg", "drop"], cwd=BASE_DIR, env=settings, check=False
            )
        assert code == 0, said(folder)
        assert left_behind(folder) == []


@drill("run.demonstration")
def demonstration() -> dict:
    """An empty database to the first page, then to the whole demonstration, whose totals are those promised."""
    started = time.monotonic()
    with _run() as (address, folder, settings):
        wait_until("trang đầu", lambda: answer(f"{address}/")[0] == 200, timeout_s=180, every_s=0.2)
        first_page_s = time.monotonic() - started
        end = "Địa chỉ: "  # said once it is filled
        wait_until("số liệu minh họa", lambda: end in said(folder), timeout_s=FILLED_WITHIN_S, every_s=1)
        filled_s = time.monotonic() - started
        url = subprocess.check_output(
            [sys.executable, "-m", "common.pg", "url"], cwd=BASE_DIR, env=settings, text=True
        )
        with psycopg.connect(url.strip()) as connection:
            counts = dict(connection.execute(COUNTS).fetchall())
        assert first_page_s <= FIRST_PAGE_WITHIN_S, first_page_s
        exactly = PLACES | POINTS | LOSSES
        assert {name: counts[name] for name in exactly} == exactly, counts
        assert all(counts[name] >= least for name, least in AT_LEAST.items()), counts
        return {"first_page_s": round(first_page_s, 1), "filled_s": round(filled_s)} | counts


@drill("run.postmaster_killed")
def postmaster_killed() -> dict:
    """SIGKILL to PostgreSQL under web, worker, beat and signer, three times."""
    back_s, told = [], 0
    with _run(DEMO="0") as (address, folder, settings):
        wait_until("lời chào", lambda: "Dừng: Ctrl-C" in said(folder), timeout_s=180, every_s=0.2)
        for _ in range(KILLS):
            os.kill(_postmaster(settings), signal.SIGKILL)
            started = time.monotonic()
            status, page = answer(f"{address}/phan-anh/PA-ABCDE/")
            told += status == 503 and "chưa kết nối được với cơ sở dữ liệu" in page
            wait_until(
                "cơ sở dữ liệu trở lại",
                lambda: answer(f"{address}/healthz/ready")[0] == 200,
                timeout_s=BACK_WITHIN_S,
            )
            back_s.append(round(time.monotonic() - started, 1))
            assert answer(f"{address}/phan-anh/PA-ABCDE/")[0] == 404
        assert "PostgreSQL dừng" in said(folder)
        assert told
    return {"kills": KILLS, "pages_that_said_so": told, "back_after_s": back_s}


def _begin_pledge(address: str) -> tuple[int, str]:
    """The first page of the pledge form, sent as a browser does: a draft is written. Status and page."""
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
    try:
        page = browser.open(f"{address}/ung-ho/", timeout=30).read().decode()
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)[1]
        typed = {
            "csrfmiddlewaretoken": token,
            "donor_kind": "individual",
            "name": "Nguyễn Thị Hoa",
            "kind": "device",
        }
        with browser.open(
            f"{address}/ung-ho/", urllib.parse.urlencode(typed).encode(), timeout=30
        ) as reached:
            return reached.status, reached.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode(errors="replace")


def disk_full() -> dict:
    """The disk of files and rows runs full under the platform, and has room again."""
    said_full = taken = 0
    with _run(DEMO="0", disk_mb=1_500) as (address, folder, settings):
        wait_until("lời chào", lambda: "Dừng: Ctrl-C" in said(folder), timeout_s=900, every_s=0.2)
        url = subprocess.check_output(
            [sys.executable, "-m", "common.pg", "url"], cwd=BASE_DIR, env=settings, text=True
        ).strip()
        filler = folder / "filler"
        answers: dict[int, int] = {}
        started = time.monotonic()
        while said_full < 20 and time.monotonic() - started < 120:
            # What PostgreSQL gives back is taken too.
            with filler.open("ab") as handle, contextlib.suppress(OSError):
                size = filler.stat().st_size + shutil.disk_usage(folder).free
                os.posix_fallocate(handle.fileno(), 0, size)
            status, page = _begin_pledge(address)
            taken += status == 200
            answers[status] = answers.get(status, 0) + 1
            said_full += "hết chỗ lưu" in page
        assert said_full, answers
        assert answer(f"{address}/healthz/live")[0] == 200
        wait_until("cửa sổ lệnh báo", lambda: "sắp hết chỗ" in said(folder))
        filler.unlink()
        started = time.monotonic()
        wait_until("nhận lại", lambda: _begin_pledge(address)[0] == 200, timeout_s=120, every_s=0.5)
        back_s = round(time.monotonic() - started, 1)
        with psycopg.connect(url) as connection:
            kept = connection.execute("SELECT count(*) FROM donations_pledgedraft").fetchone()[0]
        assert kept > taken, (kept, taken)
        wait_until("cửa sổ lệnh báo", lambda: "đã có chỗ trở lại" in said(folder))
    return {"taken": taken, "answers": answers, "said_full": said_full, "kept": kept, "back_after_s": back_s}


if os.geteuid() == 0:  # only root may mount
    drill("run.disk_full")(disk_full)
