"""Reference data from `reference/` into the tables: units, offices, Directive-16 periods, phases, budgets, criteria.

Every step is one COPY and two statements, can be repeated at every start, and leaves alone what is already the same.
Sources and licences: `reference/README.md`.
"""

import csv
import datetime as dt
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.db.models import F

from allocation.models import AllocationPolicy, Phase
from common.models import Programme, RetentionRule, Switch
from common.tables import Upserted, upsert
from common.vietnamese import search_key
from coverage.models import LearningPlatform, Operator
from donations.models import BudgetLine, DeviceCriteria
from schools.models import AdministrativeUnit, DirectivePeriod, Office

FOLDER = settings.BASE_DIR / "reference"
VINTAGE_STARTS_ON = {"2021": dt.date(2021, 1, 1), "2025": dt.date(2025, 7, 1)}
# Resolution 202/2025/QH15: 63 provinces became 34, and districts ended.
MERGER_ON = VINTAGE_STARTS_ON["2025"]
DIRECTIVE = "16/CT-TTg"
TYPES = {
    "tinh": "Tỉnh",
    "thanh-pho": "Thành phố",
    "quan": "Quận",
    "huyen": "Huyện",
    "thi-xa": "Thị xã",
    "phuong": "Phường",
    "xa": "Xã",
    "thi-tran": "Thị trấn",
}
Report = Callable[[str, Upserted, float], None]


@transaction.atomic
def load(*, report: Report, folder: Path = FOLDER) -> None:
    """Load everything, in the order of who refers to whom; `report` gets each file's name, outcome and seconds."""
    for name, step in STEPS.items():
        started = time.perf_counter()
        outcome = step(folder)
        report(name, outcome, time.perf_counter() - started)


def _programme(folder: Path) -> Upserted:
    created = Programme.objects.get_or_create(pk=1)[1]
    return Upserted(int(created), 0, int(not created))


def _provinces2025(folder: Path) -> Upserted:
    rows = (
        _unit(row, level="province", vintage="2025") | {"slug": row["slug"]}
        for row in _read(folder, "provinces2025.csv")
    )
    return _units(rows)


def _provinces2021(folder: Path) -> Upserted:
    successors = _ids("2025")
    rows = (
        _unit(row, level="province", vintage="2021")
        | {
            "slug": row["slug"],
            "citizen_prefix": row["citizen_prefix"],
            "tile_label": row["tile_label"],
            "tile_row": int(row["tile_row"]),
            "tile_column": int(row["tile_column"]),
            "successor_id": successors[row["successor_2025"]],
        }
        for row in _read(folder, "provinces2021.csv")
    )
    outcome = _units(rows)
    # A province is its own province, so that "of this province" is one comparison for units of every level.
    for vintage in VINTAGE_STARTS_ON:
        AdministrativeUnit.objects.provinces().filter(vintage=vintage, province=None).update(
            province_id=F("id")
        )
    return outcome


def _districts2021(folder: Path) -> Upserted:
    provinces = _ids("2021", "province")
    return _units(
        _unit(row, level="district", vintage="2021")
        | {"parent_id": provinces[row["province"]], "province_id": provinces[row["province"]]}
        for row in _read(folder, "districts2021.csv")
    )


def _communes2021(folder: Path) -> Upserted:
    districts = {
        code: (pk, province)
        for code, pk, province in AdministrativeUnit.objects.filter(
            vintage="2021", level="district"
        ).values_list("code", "id", "province_id")
    }
    return _units(
        _unit(row, level="commune", vintage="2021")
        | {"parent_id": districts[row["district"]][0], "province_id": districts[row["district"]][1]}
        for row in _read(folder, "communes2021.csv")
    )


# Code, kind, name, code of the office above ("" is none), unit.
OfficeRow = tuple[str, Office.Kind, str, str, AdministrativeUnit | None]


def _office_levels(
    provinces: list[AdministrativeUnit], districts: list[AdministrativeUnit]
) -> list[list[OfficeRow]]:
    """The public offices, level by level from the top, so that each stands after the one above it."""
    Kind = Office.Kind
    return [
        [("CT", Kind.PROGRAMME, "Văn phòng Chương trình Sóng và máy tính cho em", "", None)],
        [
            ("BGD", Kind.MOET, "Bộ Giáo dục và Đào tạo", "CT", None),
            ("BTTTT", Kind.MIC, "Bộ Thông tin và Truyền thông", "CT", None),
            ("KT", Kind.AUDIT, "Đoàn kiểm toán, giám sát Chương trình", "CT", None),
            ("KHO-TW", Kind.WAREHOUSE, "Kho tiếp nhận trung ương", "CT", None),
        ],
        [
            (f"UBND-{u.code}", Kind.PROVINCE_COMMITTEE, f"Ủy ban nhân dân {_lower(u.full_name)}", "BGD", u)
            for u in provinces
        ],
        [
            row
            for u in provinces
            for row in (
                (
                    f"S-{u.code}",
                    Kind.PROVINCE_DEPARTMENT,
                    f"Sở Giáo dục và Đào tạo {_lower(u.full_name)}",
                    f"UBND-{u.code}",
                    u,
                ),
                (
                    f"TTTT-{u.code}",
                    Kind.PROVINCE_INFORMATION,
                    f"Sở Thông tin và Truyền thông {_lower(u.full_name)}",
                    f"UBND-{u.code}",
                    u,
                ),
            )
        ],
        [
            (
                f"P-{u.code}",
                Kind.DISTRICT_OFFICE,
                f"Phòng Giáo dục và Đào tạo {_lower(u.full_name)}",
                f"S-{u.province.code}",
                u,
            )
            for u in districts
        ],
    ]


