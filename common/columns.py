"""Whole columns between PostgreSQL and numpy, without an object per row.

Reading asks for one array per column and takes its bytes as they come; writing sends COPY's binary form,
laid out by numpy. A million rows cost about as much as PostgreSQL needs for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
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
        value = f"convert_to({name}, 'UTF8')" if kind.startswith("S") else f"{name}::{cast}"
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
def binary_copy(table: str, names: Sequence[str]) -> Iterator[Callable[[bytes], None]]:
    """COPY rows into the columns `names` of `table`; yields what takes whole rows in COPY's binary form.
    Raises Django's errors of the database, IntegrityError among them."""
    listed = ", ".join(f'"{name}"' for name in names)
    copying = f"COPY {table} ({listed}) FROM STDIN BINARY"
    with connection.wrap_database_errors, connection.cursor() as cursor, cursor.copy(copying) as copy:
        copy.write(COPY_HEADER)
        yield copy.write
        copy.write(COPY_TRAILER)


def write_columns(table: str, **columns: tuple[str, Any]) -> int:
    """COPY columns (name → (type, array or one value for every row)) into `table`; returns the rows written."""
    size = max(len(values) for _, values in columns.values() if isinstance(values, np.ndarray))
    layout: list[tuple[str, str]] = [("fields", ">i2")]
    for name, (kind, _) in columns.items():
        layout += [(f"{name}_size", ">i4"), (name, TYPES[kind][1])]
    with binary_copy(table, list(columns)) as write:
        for start in range(0, size, CHUNK_ROWS):
            chunk = slice(start, min(start + CHUNK_ROWS, size))
            rows = np.empty(chunk.stop - start, dtype=layout)
            rows["fields"] = len(columns)
            for name, (_, values) in columns.items():
                rows[f"{name}_size"] = rows.dtype[name].itemsize
                rows[name] = values[chunk] if isinstance(values, np.ndarray) else values
            write(rows.tobytes())
    return size
