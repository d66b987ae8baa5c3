"""What a proposal looks like: the same figures for a run, for a trial, and for what differs between two."""

import datetime as dt
from typing import Any

from django.db.models import Count
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from allocation import freezing, proposing, rules
from allocation.models import Allocation, AllocationPolicy, AllocationRun
from common import charts
from common.templatetags.vi import format_number
from schools.models import AdministrativeUnit, School

State = AllocationRun.State
Units = dict[str, AdministrativeUnit]


def policy_rows(policy: AllocationPolicy) -> list[dict[str, str]]:
    """A policy in words."""
    given = policy.rules
    order = (
        "Địa phương Chỉ thị 16 trước, rồi đối tượng"
        if given["locality_first"]
        else "Đối tượng trước, rồi địa phương"
    )
    margin = (
        "Chia cho các tỉnh theo tỉ lệ số em còn thiếu, trong tỉnh thì bốc thăm"
        if given["margin"] == "proportional"
        else "Bốc thăm chung cả nước"
    )
    return [
        {"key": "Chính sách", "value": f"{policy}, {policy.phase}"},
        {
            "key": "Đối tượng, theo thứ tự",
            "value": ", ".join(rules.GROUP_NAMES[name] for name in given["groups"]),
        },
        {"key": "Thứ tự xét", "value": order},
        {"key": "Máy hết giữa một bậc", "value": margin},
        {"key": "Giữ lại dự phòng", "value": f"{policy.reserve_percent}% số máy chung"},
        {"key": "Loại máy", "value": rules.preference_words(given.get("laptop_from_grade"))},
    ]


def units_of(summary: dict[str, Any]) -> Units:
    """The provinces of a summary by their public code."""
    codes = {cell["province"] for cell in summary["cells"]}
    found = AdministrativeUnit.objects.provinces().filter(public_code__in=codes)
    return {unit.public_code: unit for unit in found}


def name_in(units: Units, code: str) -> str:
    return units[code].full_name if code in units else code


def figures_context(summary: dict[str, Any]) -> dict[str, Any]:
    """The figures of `proposing.figures` as rows of tables, a map, and the words above them."""
    units = units_of(summary)
    by_province = proposing.totals_by(summary["cells"], "province")
    by_group = proposing.totals_by(summary["cells"], "group")
    share = {units[code].code: got / need for code, need, got in by_province if code in units and need}
    margin = summary["margin"] or {"provinces": []}
    return {
        "summary": summary | {"missing": summary["eligible"] - summary["allocated"]},
        "columns": ["Tỉnh", "Đủ điều kiện", "Có máy", "Còn thiếu"],
        "group_columns": ["Đối tượng", "Đủ điều kiện", "Có máy", "Còn thiếu"],
        "cell_columns": ["Tỉnh, đối tượng", "Đủ điều kiện", "Có máy", "Còn thiếu"],
        "pass_columns": ["Lượt", "Số máy"],
        "margin_columns": ["Tỉnh", "Còn thiếu trong bậc", "Được chia"],
        "starving": rules.starvation(summary["served"], summary["unmet"]),
        "waterline_words": tier_words(summary, summary["waterline"]),
        "province_waterlines": [
            {"place": name_in(units, code), "tier": tier, "words": tier_words(summary, tier)}
            for code, tier in summary.get("province_waterlines", {}).items()
        ],
        "laptop_words": rules.laptop_words(summary.get("laptops")),
        "idle_count": summary["unallocated_devices"],
        "group_rows": [
            [rules.group_title(name), *numbers(need, got, need - got)] for name, need, got in by_group
        ],
        "province_rows": [
            [name_in(units, code), *numbers(need, got, need - got)] for code, need, got in by_province
        ],
        "cell_rows": [
            [
                f"{name_in(units, cell['province'])}, {rules.GROUP_NAMES[cell['group']]}",
                *numbers(cell["need"], cell["served"], cell["need"] - cell["served"]),
            ]
            for cell in summary["cells"]
        ],
        "map": map_of(share),
        "pass_rows": [
            [name.capitalize(), format_number(summary["by_pass"][key])]
            for key, name in rules.PASS_NAMES.items()
        ],
        "margin_rows": [
            [name_in(units, code), *numbers(need, got)] for code, need, got in margin["provinces"]
        ],
        "idle": idle_rows(summary["idle"]),
    }


def tier_words(summary: dict[str, Any], tier: str | None) -> str:
    return rules.tier_words(rules.tier_of(tier), summary["policy_groups"]) if tier else ""


