#!/usr/bin/env python3
# Made by `python -m verifier.build` from ledger/ and verifier/; do not edit.
# ruff: noqa
"""Start of the stand-alone witness: `python mtce_witness.py --name … --key-file … --state … --log-key …`."""

from collections.abc import Callable, Iterable, Iterator
from collections.abc import Callable, Sequence
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
import argparse
import base64
import binascii
import contextlib
import fcntl
import hashlib
import http.client
import http.server
import json
import os
import re
import secrets
import signal
import struct
import sys
import threading
import time
import urllib.parse


# --- ledger/tree.py ---

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()
# A complete subtree: (level, index) is the hash of entries index·2^level … (index+1)·2^level - 1.
NodeReader = Callable[[int, int], bytes]


class ProofError(ValueError):
    """A proof doesn't show what it should."""


def leaf_hash(data: bytes) -> bytes:
    """SHA-256(0x00 ‖ entry), RFC 6962 section 2.1."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 ‖ left ‖ right)."""
    return sha256(b"\x01" + left + right).digest()


def next_level(hashes: bytes) -> bytes:
    """Parents of a concatenation of hashes, pairwise; an odd last hash is left out."""
    return b"".join(
        [sha256(b"\x01" + hashes[at : at + 64]).digest() for at in range(0, len(hashes) - 63, 64)]
    )


def perfect_root(hashes: bytes) -> bytes:
    """Root over 2^k concatenated hashes."""
    while len(hashes) > HASH_BYTES:
        hashes = next_level(hashes)
    return hashes


def root_of(leaves: Sequence[bytes]) -> bytes:
    """Root over leaf hashes; for small trees and as the plain statement of the definition."""
    if not leaves:
        return EMPTY_ROOT
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return node_hash(root_of(leaves[:split]), root_of(leaves[split:]))


def range_hash(node: NodeReader, low: int, high: int) -> bytes:
    """Hash of entries low … high-1, where `low` is a multiple of the smallest power of two ≥ the length."""
    count = high - low
    if count == 0:
        return EMPTY_ROOT
    level = count.bit_length() - 1
    if count == 1 << level:
        return node(level, low >> level)
    return node_hash(node(level, low >> level), range_hash(node, low + (1 << level), high))


def inclusion_proof(node: NodeReader, index: int, size: int) -> list[bytes]:
    """Audit path of entry `index` in the tree of `size`, leaf's sibling first (RFC 6962 section 2.1.1)."""
    if not 0 <= index < size:
        raise ProofError(f"entry {index} is not in a tree of {size}")
    path, low, high = [], 0, size
    while high - low > 1:
        split = low + (1 << (high - low - 1).bit_length() - 1)
        if index < split:
            path.append(range_hash(node, split, high))
            high = split
        else:
            path.append(range_hash(node, low, split))
            low = split
    return path[::-1]


def consistency_proof(node: NodeReader, old: int, new: int) -> list[bytes]:
    """Proof that the tree of `old` entries is a prefix of the tree of `new` (RFC 6962 section 2.1.2)."""
    if not 0 <= old <= new:
        raise ProofError(f"{old} is not a size before {new}")
    if old in (0, new):
        return []
    path, low, high, whole = [], 0, new, True
    while old != high:
        split = low + (1 << (high - low - 1).bit_length() - 1)
        if old <= split:
            path.append(range_hash(node, split, high))
            high = split
        else:
            path.append(range_hash(node, low, split))
            low, whole = split, False
    if not whole:
        path.append(range_hash(node, low, high))
    return path[::-1]


def _check_steps(path: Sequence[bytes]) -> None:
    """Raise ProofError unless every step is a hash: of other lengths, two trees could have the same node."""
    if any(len(step) != HASH_BYTES for step in path):
        raise ProofError(f"a step of the proof is not {HASH_BYTES} bytes")


def root_from_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """Root that the audit path leads to (RFC 9162 section 2.1.3.2); raises ProofError on a wrong length."""
    if not 0 <= index < size:
        raise ProofError(f"entry {index} is not in a tree of {size}")
    _check_steps(path)
    at, last, root = index, size - 1, leaf
    for step in path:
        if last == 0:
            raise ProofError("inclusion proof is too long")
        if at & 1 or at == last:
            root = node_hash(step, root)
            while not at & 1 and at:
                at >>= 1
                last >>= 1
        else:
            root = node_hash(root, step)
        at >>= 1
        last >>= 1
    if last:
        raise ProofError("inclusion proof is too short")
    return root


