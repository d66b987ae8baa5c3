"""The allocation engine: who receives a device, and which one.

Pure functions over numpy columns; no Django, no clock, no files. The database run and
`manage.py simulate` both call `allocate`, and nothing about who or which is decided elsewhere.
That function is the rules in short; the sections after it follow the published rules in their order, so
that the two can be read side by side:

1. who comes first, 2. the passes, 3. the margin, 4. which device, 5. the summary.

Sources: Plan 3667/KH-BTTTT-BGDĐT, I.1a and III.2c (groups and their order), II.2a (localities under
Directive 16 that teach online come first).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.integer[Any]]
Flags = NDArray[np.bool_]

GROUPS = ("poor", "near_poor", "covid_orphan")  # Plan III.2c, in the order of the law
MARGINS = ("proportional", "draw")
SCHOOL, DISTRICT, PROVINCE, FREE = range(4)
PASSES = ("school", "district", "province", "free")
NOBODY = -1  # no household, no district, an earmark that matches no student, not served

LOT_TAG = b"mtce/lot/v1\0"
DIGEST = 32  # bytes of a SHA-256
BLOCK = 1 << 16  # rows that a processor's cache holds: work over them costs the same however many there are


@dataclass(frozen=True, slots=True)
class Policy:
    """What a published policy fixes.

    `groups` are the eligible groups in order of priority; `locality_first` says whether the locality
    comes before the group or after it; `margin` how the last free devices are split inside a tier.
    `laptop_from_grade`: laptops go to students from this grade on where they can; None: no preference.
    """

    groups: tuple[str, ...] = GROUPS
    locality_first: bool = True
    margin: str = "proportional"
    laptop_from_grade: int | None = None


@dataclass(frozen=True, slots=True)
class Students:
    """One row per student, in any order; every array has the length of `code`.

    Areas are whole numbers in the byte order of their codes (`ranks`); a school lies in one district
    (or none, `NOBODY`) and a district in one province.
    """

    code: Sequence[str]  # what is drawn: a student's id in files, a one-time applicant code in a run
    province: Ints
    district: Ints
    school: Ints
    group: Ints  # index into GROUPS
    priority_locality: Flags
    household: Ints  # any number that is the same for its members; NOBODY without one
    household_devices: Ints  # programme devices that the household already holds
    grade: Ints | None = None  # needed only where the policy prefers a kind; 0 where it is not known


@dataclass(frozen=True, slots=True)
class Devices:
    """One row per device, in any order.

    `level` is SCHOOL, DISTRICT, PROVINCE or FREE; `area` the number of the earmarked area in the
    students' columns, NOBODY if no student has it (and for FREE); `order` the device's place in
    the order of (lot, device), see `device_order`.
    """

    level: Ints
    area: Ints
    order: Ints
    is_laptop: Flags | None = None  # needed only where the policy prefers a kind


@dataclass(frozen=True, slots=True)
class Margin:
    """The one tier of the free pass that did not fit wholly, and how it was split."""

    tier: tuple[int, int, int]
    left: int
    need: int
    need_by_province: dict[int, int]
    given_by_province: dict[int, int]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What `allocate` decided. Arrays named after students have one row per student given."""

    device: Ints  # row of the device …
    student: Ints  # … and of the student it goes to
    via: Ints  # … and the pass (index into PASSES)
    eligible: Flags
    locality: Ints  # tier of each eligible student, counted from 1; 0 if not eligible
    group: Ints
    place: Ints
    rank: Ints  # 0 for whoever comes first of all the eligible; NOBODY if not eligible
    served: Ints  # pass by which each student is served, NOBODY if not
    waterline: tuple[int, int, int] | None  # tier of the last free device
    margin: Margin | None

    def tier(self, student: int) -> tuple[int, int, int]:
        return int(self.locality[student]), int(self.group[student]), int(self.place[student])


