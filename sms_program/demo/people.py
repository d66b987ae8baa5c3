"""Synthetic Vietnamese people: plausible names by region, birth dates by grade. Nobody here exists.

Deterministic: everything comes from the ``random.Random`` that is passed in.
"""

import datetime as dt
import random
from dataclasses import dataclass

FAMILY = [
    ("Nguyễn", 38),
    ("Trần", 11),
    ("Lê", 10),
    ("Phạm", 7),
    ("Hoàng", 5),
    ("Huỳnh", 5),
    ("Phan", 4),
    ("Vũ", 4),
    ("Võ", 4),
    ("Đặng", 3),
    ("Bùi", 3),
    ("Đỗ", 3),
    ("Hồ", 2),
    ("Ngô", 2),
    ("Dương", 2),
    ("Lý", 1),
    ("Đinh", 1),
    ("Đoàn", 1),
    ("Trịnh", 1),
    ("Mai", 1),
    ("Tạ", 1),
    ("Cao", 1),
    ("Lương", 1),
    ("Hà", 1),
]
# Families of the northern mountains and of the Central Highlands, so that lists look like the lists there.
FAMILY_NORTH = [
    ("Lò", 8),
    ("Hoàng", 8),
    ("Vàng", 6),
    ("Giàng", 6),
    ("Nông", 6),
    ("Lường", 5),
    ("Quàng", 4),
    ("Sùng", 4),
    ("Ma", 3),
    ("Triệu", 4),
    ("Bàn", 3),
    ("Hà", 4),
    ("Nguyễn", 14),
]
FAMILY_HIGHLANDS = [("Y", 8), ("H'", 8), ("Rơ Châm", 4), ("Siu", 4), ("Ksor", 4), ("Nguyễn", 22), ("Trần", 8)]
NORTHERN = {"02", "04", "06", "08", "10", "11", "12", "14", "15", "17", "19", "20"}
HIGHLANDS = {"62", "64", "66", "67", "68"}

MIDDLE_MALE = ["Văn", "Đức", "Minh", "Quang", "Hữu", "Thành", "Gia", "Quốc", "Tuấn", "Anh", "Xuân", "Công"]
MIDDLE_FEMALE = ["Thị", "Thị", "Thị", "Ngọc", "Thu", "Phương", "Khánh", "Bảo", "Minh", "Thanh", "Mai", "Hồng"]
GIVEN_MALE = [
    "An",
    "Bảo",
    "Bình",
    "Chiến",
    "Cường",
    "Dũng",
    "Duy",
    "Đạt",
    "Đông",
    "Hải",
    "Hiếu",
    "Hoàng",
    "Huy",
    "Hùng",
    "Khang",
    "Khánh",
    "Khoa",
    "Kiên",
    "Lâm",
    "Long",
    "Minh",
    "Nam",
    "Nghĩa",
    "Nhân",
    "Phong",
    "Phúc",
    "Quân",
    "Quý",
    "Sơn",
    "Tâm",
    "Tài",
    "Thắng",
    "Thịnh",
    "Tiến",
    "Toàn",
    "Trung",
    "Trường",
    "Tuấn",
    "Tùng",
    "Việt",
    "Vinh",
    "Vũ",
]
GIVEN_FEMALE = [
    "An",
    "Anh",
    "Ánh",
    "Bích",
    "Chi",
    "Diệp",
    "Dung",
    "Duyên",
    "Giang",
    "Hà",
    "Hạnh",
    "Hằng",
    "Hiền",
    "Hoa",
    "Hồng",
    "Huệ",
    "Hương",
    "Lan",
    "Liên",
    "Linh",
    "Loan",
    "Ly",
    "Mai",
    "My",
    "Nga",
    "Ngân",
    "Ngọc",
    "Nhi",
    "Nhung",
    "Oanh",
    "Phương",
    "Quyên",
    "Quỳnh",
    "Tâm",
    "Thảo",
    "Thơ",
    "Thu",
    "Thuỷ",
    "Thương",
    "Trang",
    "Trâm",
    "Trinh",
    "Tuyết",
    "Uyên",
    "Vân",
    "Yến",
]

# The calendar year of birth of grade 1 in school year 2021–2022.
FIRST_GRADE_BIRTH_YEAR = 2015


@dataclass(frozen=True)
class Person:
    """One synthetic pupil as a school would write them down."""

    full_name: str
    sex: str
    born_on: dt.date


def _family(rng: random.Random, province: str) -> str:
    pool = FAMILY_NORTH if province in NORTHERN else FAMILY_HIGHLANDS if province in HIGHLANDS else FAMILY
    names, weights = zip(*pool, strict=True)
    return rng.choices(names, weights)[0]


def make_person(rng: random.Random, *, province: str, grade: int) -> Person:
    """Return one pupil of a grade (1–12, 13 and up: a student) in a province (GSO code).

    The birth year fits the grade; one in twelve repeats a year.
    """
    male = rng.random() < 0.51
    middle = rng.choice(MIDDLE_MALE if male else MIDDLE_FEMALE)
    given = rng.choice(GIVEN_MALE if male else GIVEN_FEMALE)
    family = _family(rng, province)
    if family == "H'" and male:
        family = "Y"
    if family == "Y" and not male:
        family = "H'"
    parts = [family, given] if family in {"Y", "H'"} else [family, middle, given]
    if middle == given:
        parts = [family, given]
    year = FIRST_GRADE_BIRTH_YEAR - (grade - 1) - (1 if rng.random() < 1 / 12 else 0)
    born_on = dt.date(year, 1, 1) + dt.timedelta(days=rng.randrange(365))
    return Person(" ".join(parts).replace("H' ", "H'"), "Nam" if male else "Nữ", born_on)


def citizen_number(rng: random.Random, *, prefix: str, person: Person) -> str:
    """Return a number of the form of a citizen number for a synthetic child (born 2000 or later)."""
    digit = "2" if person.sex == "Nam" else "3"
    return f"{prefix}{digit}{person.born_on.year % 100:02d}{rng.randrange(10**6):06d}"