def check_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> None:
    """Raise ProofError unless `path` shows `leaf` at `index` under `root`."""
    if root_from_inclusion(leaf, index, size, path) != root:
        raise ProofError("inclusion proof leads to another root")


def check_consistency(old: int, new: int, path: Sequence[bytes], old_root: bytes, new_root: bytes) -> None:
    """Raise ProofError unless `path` shows that the old tree is a prefix of the new one (RFC 9162 2.1.4.2)."""
    if not 0 <= old <= new:
        raise ProofError("the new tree is smaller than the old one" if old > new else f"{old} is not a size")
    _check_steps(path)
    if old in (0, new):
        if path:
            raise ProofError("consistency proof is too long")
        if old == new and old_root != new_root:
            raise ProofError("trees of the same size differ")
        if old == 0 and old_root != EMPTY_ROOT:
            raise ProofError("not the root of the empty tree")
        return
    steps = list(path)
    if not steps:
        raise ProofError("consistency proof is empty")
    if old & (old - 1) == 0:
        steps.insert(0, old_root)
    at, last = old - 1, new - 1
    while at & 1:
        at >>= 1
        last >>= 1
    first = second = steps[0]
    for step in steps[1:]:
        if last == 0:
            raise ProofError("consistency proof is too long")
        if at & 1 or at == last:
            first, second = node_hash(step, first), node_hash(step, second)
            while not at & 1 and at:
                at >>= 1
                last >>= 1
        else:
            second = node_hash(second, step)
        at >>= 1
        last >>= 1
    if last or first != old_root or second != new_root:
        raise ProofError("consistency proof leads to other roots")


# --- ledger/tiles.py ---

WIDTH = 256
FULL_TILE = WIDTH * HASH_BYTES
ENTRIES = "entries"
# Reads one file of the log by its path; raises FileNotFoundError when it isn't there.
Fetch = Callable[[str], bytes]


class TileError(ValueError):
    """A file of the log is missing, cut or of the wrong size; the message names it."""


def tile_path(level: int | str, number: int, width: int = WIDTH) -> str:
    """Path of a tile (`level` 0…) or of an entry bundle (`level` = "entries")."""
    parts = [f"{number % 1000:03d}"]
    while number := number // 1000:
        parts.append(f"x{number % 1000:03d}")
    path = f"tile/{level}/{'/'.join(reversed(parts))}"
    return path if width == WIDTH else f"{path}.p/{width}"


def partial_width(level: int, size: int) -> int:
    """Hashes in the partial tile at `level` of a tree of `size`; 0 when there is none."""
    return (size >> 8 * level) % WIDTH


def fetch_wide(fetch: Fetch, level: int | str, number: int, width: int) -> tuple[str, bytes, int]:
    """(path, data, width) of a tile or bundle of at least `width`: the partial file of that size, else the full one."""
    path = tile_path(level, number, width)
    try:
        return path, fetch(path), width
    except FileNotFoundError:
        if width == WIDTH:
            raise TileError(f"{path}: missing") from None
    full = tile_path(level, number)
    try:
        return full, fetch(full), WIDTH
    except FileNotFoundError:
        raise TileError(f"{path}: missing, and so is {full}") from None


def fetch_tile(fetch: Fetch, level: int, number: int, width: int) -> bytes:
    """The first `width` hashes of a tile; raises TileError unless its file has exactly the size of its name."""
    path, data, found = fetch_wide(fetch, level, number, width)
    if len(data) != found * HASH_BYTES:
        raise TileError(f"{path}: {len(data)} bytes, expected {found * HASH_BYTES}")
    return data[: width * HASH_BYTES]


