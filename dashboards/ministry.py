"""The ministries' view: plan against actual, budgets, the gap to 100%, province by province; raw figures, for staff only."""

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db import connection

from allocation.models import Phase
from common.templatetags.vi import format_date, format_money, format_number, format_percent
from coverage.models import CoveragePoint
from dashboards import snapshot, stuck
from dashboards.rules import Pace, pace
from donations.models import BudgetLine
from schools.models import AdministrativeUnit, Office, Student
from schools.reach import held_roles, reach
from schools.services import need as survey

# Deadlines of the plan for points without mobile internet (Plan II.1a, II.1b).
URGENT_STARTS_ON, URGENT_ENDS_ON = dt.date(2021, 9, 21), dt.date(2021, 9, 30)
POINTS_ENDS_ON = dt.date(2021, 12, 31)
# The groups of phase 2 (Plan II.2b).
PHASE_2 = (Student.Group.POOR, Student.Group.NEAR_POOR)
POINTS_TARGET, URGENT_TARGET, DATA_PLAN_TARGET = 1_910, 283, 1_000_000
NATIONAL_KINDS = (Office.Kind.PROGRAMME, Office.Kind.MOET, Office.Kind.MIC, Office.Kind.AUDIT)

GAP = """
    SELECT count(*), count(*) FILTER (WHERE connectivity.state = 'connected'),
           count(*) FILTER (WHERE coalesce(connectivity.state, 'unknown') = 'unknown'),
           coalesce(sum(school.teacher_count), 0)::bigint, coalesce(sum(school.teachers_without_computer), 0)::bigint
    FROM schools_school school
    LEFT JOIN coverage_schoolconnectivity connectivity ON connectivity.school_id = school.office_id
    LEFT JOIN schools_administrativeunit province ON province.id = school.province_id
    WHERE %(province)s = '' OR province.public_code = %(province)s
"""
# Two counts, for those who were handed a device are fewer than the approved: no join over all of them.
STUDENTS = """
    WITH approved AS NOT MATERIALIZED (
        SELECT student.id, student."group" FROM schools_student student
        WHERE student.state = 'approved' AND (%(province)s = '' OR student.school_id IN (
            SELECT school.office_id FROM schools_school school
            JOIN schools_administrativeunit province ON province.id = school.province_id
            WHERE province.public_code = %(province)s))
    ), listed AS (SELECT "group", count(*) AS n FROM approved GROUP BY 1), served AS (
        SELECT approved."group", count(*) AS n FROM delivery_handover handover
        JOIN allocation_allocation given ON given.id = handover.allocation_id AND given.ended_at IS NULL
        JOIN approved ON approved.id = given.student_id GROUP BY 1
    )
    SELECT listed."group", listed.n, coalesce(served.n, 0) FROM listed LEFT JOIN served USING ("group")
"""
BY_OPERATOR = """
    SELECT operator.name, count(*), count(*) FILTER (WHERE point.state = 'covered'),
           count(*) FILTER (WHERE point.state <> 'covered' AND point.deadline_on < %(today)s),
           count(*) FILTER (WHERE point.state = 'blocked')
    FROM coverage_coveragepoint point JOIN coverage_operator operator ON operator.id = point.operator_id
    GROUP BY operator.name ORDER BY 4 DESC, 2 DESC
"""


@dataclass(frozen=True)
class Target:
    """One target of the plan with its pace."""

    name: str
    clause: str
    unit: str
    ends_on: dt.date
    pace: Pace

    @property
    def state(self) -> tuple[str, str]:
        """Badge (kind, text)."""
        if self.pace.is_met:
            return "success", "Đạt"
        if self.pace.is_overdue:
            return "danger", "Quá hạn"
        return ("warning", "Chậm so với kế hoạch") if self.pace.is_behind else ("info", "Đúng tiến độ")


@dataclass(frozen=True)
class Gap:
    """How far from 100% (Plan I.1b): what there is, what is reached."""

    name: str
    total: int
    reached: int
    note: str = ""

    @property
    def missing(self) -> int:
        return self.total - self.reached


