"""What is already public about a code: entries that a signed checkpoint commits to, and their proofs.

Everything here reads the log's table and files, never a domain table; so a page drawn from it shows what is public
and nothing else.
"""

import json
import uuid
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from django.conf import settings
from django.db import connection

from ledger.disk import Disk
from ledger.publisher import CHECKPOINT, Published, PublishError, published
from ledger.receipts import make_receipt, pack_family
from ledger.tiles import Tiles
from ledger.tree import inclusion_proof


@dataclass(frozen=True)
class PublicEntry:
    """One entry as the log has it; `state` is where its device stands after it."""

    index: int
    body: dict
    state: str
    raw: bytes

    @property
    def eid(self) -> str:
        return self.body["eid"]


@lru_cache(maxsize=4)
def _published_at(folder: Path, stamp: tuple[int, int]) -> Published | None:
    """The checkpoint of one version of the file, its signature checked once."""
    return published(Disk(folder))


@lru_cache(maxsize=2)
def _tiles_at(folder: Path, size: int) -> Tiles:
    """The tree under one checkpoint. Tiles never change under their names, so what was read serves the next proof."""
    return Tiles(Disk(folder).fetch, size)


def latest() -> Published | None:
    """The published checkpoint, checked once per file; None before the first or when it doesn't verify."""
    try:
        stat = (settings.LEDGER_DIR / CHECKPOINT).stat()
        return _published_at(settings.LEDGER_DIR, (stat.st_mtime_ns, stat.st_ino))
    except (FileNotFoundError, PublishError):
        return None


def _entries(where: str, params: list, size: int) -> list[PublicEntry]:
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT index, body, state FROM ledger_entry WHERE {where} AND index < %s ORDER BY index",
            [*params, size],
        )
        return [PublicEntry(row[0], json.loads(row[1]), row[2], row[1].encode()) for row in cursor.fetchall()]


def device_way(code: str) -> list[PublicEntry]:
    """Published entries of one device, first to last."""
    last = latest()
    return _entries("dev = %s", [code], last.head.size) if last else []


def subject_entries(subject: str) -> list[PublicEntry]:
    """Published entries about a pledge, run, lot, order, point or unit, and the devices that came from a pledge."""
    last = latest()
    return _entries("subject = %s", [subject], last.head.size) if last else []


def erased_of(way: list[PublicEntry]) -> dict[str, list[PublicEntry]]:
    """For the handovers of a way, the published entries that say which of their commitments were erased."""
    last = latest()
    found: dict[str, list[PublicEntry]] = {}
    eids = [
        entry.eid for entry in way if entry.body["t"] in ("device.handed_over", "device.handover_confirmed")
    ]
    if last and eids:
        for entry in _entries("subject = ANY(%s) AND event = 'commitment.erased'", [eids], last.head.size):
            found.setdefault(entry.body["erases"], []).append(entry)
    return found


def amendments(count: int) -> list[tuple[PublicEntry, PublicEntry | None]]:
    """The newest corrections and erasures, each with the entry that it is about."""
    last = latest()
    if last is None:
        return []
    where = (
        "index = ANY(ARRAY(SELECT index FROM ledger_entry WHERE event IN ('correction', 'commitment.erased')"
    )
    found = _entries(
        where + " AND index < %s ORDER BY index DESC LIMIT %s))", [last.head.size, count], last.head.size
    )
    about = [uuid.UUID(entry.body.get("corrects") or entry.body["erases"]) for entry in found]
    originals = {entry.eid: entry for entry in _entries("eid = ANY(%s)", [about], last.head.size)}
    return [
        (entry, originals.get(eid.hex)) for entry, eid in zip(reversed(found), reversed(about), strict=True)
    ]


