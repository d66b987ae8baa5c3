"""How fast the public log is, against floors measured in the same run on the same machine."""

import hashlib
import io
import shutil
import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings
from django.core.cache import cache
from django.db import connection, transaction
from django.test import Client
from django.test.utils import override_settings
from django.utils import timezone

from bench import bench, peak_mb
from ledger import trace
from ledger.codes import new_device_codes
from ledger.disk import Disk
from ledger.log import verify_log
from ledger.notes import SigningKey
from ledger.publisher import publish, read_table, write_public_files
from ledger.sequencer import seal, sequencer_lock
from ledger.signer import Signer

DAY = "2021-10-05"
# Two entries per device, so that the second needs the index of the first.
QUEUE = """
    INSERT INTO ledger_outbox (eid, event, day, dev, n, state, subject, body, prev_at)
    SELECT eid, event, '2021-10-05', dev, n, state, NULL, head || tail, length(head) FROM (
        SELECT gen_random_uuid() AS eid, dev, 'device.received' AS event, 0 AS n, 'received' AS state
        FROM unnest(%(codes)s::text[]) AS dev
    ) rows CROSS JOIN LATERAL (
        SELECT '{"d":"2021-10-05","dev":"' || dev || '","eid":"' || replace(eid::text, '-', '')
            || '","kind":"tablet","lot":"LO-0031","pledge":"CK-2021-000123",' AS head,
            '"t":"device.received","to":"KHO-TU","v":1}' AS tail
    ) text
"""
QUEUE_NEXT = """
    INSERT INTO ledger_outbox (eid, event, day, dev, n, state, subject, body, prev_at)
    SELECT eid, event, '2021-10-05', dev, n, state, NULL, head || tail, length(head) FROM (
        SELECT gen_random_uuid() AS eid, dev, 'device.inspected' AS event, 1 AS n, 'accepted' AS state
        FROM unnest(%(codes)s::text[]) AS dev
    ) rows CROSS JOIN LATERAL (
        SELECT '{"criteria":"TC-TABLET-1","d":"2021-10-05","dev":"' || dev || '","eid":"'
            || replace(eid::text, '-', '') || '","outcome":"accepted",' AS head,
            '"protection":1,"t":"device.inspected","v":1}' AS tail
    ) text
"""


@contextmanager
def a_log() -> Iterator[tuple[Disk, Signer]]:
    """An empty log in a fresh folder and an empty table; both gone afterwards."""
    empty()
    folder = Path(tempfile.mkdtemp(prefix="so-cai-", dir=settings.VAR_DIR))
    keys = [SigningKey(settings.LEDGER_ORIGIN, bytes(range(32)))]
    try:
        with override_settings(LEDGER_DIR=folder / "log", LEDGER_SIGNER_DIR=folder / "signer"):
            write_public_files(folder / "log", keys)
            yield Disk(folder / "log"), Signer(keys=keys, folder=folder / "signer")
    finally:
        shutil.rmtree(folder)
        empty()


def empty() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE ledger_entry DISABLE TRIGGER USER")
        cursor.execute("ALTER TABLE ledger_checkpoint DISABLE TRIGGER USER")
        cursor.execute("TRUNCATE ledger_entry, ledger_checkpoint, ledger_outbox")
        for table in ("ledger_entry", "ledger_checkpoint"):
            cursor.execute(
                "SELECT tgname FROM pg_trigger WHERE tgrelid = %s::regclass AND NOT tgisinternal", [table]
            )
            for (name,) in cursor.fetchall():
                cursor.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}")


