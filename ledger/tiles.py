"""C2SP tlog-tiles: where a log's hashes and entries lie as files, reading them, growing them.

A tile is 256 hashes of one height, 8 levels apart; an entry bundle is 256 entries, each with a big-endian
uint16 length. No Django here: the stand-alone verifier carries this very file.
"""

import struct
from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256

from ledger.tree import EMPTY_ROOT, HASH_BYTES, next_level, node_hash, perfect_root

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