def expected(run: AllocationRun, at: dt.datetime) -> dict[str, int]:
    """How many students and devices a freeze at this moment would fix: named before the act is done."""
    students, devices = freezing.count_inputs(
        day=timezone.localdate(at), province_id=run.province_id, groups=run.policy.rules["groups"]
    )
    return {"students": students, "devices": devices}


def map_of(share: dict[str, float]) -> SafeString:
    """The country from 768 px on, tiles on a phone; each says its numbers to who can't see it."""
    title = "Tỉ lệ em đủ điều kiện có máy theo phương án"
    return format_html(
        '{}<div class="only-wide">{}{}</div><div class="only-narrow">{}</div>',
        charts.patterns(),
        charts.geographic_map(share, title=title, ident="run-map"),
        charts.legend(),
        charts.tile_map(share, title=title, ident="run-tiles"),
    )


def numbers(*values: int) -> list[str]:
    return [format_number(value) for value in values]


def run_context(run: AllocationRun) -> dict[str, Any]:
    """A run's proposal, and how it differs from the last committed one over the same place."""
    before = (
        AllocationRun.objects.filter(state=State.COMMITTED, province=run.province, pk__lt=run.pk)
        .order_by("-pk")
        .first()
    )
    context = figures_context(run.summary) | {"before": before}
    if run.state == State.COMMITTED:
        context |= {"standing_columns": ["Phân bổ của đợt", "Số máy"], "standing_rows": standing_rows(run)}
    if before:
        context |= {
            "difference_columns": [
                "Tỉnh, đối tượng", "Có máy, đợt trước", "Có máy, đợt này", "Thêm, bớt", "Còn thiếu, thêm, bớt",
            ],
            "difference_rows": difference_rows(
                proposing.difference(run.summary, before.summary),
                units_of(run.summary) | units_of(before.summary),
            ),
        }  # fmt: skip
    return context


def standing_rows(run: AllocationRun) -> list[list[str]]:
    """Of a committed run: what was approved, what of it ended and why, what came instead, what holds now."""
    ended = dict(
        Allocation.objects.filter(run=run)
        .exclude(end_reason="")
        .values_list("end_reason")
        .annotate(count=Count("pk"))
        .order_by("end_reason")
    )
    substituted = Allocation.objects.filter(run=run, engine_pass=Allocation.Pass.SUBSTITUTE).count()
    approved = run.summary["allocated"]
    if not ended and not substituted:
        return []
    return [
        ["Đã phê duyệt", format_number(approved)],
        *(
            [f"Chấm dứt: {Allocation.EndReason(reason).label.lower()}", rules.signed(-count)]
            for reason, count in ended.items()
        ),
        ["Chuyển cho em kế tiếp trong hàng chờ", rules.signed(substituted)],
        ["Còn hiệu lực", format_number(approved - sum(ended.values()) + substituted)],
    ]


def difference_rows(difference: list[dict[str, Any]], units: Units) -> list[list[str]]:
    """Only what changed, as rows of formatted cells."""
    return [
        [
            f"{name_in(units, row['province'])}, {rules.GROUP_NAMES[row['group']]}",
            *numbers(row["served_before"], row["served"]),
            rules.signed(row["served"] - row["served_before"]),
            rules.signed(row["unmet"] - row["unmet_before"]),
        ]
        for row in difference
        if (row["served"], row["unmet"]) != (row["served_before"], row["unmet_before"])
    ]


ADVICE = {
    "school": "Đề nghị trường gửi danh sách em còn thiếu, hoặc hỏi nhà tài trợ có chuyển cho cả huyện được không.",
    "district": "Đề nghị Phòng GD&ĐT thu danh sách các trường, hoặc hỏi nhà tài trợ có chuyển cho cả tỉnh được không.",
    "province": "Đề nghị Sở GD&ĐT duyệt danh sách còn lại, hoặc hỏi nhà tài trợ có chuyển thành máy chung được không.",
    "free": "Mọi em đủ điều kiện đã có máy; để trong kho cho danh sách đến muộn và đợt bổ sung.",
}


def idle_rows(idle: list[list[int]]) -> list[dict[str, Any]]:
    """Devices that nobody may have, by place, with what to do about it."""
    schools = School.objects.select_related("office").in_bulk([area for level, area, _ in idle if level == 0])
    units = AdministrativeUnit.objects.in_bulk([area for level, area, _ in idle if level in (1, 2)])
    rows = []
    for level, area, count in idle:
        key = list(rules.PASS_NAMES)[level]
        found = schools.get(area) if level == 0 else units.get(area)
        place = "Máy chung cả nước" if level == 3 else f"Dành riêng cho {found or 'một nơi đã đổi tên'}"
        rows.append({"place": place, "count": count, "advice": ADVICE[key]})
    return rows