def queue(count: int) -> list[str]:
    """Put `count` entries about count/2 devices into the outbox; the devices."""
    codes = new_device_codes(count // 2)
    with transaction.atomic(), connection.cursor() as cursor:
        for at in range(0, len(codes), 50_000):
            cursor.execute(QUEUE, {"codes": codes[at : at + 50_000]})
        for at in range(0, len(codes), 50_000):
            cursor.execute(QUEUE_NEXT, {"codes": codes[at : at + 50_000]})
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE ledger_outbox")
    return codes


def turn(disk: Disk, signer: Signer) -> float:
    """Seconds of one sealing and publishing."""
    start = time.perf_counter()
    with sequencer_lock() as held:
        if not held:
            raise RuntimeError("another process is publishing")
        seal(today=timezone.localdate(), at_once=True)
        publish(at=timezone.now(), signer=signer, disk=disk)
    return time.perf_counter() - start


def bare_hashing(chunks: Iterable[list[bytes]]) -> float:
    """Seconds of the leaf and node hashes of these bytes and nothing else, not of bringing the bytes along."""
    sha256, level, seconds = hashlib.sha256, [], 0.0
    for bodies in chunks:
        start = time.perf_counter()
        level += [sha256(b"\x00" + body).digest() for body in bodies]
        seconds += time.perf_counter() - start
    start = time.perf_counter()
    while len(level) > 1:
        level = [
            sha256(b"\x01" + level[at] + level[at + 1]).digest() for at in range(0, len(level) - 1, 2)
        ] + level[len(level) & ~1 :]
    return seconds + time.perf_counter() - start


def bare_copy() -> float:
    """Seconds of COPY of the log's rows into a table with the same columns, checks and indexes."""
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS ledger_floor")
        cursor.execute("CREATE TABLE ledger_floor (LIKE ledger_entry INCLUDING ALL)")
        buffer = io.BytesIO()
        with cursor.copy("COPY ledger_entry TO STDOUT") as copy:
            for block in copy:
                buffer.write(block)
        view, start = buffer.getbuffer(), time.perf_counter()
        with transaction.atomic(), cursor.copy("COPY ledger_floor FROM STDIN") as copy:
            for at in range(0, len(view), 1 << 20):
                copy.write(view[at : at + (1 << 20)])
        seconds = time.perf_counter() - start
        cursor.execute("DROP TABLE ledger_floor")
    return seconds


@bench("ledger.publish")
def publish_million(quick: bool) -> Iterator[dict]:
    """Sequence, integrate and publish; then the floor over the same bytes and rows; then the verifier."""
    count = 100_000 if quick else 1_000_000
    with a_log() as (disk, signer):
        queue(count)
        seconds, peak = turn(disk, signer), peak_mb()
        start = time.perf_counter()
        report = verify_log(disk.fetch, [key.verifier for key in signer.keys])
        verifying, verify_peak = time.perf_counter() - start, peak_mb()
        if report["size"] != count:
            raise RuntimeError("the log is not whole")
        # Floors last: what they hold in memory is not ours.
        hashing, copying = bare_hashing(bodies for bodies, _ in read_table(0, count)), bare_copy()
        yield {
            "name": "ledger.publish", "rows": count, "seconds": seconds, "floor_seconds": hashing + copying,
            "ratio": seconds / (hashing + copying), "limit": 3, "peak_mb": peak,
        }  # fmt: skip
        yield {
            "name": "ledger.verify_log", "rows": count, "seconds": verifying, "floor_seconds": hashing,
            "ratio": verifying / hashing, "limit": 3, "peak_mb": verify_peak,
        }  # fmt: skip


def added_turns(disk: Disk, signer: Signer, added: int) -> list[float]:
    """Seconds of some turns that each add so many entries, to a log that has stood for a while.

    What PostgreSQL has still to do for the entries before them (autovacuum, its checkpoint) is done first: it is a cost
    of those, and would run beside these on the same two processors.
    """
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE ledger_entry, ledger_outbox")
        cursor.execute("CHECKPOINT")
    seconds = []
    for _ in range(5):
        queue(added)
        seconds.append(turn(disk, signer))
    return seconds


@bench("ledger.increment")
def increment(quick: bool) -> Iterator[dict]:
    """10,000 entries added to a small and to a large log must cost the same."""
    small, large, added = 10_000, 100_000 if quick else 1_000_000, 10_000
    with a_log() as (disk, signer):
        queue(small)
        turn(disk, signer)
        at_small = added_turns(disk, signer, added)
        queue(large - small - len(at_small) * added)
        turn(disk, signer)
        at_large = added_turns(disk, signer, added)
        # Apart from what is timed: tracing every allocation makes Python twice as slow.
        queue(added)
        tracemalloc.start()
        turn(disk, signer)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    yield {
        "name": "ledger.increment", "rows": added, "seconds": min(at_large), "floor_seconds": min(at_small),
        "ratio": min(at_large) / min(at_small), "limit": 1.25, "peak_mb": peak / 2**20,
    }  # fmt: skip


@bench("ledger.device_page")
def device_page(quick: bool) -> Iterator[dict]:
    """The page of a device among many, against a minimal page with one indexed look-up on the same server."""
    count = 20_000 if quick else 1_000_000
    with a_log() as (disk, signer), override_settings(ALLOWED_HOSTS=["*"], ROOT_URLCONF="bench.urls"):
        codes = queue(2 * count)
        turn(disk, signer)
        client = Client()
        asked = codes[:: max(1, len(codes) // 400)][:400]
        addresses = {"floor": "/san/{}/", "page": "/thiet-bi/{}/"}
        for address in addresses.values():
            for code in asked[:20]:
                client.get(address.format(code))
        cache.clear()
        taken: dict[str, list[float]] = {name: [] for name in addresses}
        # In turns, so that what else the machine does meets both alike; the median, for the same reason.
        for code in asked:
            for name, address in addresses.items():
                start = time.perf_counter()
                if client.get(address.format(code)).status_code != 200:
                    raise RuntimeError(f"{name}: no page for {code}")
                taken[name].append(time.perf_counter() - start)
        times = {name: statistics.median(seconds) for name, seconds in taken.items()}
        trace.latest()
    yield {
        "name": "ledger.device_page", "rows": count, "seconds": times["page"], "floor_seconds": times["floor"],
        "ratio": times["page"] / times["floor"], "limit": 3, "peak_mb": peak_mb(),
    }  # fmt: skip