class Tiles:
    """Subtree hashes of a tree of `size`, read from tiles; `node` is a tree.NodeReader.

    Of each level `cached` tiles are kept with the hashes inside them, so that proofs one after another read and hash
    little more than the tile of their entry.
    """

    def __init__(self, fetch: Fetch, size: int, *, cached: int = 64):
        self.fetch, self.size, self.cached = fetch, size, cached
        # Level → number of the tile → its hashes, and the complete subtrees above them, height by height.
        self.tiles: dict[int, dict[int, list[bytes]]] = {}

    def _heights(self, level: int, number: int) -> list[bytes]:
        row = self.tiles.setdefault(level, {})
        held = row.get(number)
        if held is None:
            width = min((self.size >> 8 * level) - number * WIDTH, WIDTH)
            if width <= 0:
                raise TileError(f"{tile_path(level, number)}: beyond a tree of {self.size}")
            held = [fetch_tile(self.fetch, level, number, width)]
            if len(row) >= self.cached:
                row.pop(next(iter(row)))
            row[number] = held
        return held

    def tile(self, level: int, number: int) -> bytes:
        """All hashes of a tile that a tree of this size has."""
        return self._heights(level, number)[0]

    def node(self, level: int, index: int) -> bytes:
        """Hash of the complete subtree of 2^level entries at `index`."""
        row, height = divmod(level, 8)
        number, at = divmod(index << height, WIDTH)
        heights = self._heights(row, number)
        while len(heights) <= height:
            heights.append(next_level(heights[-1]))
        place = (at >> height) * HASH_BYTES
        found = heights[height][place : place + HASH_BYTES]
        if len(found) != HASH_BYTES:
            raise TileError(f"{tile_path(row, number)}: no hash {at}")
        return found

    def root(self) -> bytes:
        """Root of the tree, from its right edge."""
        return edge_root([self.edge(level) for level in range(levels(self.size))])

    def edge(self, level: int) -> bytes:
        """Hashes of the partial tile at `level`; empty when the tree has none."""
        width = partial_width(level, self.size)
        return self.tile(level, self.size >> 8 * (level + 1))[: width * HASH_BYTES] if width else b""


def levels(size: int) -> int:
    """How many tile levels a tree of `size` has."""
    count = 0
    while size >> 8 * count:
        count += 1
    return count


def edge_root(edges: list[bytes]) -> bytes:
    """Root of a tree from the partial tiles of its right edge, level 0 first."""
    root = b""
    for edge in edges:
        hashes = edge
        while hashes:
            odd = len(hashes) // HASH_BYTES % 2
            if odd:
                root = node_hash(hashes[-HASH_BYTES:], root) if root else hashes[-HASH_BYTES:]
            hashes = next_level(hashes)
    return root or EMPTY_ROOT


def pack(entries: Iterable[bytes]) -> bytes:
    """Bytes of an entry bundle."""
    return b"".join([struct.pack(">H", len(entry)) + entry for entry in entries])


def unpack(data: bytes, where: str) -> list[bytes]:
    """Entries of a bundle; raises TileError when it is cut."""
    entries: list[bytes] = []
    at, end = 0, len(data)
    while at < end:
        start = at + 2
        at = start + int.from_bytes(data[at:start], "big")
        if start > end or at > end:
            raise TileError(f"{where}: cut in entry {len(entries)}")
        entries.append(data[start:at])
    return entries