def is_held(eid: uuid.UUID) -> bool:
    """Whether this event is recorded and waits to be published."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT 1 FROM ledger_outbox WHERE eid = %s)", [eid])
        return cursor.fetchone()[0]


def entry_of(eid: uuid.UUID) -> PublicEntry | None:
    """The published entry with this event id."""
    last = latest()
    found = _entries("eid = %s", [eid], last.head.size) if last else []
    return found[0] if found else None


def is_waiting(code: str) -> bool:
    """Whether something about this device is recorded and not public yet."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT 1 FROM ledger_outbox WHERE dev = %s)", [code])
        return cursor.fetchone()[0]


def names_of(codes: set[str]) -> dict[str, str]:
    """Names that the log itself gives to codes of units and offices (`unit.registered`, `unit.renamed`)."""
    last = latest()
    known = _names_under(last.raw if last else b"")
    if missing := codes - known.keys():
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT subject, body::jsonb ->> 'name' FROM ledger_entry"
                " WHERE subject = ANY(%s) AND event IN ('unit.registered', 'unit.renamed') ORDER BY index",
                [sorted(missing)],
            )
            found = dict(cursor.fetchall())
        known |= {code: found.get(code) for code in missing}
    return {code: name for code in codes if (name := known[code])}


@lru_cache(maxsize=1)
def _names_under(checkpoint: bytes) -> dict[str, str | None]:
    """What was looked up under one checkpoint; the next one starts afresh."""
    return {}


def proof_of(entry: PublicEntry) -> list[bytes]:
    """Audit path of an entry under the published checkpoint, from the files. Raises TileError."""
    last = latest()
    assert last is not None
    tiles = _tiles_at(settings.LEDGER_DIR, last.head.size)
    return inclusion_proof(tiles.node, entry.index, last.head.size)


def receipt_of(entry: PublicEntry, openings: list[tuple[str, str, bytes]] | None = None) -> str:
    """Text of the .tlog-proof of an entry; `openings` are (field, value, salt)."""
    last = latest()
    assert last is not None
    return make_receipt(entry.raw, entry.index, proof_of(entry), last.raw, openings or [])


def latest_other(count: int) -> list[PublicEntry]:
    """The newest published entries that aren't about one device."""
    last = latest()
    if last is None:
        return []
    return _entries("dev IS NULL AND index >= %s", [max(0, last.head.size - 2000)], last.head.size)[-count:][
        ::-1
    ]


def family_urls(*, eids: list[uuid.UUID]) -> dict[uuid.UUID, str]:
    """The text of each family's QR: a page, and behind the # what opens their own commitments.

    The part behind # stays in the browser; the server only learns that somebody looked at this entry. An event whose
    openings were erased gives an address that opens nothing.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT eid, dev FROM ledger_outbox WHERE eid = ANY(%(eids)s) AND dev IS NOT NULL"
            " UNION SELECT eid, dev FROM ledger_entry WHERE eid = ANY(%(eids)s) AND dev IS NOT NULL",
            {"eids": eids},
        )
        devices = dict(cursor.fetchall())
        cursor.execute(
            "SELECT eid, field, value, salt FROM ledger_opening WHERE eid = ANY(%s) ORDER BY field", [eids]
        )
        opened: dict[uuid.UUID, list[tuple[str, str, bytes]]] = {}
        for eid, field, value, salt in cursor.fetchall():
            opened.setdefault(eid, []).append((field, value, bytes(salt)))
    return {
        eid: family_address(device=device, eid=eid, openings=opened.get(eid, []))
        for eid, device in devices.items()
    }


def family_address(*, device: str, eid: uuid.UUID, openings: list[tuple[str, str, bytes]]) -> str:
    """As `family_urls`, from openings already at hand: (field, value, salt)."""
    return f"{settings.PUBLIC_URL}/so-cai/bien-nhan/#{pack_family(device, eid.bytes, openings)}"


def family_url(*, eid: uuid.UUID) -> str:
    """As `family_urls`, for one event; KeyError when no device has it."""
    return family_urls(eids=[eid])[eid]
