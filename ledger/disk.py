"""Files of the published log: written aside, synced, renamed; a reader never sees half a file.

Every touch of the disk is one method here, so that a test can make each of them fail in turn.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

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
