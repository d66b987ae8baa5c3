"""The allocation engine: who receives a device, and which one.

Pure functions over numpy columns; no Django, no clock, no files. The database run and
`manage.py simulate` both call `allocate`, and nothing about who or which is decided elsewhere.
The sections follow the published rules in their order, so that the two can be read side by side:

1. the draw, 2. who comes first, 3. the passes, 4. the margin, 5. which device, 6. the summary.

Sources: Plan 3667/KH-BTTTT-BGDĐT, I.1a and III.2c (groups and their order), II.2a (localities under
Directive 16 that teach online come first).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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


# --- 1. The draw -------------------------------------------------------------------------------------


def draw(seed: bytes, codes: Iterable[str]) -> NDArray[np.uint64]:
    """SHA-256("mtce/lot/v1\\0" ‖ seed ‖ code) per code, as four big-endian words: shape (n, 4)."""
    begins = LOT_TAG + seed
    digests = b"".join([sha256(begins + code.encode()).digest() for code in codes])
    return np.frombuffer(digests, dtype=">u8").reshape(-1, 4)


def draw_order(words: NDArray[np.uint64]) -> Ints:
    """Rows of `words` (n, 4) in ascending order of their 32 bytes."""
    leading = words[:, 0].astype(np.uint64)
    order = np.argsort(leading)
    first = leading[order]
    if (first[1:] == first[:-1]).any():  # about once in 10^7 national runs, but then it must be right too
        order = np.lexsort((words[:, 3], words[:, 2], words[:, 1], words[:, 0]))
    return order


# --- 2. Who comes first ------------------------------------------------------------------------------


def places(household: Ints, household_devices: Ints, before: Ints) -> Ints:
    """Place of each student within the household, counted from 1.

    `before` lists the rows by (locality, group) in the policy's order and then the draw: a member
    comes after the devices that the household already holds and after the members ahead.
    """
    place = np.ones(len(household), dtype=np.int64)
    members = before[household[before] != NOBODY]
    members = members[np.argsort(household[members], kind="stable")]
    place[members] += household_devices[members] + position_within(household[members])
    return place


def tiers(*, locality: Ints, group: Ints, place: Ints, policy: Policy) -> Ints:
    """One number per student that orders tiers as the policy does; equal numbers, equal tier."""
    of_class = classes(locality=locality, group=group, policy=policy).astype(np.int64)
    return of_class * (int(place.max(initial=0)) + 1) + place


def classes(*, locality: Ints, group: Ints, policy: Policy) -> Ints:
    """(locality, group) as one number, in the policy's order. `locality` and `group` count from 0."""
    if policy.locality_first:  # phase 1, Plan II.2a
        return locality * len(GROUPS) + group
    return group * 2 + locality


# --- 3. The passes -----------------------------------------------------------------------------------


