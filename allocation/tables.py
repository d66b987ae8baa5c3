"""A CSV file as columns, each value checked, the first bad one told with its line and column; no database.

A plain file is read at once (`allocation.plain`). Any other, and one in which something is not as it should be, goes row
by row in blocks through the csv library, so that the very first bad value can be named.
"""

from __future__ import annotations

import csv
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TextIO
from unicodedata import is_normalized

import numpy as np

from allocation.engine import Ints
from allocation.plain import Cells, Column, read_plain

BLOCK = 2_000
Progress = Callable[[str, int], None]  # file, rows read so far


class Expected(NamedTuple):
    """What a value should have been, in Vietnamese and in English."""

    vi: str
    en: str


class BadFile(ValueError):
    """A file that can't be simulated: says where, and what was expected."""

    def __init__(self, file: str, expected: Expected, *, line: int | None = None, column: str | None = None):
        vi, en = [file], [file]
        if line is not None:
            vi.append(f"dòng {line}")
            en.append(f"line {line}")
        if column is not None:
            vi.append(f"cột {column}")
            en.append(f"column {column}")
        super().__init__(
            f"{', '.join(vi)}: cần {expected.vi}. Chưa có gì được ghi.\n"
            f"{', '.join(en)}: expected {expected.en}. Nothing was written."
        )


NO_COLUMN = -1


class Problem(NamedTuple):
    """The first bad value of a file: row counted from 0 after the header, number of the column
    (`NO_COLUMN` if the row can't be split into columns)."""

    row: int
    column: int
    expected: Expected


# --- what any value must be ----------------------------------------------------------------------------

Rule = Callable[[str], Expected | None]  # what a value should have been; None if it is as it should be

UTF8 = Expected("văn bản mã hoá UTF-8", "UTF-8 text")
NFC = Expected("mã ở dạng Unicode dựng sẵn (NFC)", "an id in Unicode NFC")
GIVEN = Expected("một mã, không được để trống", "a code, not an empty value")
UNIQUE = Expected("một mã chưa có ở dòng nào phía trên", "an id that no line above has")


def any_code(value: str) -> Expected | None:
    if not value.isascii():
        if any("\udc80" <= letter <= "\udcff" for letter in value):  # bytes that were not UTF-8
            return UTF8
        if not is_normalized("NFC", value):
            return NFC
    return None


def given_code(value: str) -> Expected | None:
    return any_code(value) if value else GIVEN


# --- reading a table ---------------------------------------------------------------------------------


def all_right(rule: Rule, values: Sequence[str]) -> bool:
    if isinstance(values, Cells) and (rule is any_code or (rule is given_code and values.is_filled.all())):
        return True  # these are ASCII
    if (rule is any_code or (rule is given_code and all(values))) and "".join(values).isascii():
        return True
    return all(rule(value) is None for value in values)


class Reader:
    """Values of one column as they come: each distinct one known by the row in which it first came, and checked once."""

    def __init__(self, rule: Callable[[str], Expected | None]) -> None:
        self.rule = rule
        self.first_rows: dict[str, int] = {}  # in the order in which they came
        self.blocks: list[Ints] = []
        self.rows = 0

    def add(self, values: Sequence[str]) -> tuple[int, Expected] | None:
        """Add a block; returns the first bad row in it and what was expected there."""
        own = range(self.rows, self.rows + len(values))
        block = np.array(list(map(self.first_rows.setdefault, values, own)), dtype=np.int32)
        self.blocks.append(block)
        fresh = np.flatnonzero(
            block == np.arange(self.rows, self.rows + len(values), dtype=np.int32)
        ).tolist()
        self.rows += len(values)
        new = values if len(fresh) == len(values) else [values[row] for row in fresh]
        if all_right(self.rule, new):
            return None
        checked = ((row, self.rule(value)) for row, value in zip(fresh, new, strict=True))
        return next(((row, expected) for row, expected in checked if expected is not None), None)

    def keep(self, rows: int) -> None:
        """Forget what the last block has after its first `rows` rows."""
        self.rows += rows - len(self.blocks[-1])
        self.blocks[-1] = self.blocks[-1][:rows]
        while self.first_rows and next(reversed(self.first_rows.values())) >= self.rows:
            self.first_rows.popitem()

    def column(self) -> Column:
        first_rows = np.fromiter(self.first_rows.values(), dtype=np.int64, count=len(self.first_rows))
        number = np.zeros(self.rows, dtype=np.int32)
        number[first_rows] = np.arange(len(first_rows), dtype=np.int32)
        return Column(list(self.first_rows), number[self._came_first()])

    def _came_first(self) -> Ints:
        """Per row, the row in which its value first came."""
        return np.concatenate(self.blocks) if self.blocks else np.zeros(0, dtype=np.int32)

    def first_repeated(self) -> int | None:
        """The first row whose value came before."""
        if len(self.first_rows) == self.rows:
            return None
        return int(np.argmax(self._came_first() != np.arange(self.rows)))