def _offices(folder: Path) -> Upserted:
    """The tree of public offices down to the districts; schools come from the departments' own files."""
    units = AdministrativeUnit.objects.filter(vintage="2021").order_by("code")
    provinces = list(units.filter(level="province"))
    districts = list(units.filter(level="district").select_related("province"))
    known: dict[str, tuple[int | None, str]] = {"": (None, "/")}
    total = Upserted(0, 0, 0)
    for level in _office_levels(provinces, districts):
        outcome = upsert(
            Office,
            key=["code"],
            rows=[
                {
                    "code": code,
                    "kind": str(kind),
                    "name": name,
                    "parent_id": known[parent][0],
                    "path": f"{known[parent][1]}{code}/",
                    "unit_id": unit.pk if unit else None,
                    "valid_from": VINTAGE_STARTS_ON["2021"],
                }
                for code, kind, name, parent, unit in level
            ],
        )
        total = Upserted(
            total.inserted + outcome.inserted, total.changed + outcome.changed, total.same + outcome.same
        )
        codes = [row[0] for row in level]
        known |= {
            code: (pk, path)
            for code, pk, path in Office.objects.filter(code__in=codes).values_list("code", "id", "path")
        }
    return total


def _directive16(folder: Path) -> Upserted:
    """The periods of the file, without those that an official has put in or corrected; a period that left the file goes.

    Nothing refers to a period (a run keeps what it read), so one that goes takes nothing with it but its audit image.
    """
    rows = list(_read(folder, "directive16.csv"))
    # Of any level: some provinces lifted the directive district by district, commune by commune.
    named = AdministrativeUnit.objects.filter(vintage="2021", code__in=[row["unit"] for row in rows])
    units = dict(named.values_list("code", "id"))
    periods = [
        {
            "unit_id": units[row["unit"]],
            "directive": DIRECTIVE,
            "starts_on": dt.date.fromisoformat(row["starts_on"]),
            "ends_on": dt.date.fromisoformat(row["ends_on"]) if row["ends_on"] else None,
            "is_teaching_online": row["is_teaching_online"] == "1",
            "source": row["source"],
            "is_from_file": True,
        }
        for row in rows
    ]
    ours = DirectivePeriod.objects.filter(directive=DIRECTIVE)
    known = list(ours.filter(is_from_file=False).values_list("unit_id", "starts_on", "ends_on"))
    periods = [
        period
        for period in periods
        if not any(
            unit == period["unit_id"]
            and starts <= (period["ends_on"] or dt.date.max)
            and period["starts_on"] <= (ends or dt.date.max)
            for unit, starts, ends in known
        )
    ]
    kept = {(period["unit_id"], period["starts_on"]) for period in periods}
    loaded = ours.filter(is_from_file=True).values_list("id", "unit_id", "starts_on")
    gone = [pk for pk, *of_unit in loaded if tuple(of_unit) not in kept]
    ours.filter(pk__in=gone).delete()
    outcome = upsert(DirectivePeriod, key=["unit_id", "directive", "starts_on"], rows=periods)
    return replace(outcome, removed=len(gone))


def _phases(folder: Path) -> Upserted:
    return upsert(
        Phase,
        key=["code"],
        rows=[
            {
                "code": row["code"],
                "name": row["name"],
                "clause": row["clause"],
                "starts_on": dt.date.fromisoformat(row["starts_on"]),
                "ends_on": dt.date.fromisoformat(row["ends_on"]),
                "target_devices": int(row["target_devices"]) if row["target_devices"] else None,
                "groups": row["groups"].split(),
                "locality_first": row["locality_first"] == "1",
            }
            for row in _read(folder, "phases.csv")
        ],
    )


