"""A commit under kills: one effect, nothing doubled, nothing lost, the same rows as the approved proposal."""

import datetime as dt
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from django.conf import settings
from django.db import connection

from accounts.models import User
from allocation import services
from allocation.engine import GROUPS
from allocation.models import Allocation, AllocationRun, Phase, Proposed
from bench.nation import NOW, build_nation, own_database
from drills import drill
from ledger.models import LedgerOutbox

BAD_LINE = 1_234_567
COMMIT = """
import django; django.setup()
import sys
from allocation import services
from allocation.models import AllocationRun
run = AllocationRun.objects.get(code=sys.argv[1])
print("begun", flush=True)
services.commit(by=run.approved_by, run=run, at=run.approved_at)
"""


def committer(run: AllocationRun, folder: str) -> subprocess.Popen:
    """A process that commits the run and nothing else; returns once it is about to."""
    url = settings.DATABASE_URL.rsplit("/", 1)[0] + "/" + connection.settings_dict["NAME"]
    env = os.environ | {
        "DJANGO_SETTINGS_MODULE": "sms_program.settings",
        "DATABASE_URL": url,
        "LEDGER_DIR": folder,
    }
    process = subprocess.Popen(
        [sys.executable, "-c", COMMIT, run.code], env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    process.stdout.readline()
    return process


@drill("allocation.commit")
def commit_under_kills() -> dict:
    """SIGKILL a commit of some ten thousand devices at a random moment, fifty times; then let it finish."""
    return killed_commits(scale=0.01, kills=50, within_s=0.5)


@drill("allocation.commit_beside")
def large_commit_under_kills() -> dict:
    """The same with sixty thousand, whose table is built on a connection of its own."""
    return killed_commits(scale=0.06, kills=30, within_s=2.5)


def approved_run(clerk: User, other: User, approver: User, phase: Phase) -> AllocationRun:
    """A run over all there is, from its policy to its approval."""
    policy = services.draft_policy(
        by=clerk, phase=phase, name="Thứ tự", groups=GROUPS, locality_first=True, margin="draw", at=NOW
    )
    policy = services.publish_policy(by=approver, policy=policy, at=NOW)
    later = NOW + dt.timedelta(days=1)
    run = services.open_run(by=clerk, policy=policy, randomness_source="x", draw_at=later, at=NOW)
    services.freeze(by=clerk, run=run, at=NOW)
    services.enter_randomness(by=clerk, run=run, value="12345", at=later)
    services.confirm_randomness(by=other, run=run, value="12345", at=later)
    services.propose(by=clerk, run=run, at=later)
    return services.approve(by=approver, run=run, at=later)


def killed_commits(*, scale: float, kills: int, within_s: float) -> dict:
    """Kill as many commits of a `scale` of the nation, each within the seconds given, then let one finish."""
    with own_database("drill_allocation"), tempfile.TemporaryDirectory() as folder:
        clerk, other, approver, phase = build_nation(scale)
        run = approved_run(clerk, other, approver, phase)
        killed = 0
        while True:
            # A commit that was quicker than its kill leaves nothing to kill: begin again where it had not begun.
            with own_database("drill_killed", is_copy=True):
                while killed < kills and not Allocation.objects.exists():
                    process = committer(run, folder)
                    time.sleep(random.random() * within_s)
                    killed += process.poll() is None
                    process.kill()
                    process.wait()
                    # All or nothing, at every moment.
                    assert Allocation.objects.count() in (0, run.summary["allocated"])
                if killed == kills:
                    return {"kills": killed, **_committed_whole(run, folder)}


def _committed_whole(run: AllocationRun, folder: str) -> dict:
    """Let a commit finish after all kills: every approved line once, with its entry, and nothing left beside."""
    assert committer(run, folder).wait() == 0
    pairs = Allocation.objects.filter(run=run).order_by("device_id").values_list("device_id", "student_id")
    wanted = Proposed.objects.filter(run=run).order_by("device_id").values_list("device_id", "student_id")
    assert list(pairs) == list(wanted)
    entries = LedgerOutbox.objects.filter(event="device.allocated").count()
    assert entries == run.summary["allocated"]
    is_large = run.summary["allocated"] >= services.commits.SWAP_FROM_ROWS
    assert LedgerOutbox.objects.filter(event="run.committed").count() == (0 if is_large else 1)
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('allocation_allocation_next')")
        assert cursor.fetchone() == (None,), "a table was left beside"
    return {"allocations": len(pairs), "entries": entries, "doubled": 0, "lost": 0}


@drill("allocation.bad_line")
def bad_line() -> dict:
    """One wrong value at line 1,234,567: told with file, line and column, exit status 2, nothing written."""
    students = "student,province,district,school,group,priority_locality,household,household_devices\n"
    devices = "device,earmark_level,earmark_code,lot\n"
    told = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "P.json").write_text('{"groups": ["poor"]}')
        for wrong, bad, column in (
            ("S.csv", "x,01,,T1,rich,0,,", "group"),
            ("S.csv", "x,01,,T1,poor,0,,1", "household_devices"),
            ("S.csv", "a7,01,,T1,poor,0,,", "student"),
            ("D.csv", "x,school,,L1", "earmark_code"),
        ):
            good = {"S.csv": "a{},01,,T1,poor,0,,", "D.csv": "m{},,,L1"}
            for file, header in (("S.csv", students), ("D.csv", devices)):
                lines = [good[file].format(number) for number in range(BAD_LINE if file == wrong else 3)]
                if file == wrong:
                    lines[BAD_LINE - 2] = bad
                (folder / file).write_text(header + "\n".join(lines) + "\n")
            done = subprocess.run(
                [
                    sys.executable, "manage.py", "simulate", f"--students={folder / 'S.csv'}",
                    f"--devices={folder / 'D.csv'}", f"--policy={folder / 'P.json'}", f"--seed={'5e' * 32}",
                    f"--output={folder / 'O.csv'}",
                ], cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert done.returncode == 2, done.stderr
            assert f"{folder / wrong}, line {BAD_LINE}, column {column}: expected" in done.stderr, done.stderr
            assert not (folder / "O.csv").exists()
            told += 1
    return {"line": BAD_LINE, "files": told, "told": told}
