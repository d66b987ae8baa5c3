"""What happens to points, data plans, platforms and the connection of schools (Plan II.1, II.3, III.2b)."""

import datetime as dt
import hashlib
from collections.abc import Iterable, Mapping, Sequence

from django.core.exceptions import ValidationError
from django.core.files.base import File
from django.db import IntegrityError, connection, transaction
from django.db.models import Count, F
from django.utils import timezone

from accounts.models import User
from common.refusals import constraint_of, message_of
from coverage import rules
from coverage.models import (
    CHILDREN_KINDS,
    CoveragePoint,
    DataPlan,
    InfrastructureSupport,
    LearningPlatform,
    Operator,
    PointReport,
    SchoolConnectivity,
    SimBatch,
)
from ledger.bulk import record_many
from ledger.codes import new_code
from schools.models import AdministrativeUnit, Office, School, StaffRole, Student

State = CoveragePoint.State
# What the trigger of the plans says when a batch has too few SIMs left.
BATCH_IS_EMPTY = "simbatch_used_within_quantity"


@transaction.atomic
def report_point(
    *,
    by: User,
    point: CoveragePoint,
    state: str,
    at: dt.datetime,
    blocker: str = "",
    measured_on: dt.date | None = None,
    download_kbps: int | None = None,
    signal_dbm: int | None = None,
    technology: str = "",
    evidence: File | None = None,
) -> PointReport:
    """Report where a point stands; "covered" needs a measurement and becomes a ledger entry (Plan II.1).

    A report with the same state and blocker as before is refused: nothing would change. Raises ValidationError
    (by field where it can be said).
    """
    reports = report_points(
        by=by,
        at=at,
        rows=[
            {
                "code": point.code,
                "state": state,
                "blocker": blocker,
                "measured_on": measured_on,
                "download_kbps": download_kbps,
                "signal_dbm": signal_dbm,
                "technology": technology,
                "evidence": evidence,
            }
        ],
    )
    point.refresh_from_db()
    return reports[0]


@transaction.atomic
def report_points(*, by: User, at: dt.datetime, rows: Sequence[Mapping]) -> list[PointReport]:
    """Report many points at once, all or none, in a fixed number of statements.

    Args:
        rows: one mapping per point, keyed by our ``code``: ``state``, ``blocker``, ``measured_on``,
            ``download_kbps``, ``signal_dbm``, ``technology``, ``evidence`` (a file).

    Raises ValidationError: its ``params["rows"]`` holds (row number from 1, field, message) of every fault.
    """
    today = timezone.localdate(at)
    points = {
        p.code: p
        for p in CoveragePoint.objects.select_for_update()
        .filter(code__in=[row["code"] for row in rows])
        .order_by("pk")
    }
    faults: list[tuple[int, str, str]] = []
    seen: set[str] = set()
    for number, row in enumerate(rows, 1):
        point = points.get(row["code"])
        if point is None:
            faults.append((number, "code", f"Không có điểm nào mang mã {row['code']}."))
        elif row["code"] in seen:
            faults.append((number, "code", f"Mã {row['code']} có hai lần."))
        else:
            faults += [(number, field, text) for field, text in _report_faults(point, row, today)]
        seen.add(row["code"])
    if faults:
        raise _rows_error(faults)
    reports = [_report(points[row["code"]], row, by=by, at=at) for row in rows]
    for report in reports:
        if report.evidence:
            report.evidence_sha256 = _sha256(report.evidence.file)
            report.evidence.save(report.evidence.name, report.evidence.file, save=False)
    PointReport.objects.bulk_create(reports)
    _move_points(reports)
    _record_covered([report for report in reports if report.state == State.COVERED], today)
    return reports


def _report(point: CoveragePoint, row: Mapping, *, by: User, at: dt.datetime) -> PointReport:
    is_covered = row["state"] == State.COVERED
    return PointReport(
        point=point,
        state=row["state"],
        blocker=row.get("blocker") or "",
        measured_on=row.get("measured_on") if is_covered else None,
        download_kbps=row.get("download_kbps") if is_covered else None,
        signal_dbm=row.get("signal_dbm") if is_covered else None,
        technology=(row.get("technology") or "") if is_covered else "",
        evidence=row.get("evidence") or "",
        reported_at=at,
        reported_by=by,
    )


