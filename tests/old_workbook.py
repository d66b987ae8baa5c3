"""An .xls made by code: a container of one stream, and in it the records of an Excel 97 workbook."""

import struct
from collections.abc import Sequence

_FREE, _END, _TABLE = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD
Formula = tuple[str, str | float]


def _record(kind: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack("<HH", kind, len(body)) + body


def _text(text: str) -> bytes:
    return struct.pack("<HB", len(text), 1) + text.encode("utf-16-le")


def _begin(kind: int) -> bytes:
    return _record(0x0809, struct.pack("<HHHHII", 0x0600, kind, 0, 1997, 0, 6))


def _cells(rows: Sequence[Sequence[object]], hidden: Sequence[int]) -> bytes:
    """Rows of texts, numbers and formulas: ``("=", the value that was kept)``."""
    wide = max(map(len, rows), default=0)
    out = [_record(0x0200, struct.pack("<IIHHH", 0, len(rows), 0, wide, 0))]
    for row in range(len(rows)):
        flags = 0x20 if row in hidden else 0
        out.append(_record(0x0208, struct.pack("<HHHHHHHH", row, 0, wide, 255, 0, 0, flags, 0)))
    for row, cells in enumerate(rows):
        for column, cell in enumerate(cells):
            place = struct.pack("<HHH", row, column, 0)
            if isinstance(cell, tuple):
                kept = cell[1]
                value = struct.pack("<d", kept) if isinstance(kept, float) else b"\0\0\0\0\0\0\xff\xff"
                # The whole formula is the number 7; what it gave was kept beside it.
                out.append(_record(0x0006, place, value, struct.pack("<HIH", 0, 0, 3), b"\x1e\x07\0"))
                if isinstance(kept, str):
                    out.append(_record(0x0207, _text(kept)))
            elif isinstance(cell, (int, float)):
                out.append(_record(0x0203, place, struct.pack("<d", cell)))
            elif cell:
                out.append(_record(0x0204, place, _text(str(cell))))
    return b"".join(out)


def old_workbook(
    rows: Sequence[Sequence[object]],
    *,
    sheet: str = "Danh sách",
    hidden_rows: Sequence[int] = (),
    more: Sequence[tuple[str, Sequence[Sequence[object]], bool]] = (),
    fonts: Sequence[str] = ("Arial",),
    password: bool = False,
) -> bytes:
    """An .xls of these cells.

    Args:
        hidden_rows: rows that are hidden, from 0; ``more`` are further (name, cells, is hidden).
        password: whether it says that it is encrypted.
    """  # fmt: skip
    sheets = [(sheet, rows, False), *more]
    fixed = _begin(5) + (_record(0x002F, b"\0" * 6) if password else b"") + _record(0x0042, b"\xb0\x04")
    for font in fonts:
        fixed += _record(
            0x0031, struct.pack("<HHHHHBBBB", 200, 0, 0x7FFF, 400, 0, 0, 0, 0, 0),
            bytes([len(font), 1]), font.encode("utf-16-le"),
        )  # fmt: skip
    fixed += _record(0x00E0, struct.pack("<HHHHIIII", 0, 0, 0, 0, 0, 0, 0, 0))
    bodies = [
        _begin(16) + _cells(cells, hidden_rows if place == 0 else ()) + _record(0x000A)
        for place, (_, cells, _) in enumerate(sheets)
    ]
    names = [name.encode("utf-16-le") for name, _, _ in sheets]
    at = len(fixed) + sum(12 + len(name) for name in names) + 4
    bounds = b""
    for (_, _, is_hidden), name, body in zip(sheets, names, bodies, strict=True):
        bounds += _record(
            0x0085, struct.pack("<IBBBB", at, int(is_hidden), 0, len(name) // 2, 1), name
        )  # fmt: skip
        at += len(body)
    stream = fixed + bounds + _record(0x000A) + b"".join(bodies)
    return _container(stream.ljust(4096, b"\0"))


def _container(stream: bytes) -> bytes:
    """A file of 512-byte sectors with one stream, "Workbook"."""
    sectors = -(-len(stream) // 512)
    # The table of sectors itself has its place in it; the directory comes after the tables.
    tables = -(-(sectors + 1) // 127)
    directory = tables
    numbers = [_TABLE] * tables + [_END]
    first = directory + 1
    numbers += [*range(first + 1, first + sectors), _END]
    numbers += [_FREE] * (tables * 128 - len(numbers))
    header = bytes.fromhex("d0cf11e0a1b11ae1") + bytes(16) + struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6)
    header += bytes(6) + struct.pack("<IIIIIIIII", 0, tables, directory, 0, 4096, _END, 0, _END, 0)
    header += struct.pack("<109I", *range(tables), *[_FREE] * (109 - tables))

    def entry(name: str, kind: int, child: int, start: int, size: int) -> bytes:
        text = name.encode("utf-16-le") + b"\0\0"
        return (
            text.ljust(64, b"\0") + struct.pack("<HBBIII", len(text), kind, 1, _FREE, _FREE, child) + bytes(36)
            + struct.pack("<III", start, size, 0)
        )  # fmt: skip

    entries = entry("Root Entry", 5, 1, _END, 0) + entry("Workbook", 2, _FREE, first, len(stream))
    return (
        header
        + struct.pack(f"<{len(numbers)}I", *numbers)
        + entries.ljust(512, b"\0")
        + stream.ljust(sectors * 512, b"\0")
    )
