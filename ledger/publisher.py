"""From the log's table to the files that anyone may read: tiles, entry bundles, and the checkpoint last.

Every file is a function of the entries, so writing one again after a crash gives the same bytes; only the
checkpoint says how much of them counts.
"""

import datetime
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psycopg
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from common.models import Heartbeat
from ledger.canon import MAX_BODY_BYTES, dumps, parse
from ledger.custody import next_state
from ledger.disclosure import CELL_MINIMUM, Tally, check_public
from ledger.disk import Disk
from ledger.draw import DRAW_CELL_MINIMUM, HEADER
from ledger.events import EVENTS, VERSION
from ledger.keys import read_seed
from ledger.models import LedgerEntry, LedgerOutbox
from ledger.notes import ED25519, Note, NoteError, SigningKey, TreeHead, VerifierKey, open_checkpoint
from ledger.receipts import ReceiptError, check_receipt, make_receipt
from ledger.sequencer import AREA_MINIMUM, as_sequencer, log_size, seal, sequencer_lock
from ledger.services import record
from ledger.signer import Mailbox, SignerRefusedError, SignRequest, rotation_path
from ledger.tiles import WIDTH, Edge, TileError, Tiles, leaf_hashes, open_edge, read_entries
from ledger.tree import consistency_proof, inclusion_proof, leaf_hash
from ledger.witnesses import cosign

CHECKPOINT, VKEY, POLICY = "checkpoint", "vkey", "policy.json"
BATCH = 64 * WIDTH
FIGURES_LOCK = 3667_2023
RESIGN_AFTER = datetime.timedelta(hours=23)
# The heartbeat of a finished turn of the sequencer; how late one may be before the page says so.
TURN, WITHIN_THE_HOUR = "ledger.turn", datetime.timedelta(hours=1, minutes=10)
# A page counts the outbox so far.
MOST_COUNTED = 10_000


class PublishError(Exception):
    """The log can't be published as it is; the message says why and what to do."""


class Signs(Protocol):
    def sign(self, request: SignRequest, *, at: datetime.datetime) -> str: ...


@dataclass(frozen=True)
class Published:
    """The signed tree head that lies on the disk."""

    head: TreeHead
    raw: bytes

    @property
    def signed_at(self) -> datetime.datetime:
        return datetime.datetime.fromisoformat(self.head.signed_at or "1970-01-01T00:00:00Z")


def signing_keys() -> list[SigningKey]:
    """The signer's keys from the settings, oldest first; each 32 bytes as URL-safe base64."""
    return [
        SigningKey(settings.LEDGER_ORIGIN, read_seed(part, "LEDGER_SIGNING_KEY"))
        for part in settings.LEDGER_SIGNING_KEY.split(",")
        if part.strip()
    ]


def public_keys(folder: Path | None = None) -> list[VerifierKey]:
    """The log's public keys as published, newest first; empty before the signer's first start."""
    try:
        lines = ((folder or settings.LEDGER_DIR) / VKEY).read_text().splitlines()
    except FileNotFoundError:
        return []
    try:
        return [VerifierKey.parse(line) for line in lines if line.strip()]
    except NoteError as error:
        raise PublishError(f"{VKEY} hỏng ({error}). Khởi động lại bộ ký, nó sẽ viết lại tệp này.") from error


def published(disk: Disk) -> Published | None:
    """The checkpoint on the disk, its signature checked; None before the first. Raises PublishError."""
    try:
        raw = disk.fetch(CHECKPOINT)
    except FileNotFoundError:
        return None
    for key in public_keys(disk.root):
        try:
            head, _ = open_checkpoint(raw, key)
        except NoteError:
            continue
        return Published(head, raw)
    raise PublishError(
        f"{disk.root / CHECKPOINT} không có chữ ký của khóa nào trong {VKEY}. Hãy lấy lại tệp này từ một bản sao."
    )