def _report_faults(point: CoveragePoint, row: Mapping, today: dt.date) -> list[tuple[str, str]]:
    """(field, message) of everything wrong with a report on a point."""
    state, blocker = row["state"], row.get("blocker") or ""
    if state not in State.values:
        return [("state", f"Không có trạng thái «{state}».")]
    faults = []
    if state == point.state and blocker == point.blocker:
        faults.append(("state", f"Điểm {point.code} đang ở trạng thái này rồi, không có gì mới để ghi."))
    elif state != point.state and (point.state, state) not in CoveragePoint.TRANSITIONS:
        before, after = point.get_state_display(), State(state).label
        faults.append(("state", f"Điểm {point.code}: không chuyển được từ «{before}» sang «{after}»."))
    if (state == State.BLOCKED) != bool(blocker):
        faults.append(
            (
                "blocker",
                "Điểm đang vướng thì phải chọn vướng mắc gì."
                if state == State.BLOCKED
                else "Chỉ điểm đang vướng mới ghi vướng mắc. Hãy bỏ trống ô này.",
            )
        )
    elif blocker and blocker not in CoveragePoint.Blocker.values:
        faults.append(("blocker", f"Không có vướng mắc «{blocker}»."))
    if state == State.COVERED:
        faults += rules.measurement_faults(
            measured_on=row.get("measured_on"),
            download_kbps=row.get("download_kbps"),
            signal_dbm=row.get("signal_dbm"),
            today=today,
        ).items()
    return faults


def _rows_error(faults: list[tuple[int, str, str]]) -> ValidationError:
    return ValidationError(
        f"Có {len(faults)} chỗ cần sửa; chưa ghi gì vào hệ thống.", code="rows", params={"rows": faults}
    )


def _move_points(reports: list[PointReport]) -> None:
    """Bring the points to their reported state in one statement."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE coverage_coveragepoint p SET state = r.state, blocker = r.blocker, covered_on = r.covered_on
            FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::date[]) AS r (id, state, blocker, covered_on)
            WHERE p.id = r.id
            """,
            [
                [report.point_id for report in reports],
                [report.state for report in reports],
                [report.blocker for report in reports],
                [report.measured_on for report in reports],
            ],
        )


def _record_covered(reports: list[PointReport], today: dt.date) -> None:
    ids = [report.point_id for report in reports]
    places = dict(CoveragePoint.objects.filter(pk__in=ids).values_list("pk", "province__public_code"))
    operators = dict(CoveragePoint.objects.filter(pk__in=ids).values_list("pk", "operator__code"))
    rows = []
    for report in reports:
        evidence = (
            f"{report.measured_on:%Y-%m-%d};{report.download_kbps} kbit/s;{report.signal_dbm or ''};"
            f"{report.evidence_sha256}"
        )
        rows.append(
            {
                "point": report.point.code,
                "operator": operators[report.point_id],
                "unit": places[report.point_id],
                "urgency": "urgent" if report.point.is_urgent else "regular",
                "commit": {"evidence": evidence},
            }
        )
    if rows:
        record_many(event="point.covered", on=today, rows=rows)


def _sha256(file: File) -> str:
    digest = hashlib.sha256()
    for chunk in file.chunks():
        digest.update(chunk)
    file.seek(0)
    return digest.hexdigest()


@transaction.atomic
def add_points(*, by: User, rows: Iterable[Mapping]) -> int:
    """Enter points by COPY, keyed by code; known codes are refused. Returns how many.

    Args:
        rows: ``code, name, commune_id, province_id, latitude, longitude, operator_id, is_urgent, deadline_on``.
    """
    columns = (
        "code",
        "name",
        "commune_id",
        "province_id",
        "latitude",
        "longitude",
        "operator_id",
        "is_urgent",
        "deadline_on",
    )
    count = 0
    with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY coverage_coveragepoint ({', '.join(columns)}, state, blocker) FROM STDIN") as copy,
    ):
        for row in rows:
            copy.write_row([*(row[column] for column in columns), State.OPEN, ""])
            count += 1
    return count


# --- data plans ---------------------------------------------------------------------------------------------------


