"""Students, devices and a policy as files, for `manage.py simulate`; no database.

UTF-8 CSV with a header and a JSON policy, as published in the rules. The first bad row stops the
reading with its file, line, column and what was expected. Rows are checked in blocks of columns, each
distinct value once, so that a national file costs little more than reading it.
"""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TextIO
from unicodedata import is_normalized

import numpy as np

from allocation import engine
from allocation.engine import FREE, GROUPS, MARGINS, NOBODY, PASSES, Devices, Ints, Policy, Students

BLOCK = 2_000
STUDENT_COLUMNS = (
    "student",
    "province",
    "district",
    "school",
    "group",
    "priority_locality",
    "household",
    "household_devices",
)
DEVICE_COLUMNS = ("device", "earmark_level", "earmark_code", "lot")
OUTPUT_COLUMNS = ("device", "student", "tier", "pass")
WHOLE_NUMBER = re.compile(r"[0-9]{1,18}")

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


# --- what each value must be -------------------------------------------------------------------------

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


def one_of(*values: str) -> Callable[[str], Expected | None]:
    expected = Expected(
        " hoặc ".join(value or "để trống" for value in values),
        " or ".join(value or "nothing" for value in values),
    )
    return lambda value: None if value in values else expected


def count_or_empty(value: str) -> Expected | None:
    if value == "" or WHOLE_NUMBER.fullmatch(value):
        return None
    return Expected("số nguyên từ 0 trở lên, hoặc để trống", "a whole number from 0, or nothing")


STUDENT_RULES = {
    "student": given_code,
    "province": given_code,
    "district": any_code,
    "school": given_code,
    "group": one_of(*GROUPS),
    "priority_locality": one_of("0", "1"),
    "household": any_code,
    "household_devices": count_or_empty,
}
DEVICE_RULES = {
    "device": given_code,
    "earmark_level": one_of("", "province", "district", "school"),
    "earmark_code": any_code,
    "lot": any_code,
}


# --- reading a table ---------------------------------------------------------------------------------


class Column:
    """Values of one column, each distinct value known by the row in which it first came, and checked once."""

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
        if (self.rule is any_code or (self.rule is given_code and all(new))) and "".join(new).isascii():
            return None
        checked = ((row, self.rule(value)) for row, value in zip(fresh, new, strict=True))
        return next(((row, expected) for row, expected in checked if expected is not None), None)

    def keep(self, rows: int) -> None:
        """Forget what the last block has after its first `rows` rows."""
        self.rows += rows - len(self.blocks[-1])
        self.blocks[-1] = self.blocks[-1][:rows]
        while self.first_rows and next(reversed(self.first_rows.values())) >= self.rows:
            self.first_rows.popitem()

    def column(self) -> Ints:
        """Per row, the row in which its value first came."""
        return np.concatenate(self.blocks) if self.blocks else np.zeros(0, dtype=np.int32)

    def mapped(self, number_of: Callable[[str], int], dtype: type = np.int32) -> Ints:
        """The column with each distinct value replaced by `number_of` it."""
        size = len(self.first_rows)
        table = np.zeros(self.rows, dtype=dtype)
        table[np.fromiter(self.first_rows.values(), dtype=np.int64, count=size)] = np.fromiter(
            map(number_of, self.first_rows), dtype=dtype, count=size
        )
        return table[self.column()]

    def first_repeated(self) -> int | None:
        """The first row whose value came before."""
        if len(self.first_rows) == self.rows:
            return None
        return int(np.argmax(self.column() != np.arange(self.rows)))


class Table:
    """A CSV file with exactly the columns of `rules`, in any order."""

    def __init__(
        self,
        path: str,
        rules: dict[str, Callable[[str], Expected | None]],
        crosschecks: Callable[[Table], Iterator[Problem]],
        progress: Progress,
    ) -> None:
        self.path = path
        self.names = tuple(rules)
        self.columns = {name: Column(rule) for name, rule in rules.items()}
        self.rows = 0
        with open_text(path) as file:
            problem = self._read(file, progress)
            problems = [*crosschecks(self), *([problem] if problem else [])]
            if (repeated := self[self.names[0]].first_repeated()) is not None:
                problems.append(Problem(repeated, 0, UNIQUE))
            if problems:
                first = min(problems)
                raise BadFile(
                    path, first.expected, line=line_of(file, first.row), column=self._name(first.column)
                )

    def __getitem__(self, name: str) -> Column:
        return self.columns[name]

    @property
    def ids(self) -> list[str]:
        """The first column, in which no value comes twice."""
        return list(self[self.names[0]].first_rows)

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
            bad = self.columns[name].add(values[at])
            if bad and (problem is None or (bad[0], number) < (problem.row, problem.column)):
                problem = Problem(bad[0], number, bad[1])
        before = self.rows
        self.rows += problem.row if problem else len(block)
        if problem:
            for column in self.columns.values():
                column.keep(problem.row)
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


