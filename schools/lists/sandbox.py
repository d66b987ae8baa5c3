"""Starts the reading process under limits and gives its rows on, as they come."""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from schools.lists.intake import Refused
from schools.lists.rows import Options

WALL_SECONDS = 240
# A batch of rows is far shorter; whatever the other process says, this one stays small.
LONGEST_LINE = 32 * 2**20
_HOME = Path(__file__).resolve().parents[2]


@dataclass
class Reading:
    """A file being read: ``head`` is there before the first row, ``tail`` after the last."""

    head: dict = field(default_factory=dict)
    tail: dict = field(default_factory=dict)


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read(
    path: Path, options: Options, reading: Reading, *, wall_seconds: float = WALL_SECONDS
) -> Iterator[list[list]]:
    """Yield batches of checked rows (`rows.FIELDS`, findings as lists) of a file.

    The file is opened by another process, limited in memory (950 MB), processor time and wall time, that
    gets neither keys nor database. Raises `Refused` with the reason when the file can't be taken, also
    when that process dies.
    """
    environment = {"PATH": os.environ.get("PATH", ""), "LANG": "C.UTF-8", "PYTHONPATH": str(_HOME)}
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "schools.lists.child", str(path.resolve())],
            cwd=_HOME,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
        late = threading.Event()

        def stop() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(wall_seconds, stop)
        timer.start()
        try:
            assert process.stdin
            assert process.stdout
            try:
                process.stdin.write(options.dumps().encode())
                process.stdin.close()
            except BrokenPipeError:
                pass
            while line := process.stdout.readline(LONGEST_LINE):
                if not line.endswith(b"\n"):
                    break
                tag, content = json.loads(line)
                if tag == "R":
                    yield content
                elif tag == "H":
                    reading.head = content
                elif tag == "Z":
                    reading.tail = content
                elif tag == "X":
                    raise Refused(**content)
            status = process.wait()
            if status == 0 and reading.tail:
                return
            errors.seek(0)
            raise _died(status, errors.read()[-4000:], late.is_set())
        finally:
            timer.cancel()
            if process.poll() is None:
                process.kill()
            process.wait()
            if process.stdout:
                process.stdout.close()


def _died(status: int, errors: bytes, late: bool) -> Refused:
    if late or status == -24 or status == -9:
        said = "Tệp mất quá nhiều thời gian để đọc nên đã dừng: xoá phần thừa, tách tệp rồi gửi lại."
        return Refused("too_slow", said)
    if status in (3, -6) or b"MemoryError" in errors or b"memory allocation" in errors:
        said = "Tệp cần quá nhiều bộ nhớ để đọc: xoá các hàng, cột, trang thừa hoặc tách tệp rồi gửi lại."
        return Refused("too_large", said)
    said = "Không đọc được tệp (cấu trúc bất thường): mở bằng Excel, lưu thành .xlsx mới rồi gửi lại."
    return Refused("broken_file", said)