def start_data_plan(
    *, by: User, student: Student, operator: Operator, device_code: str, at: dt.datetime, sim_number: str = ""
) -> DataPlan:
    """Start a student's free plan: 4 GB a day for three months from the day of the handover (Plan II.3b).

    Raises ValidationError when the student has one already, or the programme's million is used up.
    """
    return start_data_plans(
        by=by,
        operator=operator,
        at=at,
        rows=[{"student": student.pk, "device": device_code, "sim": sim_number}],
    )[0]


@transaction.atomic
def start_data_plans(
    *, by: User, operator: Operator, at: dt.datetime, rows: Sequence[Mapping]
) -> list[DataPlan]:
    """Start the plans of a class at once.

    Args:
        rows: ``student`` (primary key), ``device`` (code), ``sim`` (number, may be empty), all of one province.

    A SIM batch of the operator in the students' province is counted down where there is one. The database counts (a
    trigger over `PlanShare`): neither the million nor a batch can be exceeded, and nobody waits for another's handover.
    Raises ValidationError naming what is wrong; then no plan is started.
    """
    if not rows:
        return []
    if not operator.is_mobile:
        raise ValidationError(f"{operator} không có mạng di động. Hãy chọn nhà mạng khác.", code="operator")
    ids = [row["student"] for row in rows]
    if names := list(
        DataPlan.objects.filter(student__in=ids, cancelled_on__isnull=True).values_list(
            "student__full_name", flat=True
        )[:3]
    ):
        raise ValidationError(
            f"Đã có gói dữ liệu của Chương trình: {', '.join(names)}. Mỗi học sinh chỉ có một gói.",
            code="twice",
        )
    numbers = [row["sim"] for row in rows if row.get("sim")]
    taken = DataPlan.objects.filter(sim_number__in=numbers, cancelled_on__isnull=True)
    if len(set(numbers)) != len(numbers) or taken.exists():
        raise ValidationError("Có số SIM đang gắn với một gói khác, hoặc ghi hai lần.", code="sim")
    while True:
        batch = _batch_for(operator=operator, student=ids[0], count=len(rows))
        try:
            with transaction.atomic():
                return DataPlan.objects.bulk_create(
                    _plan(row, by=by, operator=operator, batch=batch, at=at) for row in rows
                )
        except IntegrityError as refused:
            # Others took the last SIMs of the batch in the meantime: the next one, or none.
            if constraint_of(refused) != BATCH_IS_EMPTY:
                raise ValidationError(message_of(refused), code="quota") from refused


def _plan(row: Mapping, *, by: User, operator: Operator, batch: SimBatch | None, at: dt.datetime) -> DataPlan:
    starts_on = timezone.localdate(at)
    return DataPlan(
        student_id=row["student"],
        operator=operator,
        device_code=row["device"],
        sim_number=row.get("sim") or "",
        sim_batch=batch,
        daily_mb=rules.PLAN_DAILY_MB,
        starts_on=starts_on,
        ends_on=rules.plan_ends_on(starts_on),
        started_at=at,
        started_by=by,
    )


def _batch_for(*, operator: Operator, student: int, count: int) -> SimBatch | None:
    """The oldest batch of the operator in the student's province that has so many SIMs left."""
    batches = SimBatch.objects.filter(operator=operator, province__schools_in_province__students=student)
    enough = batches.with_used().filter(used__lte=F("quantity") - count)
    return enough.order_by("delivered_on", "pk").first()


@transaction.atomic
def cancel_data_plans(*, by: User, device_codes: Sequence[str], at: dt.datetime) -> int:
    """Stop the live plans of devices that came back; returns how many."""
    day = timezone.localdate(at)
    return DataPlan.objects.filter(device_code__in=list(device_codes), cancelled_on__isnull=True).update(
        cancelled_on=day
    )


def ending_plans(*, day: dt.date, office: Office | None = None) -> list[tuple[int, dt.date, int]]:
    """(office of the school, last free day, plans) of the plans that end within the warning time; one query.

    Args:
        office: only this school's.
    """
    rows = DataPlan.objects.ending_within(day=day, days=rules.PLAN_WARNING_DAYS)
    if office:
        rows = rows.filter(student__school__office=office)
    counted = rows.values_list("student__school__office", "ends_on").annotate(count=Count("pk"))
    return list(counted.order_by("ends_on", "student__school__office"))