@dataclass(frozen=True)
class Children:
    """Pupils of each group: (approved, of those handed a device) in lists, and surveyed where no list is yet."""

    listed: Mapping[str, tuple[int, int]]
    surveyed: Mapping[str, int]

    def gap(self, name: str, groups: Sequence[str]) -> Gap:
        """How far these groups are from 100% (Plan II.2b, III.2a)."""
        approved, served = (sum(self.listed.get(group, (0, 0))[of] for group in groups) for of in (0, 1))
        typed = sum(self.surveyed.get(group, 0) for group in groups)
        note = f"trong đó {format_number(typed)} em theo số khảo sát, chưa có danh sách" if typed else ""
        return Gap(name, approved + typed, served, note)


def children(*, province: str = "") -> Children:
    """The nation's pupils, or those of one province if its public code is given."""
    with connection.cursor() as cursor:
        cursor.execute(STUDENTS, {"province": province})
        listed = {group: (approved, served) for group, approved, served in cursor.fetchall()}
    surveyed: Counter[str] = Counter()
    for (_, group), number in survey.surveyed(survey.paths_in(province)).items():
        surveyed[group] += number
    return Children(listed, surveyed)


def targets(*, shot: snapshot.Snapshot, today: dt.date, nation: Children) -> list[Target]:
    """Phases, points and data plans of the plan, with what was reached and what is needed per day.

    A phase without a number of devices means every child of its groups (Plan II.2b).
    """
    handed_over = shot.nation("handed_over") or 0
    result = []
    for phase in Phase.objects.order_by("starts_on"):
        done, target = handed_over, phase.target_devices
        if not target:
            every = nation.gap(phase.name, phase.groups)
            done, target = every.reached, every.total
        result.append(
            Target(
                phase.name, phase.clause, "máy", phase.ends_on,
                pace(done=done if phase.starts_on <= today else 0, target=target, starts_on=phase.starts_on,
                     ends_on=phase.ends_on, today=today),
            )
        )  # fmt: skip
    points, urgent = shot.nation("points") or POINTS_TARGET, shot.nation("urgent_points") or URGENT_TARGET
    for name, clause, done, target, ends_on in (
        (
            "Điểm lõm sóng ở địa phương Chỉ thị 16",
            "II.1a",
            shot.nation("urgent_points_covered"),
            urgent,
            URGENT_ENDS_ON,
        ),
        ("Điểm lõm sóng toàn quốc", "II.1b", shot.nation("points_covered"), points, POINTS_ENDS_ON),
        ("Gói dữ liệu cho học sinh", "II.3b", shot.nation("data_plans"), DATA_PLAN_TARGET, POINTS_ENDS_ON),
    ):
        unit = "gói" if "Gói" in name else "điểm"
        measured = pace(
            done=done or 0, target=target, starts_on=URGENT_STARTS_ON, ends_on=ends_on, today=today
        )
        result.append(Target(name, clause, unit, ends_on, measured))
    return result


def gaps(*, province: str = "", pupils: Children | None = None) -> list[Gap]:
    """Schools, teachers and students against 100%; in one province if its public code is given.

    pupils: the `children` of the same place, where they are counted already.
    """
    pupils = pupils or children(province=province)
    with connection.cursor() as cursor:
        cursor.execute(GAP, {"province": province})
        schools, connected, unknown, teachers, without = cursor.fetchone()
    return [
        Gap(
            "Trường có Internet",
            schools,
            connected,
            f"{format_number(unknown)} trường chưa rõ" if unknown else "",
        ),
        Gap("Giáo viên có máy", teachers, teachers - without),
        pupils.gap("Học sinh thuộc đối tượng đã nhận máy", Student.Group.values),
        pupils.gap("Riêng hộ nghèo, cận nghèo (giai đoạn 2)", PHASE_2),
    ]


def operators(*, today: dt.date) -> list[tuple]:
    """(operator, points, covered, late, blocked), the latest first."""
    with connection.cursor() as cursor:
        cursor.execute(BY_OPERATOR, {"today": today})
        return cursor.fetchall()


