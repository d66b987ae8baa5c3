"""The list files that the demonstration's offices send: .xlsx as a Sở would write them, with the usual slips.

A few rows in each file carry what really arrives (capital names, a lost leading zero, a wrong date), so that the
result page of a list has something to show.
"""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import xlsxwriter

from sms_program.demo.people import citizen_number, make_person
from sms_program.demo.places import GRADES, DemoSchool

COLUMNS = [
    "STT",
    "Mã trường",
    "Lớp",
    "Mã học sinh",
    "Họ và tên",
    "Ngày sinh",
    "Giới tính",
    "Số định danh cá nhân",
    "Đối tượng",
    "Mã hộ",
    "Xã/phường",
    "Đã có máy tính",
]
# Shares of the need that 56 provinces reported, without the press's "other": poor 570,051, near-poor 467,314; the
# third group of the plan is small.
GROUPS = [("Hộ nghèo", 53), ("Hộ cận nghèo", 44), ("Mồ côi do COVID-19", 3)]


def make_rows(
    rng: random.Random,
    *,
    schools: Sequence[DemoSchool],
    commune_names: dict[str, str],
    citizen_prefix: str,
    total: int,
) -> Iterator[list[str]]:
    """Yield `total` rows in the order of COLUMNS, spread over the schools of one province."""
    household, previous, children = 0, "", 0
    open_household: tuple[str, str, int] | None = None
    for number in range(total):
        school = schools[number * len(schools) // total]
        first, last = GRADES[school.level]
        grade = rng.randint(first, last)
        person = make_person(rng, province=school.province, grade=grade)
        group = rng.choices([g for g, _ in GROUPS], [w for _, w in GROUPS])[0]
        # Three in ten share a household with the row before, three at the most: brothers and sisters in one school.
        is_sibling = rng.random() < 0.3 and children < 3
        if is_sibling and open_household and open_household[1] == school.code:
            children += 1
            household_code, group = f"HO{open_household[2]:05d}", open_household[0]
            person = type(person)(
                f"{previous.split()[0]} {' '.join(person.full_name.split()[1:])}", person.sex, person.born_on
            )
        else:
            household, children = household + 1, 1
            household_code = f"HO{household:05d}"
            open_household = (group, school.code, household)
        previous = person.full_name
        identity = citizen_number(rng, prefix=citizen_prefix, person=person) if rng.random() < 0.45 else ""
        yield [
            str(number + 1),
            school.code,
            f"{grade if grade <= 12 else 'K' + str(grade - 12)}{rng.choice('ABC')}",
            f"{school.province}{school.district}{number:05d}"[:10],
            person.full_name.upper() if rng.random() < 0.01 else person.full_name,
            person.born_on.strftime("%d/%m/%Y"),
            person.sex,
            identity,
            group,
            household_code if group != "Mồ côi do COVID-19" or rng.random() < 0.5 else "",
            commune_names[school.commune],
            "Có" if rng.random() < 0.03 else "",
        ]


def write_list(path: Path, *, title: str, rows: Iterator[list[str]], slips: random.Random) -> int:
    """Write one list workbook and return its data rows; every value is text, as the template asks for."""
    book = xlsxwriter.Workbook(path, {"constant_memory": True, "strings_to_formulas": False})
    sheet = book.add_worksheet("Danh sách")
    bold = book.add_format({"bold": True})
    text = book.add_format({"num_format": "@"})
    sheet.write_string(0, 0, title, bold)
    for column, name in enumerate(COLUMNS):
        sheet.write_string(2, column, name, bold)
    count = 0
    for count, row in enumerate(rows, start=1):
        if slips.random() < 0.004:
            row[5] = f"31/02/{row[5][-4:]}"
        for column, value in enumerate(row):
            sheet.write_string(2 + count, column, value, text)
    sheet.write_string(3 + count, 1, "Tổng cộng", bold)
    sheet.write_number(3 + count, 4, count)
    book.close()
    return count
