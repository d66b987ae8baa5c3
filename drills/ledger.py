"""The log under kills and in foreign hands."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from django.conf import settings
from django.db import close_old_connections, connection, transaction
from django.utils import timezone

from bench.ledger import a_log, queue, turn
from drills import NotRunError, drill
from ledger.audit import audit
from ledger.checks import verify_database
from ledger.codes import new_device_code
from ledger.log import LogError, verify_log
from ledger.models import LedgerEntry, LedgerOutbox
from ledger.notes import Note, TreeHead, encode64
from ledger.services import record
from ledger.tiles import Tiles
from ledger.tree import inclusion_proof

WRITERS, KILLS = 50, 50
# A warm process that forks one sequencer per line, so that the drill measures kills and not imports.
TURN = """
import os, sys
import django; django.setup()
from django.conf import settings
from django.utils import timezone
from ledger.notes import SigningKey
from ledger.publisher import seal_and_publish
from ledger.signer import Signer
keys = [SigningKey(settings.LEDGER_ORIGIN, bytes(range(32)))]
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        while True:
            signer = Signer(keys=keys, folder=settings.LEDGER_SIGNER_DIR, published=settings.LEDGER_DIR / "checkpoint")
            seal_and_publish(at=timezone.now(), today=timezone.localdate(), signer=signer, at_once=True)
    print(child, flush=True)
    os.waitpid(child, 0)