def publish(
    *, at: datetime.datetime, signer: Signs | None = None, disk: Disk | None = None, force: bool = False
) -> Published | None:
    """Bring the files up to the table and have the tree head signed; the new checkpoint, or None if none is due.

    Call under `sequencer_lock`. A checkpoint is due when entries came, when the last is nearly a day old, or with
    `force`. Raises PublishError when the table is behind or differs from the files (a restored backup), and
    SignerRefusedError when the signer doesn't sign; then the old checkpoint stays, and stays true.
    """
    disk = disk or Disk(settings.LEDGER_DIR)
    signer = signer or Mailbox(settings.LEDGER_SIGNER_DIR)
    last = published(disk)
    size, start = log_size(), last.head.size if last else 0
    _must_continue(disk, last, size)
    if last and size == start and not force and at - last.signed_at < RESIGN_AFTER:
        return None
    try:
        edge = open_edge(disk.fetch, start)
    except TileError as error:
        raise PublishError(
            f"{disk.root}: {error}. Chạy `manage.py ledger rebuild` hoặc chép tệp từ một bản sao."
        ) from error
    for bodies, leaves in read_table(start, size):
        disk.put_all(edge.add(bodies, leaves))
    if size > start:
        disk.put_all(edge.partials())
    note = _signed(disk, signer, edge, start, at)
    note = cosign(note, settings.LEDGER_WITNESSES, Tiles(disk.fetch, edge.size))
    with transaction.atomic(), connection.cursor() as cursor, as_sequencer(cursor):
        cursor.execute(
            "INSERT INTO ledger_checkpoint (size, root, note, signed_at) VALUES (%s, %s, %s, %s)",
            [edge.size, edge.root(), note, at],
        )
    disk.put(CHECKPOINT, note.encode())
    done = published(disk)
    if done is not None:
        write_rotations(disk, done)
    return done


def write_rotations(disk: Disk, last: Published) -> None:
    """Put the receipt of each `key.rotated` entry beside the log, under a checkpoint that the replaced key signed.

    Whoever trusts the older key can follow to the newer (`audit.endorsed_keys`); the signer lets the older go only then.
    """
    entries = LedgerEntry.objects.filter(
        subject=last.head.origin, event="key.rotated", index__lt=last.head.size
    )
    for entry in entries:
        body = json.loads(entry.body)
        old, new = (VerifierKey(body["key"], ED25519, bytes.fromhex(body[which])) for which in ("old", "new"))
        path = rotation_path(new)
        if body["role"] != "signer" or (disk.root / path).exists():
            continue
        proof = inclusion_proof(Tiles(disk.fetch, last.head.size).node, entry.index, last.head.size)
        receipt = make_receipt(entry.body.encode(), entry.index, proof, last.raw).encode()
        try:
            check_receipt(receipt, old)
        except ReceiptError:
            continue  # The replaced key signs no more: too late, and the signer has said so.
        disk.put(path, receipt)


def _must_continue(disk: Disk, last: Published | None, size: int) -> None:
    """Refuse a table that isn't a continuation of what is published."""
    if last is None or last.head.size == 0:
        return
    start = last.head.size
    if size < start:
        raise PublishError(
            f"Bảng có {size} mục, đã công bố {start} mục: đây là bản sao lưu cũ vừa khôi phục. "
            "Chạy `manage.py ledger catch-up` để lấy lại các mục còn thiếu từ tệp đã công bố."
        )
    with connection.cursor() as cursor:
        cursor.execute("SELECT leaf_hash FROM ledger_entry WHERE index = %s", [start - 1])
        ours = bytes(cursor.fetchone()[0])
    try:
        theirs = Tiles(disk.fetch, start).node(0, start - 1)
    except TileError as error:
        raise PublishError(f"{disk.root}: {error}. Chạy `manage.py ledger rebuild`.") from error
    if ours != theirs:
        raise PublishError(
            f"Mục {start - 1} trong bảng không phải mục đã công bố: bảng đã rẽ nhánh sau khi khôi phục. "
            "Hãy khôi phục lại bản sao lưu và chạy `manage.py ledger catch-up` trước mọi việc khác."
        )