def who_looks_after(office: Office) -> list[str]:
    """Mail addresses of a school's clerks; of the nearest office above that has any, where the school has none."""
    codes = office.path.strip("/").split("/")
    people = (
        StaffRole.objects.filter(role=StaffRole.Role.CLERK, ended_at=None, user__is_active=True)
        .filter(office__code__in=codes, office__kind__in=CHILDREN_KINDS)
        .values_list("office__code", "user__email")
    )
    by_office: dict[str, list[str]] = {}
    for code, email in people:
        by_office.setdefault(code, []).append(email)
    return next((sorted(by_office[code]) for code in reversed(codes) if code in by_office), [])


def operator_for(province: AdministrativeUnit) -> Operator | None:
    """The operator proposed for a province's plans: the one with most SIMs left there, else the first mobile one."""
    left = (
        SimBatch.objects.filter(province=province)
        .with_used()
        .filter(used__lt=F("quantity"))
        .order_by(F("used") - F("quantity"), "pk")
        .select_related("operator")
        .first()
    )
    return left.operator if left else Operator.objects.filter(is_mobile=True).order_by("pk").first()


@transaction.atomic
def register_sim_batch(
    *,
    by: User,
    operator: Operator,
    province: AdministrativeUnit,
    quantity: int,
    delivered_on: dt.date,
    at: dt.datetime,
) -> SimBatch:
    """Record SIMs that an operator delivered to a province. Raises ValidationError."""
    batch = SimBatch(
        code=new_code("SIM"),
        operator=operator,
        province=province,
        quantity=quantity,
        delivered_on=delivered_on,
        registered_at=at,
        registered_by=by,
    )
    batch.full_clean()
    batch.save()
    return batch


# --- platforms and schools ------------------------------------------------------------------------------------------


@transaction.atomic
def review_platform(*, by: User, platform: LearningPlatform, ministry: str, at: dt.datetime) -> None:
    """A ministry ("moet" or "mic") has reviewed a platform; published once both have (Plan II.3a, III.1b, III.2b)."""
    platform = LearningPlatform.objects.select_for_update().get(pk=platform.pk)
    if getattr(platform, f"{ministry}_reviewed_at"):
        raise ValidationError(f"Nền tảng {platform} đã được Bộ này rà soát.", code="done")
    setattr(platform, f"{ministry}_reviewed_at", at)
    setattr(platform, f"{ministry}_reviewed_by", by)
    platform.checked_on = timezone.localdate(at)
    platform.is_published = bool(platform.moet_reviewed_at and platform.mic_reviewed_at)
    platform.full_clean()
    platform.save()


@transaction.atomic
def unpublish_platform(*, by: User, platform: LearningPlatform) -> None:
    """Take a platform off the public directory; both ministries must review it again."""
    LearningPlatform.objects.filter(pk=platform.pk).update(
        is_published=False,
        moet_reviewed_at=None,
        moet_reviewed_by=None,
        mic_reviewed_at=None,
        mic_reviewed_by=None,
    )


@transaction.atomic
def record_support(
    *,
    by: User,
    operator: Operator,
    kind: str,
    unit: AdministrativeUnit,
    description: str,
    starts_on: dt.date,
    ends_on: dt.date | None = None,
    value_vnd: int = 0,
) -> InfrastructureSupport:
    """Record what an operator gives to a locality over a period: tariffs, servers, lines, free platforms
    (Plan II.3 head, II.3c, III.1c). Raises ValidationError."""
    del by  # the audit trail names who
    support = InfrastructureSupport(
        kind=kind,
        operator=operator,
        unit=unit,
        description=description,
        value_vnd=value_vnd,
        starts_on=starts_on,
        ends_on=ends_on,
    )
    support.full_clean()
    support.save()
    return support


@transaction.atomic
def survey_school(
    *, by: User, school: School, state: str, source: str, surveyed_on: dt.date | None
) -> SchoolConnectivity:
    """Record whether a school is connected, by which source and day (Plan III.2b). Raises ValidationError."""
    row = SchoolConnectivity.objects.select_for_update().filter(school=school).first()
    row = row or SchoolConnectivity(school=school)
    row.state, row.source, row.surveyed_on = state, source, surveyed_on
    row.full_clean()
    row.save()
    return row