"""


def nursery(folder: Path) -> subprocess.Popen:
    """The process that starts sequencers, one at a time."""
    env = os.environ | {
        "DJANGO_SETTINGS_MODULE": "sms_program.settings",
        "DATABASE_URL": settings.DATABASE_URL,
        "LEDGER_DIR": str(folder / "log"),
        "LEDGER_SIGNER_DIR": str(folder / "signer"),
    }
    return subprocess.Popen(
        [sys.executable, "-c", TURN],
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        bufsize=1,
    )


def write(stop: threading.Event, recorded: list, lock: threading.Lock, seed: int) -> None:
    """One writer: devices on their way, some transactions rolled back."""
    chance = random.Random(seed)
    day = timezone.localdate()
    try:
        while not stop.is_set():
            code, eids = new_device_code(), []
            try:
                with transaction.atomic():
                    eids.append(
                        record(event="device.received", on=day, device=code, to="KHO-TU", kind="tablet")
                    )
                    eids.append(record(event="device.inspected", on=day, device=code, outcome="accepted"))
                    if chance.random() < 0.2:
                        raise KeyError("the change is rolled back")
            except KeyError:
                continue
            with lock:
                recorded += eids
            time.sleep(chance.random() * 4)
    finally:
        connection.close()


@drill("ledger.sequencer_killed")
def sequencer_killed() -> dict:
    """SIGKILL to the sequencer 50 times under 50 writers: outbox and log in bijection, no gap, files verify."""
    chance = random.Random(3667)
    with a_log() as (disk, signer):
        folder = disk.root.parent
        stop, lock, recorded = threading.Event(), threading.Lock(), []
        writers = [
            threading.Thread(target=write, args=(stop, recorded, lock, seed)) for seed in range(WRITERS)
        ]
        for writer in writers:
            writer.start()
        parent = nursery(folder)
        try:
            for number in range(KILLS):
                before = LedgerEntry.objects.count()
                parent.stdin.write("start\n")
                child = int(parent.stdout.readline())
                until = time.monotonic() + 60
                # Killed at a random moment of its work, not of its start.
                while LedgerEntry.objects.count() == before and time.monotonic() < until:
                    time.sleep(0.05)
                time.sleep(chance.random() * 0.2)
                os.kill(child, signal.SIGKILL)
                if (disk.root / "checkpoint").exists():
                    verify_log(disk.fetch, [key.verifier for key in signer.keys])
                sys.stderr.write(f"  {number + 1} of {KILLS} kills, {LedgerEntry.objects.count()} entries\n")
        finally:
            parent.stdin.close()
            parent.wait(timeout=60)
            stop.set()
            for writer in writers:
                writer.join()
        close_old_connections()
        with connection.cursor() as cursor:
            # The killed process's session may still hold the lock for a moment.
            cursor.execute("SELECT pg_advisory_lock(36672021), pg_advisory_unlock(36672021)")
        signer = type(signer)(keys=signer.keys, folder=folder / "signer", published=disk.root / "checkpoint")
        turn(disk, signer)
        sealed = set(LedgerEntry.objects.values_list("eid", flat=True))
        assert LedgerOutbox.objects.count() == 0
        assert sealed == set(recorded), "lost or doubled"
        assert LedgerEntry.objects.count() == len(recorded)
        report = audit(disk.fetch, [key.verifier for key in signer.keys])
        assert report["size"] == len(recorded)
        assert report["problem_count"] == 0, report["problems"]
        verify_database(report["size"])
    return {"kills": KILLS, "writers": WRITERS, "entries": len(recorded), "lost": 0, "doubled": 0}


@drill("ledger.every_byte")
def every_byte() -> dict:
    """Each byte of a log of 300 entries flipped, one at a time: always found."""
    with a_log() as (disk, signer):
        queue(300)
        turn(disk, signer)
        keys = [key.verifier for key in signer.keys]
        files = {
            str(path.relative_to(disk.root)): path.read_bytes()
            for path in disk.root.rglob("*")
            if path.is_file() and path.name not in ("vkey", "policy.json")
        }
        flipped = 0
        for name, data in files.items():
            for at in range(len(data)):
                wrong = bytearray(data)
                wrong[at] ^= 1 << (at % 8)
                copy = files | {name: bytes(wrong)}
                try:
                    verify_log(copy.__getitem__, keys)
                except LogError:
                    flipped += 1
                else:
                    raise AssertionError(f"byte {at} of {name} flipped unseen")
    return {"bytes": flipped, "found": flipped}


SIGSTORE = """
const { verifyCheckpoint } = require("@sigstore/verify/dist/timestamp/checkpoint");
const { verifyMerkleInclusion } = require("@sigstore/verify/dist/timestamp/merkle");
const { crypto } = require("@sigstore/core");
const input = JSON.parse(require("fs").readFileSync(0, "utf8"));
const bytes = (text) => Buffer.from(text, "base64");
const log = {
  logID: bytes(input.keyId), publicKey: crypto.createPublicKey(bytes(input.spki), "spki"), baseURL: "",
  validFor: { start: new Date(0), end: new Date("2100-01-01") },
};
let accepted = 0;
let refused = 0;
for (const one of input.proofs) {
  const entry = (body) => ({
    canonicalizedBody: body, integratedTime: "1700000000", logId: { keyId: log.logID }, logIndex: String(one.index),
    inclusionProof: {
      checkpoint: { envelope: one.checkpoint }, hashes: one.path.map(bytes), logIndex: String(one.index),
      rootHash: bytes(one.root), treeSize: String(one.size),
    },
  });
  const good = entry(bytes(one.body));
  verifyCheckpoint(good, [log]);
  verifyMerkleInclusion(good);
  accepted += 1;
  try {
    verifyMerkleInclusion(entry(Buffer.concat([bytes(one.body), Buffer.from([0])])));
  } catch {
    refused += 1;
  }
}
console.log(JSON.stringify({ accepted, refused }));
"""


@drill("ledger.sigstore")
def sigstore() -> dict:
    """The unmodified npm client @sigstore/verify accepts checkpoints and inclusion proofs of a running log."""
    npm = shutil.which("npm")
    if npm is None:
        raise NotRunError("cần npm (apt install npm)")
    with a_log() as (disk, signer), tempfile.TemporaryDirectory() as folder:
        queue(1000)
        turn(disk, signer)
        raw = disk.fetch("checkpoint")
        head = TreeHead.parse(Note.parse(raw).text)
        tiles, key = Tiles(disk.fetch, head.size), signer.keys[-1].verifier
        proofs = []
        for entry in LedgerEntry.objects.filter(index__in=range(0, head.size, 37)).order_by("index"):
            path = inclusion_proof(tiles.node, entry.index, head.size)
            proofs.append(
                {
                    "body": encode64(entry.body.encode()),
                    "index": entry.index,
                    "size": head.size,
                    "root": encode64(head.root),
                    "path": [encode64(step) for step in path],
                    "checkpoint": raw.decode(),
                }
            )
        subprocess.run(
            [npm, "install", "--silent", "--no-audit", "--no-fund", "@sigstore/verify@2"],
            cwd=folder,
            check=True,
            timeout=180,
        )
        # SPKI of an Ed25519 key is a fixed prefix and the 32 bytes (RFC 8410).
        spki = bytes.fromhex("302a300506032b6570032100") + key.public
        given = {"spki": encode64(spki), "keyId": encode64(key.key_id + bytes(28)), "proofs": proofs}
        done = subprocess.run(
            ["node", "-e", SIGSTORE],
            cwd=folder,
            input=json.dumps(given),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        figures = json.loads(done.stdout)
        assert figures == {"accepted": len(proofs), "refused": len(proofs)}
    return {"proofs": len(proofs), **figures}
