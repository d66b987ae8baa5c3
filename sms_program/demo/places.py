"""Schools of the demonstration: real communes, invented schools, deterministic from the seed."""

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sms_program.demo.plan import HEAVY, Size


@dataclass(frozen=True)
class Commune:
    """A commune with its district and province, by GSO code."""

    code: str
    name: str
    district: str
    district_name: str
    province: str


@dataclass(frozen=True)
class DemoSchool:
    """One invented school in a real commune."""

    code: str
    name: str
    level: str
    commune: str
    district: str
    province: str
    enrolment: int
    teacher_count: int
    teachers_without_computer: int


# (level, name pattern, first and last grade, pupils, weight)
KINDS = [
    ("primary", "Trường Tiểu học {commune}", 45),
    ("lower_secondary", "Trường THCS {commune}", 35),
    ("upper_secondary", "Trường THPT {district}", 12),
    ("combined", "Trường TH và THCS {commune}", 8),
]
GRADES = {
    "primary": (1, 5),
    "lower_secondary": (6, 9),
    "upper_secondary": (10, 12),
    "combined": (1, 9),
    "university": (13, 16),
    "college": (13, 15),
}


def shares(provinces: Iterable[str], total: int) -> dict[str, int]:
    """Split a total over provinces by weight, largest remainder; every province gets at least one."""
    weights = {code: HEAVY.get(code, 1) + 1 for code in provinces}
    whole = sum(weights.values())
    exact = {code: total * weight / whole for code, weight in weights.items()}
    result = {code: max(1, int(value)) for code, value in exact.items()}
    order = sorted(exact, key=lambda code: (int(exact[code]) - exact[code], code))
    for code in order[: max(0, total - sum(result.values()))]:
        result[code] += 1
    return result


def make_schools(rng: random.Random, communes: list[Commune], size: Size) -> Iterator[DemoSchool]:
    """Yield the schools, province by province: schools in two or three districts of each province.

    A school's code has eight digits: province (2), district (3), running number (3).
    """
    by_province: dict[str, dict[str, list[Commune]]] = defaultdict(lambda: defaultdict(list))
    for commune in communes:
        by_province[commune.province][commune.district].append(commune)
    counts = shares(sorted(by_province), size.schools)
    for province in sorted(by_province):
        districts = sorted(by_province[province])
        wanted = counts[province]
        used = rng.sample(districts, min(len(districts), max(2, wanted // 8)))
        numbers: dict[str, int] = defaultdict(int)
        taken: set[tuple[str, str]] = set()
        for index in range(wanted):
            district = used[index % len(used)]
            level, pattern, _ = rng.choices(KINDS, [kind[2] for kind in KINDS])[0]
            commune = rng.choice(by_province[province][district])
            name = pattern.format(commune=commune.name, district=commune.district_name)
            if (district, name) in taken:
                name = f"{name} số {numbers[district] + 1}"
            taken.add((district, name))
            numbers[district] += 1
            teachers = rng.randint(18, 60)
            yield DemoSchool(
                code=f"{province}{district}{numbers[district]:03d}",
                name=name,
                level=level,
                commune=commune.code,
                district=district,
                province=province,
                enrolment=teachers * rng.randint(14, 22),
                teacher_count=teachers,
                teachers_without_computer=rng.randint(0, teachers // 6),
            )
