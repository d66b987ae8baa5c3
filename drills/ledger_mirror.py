"""A mirror of the log kept with rsync, as docs/operations.md says, while the log grows."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
from pathlib import Path

from django.conf import settings
from django.db import connection

from bench.ledger import a_log, queue, turn
from drills import NotRunError, drill
from ledger.log import LogError, verify_log

ROUNDS, AT_FIRST, ADDED = 25, 6_000, 300
GUIDE = Path(settings.BASE_DIR) / "docs" / "operations.md"
# Slow enough that the log grows under each copy and the copy is looked at many times on its way.
SLOWLY = "rsync --bwlimit=1m"


def recipe(source: Path, mirror: Path) -> str:
    """The commands of the guide for these two folders."""
    (commands,) = re.findall(r"```\n(mkdir -p mirror .*?)```", GUIDE.read_text(), re.DOTALL)
    commands = commands.replace("rsync", SLOWLY).replace("mirror", str(mirror))
    return commands.replace("HOST:ledger", str(source))


@drill("ledger.rsync_mirror")
def rsync_mirror() -> dict:
    """At every moment the mirror verifies; cut off in the middle, too. What a plain `rsync -a` does beside it."""
    if shutil.which("rsync") is None:
        raise NotRunError("cần rsync (apt install rsync)")
    with a_log() as (disk, signer), tempfile.TemporaryDirectory(dir=settings.VAR_DIR) as folder:
        keys = [key.verifier for key in signer.keys]
        queue(AT_FIRST)
        turn(disk, signer)
        stop = threading.Event()

        def grow() -> None:
            try:
                while not stop.is_set():
                    queue(ADDED)
                    turn(disk, signer)
            finally:
                connection.close()

        def watch(command: str, mirror: Path, *, cut_after: int | None = None) -> tuple[int, int]:
            """Run it to its end, or kill it after some looks: (looks at the mirror, how many did not verify)."""
            looks = wrong = 0
            process = subprocess.Popen(["sh", "-c", command], start_new_session=True)
            while True:
                is_over = process.poll() is not None
                if (mirror / "checkpoint").exists():
                    looks += 1
                    try:
                        verify_log(lambda path: (mirror / path).read_bytes(), keys)
                    except LogError:
                        wrong += 1
                if is_over:
                    break
                if cut_after is not None and looks >= cut_after:
                    os.killpg(process.pid, signal.SIGKILL)
            assert process.returncode in (0, 0 if cut_after is None else -signal.SIGKILL), process.returncode
            return looks, wrong

        grower = threading.Thread(target=grow)
        grower.start()
        try:
            kept, plain, sizes = Path(folder) / "kept", Path(folder) / "plain", []
            looks = plain_looks = plain_wrong = cut = 0
            for number in range(ROUNDS):
                cut_after = 2 if number % 5 == 4 else None
                seen, wrong = watch(recipe(disk.root, kept), kept, cut_after=cut_after)
                assert not wrong, f"round {number}: the mirror did not verify {wrong} of {seen} times"
                looks, cut = looks + seen, cut + (cut_after is not None)
                sizes.append(verify_log(lambda path: (kept / path).read_bytes(), keys)["size"])
            for _ in range(ROUNDS // 5):
                seen, wrong = watch(f"{SLOWLY} -a {disk.root}/ {plain}/", plain)
                plain_looks, plain_wrong = plain_looks + seen, plain_wrong + wrong
        finally:
            stop.set()
            grower.join()
        assert sizes[0] < sizes[-1], "the log did not grow under the mirror"
    return {
        "rounds": ROUNDS, "cut_off": cut, "looks": looks, "entries": sizes[-1],
        "plain_looks": plain_looks, "plain_not_verifying": plain_wrong,
    }  # fmt: skip
