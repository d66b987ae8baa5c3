"""Whole columns between PostgreSQL and numpy, without an object per row.

Reading asks for one array per column and takes its bytes as they come; writing sends COPY's binary form,
laid out by numpy. A million rows cost about as much as PostgreSQL needs for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import psycopg
from django.db import connection
from numpy.typing import NDArray

# numpy type of a column → (PostgreSQL type, big-endian numpy type)
TYPES = {"i2": ("int2", ">i2"), "i4": ("int4", ">i4"), "i8": ("int8", ">i8"), "?": ("bool", "u1")}
ARRAY_HEADER_BYTES = 20  # dimensions, has-nulls, element type, length, lower bound: 4 bytes each
COPY_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
COPY_TRAILER = b"\xff\xff"
CHUNK_ROWS = 1 << 14  # laid out within the processor's cache


@dataclass(frozen=True)
class Words:
    """A column of texts of which few are different: per row, the place of its own in `words`."""

    words: Sequence[str]
    number: NDArray[np.integer[Any]]


def read_columns(
    source: str, params: Sequence[Any] | Mapping[str, Any], **columns: str
) -> dict[str, NDArray[Any]]:
    """Read `columns` (name → `i2`, `i4`, `i8`, `?` or `S<n>`) of the rows of `source`.

    `source` is what follows FROM (a table, or a subquery with its alias, ending in ORDER BY inside if the
    order matters). No value may be NULL; texts have exactly n ASCII characters.
    """
    wanted = []
    for name, kind in columns.items():
        cast = "bytea" if kind.startswith("S") else TYPES[kind][0]
        value = f"convert_to(\"{name}\", 'UTF8')" if kind.startswith("S") else f'"{name}"::{cast}'
        wanted.append(f"array_agg({value})")
    connection.ensure_connection()
    # Django's own cursors bind on the client, which can't ask for binary results.
    with psycopg.Cursor(connection.connection) as cursor:
        cursor.format = psycopg.pq.Format.BINARY
        cursor.execute(f"SELECT {', '.join(wanted)} FROM {source}", params)
        result = cursor.pgresult
        assert result is not None
        return {
            name: _column(result.get_value(0, number), kind)
            for number, (name, kind) in enumerate(columns.items())
        }


def _column(data: bytes | None, kind: str) -> NDArray[Any]:
    """One array in PostgreSQL's binary form: a header, then (length, value) per element."""
    if data is None:
        return np.zeros(0, dtype=bool if kind == "?" else kind)
    value = kind if kind.startswith("S") else TYPES[kind][1]
    rows = np.frombuffer(data, dtype=[("size", ">i4"), ("value", value)], offset=ARRAY_HEADER_BYTES)
    column = rows["value"]
    return column.astype(bool) if kind == "?" else column.astype(kind)


@contextmanager
def binary_copy(
    table: str, names: Sequence[str], *, frozen: bool = False
) -> Iterator[Callable[[bytes], None]]:
    """COPY rows into the columns `names` of `table`; yields what takes whole rows in COPY's binary form.

    `frozen` rows are stored as seen by everyone, which only a table made in the same transaction may hold.
    Raises Django's errors of the database, IntegrityError among them."""
    listed = ", ".join(f'"{name}"' for name in names)
    copying = f"COPY {table} ({listed}) FROM STDIN (FORMAT binary, FREEZE {frozen})"
    with connection.wrap_database_errors, connection.cursor() as cursor, cursor.copy(copying) as copy:
        copy.write(COPY_HEADER)
        yield copy.write
        copy.write(COPY_TRAILER)


def write_columns(table: str, *, frozen: bool = False, **columns: tuple[str, Any] | Words) -> int:
    """COPY columns (name → (type, array or one value for every row), or `Words`) into `table`; returns the rows written.
    `frozen` as in `binary_copy`."""
    given = [column.number if isinstance(column, Words) else column[1] for column in columns.values()]
    size = max(len(values) for values in given if isinstance(values, np.ndarray))
    fields = [_Field.of(name, column, size) for name, column in columns.items()]
    with binary_copy(table, list(columns), frozen=frozen) as write:
        for start in range(0, size, CHUNK_ROWS):
            write(_laid_out(fields, slice(start, min(start + CHUNK_ROWS, size))))
    return size


@dataclass(frozen=True)
class _Field:
    """A column on its way into COPY's binary form: its values, or per row the number of its text."""

    name: str
    kind: str  # big-endian numpy type; none of a text, whose length differs
    values: NDArray[Any]
    texts: NDArray[np.bytes_] | None = None
    sizes: NDArray[np.integer[Any]] | None = None  # in bytes, of each text

    @classmethod
    def of(cls, name: str, column: tuple[str, Any] | Words, size: int) -> _Field:
        if not isinstance(column, Words):
            return cls(name, TYPES[column[0]][1], np.broadcast_to(column[1], size))
        texts = [word.encode() for word in column.words]
        return cls(
            name, "", column.number, np.array(texts, dtype="S"), np.array([len(text) for text in texts])
        )


def _laid_out(fields: Sequence[_Field], rows: slice) -> bytes:
    """The `rows` in COPY's binary form. Those whose texts have the same lengths are laid out at once."""
    size = rows.stop - rows.start
    shape = np.zeros(size, dtype="i8")
    for field in fields:
        if field.sizes is not None:
            shape = shape * (int(field.sizes.max()) + 1) + field.sizes[field.values[rows]]
    shapes, shape_of = np.unique(shape, return_inverse=True)
    if len(shapes) == 1:
        return _of_one_shape(fields, rows, np.s_[:]).tobytes()
    laid = np.empty(size, dtype=object)
    for number in range(len(shapes)):
        own = np.flatnonzero(shape_of == number)
        block = _of_one_shape(fields, rows, own)
        laid[own] = block.view(f"V{block.dtype.itemsize}").tolist()
    return b"".join(laid.tolist())


def _of_one_shape(fields: Sequence[_Field], rows: slice, own: Any) -> NDArray[Any]:
    """Those of the `rows` that are `own`, which differ in no length."""
    parts = {field.name: field.values[rows][own] for field in fields}
    layout: list[tuple[str, str]] = [("fields", ">i2")]
    for field in fields:
        kind = field.kind if field.sizes is None else f"S{field.sizes[parts[field.name][0]]}"
        layout += [(f"{field.name}_size", ">i4"), (field.name, kind)]
    block = np.empty(len(parts[fields[0].name]), dtype=layout)
    block["fields"] = len(fields)
    for field in fields:
        block[f"{field.name}_size"] = block.dtype[field.name].itemsize
        part = parts[field.name]
        block[field.name] = part if field.texts is None else field.texts[part]
    return block