def allocate(*, students: Students, devices: Devices, policy: Policy, seed: bytes) -> Outcome:
    """Decide who receives which device.

    `seed` is 32 bytes. The same columns, policy and seed give the same outcome on any machine; the
    order of the rows given has no influence. 2.2 million students and a million devices take seconds.
    """
    listed = np.full(len(GROUPS), NOBODY, dtype=np.int8)
    for number, name in enumerate(policy.groups):
        listed[GROUPS.index(name)] = number
    group_of_all = listed[students.group]
    eligible = group_of_all != NOBODY
    rows = np.flatnonzero(eligible)  # from here on, one row per eligible student

    group = group_of_all[rows]
    locality = np.where(students.priority_locality[rows], 0, 1).astype(np.int8)
    every = len(rows) == len(students.code)
    codes = students.code if every else [students.code[row] for row in rows.tolist()]
    by_draw = draw_order(draw(seed, codes))
    by_class = by_draw[
        np.argsort(classes(locality=locality, group=group, policy=policy)[by_draw], kind="stable")
    ]
    place = places(students.household[rows], students.household_devices[rows], by_class)
    tier = tiers(locality=locality, group=group, place=place, policy=policy)
    by_rank = by_draw[np.argsort(small(tier)[by_draw], kind="stable")]

    # From here on everything is in rank order: row 0 comes first.
    rows, tier = rows[by_rank], tier[by_rank]
    province = students.province[rows]
    chain = {SCHOOL: students.school[rows], DISTRICT: students.district[rows], PROVINCE: province}
    site = sites(province, chain[DISTRICT], chain[SCHOOL])
    asks = asking(students, policy)
    if asks is not None:
        # Who asks for a laptop is paired before the others, each part in the order of its sites.
        asks = asks[rows]
        site = site + np.where(asks, 0, int(site.max(initial=0)) + 1)
    served = np.full(len(rows), NOBODY, dtype=np.int8)
    given: list[tuple[Ints, Ints, int]] = []

    for level in (SCHOOL, DISTRICT, PROVINCE):  # the most specific device first
        of_level = np.flatnonzero((devices.level == level) & (devices.area != NOBODY))
        if not len(of_level):
            continue
        area_of_device = devices.area[of_level]
        waiting = np.flatnonzero((served == NOBODY) & (chain[level] != NOBODY))
        supply = np.bincount(area_of_device, minlength=int(chain[level].max(initial=NOBODY)) + 1)
        chosen = first_of_each_area(waiting, chain[level], supply)
        order = devices.order[of_level]
        if asks is not None and devices.is_laptop is not None:
            wanted = np.bincount(chain[level][chosen[asks[chosen]]], minlength=len(supply))
            order = laptops_first(order, devices.is_laptop[of_level], area_of_device, wanted)
        takers, taken = pair(chosen, chain[level][chosen], site[chosen], of_level, area_of_device, order)
        served[takers] = level
        given.append((taken, rows[takers], level))

    free = np.flatnonzero(devices.level == FREE)
    waiting = np.flatnonzero(served == NOBODY)
    chosen, split = free_pass(waiting, tier, province, len(free), policy)
    nation, of_nation = np.zeros(len(chosen), dtype=np.int8), np.zeros(len(free), dtype=np.int8)
    order = devices.order[free]
    if asks is not None and devices.is_laptop is not None:
        order = laptops_first(order, devices.is_laptop[free], of_nation, asks[chosen].sum(keepdims=True))
    takers, taken = pair(chosen, nation, site[chosen], free, of_nation, order)
    served[takers] = FREE
    given.append((taken, rows[takers], FREE))

    def per_student(values: Ints, missing: int, dtype: type = np.int64) -> Ints:
        column: Ints = np.full(len(eligible), missing, dtype=dtype)
        column[rows] = values
        return column

    locality_of = per_student(locality[by_rank] + 1, 0, np.int8)
    group_of = per_student(group[by_rank] + 1, 0, np.int8)
    place_of = per_student(place[by_rank], 0)

    def tier_of(row: int) -> tuple[int, int, int]:
        student = rows[row]
        return int(locality_of[student]), int(group_of[student]), int(place_of[student])

    margin = None
    if split is not None:
        left, need, given_by_province, row = split
        margin = Margin(tier_of(row), left, sum(need.values()), need, given_by_province)
    return Outcome(
        device=np.concatenate([taken for taken, _, _ in given]),
        student=np.concatenate([takers for _, takers, _ in given]),
        via=np.concatenate([np.full(len(taken), level, dtype=np.int8) for taken, _, level in given]),
        eligible=eligible,
        locality=locality_of,
        group=group_of,
        place=place_of,
        rank=per_student(np.arange(len(rows)), NOBODY),
        served=per_student(served, NOBODY, np.int8),
        waterline=tier_of(int(chosen.max())) if len(chosen) else None,
        margin=margin,
    )


def first_of_each_area(waiting: Ints, area: Ints, supply: Ints) -> Ints:
    """Of the rows `waiting` (in rank order), the first `supply[a]` of each area `a`."""
    waiting = waiting[supply[area[waiting]] > 0]
    by_area = waiting[np.argsort(small(area[waiting]), kind="stable")]
    return by_area[position_within(area[by_area]) < supply[area[by_area]]]


# --- 4. The free pass and its margin -----------------------------------------------------------------

Split = tuple[int, dict[int, int], dict[int, int], int]  # left, need and given by province, a row of the tier


