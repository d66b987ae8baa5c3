"""A plain CSV file read as columns of bytes: a few passes of numpy instead of an object per value; no database.

Plain is a file without quotes, in which every comma and every line end means what it says, as nearly all are. Whatever
is not plain, or not right, is left to `allocation.tables`, which reads row by row and alone says what is wrong where:
nothing is refused here, and what is accepted here is what it would accept, with the same columns.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from allocation.engine import NOBODY, Flags, Ints

PLAIN_BYTES = 1 << 30  # a larger file is not held in memory
MANY = 1 << 15  # distinct values, from which on a second sort is faster than looking each one up
COMMA, LINE_END = b",\n"
WORD = 8
BLOCK = 1 << 20  # bytes looked through at once
# The first 0 to 8 bytes of a big-endian word.
MASKS = np.array([(1 << 64) - (1 << (64 - 8 * size)) for size in range(WORD + 1)], dtype=np.uint64)


class Cells(Sequence[str]):
    """Cells of an ASCII file; the texts are cut out when one is first asked for, since mostly none is."""

    def __init__(self, body: bytes, starts: Ints, ends: Ints) -> None:
        self._cells = body, starts, ends
        self.is_filled = ends > starts

    @cached_property
    def _texts(self) -> list[str]:
        return texts(*self._cells)

    def __len__(self) -> int:
        return len(self.is_filled)

    def __getitem__(self, number: Any) -> Any:
        return self._texts[number]

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)


class Column(NamedTuple):
    """The distinct values of a column, and for each row the number of its value among them."""

    values: Sequence[str]
    number: Ints

    def is_filled(self) -> Flags:
        """For each row whether it has a value."""
        if isinstance(self.values, Cells):
            filled: Flags = self.values.is_filled[self.number]
            return filled
        return np.array([bool(value) for value in self.values], dtype=np.bool_)[self.number]

    def mapped(self, number_of: Callable[[str], int], dtype: type = np.int32) -> Ints:
        """The column with each distinct value replaced by `number_of` it."""
        return np.array([number_of(value) for value in self.values], dtype=dtype)[self.number]

    def numbered(self, numbers: Mapping[str, int]) -> Ints:
        """The column as `numbers`, NOBODY where a value has none."""
        return self.mapped(lambda value: numbers.get(value, NOBODY))


def read_plain(path: Path, names: Sequence[str]) -> dict[str, Column] | None:
    """The columns `names` of a plain file with exactly these, in any order; None for any other file.

    The first one holds ids: if one comes twice, the file is not right either.
    """
    try:
        if not path.is_file() or path.stat().st_size > PLAIN_BYTES:
            return None
        data = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    except OSError:
        return None
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n")
    if any(letter in data for letter in b'"\r\0'):
        return None
    header, _, body = data.partition(b"\n")
    del data
    order = header.split(b",")
    if sorted(order) != sorted(name.encode() for name in names):
        return None
    if body and not body.endswith(b"\n"):
        body += b"\n"
    cells = split(body, len(order))
    body += bytes(2 * WORD)  # so that a word can be read at the last cell too
    if cells is None:
        return None
    starts, ends = cells
    columns: dict[str, Column] = {}
    try:
        for name in names:
            at = order.index(name.encode())
            read = distinct if columns else ids
            columns[name] = read(body, starts[:, at], ends[:, at])
    except UnicodeDecodeError:
        return None
    first = columns[names[0]]
    return columns if len(set(first.values)) == len(first.values) else None


def split(body: bytes, width: int) -> tuple[Ints, Ints] | None:
    """Where each cell begins and ends, a row per line; None if a line does not have `width` cells."""
    lines = body.count(LINE_END)
    if body.count(COMMA) != lines * (width - 1):
        return None
    letters = np.frombuffer(body, dtype=np.uint8)
    ends = np.empty(lines * width, dtype=np.int32)
    known = 0
    for start in range(0, len(body), BLOCK):
        block = letters[start : start + BLOCK]
        cuts = np.flatnonzero((block == COMMA) | (block == LINE_END))
        ends[known : known + len(cuts)] = cuts + start
        known += len(cuts)
    if (letters[ends[width - 1 :: width]] != LINE_END).any():
        return None
    starts = np.empty_like(ends)
    starts[:1] = 0
    np.add(ends[:-1], 1, out=starts[1:])
    if len(ends) and int((ends - starts).max()) > csv.field_size_limit():
        return None
    return starts.reshape(-1, width), ends.reshape(-1, width)


def texts(body: bytes, starts: Ints, ends: Ints) -> list[str]:
    """The cells as texts. Raises UnicodeDecodeError."""
    places = zip(starts.tolist(), ends.tolist(), strict=True)
    if len(starts) > 10_000 and body.isascii():
        text = body.decode()
        return [text[start:end] for start, end in places]
    return [body[start:end].decode() for start, end in places]


def ids(body: bytes, starts: Ints, ends: Ints) -> Column:
    """A column in which every value should be another. Raises UnicodeDecodeError."""
    return Column(texts(body, starts, ends), np.arange(len(starts), dtype=np.int32))


def distinct(body: bytes, starts: Ints, ends: Ints) -> Column:
    """A column of values that come again and again, in the order of their bytes. Raises UnicodeDecodeError."""
    if not len(starts):
        return Column([], np.zeros(0, dtype=np.int32))
    # A big-endian word begins at every byte, so words are ordered as the bytes are. No cell holds a NUL.
    words = np.ndarray((len(body) - WORD,), dtype=">u8", buffer=body, strides=(1,))
    length = ends - starts
    number: Ints = np.zeros(0, dtype=np.int64)
    for offset in range(0, max(1, int(length.max())), WORD):
        at = np.minimum(starts + offset, len(words) - 1)
        word = words[at].astype(np.uint64) & MASKS[np.clip(length - offset, 0, WORD)]
        number = numbered(word) if offset == 0 else numbered(both(number, numbered(word)))
    first = np.zeros(int(number.max()) + 1, dtype=np.int64)
    first[number[::-1]] = np.arange(len(number) - 1, -1, -1)
    begin, end = starts[first], ends[first]
    return Column(Cells(body, begin, end) if body.isascii() else texts(body, begin, end), number)


def numbered(key: Ints) -> Ints:
    """For each key its number among the distinct ones, in their order."""
    ordered = np.sort(key)
    known = ordered[np.r_[True, ordered[1:] != ordered[:-1]]]
    if len(known) < MANY:
        return np.searchsorted(known, key)
    return np.unique(key, return_inverse=True)[1].reshape(-1)  # the same


def both(first: Ints, second: Ints) -> Ints:
    """Two numbers as one that is ordered as the pair is."""
    return first * (int(second.max()) + 1) + second
