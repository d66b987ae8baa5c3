"""`make run` while the database's own process is killed: pages say so, the supervisor starts it again, nothing is lost."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from drills import drill
from sms_program.processes import BASE_DIR
from tests.live import answer, free_port, wait_until
from tests.services.test_run import environment, left_behind, said

KILLS, BACK_WITHIN_S = 3, 60


PID = "from common import pg; print((pg.server().data / 'postmaster.pid').read_text().split()[0])"


def _postmaster(settings: dict[str, str]) -> int:
    """Process id of the server that the supervisor with these settings started."""
    return int(subprocess.check_output([sys.executable, "-c", PID], cwd=BASE_DIR, env=settings))


@drill("run.postmaster_killed")
def postmaster_killed() -> dict:
    """SIGKILL to PostgreSQL under web, worker, beat and signer, three times."""
    with tempfile.TemporaryDirectory(prefix="drill-run-") as name:
        folder, port = Path(name), free_port()
        settings = environment(folder, port) | {"DEMO": "0"}
        command = [sys.executable, "-m", "sms_program.run"]
        with (folder / "run.out").open("w") as output:
            running = subprocess.Popen(command, cwd=BASE_DIR, env=settings, stdout=output, stderr=output)
        back_s, told = [], 0
        try:
            wait_until("lời chào", lambda: "Dừng: Ctrl-C" in said(folder), timeout_s=180, every_s=0.2)
            address = f"http://127.0.0.1:{port}"
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
        finally:
            running.send_signal(signal.SIGINT)
            code = running.wait(60)
            subprocess.run(
                [sys.executable, "-m", "common.pg", "drop"], cwd=BASE_DIR, env=settings, check=False
            )
        assert code == 0, said(folder)
        assert left_behind(folder) == []
        return {"kills": KILLS, "pages_that_said_so": told, "back_after_s": back_s}