def _policies(folder: Path) -> Upserted:
    """A first, unpublished policy for each phase: the ministry publishes it, which makes it an entry of the ledger."""
    phases = Phase.objects.exclude(policies__version=1)
    return upsert(
        AllocationPolicy,
        key=["phase_id", "version"],
        rows=[
            {
                "phase_id": phase.pk,
                "version": 1,
                "name": f"Thứ tự ưu tiên, {phase.name.lower()}",
                "rules": {
                    "locality_first": phase.locality_first,
                    "margin": "proportional",
                    "groups": phase.groups,
                },
            }
            for phase in phases.order_by("code")
        ],
    )


def _budget_lines(folder: Path) -> Upserted:
    return upsert(
        BudgetLine,
        key=["code"],
        rows=[row | {"planned_vnd": int(row["planned_vnd"])} for row in _read(folder, "budget_lines.csv")],
    )


def _criteria(folder: Path) -> Upserted:
    """Only versions that are missing: what the ministry has edited since stays."""
    known = set(DeviceCriteria.objects.values_list("device_kind", "is_used_device", "version"))
    rows = json.loads((folder / "criteria.json").read_text(encoding="utf-8"))
    return upsert(
        DeviceCriteria,
        key=["device_kind", "is_used_device", "version"],
        rows=[
            row for row in rows if (row["device_kind"], row["is_used_device"], row["version"]) not in known
        ],
    )


def _operators(folder: Path) -> Upserted:
    rows = [row | {"is_mobile": row["is_mobile"] == "1"} for row in _read(folder, "operators.csv")]
    return upsert(Operator, key=["code"], rows=rows)


def _platforms(folder: Path) -> Upserted:
    known = set(LearningPlatform.objects.values_list("name", flat=True))
    return upsert(
        LearningPlatform,
        key=["name"],
        rows=[
            row | {"is_free": row["is_free"] == "1", "is_zero_rated": row["is_zero_rated"] == "1"}
            for row in _read(folder, "platforms.csv")
            if row["name"] not in known
        ],
    )


def _retention(folder: Path) -> Upserted:
    """Only rules that are missing: what the programme decided since stays."""
    known = set(RetentionRule.objects.values_list("code", flat=True))
    rows = [row for row in _read(folder, "retention.csv") if row["code"] not in known]
    return upsert(
        RetentionRule,
        key=["code"],
        rows=[
            row | {"keeps_days": int(row["keeps_days"]), "is_active": row["is_active"] == "1"} for row in rows
        ],
    )


def _switches(folder: Path) -> Upserted:
    """One row for each; on, until the programme says otherwise."""
    known = set(Switch.objects.values_list("name", flat=True))
    missing = [Switch(name=name) for name in Switch.Name.values if name not in known]
    return Upserted(len(Switch.objects.bulk_create(missing)), 0, len(known))


STEPS: dict[str, Callable[[Path], Upserted]] = {
    "thiết lập chương trình": _programme,
    "34 tỉnh, thành phố từ 01/07/2025": _provinces2025,
    "63 tỉnh, thành phố năm 2021": _provinces2021,
    "705 quận, huyện năm 2021": _districts2021,
    "10.599 xã, phường năm 2021": _communes2021,
    "cơ quan từ trung ương đến huyện": _offices,
    "thời gian thực hiện Chỉ thị 16": _directive16,
    "giai đoạn": _phases,
    "chính sách ưu tiên": _policies,
    "dòng kinh phí": _budget_lines,
    "tiêu chí kỹ thuật": _criteria,
    "doanh nghiệp viễn thông": _operators,
    "nền tảng dạy, học trực tuyến": _platforms,
    "thời hạn lưu dữ liệu cá nhân": _retention,
    "công tắc": _switches,
}


def _read(folder: Path, name: str) -> Iterator[dict[str, str]]:
    with (folder / name).open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def _units(rows: Iterator[dict]) -> Upserted:
    return upsert(AdministrativeUnit, key=["vintage", "code"], rows=rows)


def _unit(row: dict[str, str], *, level: str, vintage: str) -> dict:
    full_name = f"{TYPES[row['type']]} {row['name']}"
    return {
        "level": level,
        "code": row["code"],
        "vintage": vintage,
        # "1" of "Phường 1" is no name by itself.
        "name": full_name if row["name"].isdigit() else row["name"],
        "full_name": full_name,
        "search_key": search_key(full_name),
        "valid_from": VINTAGE_STARTS_ON[vintage],
        "valid_to": MERGER_ON if vintage == "2021" else None,
    }


def _ids(vintage: str, level: str = "") -> dict[str, int]:
    units = AdministrativeUnit.objects.filter(vintage=vintage)
    units = units.filter(level=level) if level else units.exclude(level="commune")
    return dict(units.values_list("code", "id"))


def _lower(full_name: str) -> str:
    """ "Tỉnh Hà Giang" inside a sentence: "tỉnh Hà Giang"."""
    return full_name[0].lower() + full_name[1:]
