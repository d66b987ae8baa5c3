"""The engine against its oracle, its invariants and the programme's real numbers."""

import csv
import io
import json
import random
from itertools import product

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from allocation import engine, files
from allocation.engine import FREE, GROUPS, NOBODY, Devices, Policy, Students
from tests.rules import allocation_oracle as oracle

SEED = "5e" * 32
LAW = {"locality_first": True, "margin": "proportional", "groups": list(GROUPS)}


def scenario(source: random.Random, people: int, machines: int):
    """Random rows for both files and a policy: crowded households, few areas, ties everywhere."""
    provinces = source.sample(["01", "10", "9", "Đ", "z", "Ấ"], source.randint(1, 4))
    districts = [("", p) for p in provinces] + [
        (f"d{n}", source.choice(provinces)) for n in range(source.randint(1, 4))
    ]
    schools = [(f"t{n}", *source.choice(districts)) for n in range(source.randint(1, 6))]
    homes = [("", "")] + [
        (f"h{n}", source.choice(["", "0", "1", "2"])) for n in range(source.randint(0, max(1, people // 2)))
    ]
    students = []
    for n in range(people):
        school, district, province = source.choice(schools)
        home, held = source.choice(homes)
        students.append(
            {
                "student": f"{source.choice('ABđ')}{n}",
                "province": province,
                "district": district,
                "school": school,
                "group": source.choice(GROUPS),
                "priority_locality": source.choice("01"),
                "household": home,
                "household_devices": held,
            }
        )
    places = {
        "province": [*provinces, "none"],
        "district": [*(d for d, _ in districts if d), "none"],
        "school": [*(s for s, _, _ in schools), "none"],
    }
    devices = []
    for n in range(machines):
        level = source.choice(["", "", "province", "district", "school"])
        code = source.choice(places[level]) if level else ""
        devices.append(
            {
                "device": f"{source.choice('mMơ')}{n}",
                "earmark_level": level,
                "earmark_code": code,
                "lot": source.choice(["", "L1", "L2", "l"]),
            }
        )
    policy = {
        "locality_first": source.random() < 0.5,
        "margin": source.choice(engine.MARGINS),
        "groups": source.sample(GROUPS, source.randint(1, 3)),
    }
    return students, devices, policy


def run_engine(students, devices, policy, seed):
    """The engine on rows, through the same columns that files give it; (output text, summary)."""

    def column(rows, name):
        return [row[name] for row in rows]

    areas = {}
    numbers = {}
    for name in ("province", "district", "school"):
        codes = column(students, name)
        numbers[name] = {code: n for n, code in enumerate(sorted(set(codes) - {""}))}
        areas[name] = np.array([numbers[name].get(code, NOBODY) for code in codes], dtype=np.int32)
    homes = {code: n for n, code in enumerate(sorted(set(column(students, "household")) - {""}))}
    people = Students(
        code=column(students, "student"),
        **areas,
        group=np.array([GROUPS.index(g) for g in column(students, "group")], dtype=np.int8),
        priority_locality=np.array(
            [flag == "1" for flag in column(students, "priority_locality")], dtype=bool
        ),
        household=np.array(
            [homes.get(code, NOBODY) for code in column(students, "household")], dtype=np.int32
        ),
        household_devices=np.array(
            [int(n or 0) for n in column(students, "household_devices")], dtype=np.int64
        ),
        grade=np.array([row.get("grade", 0) for row in students], dtype=np.int16),
    )
    ids = column(devices, "device")
    by_id = engine.byte_order(ids)
    machines = Devices(
        level=np.array([engine.PASSES.index(d["earmark_level"] or "free") for d in devices], dtype=np.int8),
        area=np.array(
            [
                numbers[d["earmark_level"]].get(d["earmark_code"], NOBODY) if d["earmark_level"] else NOBODY
                for d in devices
            ],
            dtype=np.int32,
        ),
        order=engine.device_order(engine.ranks(column(devices, "lot")), by_id),
        is_laptop=np.array([row.get("kind") == "laptop" for row in devices], dtype=bool),
    )
    rules = Policy(
        tuple(policy["groups"]), policy["locality_first"], policy["margin"], policy.get("laptop_from_grade")
    )
    outcome = engine.allocate(students=people, devices=machines, policy=rules, seed=bytes.fromhex(seed))
    lines = sorted(
        (ids[d], people.code[s], engine.tier_text(outcome.tier(s)), engine.PASSES[v])
        for d, s, v in zip(
            outcome.device.tolist(), outcome.student.tolist(), outcome.via.tolist(), strict=True
        )
    )
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(files.OUTPUT_COLUMNS)
    writer.writerows(lines)
    total = engine.summary(
        students=people,
        devices=machines,
        policy=rules,
        outcome=outcome,
        province_codes=list(numbers["province"]),
    )
    return text.getvalue(), total


# Twenty scenarios of every pair of numbers of students and devices, the smallest first: the first that fails is short.
SIZES = sorted(product(range(25), range(21), range(20)), key=lambda size: size[0] + size[1])


@pytest.mark.long
def test_engine_equals_the_oracle_on_ten_thousand_scenarios():
    for people, machines, _ in SIZES:
        number = random.getrandbits(64)
        source = random.Random(number)
        students, devices, policy = scenario(source, people, machines)
        seed = f"{source.getrandbits(256):064x}"
        expected, total = oracle.simulate(students, devices, policy, seed)
        output, summary = run_engine(students, devices, policy, seed)
        which = f"{number=} {people=} {machines=}"
        assert output == expected, which
        assert json.dumps(summary) == json.dumps(total), which
        assert oracle.broken_invariants(students, devices, policy, output) == [], which


@settings(max_examples=1_000, deadline=None, database=None)
@given(number=st.integers(0, 2**64 - 1))
def test_a_preferred_kind_decides_which_device_and_never_who(number):
    source = random.Random(number)
    students, devices, policy = scenario(source, source.randint(0, 24), source.randint(0, 20))
    for student in students:
        student["grade"] = source.choice([0, 5, 9, 10, 12, 13])
    for device in devices:
        device["kind"] = source.choice(["laptop", "tablet"])
    seed = f"{source.getrandbits(256):064x}"
    plain = run_engine(students, devices, policy, seed)
    prefers = policy | {"laptop_from_grade": 10}
    output, summary = run_engine(students, devices, prefers, seed)
    assert (output, summary) == oracle.simulate(students, devices, prefers, seed)
    assert oracle.broken_invariants(students, devices, policy, output) == []
    assert summary == plain[1]

    def who(text):
        return sorted((row["student"], row["tier"], row["pass"]) for row in csv.DictReader(io.StringIO(text)))

    assert who(output) == who(plain[0])


def test_order_of_rows_has_no_influence():
    source = random.Random(7)
    students, devices, policy = scenario(source, 60, 40)
    expected = run_engine(students, devices, policy, SEED)
    source.shuffle(students)
    source.shuffle(devices)
    assert run_engine(students, devices, policy, SEED) == expected


# The need that 56 of 63 provinces reported in 2021, in hundredths so that the test stays small; the
# benchmark runs it in full.
POOR, NEAR_POOR, OTHER = 570_051, 467_314, 1_178_498


def of_groups(counts: dict[str, int], supply: int) -> dict:
    """Summary for so many students of each group in one non-priority province and so many free devices."""
    total = sum(counts.values())
    ids = [f"{n:07d}" for n in range(total)]
    none = np.zeros(total, dtype=np.int32)
    students = Students(
        code=ids,
        province=np.arange(total, dtype=np.int32) % 63,
        district=none + NOBODY,
        school=np.arange(total, dtype=np.int32) % 63,
        group=np.repeat(np.arange(3, dtype=np.int8), [counts.get(g, 0) for g in GROUPS]),
        priority_locality=none.astype(bool),
        household=none + NOBODY,
        household_devices=none,
    )
    devices = Devices(
        level=np.full(supply, FREE), area=np.full(supply, NOBODY), order=np.arange(supply, dtype=np.int64)
    )
    outcome = engine.allocate(students=students, devices=devices, policy=Policy(), seed=bytes(32))
    return engine.summary(
        students=students,
        devices=devices,
        policy=Policy(),
        outcome=outcome,
        province_codes=[f"{n:02d}" for n in range(1, 64)],
    )


@pytest.mark.parametrize(
    ("supply", "served", "waterline"),
    [
        (1_000_000, (570_051, 429_949, 0), "2.2.1"),
        (555_056, (555_056, 0, 0), "2.1.1"),
        (1_037_365, (570_051, 467_314, 0), "2.2.1"),
        (1_037_366, (570_051, 467_314, 1), "2.3.1"),
    ],
)
def test_real_numbers_of_2021(supply, served, waterline):
    # The third group is shortened: it only has to be longer than what could reach it.
    summary = of_groups({"poor": POOR, "near_poor": NEAR_POOR, "covid_orphan": 1_000}, supply)
    assert tuple(summary["served"].values()) == served
    assert summary["unmet"]["near_poor"] == NEAR_POOR - served[1]
    assert summary["waterline"] == waterline


def test_largest_remainder_breaks_ties_by_need_then_province():
    # 3 over equal needs of 4: remainders tie, needs tie, the smaller province comes first.
    assert engine.largest_remainder(5, {0: 4, 1: 4, 2: 4}) == {0: 2, 1: 2, 2: 1}
    # Equal remainders of one half, the larger need first.
    assert engine.largest_remainder(4, {0: 1, 1: 3, 2: 4}) == {0: 0, 1: 2, 2: 2}


def test_large_numbers_stay_exact():
    # 2^53 and beyond: floats would round here.
    need = {0: 2**60 + 1, 1: 2**60}
    assert sum(engine.largest_remainder(2**60, need).values()) == 2**60


def test_lots_with_equal_first_bytes_are_ordered_by_the_rest():
    lots = [bytes([5, 9, 0]), bytes([5, 1, 3]), bytes([4, 0, 0]), bytes([5, 1, 2]), bytes([1, 0, 0])]
    leading = np.array([lot[0] for lot in lots], dtype=np.uint32)
    of_class = np.array([0, 0, 0, 0, 1], dtype=np.int8)
    assert engine.by_class_and_draw(of_class, leading, lots.__getitem__).tolist() == [2, 3, 1, 0, 4]


@pytest.mark.parametrize("largest", [0, 1, 255, 256, 2**16, 2**31, 10**18])
@pytest.mark.parametrize("size", [0, 1, 2, engine.BLOCK + 1, 3 * engine.BLOCK])
def test_order_is_that_of_a_stable_sort(largest, size):
    key = np.random.default_rng(size).integers(NOBODY, largest, size, endpoint=True)
    assert (engine.order_by(key) == np.argsort(key, kind="stable")).all()
    assert (engine.radix_order(key % 3, key) == np.lexsort((key, key % 3))).all()


@settings(deadline=None)
@given(st.lists(st.text("aB0\0~-đẤ", max_size=18), unique=True))
def test_byte_order_is_the_order_of_utf8(ids):
    assert [ids[row] for row in engine.byte_order(ids)] == sorted(ids, key=str.encode)


@settings(suppress_health_check=[HealthCheck.too_slow])  # a loaded machine draws slowly
@given(st.lists(st.text("aB0~-", max_size=16), unique=True, min_size=1))
def test_byte_order_of_short_ids(ids):
    assert [ids[row] for row in engine.byte_order(ids)] == sorted(ids, key=str.encode)
