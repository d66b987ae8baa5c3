"""Points without mobile internet for the demonstration: 1,910 nationwide of which 283 urgent (Plan II.1a, II.1b).

The two totals are the plan's; hamlets, places and dates are invented ("Số liệu minh họa").
"""

import datetime as dt
import random
from collections.abc import Iterator
from dataclasses import dataclass

from sms_program.demo.places import Commune
from sms_program.demo.plan import TODAY, Size

URGENT_DEADLINE = dt.date(2021, 9, 30)
DEADLINE = dt.date(2021, 12, 31)
# Under Directive 16 in September 2021 (facts of the press), where the urgent points lie.
UNDER_DIRECTIVE = ["01", "79", "75", "74", "48", "92", "77", "83", "82", "84", "80", "38", "54", "95"]
# Mountains, highlands and islands, where most of the others lie.
REMOTE = [
    "02",
    "04",
    "06",
    "10",
    "11",
    "12",
    "14",
    "15",
    "17",
    "20",
    "38",
    "40",
    "42",
    "44",
    "45",
    "49",
    "51",
    "62",
    "64",
    "66",
    "67",
    "68",
    "70",
    "56",
    "58",
    "91",
]
# Approximate middle of each province (degrees): a point lies within a quarter of a degree of it.
MIDDLE = {
    "01": (21.0, 105.7), "02": (22.8, 105.0), "04": (22.7, 106.2), "06": (22.2, 105.8), "08": (22.1, 105.2),
    "10": (22.3, 104.0), "11": (21.8, 103.0), "12": (22.3, 103.2), "14": (21.2, 104.1), "15": (21.8, 104.6),
    "17": (20.7, 105.3), "19": (21.7, 105.8), "20": (21.9, 106.6), "22": (21.2, 107.2), "24": (21.3, 106.3),
    "25": (21.3, 105.1), "26": (21.4, 105.6), "27": (21.1, 106.1), "30": (20.9, 106.4), "31": (20.8, 106.6),
    "33": (20.8, 106.1), "34": (20.5, 106.4), "35": (20.5, 105.9), "36": (20.3, 106.2), "37": (20.2, 105.9),
    "38": (20.0, 105.3), "40": (19.2, 104.9), "42": (18.3, 105.8), "44": (17.6, 106.3), "45": (16.8, 107.0),
    "46": (16.4, 107.5), "48": (16.0, 108.0), "49": (15.6, 108.0), "51": (15.0, 108.7), "52": (14.1, 109.0),
    "54": (13.1, 109.1), "56": (12.3, 109.0), "58": (11.7, 108.9), "60": (11.1, 108.1), "62": (14.6, 107.9),
    "64": (13.8, 108.2), "66": (12.8, 108.2), "67": (12.2, 107.7), "68": (11.7, 108.1), "70": (11.7, 106.8),
    "72": (11.4, 106.1), "74": (11.2, 106.7), "75": (11.1, 107.2), "77": (10.6, 107.2), "79": (10.8, 106.7),
    "80": (10.7, 106.2), "82": (10.4, 106.3), "83": (10.2, 106.4), "84": (9.8, 106.3), "86": (10.1, 106.0),
    "87": (10.5, 105.6), "89": (10.5, 105.2), "91": (10.0, 105.2), "92": (10.1, 105.5), "93": (9.8, 105.6),
    "94": (9.6, 106.0), "95": (9.3, 105.5), "96": (9.1, 105.0),
}  # fmt: skip
OPERATORS = [("VIETTEL", 52), ("VNPT", 33), ("MOBIFONE", 15)]
HAMLET = ["Bản", "Thôn", "Xóm", "Ấp", "Khu"]
HAMLET_NAMES = [
    "Nà Pồng",
    "Pá Lau",
    "Huổi Lụ",
    "Nậm Cang",
    "Phìn Hồ",
    "Sín Chải",
    "Tả Phìn",
    "Khau Vai",
    "Pác Bó",
    "Nà Tấu",
    "Chiềng Nơi",
    "Mường Lống",
    "Khe Tre",
    "Cửa Rào",
    "Tân Lập",
    "Đồng Tâm",
    "Hòa Bình",
    "Tân Tiến",
    "Đoàn Kết",
    "Suối Cát",
    "Đắk Nông",
    "Plei Kần",
    "Buôn Kđun",
    "Tân Phú",
    "Trung Thành",
    "Suối Ngang",
    "Bãi Giữa",
    "Hòn Đá",
    "Cồn Nổi",
    "Kênh Mới",
]


@dataclass(frozen=True)
class DemoPoint:
    """One invented point in a real commune, with the month in which it was covered (if it was)."""

    code: str
    name: str
    commune: str
    province: str
    latitude: float
    longitude: float
    operator: str
    is_urgent: bool
    deadline_on: dt.date
    covered_on: dt.date | None
    blocker: str
    download_kbps: int


def make_points(rng: random.Random, communes: list[Commune], size: Size) -> Iterator[DemoPoint]:
    """Yield the points: the urgent ones first; all urgent ones but nine covered, and six in ten of the others."""
    by_province: dict[str, list[Commune]] = {}
    for commune in communes:
        by_province.setdefault(commune.province, []).append(commune)
    late = max(1, size.urgent_points * 9 // 283)
    for number in range(size.points):
        urgent = number < size.urgent_points
        province = rng.choice(UNDER_DIRECTIVE if urgent else REMOTE)
        commune = rng.choice(by_province[province])
        latitude, longitude = MIDDLE[province]
        covered_on, blocker = None, ""
        if urgent and number >= late:
            covered_on = dt.date(2021, 9, 13) + dt.timedelta(days=rng.randint(0, 17))
        elif urgent:
            blocker = rng.choice(["epidemic", "land"])
        elif rng.random() < 0.6:
            covered_on = dt.date(2021, 9, 20) + dt.timedelta(
                days=rng.randint(0, (TODAY - dt.date(2021, 9, 20)).days)
            )
        elif rng.random() < 0.25:
            blocker = rng.choices(["no_power", "transmission", "land", "island"], [5, 3, 2, 1])[0]
        yield DemoPoint(
            code=f"DLS-{number + 1:05d}",
            name=f"{rng.choice(HAMLET)} {rng.choice(HAMLET_NAMES)}",
            commune=commune.code,
            province=province,
            latitude=round(latitude + rng.uniform(-0.25, 0.25), 5),
            longitude=round(longitude + rng.uniform(-0.25, 0.25), 5),
            operator=rng.choices([code for code, _ in OPERATORS], [weight for _, weight in OPERATORS])[0],
            is_urgent=urgent,
            deadline_on=URGENT_DEADLINE if urgent else DEADLINE,
            covered_on=covered_on,
            blocker=blocker,
            download_kbps=rng.randint(4_000, 32_000),
        )