def read_entries(fetch: Fetch, size: int, start: int = 0) -> Iterator[list[bytes]]:
    """Entries start … size-1 bundle by bundle, `start` being a multiple of 256."""
    for number in range(start // WIDTH, (size + WIDTH - 1) // WIDTH):
        width = min(size - number * WIDTH, WIDTH)
        path, data, found = fetch_wide(fetch, ENTRIES, number, width)
        entries = unpack(data, path)
        if len(entries) != found:
            raise TileError(f"{path}: {len(entries)} entries, expected {found}")
        yield entries[:width]


class Edge:
    """The growing right edge of a log: feeds on entries, gives the files that are complete.

    Start with the partial tiles and the partial bundle of a tree of `size`. Its memory is one partial tile per
    level, whatever the size of the log.
    """

    def __init__(
        self,
        size: int = 0,
        edges: list[bytes] | None = None,
        bundle: list[bytes] | None = None,
        *,
        hashes_only: bool = False,
    ):
        """`hashes_only` gives tiles and no bundles: for checking a log whose bundles were just read."""
        self.size, self.edges, self.bundle = size, edges or [], bundle or []
        self.hashes_only = hashes_only

    def add(self, bodies: list[bytes], leaves: list[bytes]) -> Iterator[tuple[str, bytes]]:
        """Append entries with their leaf hashes; yield (path, data) of every tile and bundle that became full."""
        if not self.hashes_only:
            first = self.size // WIDTH
            self.bundle += bodies
            full = len(self.bundle) // WIDTH
            for number in range(full):
                yield (
                    tile_path(ENTRIES, first + number),
                    pack(self.bundle[number * WIDTH : (number + 1) * WIDTH]),
                )
            del self.bundle[: full * WIDTH]
        fresh, level, before = b"".join(leaves), 0, self.size
        self.size += len(bodies)
        while fresh:
            if level == len(self.edges):
                self.edges.append(b"")
            hashes, number, above = self.edges[level] + fresh, before >> 8 * (level + 1), []
            cut = len(hashes) - len(hashes) % FULL_TILE
            for at in range(0, cut, FULL_TILE):
                tile = hashes[at : at + FULL_TILE]
                yield tile_path(level, number + at // FULL_TILE), tile
                above.append(perfect_root(tile))
            self.edges[level] = hashes[cut:]
            fresh, level = b"".join(above), level + 1

    def partials(self) -> Iterator[tuple[str, bytes]]:
        """(path, data) of the partial tiles and the partial bundle that a checkpoint of this size needs."""
        if self.bundle:
            yield tile_path(ENTRIES, self.size // WIDTH, len(self.bundle)), pack(self.bundle)
        for level, edge in enumerate(self.edges):
            if edge:
                yield tile_path(level, self.size >> 8 * (level + 1), len(edge) // HASH_BYTES), edge

    def root(self) -> bytes:
        return edge_root(self.edges)


def leaf_hashes(bodies: Iterable[bytes]) -> list[bytes]:
    """RFC 6962 leaf hash of each entry."""
    return [sha256(b"\x00" + body).digest() for body in bodies]


def open_edge(fetch: Fetch, size: int) -> Edge:
    """The right edge of the published log of `size`, from its files."""
    tiles = Tiles(fetch, size)
    bundle: list[bytes] = []
    if size % WIDTH:
        for entries in read_entries(fetch, size, size - size % WIDTH):
            bundle = entries
    return Edge(size, [tiles.edge(level) for level in range(levels(size))], bundle)


def log_files(size: int) -> Iterator[str]:
    """Paths of every file that a checkpoint of `size` commits to."""
    for number in range((size + WIDTH - 1) // WIDTH):
        yield tile_path(ENTRIES, number, min(size - number * WIDTH, WIDTH))
    for level in range(levels(size)):
        count = size >> 8 * level
        for number in range((count + WIDTH - 1) // WIDTH):
            yield tile_path(level, number, min(count - number * WIDTH, WIDTH))


def copy_log(
    fetch: Fetch,
    put_all: Callable[[Iterable[tuple[str, bytes]]], None],
    *,
    beside: Callable[[], Iterable[str]] = tuple,
) -> int:
    """Copy a log that may grow meanwhile; the copy verifies at every moment. Returns how many files.

    The checkpoint is read first and written last: what it commits to is there before it is. `beside` names the files
    that lie beside the log (draw files, figures, receipts of keys); it is asked after the checkpoint was read.
    """
    checkpoint = fetch("checkpoint")
    lines = checkpoint.split(b"\n")
    if len(lines) < 3 or not lines[1].isdigit():
        raise TileError("checkpoint: malformed")
    size, count = int(lines[1]), 0
    some: list[tuple[str, bytes]] = []
    for path in beside():
        put_all([(path, fetch(path))])
        count += 1
    for path in log_files(size):
        bare, _, width = path.partition(".p/")
        try:
            data = fetch(path)
        except FileNotFoundError:
            if not width:
                raise TileError(f"{path}: missing") from None
            # The log grew past this partial file and tidied it up; the full one serves.
            path, data = bare, fetch(bare)
        some.append((path, data))
        if len(some) == 512:
            put_all(some)
            count, some = count + len(some), []
    put_all(some)
    extra = []
    for path in ("vkey", "policy.json"):
        try:
            extra.append((path, fetch(path)))
        except FileNotFoundError:
            continue
    put_all(extra)
    put_all([("checkpoint", checkpoint)])
    return count + len(some) + len(extra) + 1


# --- ledger/notes.py ---

ED25519, COSIGNATURE = 1, 4
MARK = "— "
DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")
KEY_NAME = re.compile(r"[^\s+]+")
# At least sixteen signatures, of other kinds too (signed-note): a post-quantum one is up to 5 kB, 7 in base64.
MAX_NOTE_BYTES = 256 * 1024


class NoteError(ValueError):
    """A note, checkpoint or key is malformed or isn't signed as it should be."""


def decode64(text: str, what: str) -> bytes:
    """Strict standard base64; the one text form per value is required, so no two texts mean the same."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise NoteError(f"{what}: not base64") from error
    if base64.b64encode(data).decode() != text:
        raise NoteError(f"{what}: not canonical base64")
    return data


def encode64(data: bytes) -> str:
    return base64.b64encode(data).decode()


@dataclass(frozen=True)
class VerifierKey:
    """A public key with its name; `kind` says whether it signs checkpoints or cosigns them as a witness."""

    name: str
    kind: int
    public: bytes

    @classmethod
    def parse(cls, text: str) -> "VerifierKey":
        """Read `name+hex id+base64`; raises NoteError."""
        name, _, rest = text.strip().partition("+")
        shown, _, encoded = rest.partition("+")
        data = decode64(encoded, "key")
        if not KEY_NAME.fullmatch(name) or len(data) != 33 or data[0] not in (ED25519, COSIGNATURE):
            raise NoteError("key: expected name+id+base64 of an Ed25519 key")
        key = cls(name, data[0], data[1:])
        if key.key_id.hex() != shown:
            raise NoteError("key: its id doesn't fit its name and bytes")
        return key

    @property
    def key_id(self) -> bytes:
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.public).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{encode64(bytes([self.kind]) + self.public)}"

    def check(self, text: str, signature: bytes) -> int | None:
        """Raise NoteError unless `signature` is this key's over `text`; a cosignature's time in Unix seconds."""
        message, moment = text.encode(), None
        if self.kind == COSIGNATURE:
            if len(signature) != 72:
                raise NoteError(f"cosignature of {self.name}: wrong length")
            (moment,) = struct.unpack(">Q", signature[:8])
            message, signature = b"cosignature/v1\ntime %d\n" % moment + message, signature[8:]
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except InvalidSignature as error:
            raise NoteError(f"signature of {self.name} is wrong") from error
        return moment


@dataclass(frozen=True)
class SigningKey:
    """A private key with its name; made of 32 seed bytes."""

    name: str
    seed: bytes
    kind: int = ED25519

    @property
    def verifier(self) -> VerifierKey:
        public = Ed25519PrivateKey.from_private_bytes(self.seed).public_key()
        return VerifierKey(self.name, self.kind, public.public_bytes(Encoding.Raw, PublicFormat.Raw))

    def signature_line(self, text: str, *, at: int = 0) -> str:
        """The signature line over a note's text; `at` is the Unix time of a cosignature."""
        key, message, stamp = Ed25519PrivateKey.from_private_bytes(self.seed), text.encode(), b""
        if self.kind == COSIGNATURE:
            message, stamp = b"cosignature/v1\ntime %d\n" % at + message, struct.pack(">Q", at)
        return f"{MARK}{self.name} {encode64(self.verifier.key_id + stamp + key.sign(message))}\n"


@dataclass(frozen=True)
class Note:
    """A signed note: its text (ends with a newline) and signature lines as (name, key id, signature)."""

    text: str
    signatures: tuple[tuple[str, bytes, bytes], ...]

    @classmethod
    def parse(cls, raw: bytes) -> "Note":
        """Read a signed note; raises NoteError."""
        if len(raw) > MAX_NOTE_BYTES:
            raise NoteError("note: too long")
        try:
            content = raw.decode()
        except UnicodeDecodeError as error:
            raise NoteError("note: not UTF-8") from error
        text, separator, lines = content.rpartition("\n\n")
        if not separator or not lines.endswith("\n") or any(ord(c) < 32 and c != "\n" for c in content):
            raise NoteError("note: expected a text, an empty line and signature lines")
        return cls(text + "\n", tuple(cls.parse_signature(line) for line in lines[:-1].split("\n")))

    @staticmethod
    def parse_signature(line: str) -> tuple[str, bytes, bytes]:
        name, space, encoded = line.removeprefix(MARK).partition(" ")
        data = decode64(encoded, "signature")
        if not line.startswith(MARK) or not space or not KEY_NAME.fullmatch(name) or len(data) < 5:
            raise NoteError("note: malformed signature line")
        return name, data[:4], data[4:]

    def signed_by(self, key: VerifierKey) -> int | None:
        """Raise NoteError unless `key` signed; the time of a cosignature."""
        for name, key_id, signature in self.signatures:
            if name == key.name and key_id == key.key_id:
                return key.check(self.text, signature)
        raise NoteError(f"not signed by {key.name}+{key.key_id.hex()}")


@dataclass(frozen=True)
class TreeHead:
    """What a checkpoint says: this log had `size` entries under `root`; `extra` lines carry the time of signing."""

    origin: str
    size: int
    root: bytes
    extra: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        return "".join(
            f"{line}\n" for line in (self.origin, str(self.size), encode64(self.root), *self.extra)
        )

    @classmethod
    def parse(cls, text: str) -> "TreeHead":
        """Read a checkpoint's text; raises NoteError."""
        lines = text.split("\n")
        if len(lines) < 4 or lines[-1] or any(not line for line in lines[:-1]):
            raise NoteError("checkpoint: expected origin, size and root")
        if not DECIMAL.fullmatch(lines[1]):
            raise NoteError("checkpoint: size is not a number")
        root = decode64(lines[2], "checkpoint: root")
        if len(root) != HASH_BYTES:
            raise NoteError("checkpoint: root is not 32 bytes")
        return cls(lines[0], int(lines[1]), root, tuple(lines[3:-1]))

    @property
    def signed_at(self) -> str | None:
        """Moment of signing (`time 2021-10-05T09:00:00Z` in the extra lines), as text."""
        return next((line.removeprefix("time ") for line in self.extra if line.startswith("time ")), None)


def open_checkpoint(raw: bytes, key: VerifierKey) -> tuple[TreeHead, Note]:
    """The tree head in a checkpoint that `key` signed; raises NoteError."""
    note = Note.parse(raw)
    head = TreeHead.parse(note.text)
    if key.kind != ED25519:
        raise NoteError(f"{key.name}: the key of a witness, not of a log")
    if head.origin != key.name:
        raise NoteError(f"checkpoint: of the log {head.origin}, expected {key.name}")
    note.signed_by(key)
    return head, note


def distinct(keys: list[VerifierKey]) -> list[VerifierKey]:
    """The keys of different bodies. A cosignature doesn't commit to its signer's name (tlog-cosignature), so one key under
    two names is one witness."""
    return list({key.public: key for key in reversed(keys)}.values())[::-1]


def witnesses_of(note: Note, keys: list[VerifierKey]) -> list[tuple[str, int]]:
    """(name, Unix time) of each trusted witness with a valid cosignature; a wrong one raises NoteError."""
    found = []
    for key in distinct(keys):
        if key.kind != COSIGNATURE:
            raise NoteError(f"{key.name}: not the key of a witness")
        if any((name, key_id) == (key.name, key.key_id) for name, key_id, _ in note.signatures):
            found.append((key.name, note.signed_by(key) or 0))
    return found


# --- ledger/disk.py ---

# fsync waits for the disk, not for Python: a few at once cost little more than one.
SYNC_THREADS = 16


class Disk:
    """The folder of one log."""

    def __init__(self, root: Path):
        self.root = Path(root)

    def fetch(self, path: str) -> bytes:
        """A file's bytes (`tiles.Fetch`)."""
        return (self.root / path).read_bytes()

    def write(self, path: Path, data: bytes) -> None:
        path.write_bytes(data)

    def sync(self, path: Path) -> None:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def rename(self, aside: Path, path: Path) -> None:
        aside.rename(path)

    def put_all(self, files: Iterable[tuple[str, bytes]]) -> None:
        """Write files so that each is whole and on the disk when this returns; memory holds one at a time."""
        pairs, folders = [], set()
        for name, data in files:
            path = self.root / name
            if path.parent not in folders:
                fresh = path.parent
                while not fresh.exists():
                    folders.add(fresh)
                    fresh = fresh.parent
                path.parent.mkdir(parents=True, exist_ok=True)
                folders |= {path.parent, fresh}
            aside = path.with_name(f".{path.name}.part")
            self.write(aside, data)
            pairs.append((aside, path))
        if not pairs:
            return
        with ThreadPoolExecutor(SYNC_THREADS) as pool:
            list(pool.map(self.sync, [aside for aside, _ in pairs]))
            for aside, path in pairs:
                self.rename(aside, path)
            list(pool.map(self.sync, folders))

    def put(self, name: str, data: bytes) -> None:
        """Write one file; whole and on the disk when this returns."""
        self.put_all([(name, data)])

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder against every other process and thread that asks for it; let go when this one ends."""
        handle = os.open(self.root / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


# --- ledger/keys.py ---

SEED_BYTES = 32


def new_seed() -> str:
    """A fresh private key as text."""
    return base64.urlsafe_b64encode(secrets.token_bytes(SEED_BYTES)).decode()


def read_seed(text: str, what: str) -> bytes:
    """The 32 bytes of a private key; raises NoteError that names `what` and never shows the key."""
    seed = decode64(text.strip().replace("-", "+").replace("_", "/"), what)
    if len(seed) != SEED_BYTES:
        raise NoteError(f"{what}: expected {SEED_BYTES} bytes as base64")
    return seed


def write_key(path: Path) -> str:
    """Make a key and write it to a new file (mode 0600); raises FileExistsError rather than overwrite one."""
    seed = new_seed()
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(seed + "\n")
        file.flush()
        os.fsync(file.fileno())
    return seed


def read_key(path: Path) -> bytes:
    """The private key in a file; raises OSError or NoteError."""
    return read_seed(path.read_text(errors="replace"), str(path))


# --- ledger/witnesses.py ---

TIMEOUT_S = 5
MAX_REQUEST = MAX_NOTE_BYTES + 4 * 1024
MAX_PROOF = 63


def cosign(note: str, witnesses: list[dict], tiles: Tiles) -> str:
    """The checkpoint with a line of every configured witness that answered with a valid cosignature.

    `witnesses` are {"url": submission prefix, "key": vkey}. One that is away or refuses is left out: the
    verifier's k-of-n policy decides whether that is enough.
    """
    text = note.split("\n\n")[0] + "\n"

    def line_of(witness: dict) -> str | None:
        try:
            key, own = VerifierKey.parse(witness["key"]), Tiles(tiles.fetch, tiles.size)
            return ask(witness["url"], key, note, text, own)
        except (OSError, http.client.HTTPException, ValueError, KeyError):
            return None

    if not witnesses:
        return note
    # All at once: one that is slow costs the others nothing.
    with ThreadPoolExecutor(len(witnesses)) as pool:
        return note + "".join(line for line in pool.map(line_of, witnesses) if line)


def ask(url: str, key: VerifierKey, note: str, text: str, tiles: Tiles) -> str | None:
    """One witness's signature line over the checkpoint, or None; asks twice, for it tells the size it knows."""
    old = 0
    for _ in range(2):
        proof = consistency_proof(tiles.node, old, tiles.size) if old <= tiles.size else []
        lines = [f"old {old}", *map(encode64, proof), "", ""]
        status, body = _post(url, "\n".join(lines).encode() + note.encode())
        if status == 200:
            for line in body.decode().splitlines():
                name, key_id, signature = Note.parse_signature(line)
                if (name, key_id) == (key.name, key.key_id):
                    key.check(text, signature)
                    return f"{line}\n"
            return None
        known = body.decode(errors="replace").strip()
        if status != 409 or not DECIMAL.fullmatch(known) or int(known) == old:
            return None
        old = int(known)
    return None


def _post(url: str, data: bytes) -> tuple[int, bytes]:
    parts = urllib.parse.urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    link = kind(parts.hostname or "", parts.port, timeout=TIMEOUT_S)
    try:
        link.request("POST", f"{parts.path.rstrip('/')}/add-checkpoint", body=data)
        answer = link.getresponse()
        return answer.status, answer.read(MAX_REQUEST)
    finally:
        link.close()


class Witness:
    """One witness's memory and judgement; `add` is atomic, and the new size is on the disk before the answer."""

    def __init__(self, *, key: SigningKey, folder: Path, logs: list[VerifierKey]):
        if key.kind != COSIGNATURE:
            raise NoteError("a witness's key is of the cosignature kind")
        self.key, self.disk, self.lock = key, Disk(folder), threading.Lock()
        self.logs: dict[str, list[VerifierKey]] = {}
        for log in logs:
            self.logs.setdefault(log.name, []).append(log)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _state_name(self, origin: str) -> str:
        return f"{urllib.parse.quote(origin, safe='')}.json"

    def known(self, origin: str) -> tuple[int, bytes]:
        """Size and root last cosigned for this log; the empty tree before the first."""
        try:
            kept = json.loads(self.disk.fetch(self._state_name(origin)))
        except FileNotFoundError:
            return 0, EMPTY_ROOT
        return int(kept["size"]), decode64(kept["root"], "state")

    def add(self, request: bytes, *, now: int | None = None) -> tuple[int, str, str]:
        """Answer one add-checkpoint request: (HTTP status, content type, body)."""
        try:
            old, proof, raw = read_request(request)
            note = Note.parse(raw)
            head = TreeHead.parse(note.text)
        except (NoteError, ValueError) as error:
            return 400, "text/plain", f"{error}\n"
        keys = self.logs.get(head.origin)
        if keys is None:
            return 404, "text/plain", "unknown log\n"
        if not any(_signed_by(note, key) for key in keys):
            return 403, "text/plain", "not signed by a known key of the log\n"
        if old > head.size:
            return 400, "text/plain", "old size is larger than the checkpoint's\n"
        # One at a time, in this process and in any other with the same memory; a memory that can't be read signs nothing.
        with self.lock, self.disk.lock():
            try:
                size, root = self.known(head.origin)
            except (ValueError, KeyError, TypeError):
                return 500, "text/plain", "this witness can't read its memory\n"
            if old != size or (size == head.size and root != head.root):
                return 409, "text/x.tlog.size", f"{size}\n"
            try:
                check_consistency(size, head.size, proof, root, head.root)
            except ProofError as error:
                return 422, "text/plain", f"{error}\n"
            state = json.dumps({"size": head.size, "root": encode64(head.root)})
            self.disk.put(self._state_name(head.origin), state.encode())
            return 200, "text/plain", self.key.signature_line(note.text, at=now or int(time.time()))


def _signed_by(note: Note, key: VerifierKey) -> bool:
    try:
        note.signed_by(key)
    except NoteError:
        return False
    return True


def read_request(data: bytes) -> tuple[int, list[bytes], bytes]:
    """(old size, proof, checkpoint) of an add-checkpoint request; raises ValueError or NoteError."""
    head, separator, checkpoint = data.partition(b"\n\n")
    lines = head.decode("ascii").split("\n")
    old = lines[0].removeprefix("old ")
    if not separator or not lines[0].startswith("old ") or not DECIMAL.fullmatch(old):
        raise ValueError("expected «old <size>», proof lines, an empty line and a checkpoint")
    proof = [decode64(line, "proof") for line in lines[1:]]
    if len(proof) > MAX_PROOF or any(len(step) != 32 for step in proof):
        raise ValueError("malformed proof")
    return int(old), proof, checkpoint


def witness_server(witness: Witness, host: str, port: int) -> http.server.ThreadingHTTPServer:
    """An HTTP server (threads) of one witness; `server_address` tells its port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = TIMEOUT_S

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            if self.path != "/add-checkpoint" or not DECIMAL.fullmatch(length) or int(length) > MAX_REQUEST:
                self.close_connection = True
                answer = (404 if self.path != "/add-checkpoint" else 413, "text/plain", "")
            else:
                answer = witness.add(self.rfile.read(int(length)))
            status, kind, body = answer
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body.encode())))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None:
            """Quiet: what counts is in the state file."""

    return http.server.ThreadingHTTPServer((host, port), Handler)


def add_witness_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of a witness, here and under `manage.py ledger witness`."""
    parser.add_argument("--name", required=True, help="tên của nhân chứng, ví dụ nhan-chung.example")
    parser.add_argument("--key-file", type=Path, required=True, help="tệp khóa; được tạo nếu chưa có")
    parser.add_argument("--state", type=Path, required=True, help="thư mục trí nhớ của nhân chứng")
    parser.add_argument("--log-key", action="append", required=True, help="khóa công khai của sổ cái (vkey)")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: cổng nào cũng được, in ra khi chạy")


def run_witness(*, name: str, key_file: Path, state: Path, log_key: list[str], host: str, port: int) -> None:
    """Be a witness until SIGTERM or SIGINT; prints its port and public key first. Raises OSError or NoteError."""
    if not key_file.exists():
        write_key(key_file)
    key = SigningKey(name, read_key(key_file), COSIGNATURE)
    witness = Witness(key=key, folder=state, logs=[VerifierKey.parse(text) for text in log_key])
    server = witness_server(witness, host, port)
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write(json.dumps({"port": server.server_address[1], "key": str(key.verifier)}) + "\n")
    sys.stdout.flush()
    stopped.wait()
    server.shutdown()
    server.server_close()


def witness_main(argv: list[str] | None = None) -> int:
    """The stand-alone witness: 0 when it was stopped, 3 when its key, memory or port can't be used."""
    parser = argparse.ArgumentParser(prog="mtce_witness", description=__doc__)
    add_witness_arguments(parser)
    try:
        run_witness(**vars(parser.parse_args(argv)))
    except (OSError, NoteError) as error:
        sys.stderr.write(f"mtce_witness: {error}\n")
        return 3
    return 0


# --- verifier/witness.py ---

if __name__ == "__main__":
    sys.exit(witness_main())
