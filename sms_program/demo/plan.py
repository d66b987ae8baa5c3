"""How large a demonstration is, and the published figures it is built from (facts of 2021, sources beside them).

Everything per province that was never published is invented, deterministic from the seed, and the pages say
"Số liệu minh họa".
"""

import datetime as dt
from dataclasses import dataclass

from django.utils import timezone

SEED = 20210912  # the day the programme was launched
TODAY = dt.date(2021, 11, 15)
FIRST_FREEZE = dt.date(2021, 9, 15)


def moment(day: dt.date, hour: int = 9, minute: int = 0) -> dt.datetime:
    """An aware moment of a programme day in Vietnam."""
    return timezone.make_aware(dt.datetime.combine(day, dt.time(hour, minute)))


@dataclass(frozen=True)
class Size:
    """Rows of each kind; `schools`, `students` and `devices` are totals over the nation."""

    schools: int
    students: int
    devices: int
    points: int = 1910
    urgent_points: int = 283


SIZES = {
    # For tests: every stage and every role, in seconds.
    "small": Size(schools=70, students=1_600, devices=400, points=190, urgent_points=28),
    "demo": Size(schools=640, students=20_900, devices=5_060),
    "large": Size(schools=4_000, students=200_000, devices=60_000),
    "national": Size(schools=26_000, students=2_215_863, devices=1_000_000),
}


@dataclass(frozen=True)
class DemoDonor:
    """A donor of the press reports, with what it pledged; `share` of the demonstration's devices comes from it."""

    name: str
    kind: str
    tax_code: str
    day: dt.date
    quantity: int | None = None
    amount_vnd: int | None = None
    province: str = ""
    share: int = 0
    umbrella: str = ""
    model: str = ""
    source: str = ""


COMMITTEE = "Ủy ban Quản lý vốn nhà nước tại doanh nghiệp và 19 tập đoàn, tổng công ty"
# Sources: reports of the press in 2021–2022, as collected in the programme's facts. Tax codes are left empty:
# a demonstration invents none for a company that exists.
DONORS = [
    DemoDonor(COMMITTEE, "agency", "", dt.date(2021, 9, 12), quantity=100_000, share=22, model="Mẫu 8 inch"),
    DemoDonor(
        "Tập đoàn Điện lực Việt Nam (EVN)",
        "enterprise",
        "",
        dt.date(2021, 9, 20),
        amount_vnd=60_000_000_000,
        share=12,
        umbrella=COMMITTEE,
        model="Mẫu 8 inch",
    ),
    DemoDonor(
        "Tập đoàn VNPT",
        "enterprise",
        "",
        dt.date(2021, 9, 12),
        quantity=37_000,
        share=20,
        model="VNPT Edu Tab",
    ),
    DemoDonor(
        "Ngân hàng VietinBank",
        "enterprise",
        "",
        dt.date(2021, 9, 14),
        amount_vnd=25_000_000_000,
        share=12,
        model="Mẫu 8 inch",
    ),
    DemoDonor(
        "Tập đoàn Xăng dầu Việt Nam (Petrolimex)",
        "enterprise",
        "",
        dt.date(2021, 9, 16),
        amount_vnd=30_000_000_000,
        share=6,
        umbrella=COMMITTEE,
        model="Mẫu 8 inch",
    ),
    DemoDonor(
        "Tổng công ty Cảng hàng không Việt Nam (ACV)",
        "enterprise",
        "",
        dt.date(2021, 9, 17),
        amount_vnd=30_000_000_000,
        umbrella=COMMITTEE,
    ),
    DemoDonor(
        "Tổng công ty Viễn thông MobiFone",
        "enterprise",
        "",
        dt.date(2021, 9, 13),
        quantity=4_000,
        share=8,
        model="Mẫu 8 inch",
    ),
    DemoDonor(
        "Tập đoàn FPT",
        "enterprise",
        "",
        dt.date(2021, 9, 18),
        quantity=3_300,
        province="79",
        share=8,
        model="Mẫu 8 inch",
    ),
    DemoDonor(
        "Tập đoàn Viettel – tỉnh Lạng Sơn",
        "enterprise",
        "",
        dt.date(2021, 10, 4),
        quantity=500,
        province="20",
        share=4,
        model="Mẫu 8 inch",
    ),
    DemoDonor(
        "Tỉnh Thái Nguyên (huy động tại địa phương)",
        "ministry",
        "",
        dt.date(2021, 10, 8),
        quantity=20_000,
        province="19",
        share=6,
        model="Mẫu 8 inch",
    ),
    DemoDonor(
        "Tỉnh Vĩnh Phúc (huy động tại địa phương)",
        "ministry",
        "",
        dt.date(2021, 10, 12),
        quantity=24,
        province="26",
        share=1,
        model="Mẫu 8 inch",
    ),
]

# Where the teaching went on-line longest: share of the synthetic pupils, beside a plain share for all others.
HEAVY = {"01": 3, "79": 4, "75": 3, "74": 2, "80": 2, "38": 3, "40": 3, "02": 2, "14": 2, "64": 2, "66": 2}