def budget_lines() -> list[BudgetLine]:
    """Lines of the plan with `committed_vnd` and `spent_vnd`."""
    return list(BudgetLine.objects.with_use().order_by("clause", "code"))


def provinces_of(user) -> set[str] | None:
    """Public codes of the provinces that a person may see; None for the whole nation."""
    if any(held.kind in NATIONAL_KINDS for held in held_roles(user)):
        return None
    offices = Office.objects.filter(reach(user), unit__isnull=False)
    units = AdministrativeUnit.objects.filter(pk__in=offices.values("unit__province"))
    own = AdministrativeUnit.objects.filter(pk__in=offices.values("unit"), level="province")
    return {*units.values_list("public_code", flat=True), *own.values_list("public_code", flat=True)}


def province_rows(shot: snapshot.Snapshot, *, only: set[str] | None = None) -> list[dict]:
    """Raw figures per province for staff: (unit, need, allocated, in_province, handed_over, in_use, points …)."""
    names = (
        "need",
        "listed",
        "allocated",
        "in_province",
        "handed_over",
        "in_use",
        "points",
        "points_covered",
    )
    raw = snapshot.counted(shot)
    return [
        {"unit": row.unit, **{name: raw.get(name, {}).get(row.unit.public_code, 0) for name in names}}
        for row in shot.provinces
        if only is None or row.unit.public_code in only
    ]


def late_points(*, today: dt.date, province: str) -> int:
    return CoveragePoint.objects.late_on(today).filter(province__public_code=province).count()


def report(*, today: dt.date, shot: snapshot.Snapshot) -> dict:
    """Everything that the periodic report to the ministers says, as plain texts ready to be set (Plan IV.1)."""
    late = stuck.waiting(today=today)
    provinces, nation = province_rows(shot), children()
    return {
        "title": "BÁO CÁO TIẾN ĐỘ",
        "subtitle": "Chương trình “Sóng và máy tính cho em” – Kế hoạch 3667/KH-BTTTT-BGDĐT",
        "place_date": f"Hà Nội, ngày {today.day:02} tháng {today.month:02} năm {today.year}",
        "as_of": format_date(today),
        "is_demonstration": shot.is_demonstration,
        "headline": [
            ["Máy đã bàn giao cho học sinh", format_number(shot.nation("handed_over") or 0)],
            ["Đáp ứng nhu cầu đã duyệt", format_percent(shot.nation("handed_over"), shot.nation("need"))],
            ["Địa phương có danh sách đã duyệt", f"{sum(row['need'] > 0 for row in provinces)} trên 63"],
            ["Tiền đã nhận", format_money(shot.nation("money_received") or 0)],
            ["Tiền đã đặt mua", format_money(shot.nation("money_spent") or 0)],
        ],
        "targets": [
            [
                f"{target.name} ({target.clause})", format_number(target.pace.target), format_number(target.pace.done),
                format_percent(target.pace.done, target.pace.target), format_date(target.ends_on),
                "–" if target.pace.needed_rate is None else format_number(target.pace.needed_rate, 1), target.state[1],
            ]
            for target in targets(shot=shot, today=today, nation=nation)
        ],
        "stuck": [
            [row.kind.label, row.office, row.amount, format_date(row.since), format_number(row.days)]
            for row in late[:40]
        ],
        "stuck_total": format_number(len(late)),
        "budgets": [
            [line.name, format_money(line.planned_vnd), format_money(line.committed_vnd), format_money(line.spent_vnd)]
            for line in budget_lines()
        ],
        "gaps": [
            [gap.name, format_number(gap.total), format_number(gap.reached), format_number(gap.missing), format_percent(gap.reached, gap.total)]
            for gap in gaps(pupils=nation)
        ],
        "operators": [[name, *(format_number(n) for n in counts)] for name, *counts in operators(today=today)],
        "provinces": [
            [row["unit"].name, format_number(row["need"]), format_number(row["allocated"]), format_number(row["in_province"]),
             format_number(row["handed_over"]), format_percent(row["handed_over"], row["need"])]
            for row in provinces
        ],
    }  # fmt: skip