class Table:
    """A CSV file with exactly the columns of `rules`, in any order; the first one holds ids."""

    def __init__(
        self,
        path: str,
        rules: dict[str, Rule],
        crosschecks: Callable[[Table], Iterator[Problem]],
        progress: Progress,
    ) -> None:
        """Read the file whole. Raises BadFile with the first bad line."""
        self.path = path
        self.names = tuple(rules)
        self.readers = {name: Reader(rule) for name, rule in rules.items()}
        self.rows = 0
        self.columns = read_plain(Path(path), self.names) or {}
        if self.columns and self._is_right(rules, crosschecks):
            self.rows = len(self[self.names[0]].number)
            progress(path, self.rows)
            return
        with open_text(path) as file:
            problem = self._read(file, progress)
            self.columns = {name: reader.column() for name, reader in self.readers.items()}
            problems = [*crosschecks(self), *([problem] if problem else [])]
            if (repeated := self.readers[self.names[0]].first_repeated()) is not None:
                problems.append(Problem(repeated, 0, UNIQUE))
            if problems:
                first = min(problems)
                raise BadFile(
                    path, first.expected, line=line_of(file, first.row), column=self._name(first.column)
                )

    def __getitem__(self, name: str) -> Column:
        return self.columns[name]

    @property
    def ids(self) -> Sequence[str]:
        """The first column, in which no value comes twice."""
        return self[self.names[0]].values

    def _is_right(self, rules: dict[str, Rule], crosschecks: Callable[[Table], Iterator[Problem]]) -> bool:
        return all(all_right(rule, self[name].values) for name, rule in rules.items()) and not any(
            True for _ in crosschecks(self)
        )

    def _name(self, column: int) -> str | None:
        if column == NO_COLUMN:
            return None
        return self.names[column] if column < len(self.names) else str(column + 1)

    def _read(self, file: TextIO, progress: Progress) -> Problem | None:
        reader = csv.reader(file, strict=True)
        try:
            header = next((row for row in reader if row), [])
        except csv.Error:
            header = []
        order = self._order(header)
        while True:
            block: list[list[str]] = []
            problem = None
            try:
                block.extend(islice(reader, BLOCK))  # keeps the rows before a broken one
            except csv.Error as error:
                ended = not block
                block = [row for row in block if row]
                problem = Problem(
                    self.rows + len(block),
                    NO_COLUMN,
                    Expected(
                        f"dòng CSV đúng dạng (dấu nháy kép đóng mở đủ): {error}",
                        f"a well-formed row: {error}",
                    ),
                )
            else:
                ended = not block
                block = [row for row in block if row]  # empty lines mean nothing
            problem = self._add(block, order, len(header)) or problem
            progress(self.path, self.rows)
            if problem or ended:
                return problem

    def _order(self, header: list[str]) -> list[int]:
        """Where each of our columns stands in the file."""
        wanted = ", ".join(self.names)
        for name in self.names:
            if header.count(name) != 1:
                how = ("thiếu", "missing") if name not in header else ("lặp lại", "repeated")
                raise BadFile(
                    self.path,
                    Expected(
                        f"dòng tiêu đề có đúng các cột {wanted} (cột này đang {how[0]})",
                        f"a header of exactly the columns {wanted} (this one is {how[1]})",
                    ),
                    line=1,
                    column=name,
                )
        for name in header:
            if name not in self.names:
                raise BadFile(
                    self.path,
                    Expected(f"chỉ các cột {wanted}", f"no other columns than {wanted}"),
                    line=1,
                    column=printable(name),
                )
        return [header.index(name) for name in self.names]

    def _add(self, block: list[list[str]], order: list[int], width: int) -> Problem | None:
        """Add the rows of a block up to its first bad one."""
        problem = None
        if set(map(len, block)) - {width}:
            row = next(row for row, values in enumerate(block) if len(values) != width)
            short = len(block[row]) < width
            missing = min((n for n, at in enumerate(order) if at >= len(block[row])), default=width)
            expected = Expected(f"đúng {width} cột mỗi dòng", f"{width} columns in each row")
            problem = Problem(row, missing if short else width, expected)
            block = block[:row]
        values: list[Any] = list(zip(*block, strict=True)) if block else [()] * width
        for number, (name, at) in enumerate(zip(self.names, order, strict=True)):
            bad = self.readers[name].add(values[at])
            if bad and (problem is None or (bad[0], number) < (problem.row, problem.column)):
                problem = Problem(bad[0], number, bad[1])
        before = self.rows
        self.rows += problem.row if problem else len(block)
        if problem:
            for reader in self.readers.values():
                reader.keep(problem.row)
        return problem and problem._replace(row=before + problem.row)


@contextmanager
def open_text(path: str) -> Iterator[TextIO]:
    """A file's text, seekable; bytes that are not UTF-8 come out as surrogates and are told with their row."""
    try:
        with Path(path).open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            if file.seekable():
                yield file
                return
            with tempfile.TemporaryFile("w+", encoding="utf-8", errors="surrogateescape", newline="") as copy:
                shutil.copyfileobj(file, copy)
                copy.seek(0)
                yield copy
    except OSError as error:
        reason = error.strerror or str(error)
        raise BadFile(
            path, Expected(f"tệp đọc được ({reason})", f"a file that can be read ({reason})")
        ) from error


def line_of(file: TextIO, row: int) -> int:
    """The line on which data row `row` begins: a second reading, only once something is wrong."""
    file.seek(0)
    reader = csv.reader(file, strict=True)
    begins, seen = 1, -1  # the header is row -1
    try:
        for values in reader:
            if values:
                if seen == row:
                    return begins
                seen += 1
            begins = reader.line_num + 1
    except csv.Error:
        pass
    return begins


def printable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()[:100]


def first_difference(key: Ints, value: Ints, among: Ints | None = None) -> int | None:
    """The first row whose value is not that of the first row with the same key."""
    rows = np.arange(len(key)) if among is None else among
    if not len(rows):
        return None
    first = np.zeros(int(key[rows].max()) + 1, dtype=np.int64)
    first[key[rows][::-1]] = rows[::-1]
    different = value[first[key[rows]]] != value[rows]
    return int(rows[np.argmax(different)]) if different.any() else None