# --- students ----------------------------------------------------------------------------------------


def student_problems(table: Table) -> Iterator[Problem]:
    """What only shows between rows, or between columns."""
    columns = {name: table[name].column() for name in STUDENT_COLUMNS[1:]}
    held = table["household_devices"].mapped(count, np.int64)
    in_household = table["household"].mapped(bool, np.bool_)
    in_district = table["district"].mapped(bool, np.bool_)

    def problem(row: int | None, column: str, vi: str, en: str) -> Iterator[Problem]:
        if row is not None:
            yield Problem(row, STUDENT_COLUMNS.index(column), Expected(vi, en))

    yield from problem(
        first_difference(columns["school"], columns["province"]),
        "province",
        "tỉnh như ở các dòng trên của cùng trường: một trường chỉ ở một tỉnh",
        "the province of this school in the lines above: a school lies in one province",
    )
    yield from problem(
        first_difference(columns["school"], columns["district"]),
        "district",
        "huyện như ở các dòng trên của cùng trường: một trường chỉ ở một huyện",
        "the district of this school in the lines above: a school lies in one district",
    )
    yield from problem(
        first_difference(columns["district"], columns["province"], np.flatnonzero(in_district)),
        "province",
        "tỉnh như ở các dòng trên của cùng huyện: một huyện chỉ ở một tỉnh",
        "the province of this district in the lines above: a district lies in one province",
    )
    alone = np.flatnonzero(~in_household & (held > 0))
    yield from problem(
        int(alone[0]) if len(alone) else None,
        "household_devices",
        "để trống khi không có mã hộ",
        "nothing where there is no household",
    )
    yield from problem(
        first_difference(columns["household"], held, np.flatnonzero(in_household)),
        "household_devices",
        "cùng một số cho mọi thành viên của hộ",
        "the same number for every member of a household",
    )


def count(text: str) -> int:
    return int(text or 0)


class StudentFile(NamedTuple):
    students: Students
    province_codes: list[str]
    area_numbers: dict[int, dict[str, int]]  # level → code → number in the students' columns


def read_students(path: str, progress: Progress) -> StudentFile:
    """Raises BadFile with the first bad line."""
    table = Table(path, STUDENT_RULES, student_problems, progress)
    numbers = {
        name: {code: number for number, code in enumerate(sorted(set(table[name].first_rows) - {""}))}
        for name in ("province", "district", "school")
    }
    areas = {
        name: table[name].mapped(lambda code, numbers=numbers[name]: numbers.get(code, NOBODY))
        for name in numbers
    }
    household = table["household"]
    home = household.column()
    students = Students(
        code=table.ids,
        **areas,
        group=table["group"].mapped(GROUPS.index, np.int8),
        priority_locality=table["priority_locality"].mapped(lambda flag: flag == "1", np.bool_),
        household=np.where(home == household.first_rows.get("", NOBODY), NOBODY, home),
        household_devices=table["household_devices"].mapped(count, np.int64),
    )
    by_level = {PASSES.index(name): numbers[name] for name in numbers}
    return StudentFile(students, list(numbers["province"]), by_level)


# --- devices -----------------------------------------------------------------------------------------


def device_problems(table: Table) -> Iterator[Problem]:
    has_level = table["earmark_level"].mapped(bool, np.bool_)
    has_code = table["earmark_code"].mapped(bool, np.bool_)
    different = np.flatnonzero(has_level != has_code)
    if len(different):
        row = int(different[0])
        expected = (
            Expected("mã của nơi nhận dành riêng", "the code of the earmarked place")
            if has_level[row]
            else Expected("để trống khi không có earmark_level", "nothing where there is no earmark_level")
        )
        yield Problem(row, DEVICE_COLUMNS.index("earmark_code"), expected)


class DeviceFile(NamedTuple):
    devices: Devices
    ids: list[str]
    by_id: Ints  # rows in the byte order of their ids


def read_devices(path: str, area_numbers: dict[int, dict[str, int]], progress: Progress) -> DeviceFile:
    """Raises BadFile with the first bad line. A code that no student has is no error: nobody may have
    the device, and it stays."""
    table = Table(path, DEVICE_RULES, device_problems, progress)
    level = table["earmark_level"].mapped(lambda name: PASSES.index(name) if name else FREE, np.int8)
    area = np.full(table.rows, NOBODY, dtype=np.int32)
    for number, areas in area_numbers.items():
        of_level = level == number
        area[of_level] = table["earmark_code"].mapped(lambda code, areas=areas: areas.get(code, NOBODY))[
            of_level
        ]
    ids = table.ids
    by_id = engine.byte_order(ids)
    lots = sorted(table["lot"].first_rows)
    lot = table["lot"].mapped({code: number for number, code in enumerate(lots)}.__getitem__)
    devices = Devices(level=level, area=area, order=engine.device_order(lot, by_id))
    return DeviceFile(devices, ids, by_id)


