"""Recording a national commit: one entry per device, laid out by numpy and sent as COPY's binary form.

All entries of one statement are the same bytes but for the device, its step, the event id and the area. So a row of
the outbox is laid out once per length of an area's code, as a template with holes, and the holes of thousands of rows
are filled at a time: the database has only to store them, while this process makes the next ones (docs/adr/0035).
"""

from __future__ import annotations

import datetime as dt
import secrets
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.columns import CHUNK_ROWS, binary_copy, read_columns
from ledger import custody
from ledger.bulk import states_of
from ledger.codes import ALPHABET, LENGTH
from ledger.events import CODE
from ledger.services import (
    LedgerRefusedError,
    _check_day,
    _check_hold,
    _must_be_atomic,
    _refuse_move,
    prepare,
)

COLUMNS = ("eid", "event", "day", "dev", "n", "state", "subject", "hold", "body", "prev_at")
# The latest step of every device that did anything since the log had so many entries, and whether it still stands
# where the caller saw it.
SINCE = """
    (
        SELECT DISTINCT ON (dev) dev, n, state = %(state)s AS stands FROM (
            SELECT dev, n, state FROM ledger_outbox
            UNION ALL SELECT dev, n, state FROM ledger_entry WHERE index >= %(size)s
        ) AS both_tables WHERE dev IS NOT NULL ORDER BY dev, n DESC
    ) AS since
"""
ANY_DEVICE = "0" * LENGTH  # a valid code, which each device's own takes the place of
POSTGRES_EPOCH = dt.date(2000, 1, 1)
HEX = np.frombuffer(b"".join(b"%02x" % byte for byte in range(256)), dtype="u2")
VALUES = np.full(256, len(ALPHABET), dtype="u8")  # of a symbol of a device's code; this for what is none
VALUES[np.frombuffer(ALPHABET.encode(), dtype="u1")] = np.arange(len(ALPHABET))


@dataclass(frozen=True)
class Seen:
    """What the caller saw before: every device in `state` after its step, when the log had `size` entries."""

    state: str
    size: int


def record_columns(
    *,
    event: str,
    on: dt.date,
    devices: NDArray[np.bytes_],
    steps: NDArray[np.integer[Any]],
    area_of: NDArray[np.integer[Any]],
    areas: Sequence[str],
    constants: Mapping[str, str],
    seen: Seen,
) -> int:
    """Record one entry per device in the caller's transaction, in one statement; return how many.

    Three arrays of one length: `devices` (type `S12`), the latest of their `steps` that the caller has `seen`, and where
    in `areas` the public destination of each is. `constants` are the event's other keys. In the log the entries stand in
    the order of the devices' codes, which are random. Only what was recorded since the caller
    looked is looked at again. Raises LedgerRefusedError naming the first device that may not make the move, or a
    value that breaks the format; then nothing is recorded.
    """
    _must_be_atomic()
    _check_day(on)
    _check_hold(event, None)
    if not len(devices):
        return 0
    for area in areas:
        if not CODE.fullmatch(area):
            raise LedgerRefusedError(f"Sổ cái: {area!r} không phải mã nơi.", code="format")
    numbers = numbers_of(devices)
    steps = _steps_now(event, seen, numbers, steps)
    order = np.argsort(numbers)
    devices, steps, area_of = devices[order], steps[order] + 1, area_of[order]
    state = custody.move(seen.state, event)
    lengths = np.array([len(area) for area in areas])
    texts = np.array(areas, dtype=f"S{lengths.max()}")
    templates = {
        length: Template.of(event=event, on=on, state=state, area="A" * length, constants=constants)
        for length in np.unique(lengths).tolist()
    }
    with binary_copy("ledger_outbox", COLUMNS) as write:
        for start in range(0, len(devices), CHUNK_ROWS):
            part = slice(start, start + CHUNK_ROWS)
            length_of = lengths[area_of[part]]
            # In the order of the codes whatever their areas, so that the index by device grows at its end.
            rows = np.empty(len(length_of), dtype=object)
            for length in np.unique(length_of).tolist():
                own = np.flatnonzero(length_of == length)
                rows[own] = templates[length].rows(
                    devices=devices[part][own], steps=steps[part][own], areas=texts[area_of[part][own]]
                )
            write(b"".join(rows.tolist()))
    return len(devices)


