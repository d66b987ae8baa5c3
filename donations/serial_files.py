"""Serials from a pasted text or a stranger's file; the file is opened by a limited process of its own."""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from django.core.exceptions import ValidationError

_HOME = Path(__file__).resolve().parent.parent
WALL_SECONDS = 40
_SEPARATOR = re.compile(r"[\t,;]")


def from_text(text: str) -> list[tuple[str, str]]:
    """(serial, imei) of each line, blank lines kept so that row numbers are those a person sees."""
    rows = []
    for line in text.splitlines():
        serial, *rest = _SEPARATOR.split(line)
        rows.append((serial.strip(), rest[0].strip() if rest else ""))
    return rows


def from_file(file) -> list[tuple[str, str]]:
    """(serial, imei) of each row of an uploaded file, empty rows in between kept, first row 1.

    Args:
        file: an uploaded file of Django.

    Raises ValidationError with the reason when the file can't be taken, also when its reader dies.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"upload{Path(file.name).suffix.lower()[:6]}"
        with path.open("wb") as target:
            for chunk in file.chunks():
                target.write(chunk)
        environment = {"PATH": os.environ.get("PATH", ""), "LANG": "C.UTF-8", "PYTHONPATH": str(_HOME)}
        try:
            done = subprocess.run(
                [sys.executable, "-m", "donations.serial_child", str(path)],
                cwd=_HOME,
                env=environment,
                capture_output=True,
                timeout=WALL_SECONDS,
                check=False,
            )
            answer = json.loads(done.stdout or b"{}")
        except (subprocess.TimeoutExpired, json.JSONDecodeError):
            answer = {}
    if "rows" not in answer:
        raise ValidationError(
            answer.get(
                "refused", "Tệp quá lớn hoặc hỏng nên không đọc được. Hãy xoá phần thừa, lưu lại rồi gửi."
            )
        )
    rows: list[tuple[str, str]] = []
    for number, serial, imei in answer["rows"]:
        rows += [("", "")] * (number - 1 - len(rows))
        rows.append((serial, imei))
    return rows
