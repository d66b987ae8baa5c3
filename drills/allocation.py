"""A commit under kills: one effect, nothing doubled, nothing lost, the same rows as the approved proposal."""

import datetime as dt
import os
import random
import subprocess
import sys
import tempfile
import time

from django.conf import settings
from django.db import connection

from allocation import services
from allocation.engine import GROUPS
from allocation.models import Allocation, AllocationRun, Proposed
from bench.allocation import NOW, build_nation, own_database
from drills import drill
from ledger.models import LedgerOutbox

KILLS = 50
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
    with own_database("drill_allocation"), tempfile.TemporaryDirectory() as folder:
        clerk, other, approver, phase = build_nation(0.01)
        policy = services.draft_policy(
            by=clerk, phase=phase, name="Thứ tự", groups=GROUPS, locality_first=True, margin="draw"
        )
        policy = services.publish_policy(by=approver, policy=policy, at=NOW)
        later = NOW + dt.timedelta(days=1)
        run = services.open_run(by=clerk, policy=policy, randomness_source="x", draw_at=later, at=NOW)
        services.freeze(by=clerk, run=run, at=NOW)
        services.enter_randomness(by=clerk, run=run, value="12345", at=later)
        services.confirm_randomness(by=other, run=run, value="12345", at=later)
        services.propose(by=clerk, run=run, at=later)
        run = services.approve(by=approver, run=run, at=later)
        killed = 0
        for _ in range(KILLS):
            process = committer(run, folder)
            time.sleep(random.random() * 0.5)
            if process.poll() is None:
                killed += 1
            process.kill()
            process.wait()
            # All or nothing, at every moment.
            assert Allocation.objects.count() in (0, run.summary["allocated"])
        assert committer(run, folder).wait() == 0
        pairs = (
            Allocation.objects.filter(run=run).order_by("device_id").values_list("device_id", "student_id")
        )
        wanted = Proposed.objects.filter(run=run).order_by("device_id").values_list("device_id", "student_id")
        assert list(pairs) == list(wanted)
        entries = LedgerOutbox.objects.filter(event="device.allocated").count()
        assert entries == run.summary["allocated"]
        assert LedgerOutbox.objects.filter(event="run.committed").count() == 1
        return {"kills": killed, "allocations": len(pairs), "entries": entries, "doubled": 0, "lost": 0}