def read_table(start: int, end: int) -> Iterator[tuple[list[bytes], list[bytes]]]:
    """(bodies, leaf hashes) of entries start … end-1 in bounded batches."""
    connection.ensure_connection()
    at = start
    while at < end:
        stop = min(end, at - at % BATCH + BATCH)
        # A binary cursor of the driver itself: a million bodies without a detour through hex.
        with psycopg.Cursor(connection.connection) as cursor:
            rows = cursor.execute(
                "SELECT convert_to(body, 'UTF8'), leaf_hash FROM ledger_entry"
                " WHERE index >= %s AND index < %s ORDER BY index",
                [at, stop],
                binary=True,
            ).fetchall()
        yield [row[0] for row in rows], [row[1] for row in rows]
        at = stop


def _signed(disk: Disk, signer: Signs, edge: Edge, start: int, at: datetime.datetime) -> str:
    """The signer's note over the edge's root; asks again when the signer last signed another size."""
    tiles, old = Tiles(disk.fetch, edge.size), start
    for last_try in (False, True):
        proof = tuple(consistency_proof(tiles.node, old, edge.size))
        try:
            return signer.sign(SignRequest(old, edge.size, edge.root(), proof), at=at)
        except SignerRefusedError as error:
            # Killed between signing and writing: the signer is a step ahead of the files, and says so.
            if last_try or error.size in (old, -1) or error.size > edge.size:
                raise
            old = error.size
    raise AssertionError("unreachable")


def seal_and_publish(
    *,
    at: datetime.datetime,
    today: datetime.date,
    signer: Signs | None = None,
    disk: Disk | None = None,
    at_once: bool | None = None,
    force: bool = False,
) -> tuple[int, Published | None] | None:
    """One turn of the sequencer: (entries sealed, new checkpoint); None when another process is at it."""
    with sequencer_lock() as held:
        if not held:
            return None
        began_at = timezone.now()
        count = seal(today=today, at_once=at_once)
        # From here on what is due and was recorded before is in the log.
        Heartbeat.objects.update_or_create(name=TURN, defaults={"beat_on_clock_at": began_at})
        return count, publish(at=at, signer=signer, disk=disk, force=force)


def write_public_files(folder: Path, keys: list[SigningKey]) -> None:
    """The log's public keys and what is promised, beside the checkpoint (by the signer at its start)."""
    folder.mkdir(parents=True, exist_ok=True)
    disk = Disk(folder)
    disk.put(VKEY, "".join(f"{key.verifier}\n" for key in reversed(keys)).encode())
    disk.put(POLICY, json.dumps(policy(), ensure_ascii=False, indent=1, sort_keys=True).encode())


def put_draw_file(*, run: str, data: bytes) -> None:
    """Publish a run's draw file (`ledger.draw.draw_file`) beside the log; its hash goes into `run.committed`."""
    Disk(settings.LEDGER_DIR).put(f"runs/{run}.csv", data)


@transaction.atomic
def publish_figures(*, on: datetime.date, disk: Disk | None = None) -> dict | None:
    """Publish what the entries say in numbers, as a file, and its hash as an entry.

    The figures are `disclosure.Tally` over the published entries, which the verifier's `audit` counts again. None, and
    nothing done, before the first checkpoint, while an earlier claim still waits to be published, and when this day
    has its claim.
    """
    disk = disk or Disk(settings.LEDGER_DIR)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [FIGURES_LOCK])
    claims, name = {"event": "figures.published"}, on.isoformat()
    last = published(disk)
    if (
        last is None
        or last.head.size == 0
        or LedgerOutbox.objects.filter(**claims).exists()
        or LedgerEntry.objects.filter(**claims, subject=name).exists()
    ):
        return None
    tally = Tally()
    for bodies, _ in read_table(0, last.head.size):
        for body in bodies:
            tally.add(json.loads(body))
    figures = tally.figures()
    check_public(figures, "figures")
    disk.put(f"figures/{name}.json", dumps(figures))
    record(event="figures.published", on=on, figures=name, hash=tally.digest(), size=last.head.size)
    return figures


