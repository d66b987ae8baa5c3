"""The signal in the demonstration: points, what operators reported on them, school connections, SIM batches."""

import datetime as dt
import itertools

from coverage import services as coverage
from coverage.models import LearningPlatform, Operator
from schools.models import AdministrativeUnit, School
from sms_program.demo import offices, staff
from sms_program.demo.plan import moment
from sms_program.demo.points import make_points


def load_points(build) -> None:
    """The 1,910 points of the plan, as the ministry's list."""
    units = dict(AdministrativeUnit.objects.filter(vintage="2021").values_list("code", "pk"))
    operators = dict(Operator.objects.values_list("code", "pk"))
    coverage.add_points(
        by=build.person("bo-thong-tin"),
        rows=(
            {
                "code": point.code,
                "name": point.name,
                "commune_id": units[point.commune],
                "province_id": units[point.province],
                "latitude": point.latitude,
                "longitude": point.longitude,
                "operator_id": operators[point.operator],
                "is_urgent": point.is_urgent,
                "deadline_on": point.deadline_on,
            }
            for point in planned_points(build)
        ),
    )


def planned_points(build):
    """The invented points, the same for the same seed and size."""
    return list(make_points(build.rng("points"), offices.communes_of_2021(), build.size))


def report_points(build) -> None:
    """Each operator's reports, day by day: covered with a measurement, or blocked with what stands in the way."""
    points = sorted(
        (point for point in planned_points(build) if point.covered_on or point.blocker),
        key=lambda point: (point.covered_on or dt.date(2021, 9, 28), point.operator, point.code),
    )
    groups = itertools.groupby(points, key=lambda p: (p.covered_on or dt.date(2021, 9, 28), p.operator))
    done = 0
    for (day, operator), group in groups:
        rows = [
            {
                "code": point.code,
                "state": "covered" if point.covered_on else "blocked",
                "blocker": "" if point.covered_on else point.blocker,
                "measured_on": point.covered_on,
                "download_kbps": point.download_kbps if point.covered_on else None,
                "signal_dbm": -85 if point.covered_on else None,
                "technology": "4G" if point.covered_on else "",
            }
            for point in group
        ]
        by = build.person(staff.operator_email(operator).partition("@")[0])
        coverage.report_points(by=by, at=moment(day, 17), rows=rows)
        done += len(rows)
        build.tell(done, len(points))


def stock_sims(build) -> None:
    """SIM batches of the three operators in every province."""
    provinces = list(AdministrativeUnit.objects.filter(vintage="2021", level="province").order_by("code"))
    for number, province in enumerate(provinces):
        operator = ["VIETTEL", "VNPT", "MOBIFONE"][number % 3]
        coverage.register_sim_batch(
            by=build.person(operator.lower()),
            operator=Operator.objects.get(code=operator),
            province=province,
            quantity=max(100, build.size.devices // 20),
            delivered_on=dt.date(2021, 9, 18),
            at=moment(dt.date(2021, 9, 18)),
        )


# What operators gave to localities under Directive 16 (Plan II.3 head, II.3c): invented, as the pages say.
SUPPORTS = [
    ("VIETTEL", "tariff", "79", "Tặng 20 phút gọi và 2 GB mỗi ngày cho thuê bao học sinh", "2021-08-05", "2021-09-30", 12),
    ("VIETTEL", "platform", "01", "Miễn cước truy cập nền tảng ViettelStudy", "2021-09-01", "2021-12-31", 4),
    ("VNPT", "platform", "75", "Miễn phí VNPT E-Learning cho mọi trường trong tỉnh", "2021-08-15", "2022-01-31", 6),
    ("VNPT", "line", "74", "Tăng gấp đôi băng thông đường truyền của 212 trường, không tăng cước", "2021-08-20", "2021-12-31", 9),
    ("MOBIFONE", "tariff", "80", "Gói dữ liệu học trực tuyến 0 đồng", "2021-09-01", "2021-11-30", 3),
    ("MOBIFONE", "server", "92", "Máy chủ lưu bài giảng của Sở Giáo dục và Đào tạo", "2021-09-06", None, 2),
    ("VNPT", "server", "48", "Máy chủ hội nghị truyền hình cho lớp học trực tuyến", "2021-07-25", "2021-12-31", 2),
    ("VIETTEL", "line", "20", "Kéo cáp quang đến 38 điểm trường vùng cao", "2021-10-04", None, 5),
]  # fmt: skip


def open_platforms(build) -> None:
    """Both ministries review the platforms, all but the last, which waits for one of them; and the supports."""
    platforms = list(LearningPlatform.objects.order_by("pk"))
    reviewers = {"moet": build.person("bo-giao-duc-duyet"), "mic": build.person("bo-thong-tin-duyet")}
    for number, platform in enumerate(platforms):
        for ministry, by in reviewers.items():
            if platform == platforms[-1] and ministry == "mic":
                continue
            coverage.review_platform(
                by=by, platform=platform, ministry=ministry, at=moment(dt.date(2021, 9, 24), 9, number)
            )
    units = {unit.code: unit for unit in AdministrativeUnit.objects.filter(vintage="2021", level="province")}
    for operator, kind, province, text, starts_on, ends_on, billion in SUPPORTS:
        coverage.record_support(
            by=build.person(operator.lower()),
            operator=Operator.objects.get(code=operator),
            kind=kind,
            unit=units[province],
            description=text,
            value_vnd=billion * 10**9,
            starts_on=dt.date.fromisoformat(starts_on),
            ends_on=dt.date.fromisoformat(ends_on) if ends_on else None,
        )


def survey_schools(build) -> None:
    """Whether schools are connected; one in eight is not, one in six did not answer."""
    rng = build.rng("connectivity")
    by = build.person("bo-giao-duc")
    for school in School.objects.order_by("code"):
        chance = rng.random()
        if chance < 1 / 6:
            continue
        coverage.survey_school(
            by=by,
            school=school,
            state="not_connected" if chance < 1 / 6 + 1 / 8 else "connected",
            source="Khảo sát của Sở Giáo dục và Đào tạo (số liệu minh họa)",
            surveyed_on=dt.date(2021, 9, 10),
        )