def tier_text(tier: tuple[int, int, int]) -> str:
    """`1.2.1`: priority locality, second group of the policy, first child of the household."""
    return ".".join(map(str, tier))


# --- The rules in short ------------------------------------------------------------------------------


def allocate(*, students: Students, devices: Devices, policy: Policy, seed: bytes) -> Outcome:
    """Decide who receives which device.

    `seed` is 32 bytes. The same columns, policy and seed give the same outcome on any machine; the
    order of the rows given has no influence. 2.2 million students and a million devices take seconds.
    """
    group = policy_groups(students, policy)
    queue = line_up(students, group, policy, seed)
    by_lot = order_by(devices.order)
    served = np.full(len(queue.row), NOBODY, dtype=np.int8)
    given: list[Given] = []
    for level in (SCHOOL, DISTRICT, PROVINCE):  # the most specific device first
        stock = stock_of(devices, by_lot, level)
        waiting = np.flatnonzero((served == NOBODY) & (queue.area[level] != NOBODY))
        chosen = first_of_each_area(waiting, queue.area[level], np.bincount(stock.area))
        given.append(pair(chosen, stock, queue, level))
        served[chosen] = level
    stock = stock_of(devices, by_lot, FREE)
    chosen, margin = free_pass(np.flatnonzero(served == NOBODY), queue, len(stock.device), policy)
    given.append(pair(chosen, stock, queue, FREE))
    served[chosen] = FREE
    return Outcome(
        device=np.concatenate([one.device for one in given]),
        student=queue.row[np.concatenate([one.taker for one in given])],
        via=np.repeat(np.arange(4, dtype=np.int8), [len(one.device) for one in given]),
        eligible=group != NOBODY,
        locality=queue.per_student(queue.locality + 1, missing=0),
        group=queue.per_student(queue.group + 1, missing=0),
        place=queue.per_student(queue.place, missing=0),
        rank=queue.per_student(np.arange(len(queue.row), dtype=np.int32), missing=NOBODY),
        served=queue.per_student(served, missing=NOBODY),
        waterline=queue.tier_of(chosen[-1]) if len(chosen) else None,
        margin=margin,
    )


# --- 1. Who comes first ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Queue:
    """Everyone eligible in rank order: whoever stands at position 0 comes first. A row of every array for each."""

    students: int  # how many were given, eligible or not
    row: Ints  # of each among the students given
    locality: Ints  # 0 first, else 1
    group: Ints  # index into the policy's groups
    place: Ints  # within the household, from 1
    tier: Ints  # the three as one number, ascending
    area: tuple[Ints, ...]  # by level: the number of the school, the district (NOBODY: none), the province; 0
    site: Ints  # of the school in the order (province, district, school)
    asks: Flags | None  # for a laptop; None if the policy prefers no kind

    def tier_of(self, position: int) -> tuple[int, int, int]:
        """The tier of whoever stands there, each part counted from 1."""
        return int(self.locality[position]) + 1, int(self.group[position]) + 1, int(self.place[position])

    def per_student(self, values: Ints, *, missing: int) -> Ints:
        """`values` of this queue as a column over the students given."""
        column: Ints = np.full(self.students, missing, dtype=values.dtype)
        column[self.row] = values
        return column


def policy_groups(students: Students, policy: Policy) -> Ints:
    """Each student's group as an index into the policy's; NOBODY if it is not listed: not eligible."""
    listed = np.full(len(GROUPS), NOBODY, dtype=np.int8)
    for number, name in enumerate(policy.groups):
        listed[GROUPS.index(name)] = number
    return listed[students.group]


