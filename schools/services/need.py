"""The need: from approved lists, and as offices typed it where no list exists yet (Plan III.2a)."""

import datetime as dt

from django.db import connection, transaction
from django.db.models import Sum

from accounts.models import User
from schools.models import NeedReminder, Office, School, Student, SurveyFigure
from schools.reach import reach

_BY_LEVEL = """
SELECT sc.level, s."group", count(*) FILTER (WHERE s.state = 'approved' AND NOT s.has_device),
    count(*) FILTER (WHERE s.state = 'listed')
FROM schools_student s JOIN schools_school sc ON sc.office_id = s.school_id
JOIN schools_office o ON o.id = s.school_id
WHERE o.path LIKE ANY(%s) GROUP BY 1, 2
"""


@transaction.atomic
def report_figure(
    *, by: User, office: Office, group: str, level: str, at: dt.datetime, **figure
) -> SurveyFigure:
    """Keep the latest figure of an office for a group and level (``students_without_computer``, ``counted_on``, ``source``)."""
    return SurveyFigure.objects.update_or_create(
        office=office, group=group, level=level, defaults=figure | {"reported_at": at, "reported_by": by}
    )[0]


@transaction.atomic
def remind(*, by: User, offices, at: dt.datetime) -> int:
    """Remind offices (a queryset) that have sent nothing; each at most once a day. Returns how many."""
    due = offices.exclude(need_reminders__reminded_at__date=at.date())
    made = NeedReminder.objects.bulk_create(
        NeedReminder(office=office, reminded_at=at, reminded_by=by) for office in due
    )
    return len(made)


def paths_of(user) -> list[str]:
    """LIKE patterns of the office paths within a person's reach."""
    paths = Office.objects.filter(reach(user)).order_by("path").values_list("path", flat=True)
    tops: list[str] = []
    for path in paths.iterator():
        if not tops or not path.startswith(tops[-1]):
            tops.append(path)
    return [f"{path}%" for path in tops]


def totals(patterns: list[str]) -> list[dict]:
    """Need by school level: approved and waiting from lists, and typed figures, one dict per level and group."""
    with connection.cursor() as cursor:
        cursor.execute(_BY_LEVEL, [patterns])
        listed = {
            (level, group): (approved, waiting) for level, group, approved, waiting in cursor.fetchall()
        }
    office_filter = Office.objects.none()
    for pattern in patterns:
        office_filter |= Office.objects.filter(path__startswith=pattern[:-1])
    typed = {
        (row["level"], row["group"]): row["total"]
        for row in SurveyFigure.objects.filter(office__in=office_filter)
        .values("level", "group")
        .annotate(total=Sum("students_without_computer"))
    }
    return [
        {
            "level": level,
            "group": group,
            "approved": listed.get((level.value, group.value), (0, 0))[0],
            "waiting": listed.get((level.value, group.value), (0, 0))[1],
            "typed": typed.get((level.value, group.value), 0),
        }
        for level in School.Level
        for group in Student.Group
        if (level.value, group.value) in listed or (level.value, group.value) in typed
    ]


def silent_offices(user):
    """Sở within reach that have neither a list under way nor a figure: who must be reminded."""
    offices = Office.objects.filter(reach(user), kind=Office.Kind.PROVINCE_DEPARTMENT, valid_to=None)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT d.id FROM schools_office d JOIN schools_office o ON o.path LIKE d.path || '%%'"
            " WHERE d.kind = 'province_department' AND (EXISTS (SELECT FROM schools_studentlist l WHERE l.office_id = o.id"
            " AND l.state IN ('committed','submitted','verified','approved'))"
            " OR EXISTS (SELECT FROM schools_surveyfigure f WHERE f.office_id = o.id))".replace("%%", "%")
        )
        heard = [row[0] for row in cursor.fetchall()]
    return offices.exclude(pk__in=heard), len(heard), offices.count()


def teachers(patterns: list[str]) -> dict:
    """Teachers and those of them without a computer (Plan I.1b): counted, never allocated in these phases."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(sum(sc.teacher_count), 0), coalesce(sum(sc.teachers_without_computer), 0), count(*)"
            " FROM schools_school sc JOIN schools_office o ON o.id = sc.office_id WHERE o.path LIKE ANY(%s)",
            [patterns],
        )
        total, without, schools = cursor.fetchone()
    return {"total": total, "without": without, "schools": schools}