def free_pass(
    waiting: Ints, tier: Ints, province: Ints, supply: int, policy: Policy
) -> tuple[Ints, Split | None]:
    """Tier by tier; the tier that doesn't fit wholly is the margin.

    `waiting` are rows in rank order. Returns the rows chosen, in rank order, and the split if there
    was a margin.
    """
    if supply >= len(waiting):
        return waiting, None
    if supply == 0:
        return waiting[:0], None
    last, following = waiting[supply - 1], waiting[supply]
    if tier[last] != tier[following]:
        return waiting[:supply], None
    tier_of_waiting = tier[waiting]
    start = int(np.searchsorted(tier_of_waiting, tier[last], side="left"))
    end = int(np.searchsorted(tier_of_waiting, tier[last], side="right"))
    whole, cut, left = waiting[:start], waiting[start:end], supply - start
    need = count_by(province[cut])
    if policy.margin == "draw":
        chosen = cut[:left]
    else:
        share = largest_remainder(left, need)
        quota = np.zeros(max(share) + 1, dtype=np.int64)
        quota[list(share)] = list(share.values())
        chosen = np.sort(first_of_each_area(cut, province, quota))
    got = count_by(province[chosen])
    given = {code: got.get(code, 0) for code in need}
    return np.concatenate([whole, chosen]), (left, need, given, int(cut[0]))


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


# --- 5. Which device ---------------------------------------------------------------------------------


def pair(
    chosen: Ints, area: Ints, site: Ints, device: Ints, device_area: Ints, device_order_: Ints
) -> tuple[Ints, Ints]:
    """Pair students and devices within each area, so that lots stay whole.

    Devices in order of (lot, device) go to students in order of (province, district, school, rank);
    where there are more devices than students, the last of them stay. `chosen` are rows, those of an
    area in rank order; numbers of sites and areas are parallel to it. Returns (students' rows, devices' rows).
    """
    takers = np.lexsort((small(site), small(area)))  # a stable sort: the rank decides last
    offered = np.lexsort((device_order_, small(device_area)))
    size = int(max(area.max(initial=0), device_area.max(initial=0))) + 1
    wanted = np.bincount(area, minlength=size)
    in_area = device_area[offered]
    offered = offered[position_within(in_area) < wanted[in_area]]
    return chosen[takers], device[offered]


def sites(province: Ints, district: Ints, school: Ints) -> Ints:
    """The place of each student's school in the order (province, district, school)."""
    size = int(school.max(initial=NOBODY)) + 1
    province_of, district_of = np.full(size, NOBODY), np.full(size, NOBODY)
    province_of[school], district_of[school] = province, district
    number = np.empty(size, dtype=np.int32)
    number[np.lexsort((np.arange(size), district_of, province_of))] = np.arange(size, dtype=np.int32)
    return number[school]


def asking(students: Students, policy: Policy) -> Flags | None:
    """Who would rather have a laptop by the policy; None if it prefers no kind, which changes nothing."""
    if policy.laptop_from_grade is None or students.grade is None:
        return None
    return students.grade >= policy.laptop_from_grade


def laptops_first(order: Ints, is_laptop: Flags, area: Ints, wanted: Ints) -> Ints:
    """The devices' order when `wanted[a]` of those chosen in area `a` ask for a laptop.

    As many laptops as are asked for come first, then the other devices, then the laptops that are over; in each
    part lots stay whole. Who receives is fixed before, so that this can only say which.
    """
    by_order = np.lexsort((order, ~is_laptop, area))
    is_over = is_laptop[by_order] & (position_within(area[by_order]) >= wanted[area[by_order]])
    part = np.where(is_laptop[by_order], np.where(is_over, 2, 0), 1)
    moved = np.empty_like(order)
    moved[by_order] = order[by_order] + part * (int(order.max(initial=0)) + 1)
    return moved


def device_order(lot: Ints, by_device: Ints) -> Ints:
    """Place of each device in the order of (lot, device).

    `lot` is the lot's number in byte order (`ranks`), `by_device` the `byte_order` of the devices.
    """
    in_order = by_device[np.argsort(lot[by_device], kind="stable")]
    place = np.empty(len(by_device), dtype=np.int64)
    place[in_order] = np.arange(len(by_device))
    return place


# --- 6. The summary ----------------------------------------------------------------------------------


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


def position_within(key: Ints) -> Ints:
    """Place of each row among the rows of its key, from 0; equal keys must stand together."""
    if not len(key):
        return np.zeros(0, dtype=np.int64)
    row = np.arange(len(key))
    begins = np.r_[True, key[1:] != key[:-1]]
    return row - np.maximum.accumulate(np.where(begins, row, 0))


def count_by(key: Ints) -> dict[int, int]:
    """How many rows each value has."""
    values, counted = np.unique(key, return_counts=True)
    return dict(zip(values.tolist(), counted.tolist(), strict=True))


def small(key: Ints) -> Ints:
    """The same order in 16 bits where it fits: numpy then sorts by radix. No number is below `NOBODY`."""
    return key.astype(np.int16) if key.max(initial=NOBODY) < 2**15 else key