def numbers_of(devices: NDArray[np.bytes_]) -> NDArray[np.uint64]:
    """Device codes as numbers in the same order: twelve symbols of five bits. Raises LedgerRefusedError naming one that
    is no code; the check symbol is not looked at, as in `bulk`."""
    if devices.dtype != np.dtype("S12"):
        raise LedgerRefusedError("Sổ cái: mã máy phải có đúng 12 chữ.", code="format")
    values = VALUES[np.ascontiguousarray(devices).view("u1").reshape(-1, LENGTH)]
    are_codes = (values < len(ALPHABET)).all(axis=1)
    if not are_codes.all():
        wrong = devices[int(np.argmin(are_codes))].decode(errors="replace")
        raise LedgerRefusedError(f"Sổ cái: {wrong!r} không phải mã máy.", code="format")
    numbers = np.zeros(len(devices), dtype="u8")
    for place in range(LENGTH):
        numbers = numbers << np.uint64(5) | values[:, place]
    return numbers


def _steps_now(event: str, seen: Seen, numbers: NDArray[np.uint64], steps: NDArray[Any]) -> NDArray[Any]:
    """The latest steps, those recorded since included. Raises LedgerRefusedError for a device that went elsewhere."""
    since = read_columns(SINCE, {"state": seen.state, "size": seen.size}, dev="S12", n="i4", stands="?")
    given = np.argsort(numbers)
    wanted = numbers_of(since["dev"])
    at = np.searchsorted(numbers, wanted, sorter=given)
    found = np.flatnonzero(numbers[given[np.minimum(at, len(numbers) - 1)]] == wanted)
    moved = found[~since["stands"][found]]
    if len(moved):
        device = since["dev"][moved[0]].decode()
        raise _refuse_move(event, "", device, states_of([device])[device])
    steps = steps.astype("i4")
    steps[given[at[found]]] = since["n"][found]
    return steps


@dataclass(frozen=True)
class Template:
    """One row of the outbox in COPY's binary form, and where in it each device's own bytes go."""

    row: bytes
    eid: int  # 16 bytes
    dev: int
    n: int  # 4 bytes
    dev_in_body: int
    eid_in_body: int  # 32 hexadecimal digits
    area_in_body: int
    area_length: int

    @classmethod
    def of(cls, *, event: str, on: dt.date, state: str, area: str, constants: Mapping[str, str]) -> Template:
        """The row of one entry whose area has the length of `area`. Raises LedgerRefusedError if it breaks the format."""
        made = prepare(event=event, on=on, fields={"dev": ANY_DEVICE, "area": area, **constants})
        body = made.body.encode()
        values = (
            made.eid.bytes, event.encode(), struct.pack(">i", (on - POSTGRES_EPOCH).days), ANY_DEVICE.encode(), bytes(4),
            state.encode(), made.subject and made.subject.encode(), None, body, struct.pack(">h", made.prev_at),
        )  # fmt: skip
        row, at = bytearray(struct.pack(">h", len(values))), {}
        for name, value in zip(COLUMNS, values, strict=True):
            row += struct.pack(">i", -1 if value is None else len(value))
            at[name] = len(row)
            row += value or b""

        def in_body(key: str) -> int:  # no value has a quote in it
            begins = f'"{key}":"'.encode()
            return at["body"] + body.index(begins) + len(begins)

        places = (at["eid"], at["dev"], at["n"], in_body("dev"), in_body("eid"), in_body("area"))
        return cls(bytes(row), *places, len(area))

    def rows(self, *, devices: NDArray[Any], steps: NDArray[Any], areas: NDArray[Any]) -> list[bytes]:
        """A row for each device with its step and its area, and an event id of its own."""
        eids = np.frombuffer(secrets.token_bytes(16 * len(devices)), dtype="u1").reshape(-1, 16)
        block = np.empty((len(devices), len(self.row)), dtype="u1")
        block[:] = np.frombuffer(self.row, dtype="u1")
        for at, values in (
            (self.eid, eids),
            (self.dev, as_bytes(devices)),
            (self.n, as_bytes(steps.astype(">i4"))),
            (self.dev_in_body, as_bytes(devices)),
            (self.eid_in_body, HEX[eids].view("u1")),
            (self.area_in_body, as_bytes(areas)[:, : self.area_length]),
        ):
            block[:, at : at + values.shape[1]] = values
        return block.view(f"V{len(self.row)}")[:, 0].tolist()


def as_bytes(values: NDArray[Any]) -> NDArray[np.uint8]:
    """A row of bytes per value."""
    return np.ascontiguousarray(values).view("u1").reshape(len(values), values.dtype.itemsize)