def policy() -> dict:
    """What this log promises, for machines; the page /so-cai/ says the same in words."""
    return {
        "origin": settings.LEDGER_ORIGIN,
        "formats": {
            "tree": "RFC 6962, SHA-256",
            "files": "https://c2sp.org/tlog-tiles",
            "checkpoint": "https://c2sp.org/tlog-checkpoint",
            "signature": "https://c2sp.org/signed-note, Ed25519",
            "cosignature": "https://c2sp.org/tlog-cosignature, cosignature/v1",
            "witness": "https://c2sp.org/tlog-witness",
            "proof": "https://c2sp.org/tlog-proof",
            "entry": f"RFC 8785 JSON, NFC text, at most {MAX_BODY_BYTES} bytes, version {VERSION}",
            "events": sorted(EVENTS),
            "commitment": 'SHA-256("mtce/commit/v1\\0" || salt (32 bytes) || JCS([field, value]))',
            "seed": 'SHA-256("mtce/seed/v1\\0" || frozen root (32 bytes) || randomness)',
            "lot": 'SHA-256("mtce/lot/v1\\0" || seed (32 bytes) || applicant code), ascending',
            "draw_file": f"runs/<run>.csv: {HEADER}",
            "figures": "figures/<date>.json, canonical, whose SHA-256 is in figures.published",
            "key_rotation": "keys/<id of the new key>.tlog-proof: key.rotated under the old key's signature",
        },
        "cadence": {
            "between_offices_hours": 1,
            "resigned_hours": 24,
            "handovers": "at once (demonstration)"
            if settings.LEDGER_AT_ONCE
            else "weekly, per area, shuffled, dated by the Monday, held until the area has enough or the run closes",
            "handover_area_minimum": 1 if settings.LEDGER_AT_ONCE else AREA_MINIMUM,
            "figures": "as of the last batch, weekly",
        },
        "rules": {
            "append_only": "an entry is never changed or removed; a correction is a new entry that names it",
            "custody": "one way per device; legal orders as in the verifier's table, refused before they are recorded",
            "children": "no row about a child; no eligibility group at device level",
            "area_minimum": AREA_MINIMUM,
            "area_of_roll": "at most half",
            "cell_minimum": CELL_MINIMUM,
            "draw_cell_minimum": DRAW_CELL_MINIMUM,
            "lookup": "by the full code of a device only, throttled, not indexed",
            "erasure": "the salt and what it opens are deleted; the commitment stays and says nothing",
        },
        "witnesses": {
            "known": [witness["key"] for witness in settings.LEDGER_WITNESSES],
            "needed": settings.LEDGER_WITNESSES_NEEDED,
        },
    }


def catch_up(*, disk: Disk | None = None) -> int:
    """After a restore: take the published entries that the table lacks from the files; return how many.

    Rows of the outbox that were published already are dropped with them. Raises PublishError when the files don't
    match their own checkpoint or the table isn't a prefix of them.
    """
    disk = disk or Disk(settings.LEDGER_DIR)
    last = published(disk)
    if last is None:
        return 0
    size, end = log_size(), last.head.size
    if size >= end:
        _must_continue(disk, last, size)
        return 0
    rebuilt, added = Edge(hashes_only=True), 0
    ours = itertools.chain.from_iterable(leaves for _, leaves in read_table(0, size))
    with transaction.atomic(), connection.cursor() as cursor, as_sequencer(cursor):
        for number, bodies in enumerate(read_entries(disk.fetch, end)):
            leaves = leaf_hashes(bodies)
            for _ in rebuilt.add(bodies, leaves):
                pass
            first = number * WIDTH
            known = max(0, min(size - first, len(bodies)))
            if list(itertools.islice(ours, known)) != leaves[:known]:
                raise PublishError(
                    "Bảng không phải phần đầu của sổ đã công bố. Hãy khôi phục một bản sao lưu cũ hơn."
                )
            added += len(bodies) - known
            _insert_published(cursor, first + known, bodies[known:])
        if rebuilt.root() != last.head.root:
            raise PublishError(
                f"{disk.root}: các tệp không khớp với checkpoint. Hãy chép lại từ một bản sao."
            )
        _must_not_contradict(cursor)
    return added