def line_up(students: Students, group: Ints, policy: Policy, seed: bytes) -> Queue:
    """Everyone eligible by tier, and inside a tier by the draw."""
    eligible = np.flatnonzero(group != NOBODY)
    locality = (~students.priority_locality).astype(np.int8)
    of_class = classes(locality=locality[eligible], group=group[eligible], policy=policy)
    every = len(eligible) == len(students.code)
    codes = students.code if every else [students.code[row] for row in eligible.tolist()]

    by_class = by_class_and_draw(of_class, draw(seed, codes), lambda row: lot(seed, codes[row]))
    row = by_class if every else eligible[by_class]
    place = places(students.household[row], students.household_devices[row])
    tier = tiers(of_class[by_class], place)

    by_rank = order_by(tier)
    row = row[by_rank]
    area, site = areas_and_sites(students, row)
    asks = asking(students, policy)
    return Queue(
        students=len(students.code),
        row=row,
        locality=locality[row],
        group=group[row],
        place=place[by_rank],
        tier=tier[by_rank],
        area=area,
        site=site,
        asks=None if asks is None else asks[row],
    )


def classes(*, locality: Ints, group: Ints, policy: Policy) -> Ints:
    """(locality, group) as one number, in the policy's order. Both count from 0."""
    if policy.locality_first:  # phase 1, Plan II.2a
        return locality * len(GROUPS) + group
    return group * 2 + locality


def lot(seed: bytes, code: str) -> bytes:
    """What a student draws: SHA-256("mtce/lot/v1\\0" ‖ seed ‖ code); the smaller comes first, byte by byte."""
    return sha256(LOT_TAG + seed + code.encode()).digest()