# --- policy and seed ---------------------------------------------------------------------------------


def read_policy(path: str) -> Policy:
    """Raises BadFile for anything but the three known keys with values of the right kind."""
    with open_text(path) as file:
        text = file.read()

    def refuse(vi: str, en: str, line: int | None = None) -> BadFile:
        return BadFile(path, Expected(vi, en), line=line)

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        for key in keys:
            if keys.count(key) > 1:
                raise refuse(f"khoá {printable(key)} chỉ một lần", f"the key {printable(key)} only once")
        return dict(pairs)

    try:
        text.encode()
        policy = json.loads(text, object_pairs_hook=once)
    except json.JSONDecodeError as error:
        raise refuse(f"JSON đúng dạng: {error.msg}", f"valid JSON: {error.msg}", error.lineno) from error
    except (UnicodeEncodeError, RecursionError) as error:
        raise refuse("JSON đúng dạng, mã hoá UTF-8", "valid JSON in UTF-8") from error
    if not isinstance(policy, dict):
        raise refuse("một đối tượng JSON", "a JSON object")
    unknown = sorted(set(policy) - {"locality_first", "margin", "groups"})
    if unknown:
        name = printable(unknown[0])
        raise refuse(
            f"chỉ các khoá locality_first, margin, groups (không có khoá {name})",
            f"only the keys locality_first, margin, groups (there is no key {name})",
        )
    locality_first = policy.get("locality_first", True)
    margin = policy.get("margin", "proportional")
    groups = policy.get("groups")
    if not isinstance(locality_first, bool):
        raise refuse("locality_first là true hoặc false", "locality_first to be true or false")
    if margin not in MARGINS:
        raise refuse(f"margin là {' hoặc '.join(MARGINS)}", f"margin to be {' or '.join(MARGINS)}")
    if not isinstance(groups, list) or not all(group in GROUPS for group in groups):
        raise refuse(
            f"groups là danh sách gồm {', '.join(GROUPS)}", f"groups to be a list of {', '.join(GROUPS)}"
        )
    if len(set(groups)) != len(groups):
        raise refuse("mỗi nhóm chỉ một lần trong groups", "each group only once in groups")
    return Policy(groups=tuple(groups), locality_first=locality_first, margin=margin)


def read_seed(text: str) -> bytes:
    """Raises BadFile unless it is 64 hex digits."""
    if not re.fullmatch(r"[0-9a-fA-F]{64}", text):
        raise BadFile("--seed", Expected("đúng 64 chữ số thập lục phân", "exactly 64 hex digits"))
    return bytes.fromhex(text)


# --- writing -----------------------------------------------------------------------------------------


def write_allocations(
    path: str, *, student_ids: Sequence[str], devices: DeviceFile, outcome: engine.Outcome
) -> None:
    """Write `device,student,tier,pass` sorted by device; the file appears whole or not at all."""
    place = np.empty(len(devices.ids), dtype=np.int64)
    place[devices.by_id] = np.arange(len(devices.ids))
    order = np.argsort(place[outcome.device])
    student = outcome.student[order]
    rows = zip(
        map(devices.ids.__getitem__, outcome.device[order].tolist()),
        map(student_ids.__getitem__, student.tolist()),
        tier_texts(outcome, student),
        map(PASSES.__getitem__, outcome.via[order].tolist()),
        strict=True,
    )
    with whole_file(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(OUTPUT_COLUMNS)
        writer.writerows(rows)


def tier_texts(outcome: engine.Outcome, student: Ints) -> Iterator[str]:
    """The tier of each student as text; each distinct tier is written once."""
    key = outcome.place[student] * 16 + outcome.locality[student] * 4 + outcome.group[student]
    distinct, number = np.unique(key, return_inverse=True)
    texts = [engine.tier_text((tier // 4 % 4, tier % 4, tier // 16)) for tier in distinct.tolist()]
    return map(texts.__getitem__, number.tolist())


@contextmanager
def whole_file(path: str) -> Iterator[TextIO]:
    """A text file that replaces `path` only once all of it is on the disk."""
    target = Path(path).resolve()
    if target.exists() and not target.is_file():  # a pipe or a device: nothing to replace
        with target.open("w", encoding="utf-8", newline="") as file:
            yield file
        return
    part = target.with_name(f".{target.name[:200]}.{os.getpid()}.part")
    try:
        with part.open("x", encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