def _must_not_contradict(cursor) -> None:
    """Refuse to go on while an entry waits that was recorded after the restore and that the published log rules out."""
    cursor.execute(
        "SELECT o.dev, o.event, o.eid FROM ledger_outbox o WHERE EXISTS"
        " (SELECT 1 FROM ledger_entry e WHERE e.dev = o.dev AND e.n >= o.n) ORDER BY o.id"
    )
    if rows := cursor.fetchall():
        shown = "; ".join(f"{event} của máy {device} ({eid})" for device, event, eid in rows[:5])
        raise PublishError(
            f"Có {len(rows)} mục được ghi trên bản vừa khôi phục, về những máy đã công bố bước sau đó: {shown}."
            " Không ai được làm việc trước khi sổ cái đuổi kịp: hãy khôi phục lại bản sao lưu, chạy"
            " `manage.py ledger catch-up` trước, rồi ghi lại các việc này."
        )


def rebuild(*, disk: Disk | None = None) -> int:
    """Write every tile and bundle again from the table, up to the published size; return that size.

    For files that were lost or damaged. The checkpoint isn't touched; raises PublishError when the table's tree isn't
    the signed one.
    """
    disk = disk or Disk(settings.LEDGER_DIR)
    last = published(disk)
    if last is None:
        return 0
    edge = Edge()
    for bodies, leaves in read_table(0, last.head.size):
        disk.put_all(edge.add(bodies, leaves))
    if (edge.size, edge.root()) != (last.head.size, last.head.root):
        raise PublishError("Bảng không phải những gì đã ký. Hãy chép tệp từ một bản sao thay vì viết lại.")
    disk.put_all(edge.partials())
    return edge.size


def _insert_published(cursor, start: int, bodies: list[bytes]) -> None:
    """Entries as published, with the columns that follow from their bodies; their outbox rows go."""
    if not bodies:
        return
    parsed = [parse(body) for body in bodies]
    cursor.execute(
        "DELETE FROM ledger_outbox WHERE eid = ANY(%s::uuid[])", [[body["eid"] for body in parsed]]
    )
    cursor.execute(
        "SELECT dev, array_agg(state ORDER BY n) FROM ledger_entry WHERE dev = ANY(%s) GROUP BY dev",
        [[body["dev"] for body in parsed if "dev" in body]],
    )
    ways: dict[str, list[str]] = dict(cursor.fetchall())
    rows = []
    for index, (body, data) in enumerate(zip(parsed, bodies, strict=True), start):
        event, n, state = EVENTS[body["t"]], None, ""
        if "dev" in body:
            way = ways.setdefault(body["dev"], [])
            n, state = len(way), next_state(way, body)
            way.append(state)
        subject = str(body[event.subject]) if event.subject in body else None
        rows.append(
            (
                index,
                body["eid"],
                body["t"],
                body.get("dev"),
                n,
                state,
                subject,
                data.decode(),
                leaf_hash(data),
            )
        )
    with cursor.copy(
        "COPY ledger_entry (index, eid, event, dev, n, state, subject, body, leaf_hash) FROM STDIN"
    ) as copy:
        for row in rows:
            copy.write_row(row)


def status(*, at: datetime.datetime) -> dict:
    """The log's state for pages and metrics: what is published, what waits, how old the promise is."""
    disk = Disk(settings.LEDGER_DIR)
    try:
        last, trouble = published(disk), ""
    except PublishError as error:
        last, trouble = None, str(error)
    # The newest only: a page says as much, and an outbox may hold a million.
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT hold IS NOT NULL, recorded_at FROM ledger_outbox ORDER BY id DESC LIMIT %s",
            [MOST_COUNTED + 1],
        )
        newest = cursor.fetchall()
    turned_at = Heartbeat.objects.filter(name=TURN).values_list("beat_on_clock_at", flat=True).first()
    promised_at = at - WITHIN_THE_HOUR
    # What a turn leaves behind is not due yet: handovers, and what came to their devices after them.
    is_behind = (turned_at is None or turned_at < promised_at) and (
        len(newest) > MOST_COUNTED
        or any(
            not is_held and recorded_at < promised_at and (turned_at is None or recorded_at > turned_at)
            for is_held, recorded_at in newest
        )
    )
    return {
        "published": last,
        "trouble": trouble,
        "waiting": min(len(newest), MOST_COUNTED),
        "waits_more": len(newest) > MOST_COUNTED,
        "is_late": is_behind or bool(last and at - last.signed_at > datetime.timedelta(hours=24)),
        "signatures": len(Note.parse(last.raw).signatures) if last else 0,
    }