def draw(seed: bytes, codes: Sequence[str]) -> NDArray[np.uint32]:
    """The first four bytes of the `lot` of each code, as a number."""
    begins = LOT_TAG + seed
    leading = np.empty(len(codes), dtype=np.uint32)
    for start in range(0, len(codes), BLOCK):
        block = codes[start : start + BLOCK]
        digests = b"".join([sha256(begins + code.encode()).digest() for code in block])
        leading[start : start + BLOCK] = np.frombuffer(digests, dtype=">u4")[:: DIGEST // 4]
    return leading


def by_class_and_draw(of_class: Ints, leading: NDArray[np.uint32], lot_of: Callable[[int], bytes]) -> Ints:
    """Rows by class and then by lot; `leading` are the first four bytes of each, `lot_of` gives a row's whole one."""
    key = of_class.astype(np.int64) << 32 | leading
    order = order_by(key)
    # A few hundred in two million begin with the same four bytes: these are put in order by all of them.
    in_order = key[order]
    same = in_order[1:] == in_order[:-1]
    tied = np.flatnonzero(np.r_[same, False] | np.r_[False, same])
    order[tied] = sorted(order[tied].tolist(), key=lambda row: (key[row], lot_of(row)))
    return order


def places(household: Ints, household_devices: Ints) -> Ints:
    """Place of each student within the household, counted from 1.

    The rows stand in order of (locality, group), as the policy has them, and then the draw: a member comes
    after the devices that the household already holds and after the members ahead.
    """
    place = np.ones(len(household), dtype=np.int64)
    for rows in parts(household):
        members = rows[radix_order(household[rows])]
        members = members[household[members] != NOBODY]
        place[members] += household_devices[members] + position_within(household[members])
    return narrow(place)


def tiers(of_class: Ints, place: Ints) -> Ints:
    """One number per student that orders tiers as the policy does; equal numbers, equal tier."""
    return narrow(of_class.astype(np.int64) * (int(place.max(initial=0)) + 1) + place)


def areas_and_sites(students: Students, row: Ints) -> tuple[tuple[Ints, ...], Ints]:
    """For each of the rows the number of its area on each level, and the place of its school in the order
    (province, district, school)."""
    size = int(students.school.max(initial=NOBODY)) + 1
    district, province = np.full(size, NOBODY, dtype=np.int32), np.full(size, NOBODY, dtype=np.int32)
    district[students.school], province[students.school] = students.district, students.province
    site = np.empty(size, dtype=np.int32)
    site[radix_order(province, district)] = np.arange(size, dtype=np.int32)
    school = students.school[row]
    nation = np.zeros(len(row), dtype=np.int8)
    return (school, district[school], province[school], nation), site[school]


# --- 2. The passes -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Stock:
    """The devices of one pass in the order of (lot, device)."""

    device: Ints  # row of each
    area: Ints  # number of the area that it is earmarked to; 0 if free
    is_laptop: Flags | None


def stock_of(devices: Devices, by_lot: Ints, level: int) -> Stock:
    """What is earmarked to areas of the level, or free. What is earmarked to an area that no student has is left out:
    nobody may have it. `by_lot` are the devices' rows in order of (lot, device)."""
    in_stock = devices.level == level
    if level != FREE:
        in_stock &= devices.area != NOBODY
    device = by_lot[in_stock[by_lot]]
    return Stock(
        device=device,
        area=np.zeros(len(device), dtype=np.int8) if level == FREE else devices.area[device],
        is_laptop=None if devices.is_laptop is None else devices.is_laptop[device],
    )


def first_of_each_area(waiting: Ints, area: Ints, supply: Ints) -> Ints:
    """Of the positions `waiting` (ascending), the first `supply[a]` of each area `a`; those of an area ascend."""
    left = np.zeros(int(area.max(initial=NOBODY)) + 1, dtype=np.int64)
    left[: len(supply)] = supply[: len(left)]
    chosen = [waiting[:0]]
    for start in range(0, len(waiting), BLOCK):
        if not left.any():
            break
        block = waiting[start : start + BLOCK]
        block = block[left[area[block]] > 0]
        block = block[radix_order(area[block])]
        block = block[position_within(area[block]) < left[area[block]]]
        left -= np.bincount(area[block], minlength=len(left))
        chosen.append(block)
    return np.concatenate(chosen)


# --- 3. The free pass and its margin -----------------------------------------------------------------


def free_pass(waiting: Ints, queue: Queue, supply: int, policy: Policy) -> tuple[Ints, Margin | None]:
    """Tier by tier; the tier that doesn't fit wholly is the margin.

    `waiting` are positions in the queue, ascending, as are those chosen that it returns.
    """
    if supply >= len(waiting):
        return waiting, None
    if supply == 0:
        return waiting[:0], None
    tier, last = queue.tier[waiting], supply - 1
    if tier[last] != tier[supply]:
        return waiting[:supply], None
    start, end = (int(np.searchsorted(tier, tier[last], side)) for side in ("left", "right"))
    whole, cut, left = waiting[:start], waiting[start:end], supply - start
    province = queue.area[PROVINCE]
    need = count_by(province[cut])
    if policy.margin == "draw":
        chosen = cut[:left]
    else:
        share = largest_remainder(left, need)
        quota = np.zeros(max(share) + 1, dtype=np.int64)
        quota[list(share)] = list(share.values())
        chosen = np.sort(first_of_each_area(cut, province, quota))
    got = count_by(province[chosen])
    margin = Margin(
        tier=queue.tier_of(cut[0]),
        left=left,
        need=len(cut),
        need_by_province=need,
        given_by_province={number: got.get(number, 0) for number in need},
    )
    return np.concatenate([whole, chosen]), margin


def largest_remainder(left: int, need: dict[int, int]) -> dict[int, int]:
    """Split `left` devices in proportion to `need`, in whole numbers only.

    Everyone gets floor(left × need ÷ total); those still left go one each to the largest fractional
    remainders (ties: larger need, then smaller province).
    """
    total = sum(need.values())
    share = {province: left * wanted // total for province, wanted in need.items()}
    rest = left - sum(share.values())
    by_remainder = sorted(need, key=lambda p: (-(left * need[p] % total), -need[p], p))
    for province in by_remainder[:rest]:
        share[province] += 1
    return share


# --- 4. Which device ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Given:
    """What one pass gives."""

    taker: Ints  # position in the queue …
    device: Ints  # … and the row of the device


def pair(chosen: Ints, stock: Stock, queue: Queue, level: int) -> Given:
    """Pair those chosen with the devices of each area, so that lots stay whole.

    Devices in order of (lot, device) go to students in order of (province, district, school, rank); where there
    are more devices than students, the last of them stay. `chosen` are positions, those of an area ascend.
    """
    area = queue.area[level][chosen]
    size = int(max(area.max(initial=0), stock.area.max(initial=0))) + 1
    offered = order_by(stock.area)
    if queue.asks is None or stock.is_laptop is None:
        takers = radix_order(area, queue.site[chosen])
    else:  # who asks for a laptop is paired before the others
        asks = queue.asks[chosen]
        takers = radix_order(area, ~asks, queue.site[chosen])
        offered = laptops_first(offered, stock, np.bincount(area[asks], minlength=size))
    in_area = stock.area[offered]
    offered = offered[position_within(in_area) < np.bincount(area, minlength=size)[in_area]]
    return Given(chosen[takers], stock.device[offered])


def asking(students: Students, policy: Policy) -> Flags | None:
    """Who would rather have a laptop by the policy; None if it prefers no kind, which changes nothing."""
    if policy.laptop_from_grade is None or students.grade is None:
        return None
    return students.grade >= policy.laptop_from_grade


def laptops_first(offered: Ints, stock: Stock, asked: Ints) -> Ints:
    """The rows `offered` of the stock, area by area, when `asked[a]` of those chosen in area `a` ask for a laptop.

    As many laptops as are asked for come first, then the other devices, then the laptops that are over; in each
    part lots stay whole. Who receives is fixed before, so that this can only say which.
    """
    assert stock.is_laptop is not None
    laptops = offered[stock.is_laptop[offered]]
    area = stock.area[laptops]
    part = np.ones(len(stock.area), dtype=np.int8)
    part[laptops] = np.where(position_within(area) < asked[area], 0, 2)
    return offered[radix_order(stock.area[offered], part[offered])]


def device_order(lot: Ints, by_device: Ints) -> Ints:
    """Place of each device in the order of (lot, device).

    `lot` is the lot's number in byte order (`ranks`), `by_device` the `byte_order` of the devices.
    """
    in_order = by_device[np.argsort(lot[by_device], kind="stable")]
    place = np.empty(len(by_device), dtype=np.int64)
    place[in_order] = np.arange(len(by_device))
    return place


# --- 5. The summary ----------------------------------------------------------------------------------


def summary(
    *, students: Students, devices: Devices, policy: Policy, outcome: Outcome, province_codes: Sequence[str]
) -> dict[str, Any]:
    """Totals of an outcome, with a count for every group of the policy and every province among the
    eligible, zeros included. `province_codes[i]` is the code of province number `i`."""
    served = outcome.served != NOBODY
    unmet = outcome.eligible & ~served

    def by_group(mask: Flags) -> dict[str, int]:
        counted = np.bincount(outcome.group[mask], minlength=len(policy.groups) + 1)
        return {name: int(counted[number]) for number, name in enumerate(policy.groups, start=1)}

    def by_province(mask: Flags) -> dict[str, int]:
        counted = np.bincount(students.province[mask], minlength=len(province_codes))
        return {province_codes[number]: int(counted[number]) for number in present}

    present = np.flatnonzero(
        np.bincount(students.province[outcome.eligible], minlength=len(province_codes))
    ).tolist()
    return {
        "students": len(students.code),
        "eligible": int(outcome.eligible.sum()),
        "devices": len(devices.level),
        "allocated": len(outcome.device),
        "served": by_group(served),
        "unmet": by_group(unmet),
        "served_by_province": by_province(served),
        "unmet_by_province": by_province(unmet),
        "waterline": tier_text(outcome.waterline) if outcome.waterline else None,
        "unallocated_devices": len(devices.level) - len(outcome.device),
    }


# --- columns -----------------------------------------------------------------------------------------


def byte_order(ids: Sequence[str]) -> Ints:
    """Rows in the order of their ids' UTF-8 bytes, which is how Python compares strings."""
    if ids and max(map(len, ids)) <= 16 and (text := "".join(ids)).isascii() and "\0" not in text:
        # Sixteen bytes are two numbers: the same order, sorted as numbers. (A NUL would be lost in the filling.)
        words = np.array(ids, dtype="S16").view(">u8").reshape(-1, 2).astype(np.uint64)
        return np.lexsort((words[:, 1], words[:, 0]))
    return np.array(sorted(range(len(ids)), key=ids.__getitem__), dtype=np.int64)


def ranks(codes: Sequence[str]) -> Ints:
    """Each code's number in the byte order of the distinct codes."""
    numbers = {code: number for number, code in enumerate(sorted(set(codes)))}
    return np.fromiter(map(numbers.__getitem__, codes), dtype=np.int32, count=len(codes))


def order_by(key: Ints) -> Ints:
    """Rows in ascending order of whole numbers; equal ones as they stand.

    `np.argsort(key, kind="stable")`, but so that a row costs the same however many there are.
    """
    order = np.empty(len(key), dtype=np.intp)
    start = 0
    for rows in parts(key):
        order[start : start + len(rows)] = rows[radix_order(key[rows])]
        start += len(rows)
    return order


def parts(key: Ints) -> Iterator[Ints]:
    """The rows in up to 256 parts of ascending ranges of keys, those of a part as they stand."""
    least = int(key.min(initial=0))
    shift = max(0, (int(key.max(initial=0)) - least).bit_length() - 8)
    pieces: list[list[Ints]] = [[] for _ in range(256)]
    for start in range(0, len(key), BLOCK):
        part = (key[start : start + BLOCK].astype(np.int64) - least >> shift).astype(np.uint8)
        rows = np.argsort(part, kind="stable") + start
        counted = np.bincount(part)
        end = 0
        for number in np.flatnonzero(counted).tolist():
            begin, end = end, end + int(counted[number])
            pieces[number].append(rows[begin:end])
    for piece in filter(None, pieces):
        yield np.concatenate(piece)
        piece.clear()


def radix_order(*keys: Ints | Flags) -> Ints:
    """Rows in ascending order of the first key, then of the next ones; where all are equal, as they stand.

    By radix: digits of 16 bits, from the last one of the last key to the first.
    """
    order: Ints | None = None
    for key in reversed(keys):
        for digit in digits(key):
            if order is None:
                order = np.argsort(digit, kind="stable")
            else:
                order = order[np.argsort(digit[order], kind="stable")]
    assert order is not None
    return order


def digits(key: Ints | Flags) -> Iterator[Ints]:
    """The digits of each whole number to the base 2^16, the last one first; numpy sorts numbers this short by radix."""
    least = int(key.min(initial=0))
    rest = key.astype(np.int64) - least
    largest = int(rest.max(initial=0))
    while True:
        yield rest.astype(np.uint16 if largest >= 1 << 8 else np.uint8)
        rest, largest = rest >> 16, largest >> 16
        if not largest:
            return


def position_within(key: Ints) -> Ints:
    """Place of each row among the rows of its key, from 0; equal keys must stand together."""
    if not len(key):
        return np.zeros(0, dtype=np.int64)
    row = np.arange(len(key))
    begins = np.ones(len(key), dtype=bool)
    np.not_equal(key[1:], key[:-1], out=begins[1:])
    return row - np.maximum.accumulate(np.where(begins, row, 0))


def count_by(key: Ints) -> dict[int, int]:
    """How many rows each value has."""
    values, counted = np.unique(key, return_counts=True)
    return dict(zip(values.tolist(), counted.tolist(), strict=True))


def narrow(values: Ints) -> Ints:
    """The same numbers in 16 bits where they fit: less to move. No number is below `NOBODY`."""
    return values.astype(np.int16) if values.max(initial=NOBODY) < 2**15 else values
