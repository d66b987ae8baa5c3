"""Students, devices and a policy as files, for `manage.py simulate`; no database.

UTF-8 CSV with a header and a JSON policy, as published in the rules. The first bad row stops the
reading with its file, line, column and what was expected (`allocation.tables`).
"""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import numpy as np

from allocation import engine
from allocation.engine import FREE, GROUPS, MARGINS, NOBODY, PASSES, Devices, Ints, Policy, Students
from allocation.tables import (
    BadFile,
    Expected,
    Problem,
    Progress,
    Rule,
    Table,
    any_code,
    first_difference,
    given_code,
    open_text,
    printable,
)

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


# --- what each value must be -------------------------------------------------------------------------


def one_of(*values: str) -> Rule:
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


# --- students ----------------------------------------------------------------------------------------


def student_problems(table: Table) -> Iterator[Problem]:
    """What only shows between rows, or between columns."""
    columns = {name: table[name].number for name in STUDENT_COLUMNS[1:]}
    held = table["household_devices"].mapped(count, np.int64)
    in_household = table["household"].is_filled()
    in_district = table["district"].is_filled()

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
        name: {code: number for number, code in enumerate(sorted(set(table[name].values) - {""}))}
        for name in ("province", "district", "school")
    }
    areas = {name: table[name].numbered(numbers[name]) for name in numbers}
    household = table["household"]
    students = Students(
        code=table.ids,
        **areas,
        group=table["group"].mapped(GROUPS.index, np.int8),
        priority_locality=table["priority_locality"].mapped(int, np.int8) == 1,
        household=np.where(household.is_filled(), household.number, NOBODY),
        household_devices=table["household_devices"].mapped(count, np.int64),
    )
    by_level = {PASSES.index(name): numbers[name] for name in numbers}
    return StudentFile(students, list(numbers["province"]), by_level)


# --- devices -----------------------------------------------------------------------------------------


def device_problems(table: Table) -> Iterator[Problem]:
    has_level = table["earmark_level"].is_filled()
    has_code = table["earmark_code"].is_filled()
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
    ids: Sequence[str]
    by_id: Ints  # rows in the byte order of their ids


def read_devices(path: str, area_numbers: dict[int, dict[str, int]], progress: Progress) -> DeviceFile:
    """Raises BadFile with the first bad line. A code that no student has is no error: nobody may have
    the device, and it stays."""
    table = Table(path, DEVICE_RULES, device_problems, progress)
    level = table["earmark_level"].mapped(lambda name: PASSES.index(name) if name else FREE, np.int8)
    area = np.full(table.rows, NOBODY, dtype=np.int32)
    for number, areas in area_numbers.items():
        of_level = level == number
        area[of_level] = table["earmark_code"].numbered(areas)[of_level]
    ids = table.ids
    by_id = engine.byte_order(ids)
    lots = sorted(table["lot"].values)
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
    order = engine.order_by(place[outcome.device])
    student = outcome.student[order]
    ids = map(devices.ids.__getitem__, outcome.device[order].tolist())
    students = map(student_ids.__getitem__, student.tolist())
    endings = endings_of(outcome, student, outcome.via[order])
    rows = zip(ids, students, endings, strict=True)
    with whole_file(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(OUTPUT_COLUMNS)
        if may_need_quotes(devices.ids) or may_need_quotes(student_ids):
            writer.writerows((device, student_id, *ending.split(",")) for device, student_id, ending in rows)
        else:  # the same bytes, in half the time
            file.write("".join([f"{device},{student_id},{ending}\n" for device, student_id, ending in rows]))


def may_need_quotes(ids: Sequence[str]) -> bool:
    text = "".join(ids)
    return any(letter in text for letter in ',"\r\n')


def endings_of(outcome: engine.Outcome, student: Ints, via: Ints) -> Iterator[str]:
    """`tier,pass` of each line; each distinct one is written once."""
    places = np.unique(outcome.place[student])  # as numbers from 0: they may be very large
    tier = (
        np.searchsorted(places, outcome.place[student]) * 16
        + outcome.locality[student] * 4
        + outcome.group[student]
    )
    ending = tier * 4 + via
    distinct = np.unique(ending)
    texts = [
        f"{engine.tier_text((key // 16 % 4, key // 4 % 4, int(places[key // 64])))},{PASSES[key % 4]}"
        for key in distinct.tolist()
    ]
    return map(texts.__getitem__, np.searchsorted(distinct, ending).tolist())


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
