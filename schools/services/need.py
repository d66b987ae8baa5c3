"""The need: from approved lists, and as offices typed it where no list exists yet (Plan III.2a)."""

import datetime as dt

from django.db import connection, transaction
from django.db.models import Exists, OuterRef
from django.db.models.expressions import RawSQL
from django.utils import timezone

from accounts.models import User
from schools.models import NeedReminder, Office, School, StaffRole, Student, SurveyFigure
from schools.reach import held_roles, reach

_BY_LEVEL = """
SELECT sc.level, s."group", count(*) FILTER (WHERE s.state = 'approved' AND NOT s.has_device),
    count(*) FILTER (WHERE s.state = 'listed')
FROM schools_student s JOIN schools_school sc ON sc.office_id = s.school_id
JOIN schools_office o ON o.id = s.school_id
WHERE o.path LIKE ANY(%s) GROUP BY 1, 2
"""
# A figure stands in for lists: it counts while its office has no pupil of that level and group in the system, and
# no office above has typed one for both.
_FIGURES = """
SELECT f.id, f.level, f."group", f.students_without_computer, NOT EXISTS (
        SELECT FROM schools_student s JOIN schools_school sc ON sc.office_id = s.school_id
        JOIN schools_office its ON its.id = s.school_id
        WHERE its.path LIKE o.path || '%%' AND s."group" = f."group" AND sc.level = f.level
          AND s.state IN ('listed', 'approved'))
    AND NOT EXISTS (
        SELECT FROM schools_surveyfigure wider JOIN schools_office above ON above.id = wider.office_id
        WHERE wider.level = f.level AND wider."group" = f."group" AND o.path LIKE above.path || '_%%') AS is_counted
FROM schools_surveyfigure f JOIN schools_office o ON o.id = f.office_id WHERE o.path LIKE ANY(%s)
"""
_BY_SCHOOL = """
SELECT sc.code, o.name, p.full_name, sc.level,
    count(s.id) FILTER (WHERE {need} AND s."group" = 'poor'), count(s.id) FILTER (WHERE {need} AND s."group" = 'near_poor'),
    count(s.id) FILTER (WHERE {need} AND s."group" = 'covid_orphan'), count(s.id) FILTER (WHERE s.state = 'listed'),
    sc.teachers_without_computer
FROM schools_school sc JOIN schools_office o ON o.id = sc.office_id
JOIN schools_administrativeunit p ON p.id = sc.province_id
LEFT JOIN schools_student s ON s.school_id = sc.office_id
WHERE o.path LIKE ANY(%(paths)s) AND o.valid_to IS NULL
  AND (%(schools)s::bigint[] IS NULL OR sc.office_id = ANY(%(schools)s))
GROUP BY sc.code, o.name, o.path, p.full_name, sc.level, sc.teachers_without_computer
ORDER BY o.path
""".replace("{need}", "s.state = 'approved' AND NOT s.has_device")

# From what was sent up to every office above it; a school whose pupils are in its Sở's list has nothing more to send.
_HEARD = """
SELECT DISTINCT array_to_string(sent.parts[:above.n], '/') || '/'
FROM (SELECT string_to_array(rtrim(o.path, '/'), '/') AS parts FROM schools_office o
      WHERE o.path LIKE ANY(%s) AND (
        EXISTS (SELECT FROM schools_student s WHERE s.school_id = o.id AND s.state IN ('listed', 'approved'))
        OR EXISTS (SELECT FROM schools_studentlist l WHERE l.office_id = o.id
                   AND l.state IN ('committed', 'submitted', 'verified', 'approved'))
        OR EXISTS (SELECT FROM schools_surveyfigure f WHERE f.office_id = o.id))
     ) sent CROSS JOIN LATERAL generate_series(2, cardinality(sent.parts)) AS above (n)
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
def remind(*, by: User, offices, at: dt.datetime) -> list[int]:
    """Remind offices (a queryset) that have sent nothing; each at most once a day. Returns the reminders' ids.

    Their people read it on their pages until the office has reported; `tasks.send_need_reminders` mails it.
    """
    due = offices.exclude(need_reminders__reminded_at__date=timezone.localdate(at))
    made = NeedReminder.objects.bulk_create(
        NeedReminder(office=office, reminded_at=at, reminded_by=by) for office in due
    )
    return [reminder.pk for reminder in made]


def reminders_for(user) -> list[NeedReminder]:
    """The latest reminder of each silent office that a person works for."""
    roles = (StaffRole.Role.CLERK, StaffRole.Role.MANAGER)
    mine = [held.office_id for held in held_roles(user) if held.role in roles]
    paths = Office.objects.filter(pk__in=mine).values_list("path", flat=True)
    heard = _heard([f"{path}%" for path in paths])
    found = NeedReminder.objects.filter(office__in=mine).exclude(office__path__in=heard)
    return list(
        found.select_related("office").order_by("office_id", "-reminded_at").distinct("office_id")[:20]
    )


def paths_of(user) -> list[str]:
    """LIKE patterns of the office paths within a person's reach."""
    return _patterns(Office.objects.filter(reach(user)))


def paths_in(province: str) -> list[str]:
    """LIKE patterns of the office paths of a province (its public code), of the nation if none is given."""
    return _patterns(Office.objects.filter(unit__province__public_code=province)) if province else ["%"]


def _patterns(offices) -> list[str]:
    paths = offices.order_by("path").values_list("path", flat=True)
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
    typed = surveyed(patterns)
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


def surveyed(patterns: list[str]) -> dict[tuple[str, str], int]:
    """By level and group, what typed figures say where no list has taken their place."""
    with connection.cursor() as cursor:
        cursor.execute(_FIGURES, [patterns])
        typed: dict[tuple[str, str], int] = {}
        for _, level, group, number, is_counted in cursor.fetchall():
            typed[level, group] = typed.get((level, group), 0) + (number if is_counted else 0)
    return typed


def figures(patterns: list[str], *, limit: int = 200) -> list[tuple[SurveyFigure, bool]]:
    """Typed figures, by office, and whether each counts or a list (or a wider figure) has taken its place."""
    with connection.cursor() as cursor:
        cursor.execute(_FIGURES, [patterns])
        counted = {pk: is_counted for pk, _, _, _, is_counted in cursor.fetchall()}
    found = SurveyFigure.objects.filter(pk__in=counted).select_related("office")
    return [
        (figure, counted[figure.pk]) for figure in found.order_by("office__path", "level", "group")[:limit]
    ]


def schools_with_pupils(user):
    """Schools within reach of which pupils are listed or approved, by their place in the tree of offices."""
    pupils = Student.objects.filter(school=OuterRef("pk"), state__in=["listed", "approved"])
    within = School.objects.filter(reach(user, through="office__"), Exists(pupils), office__valid_to=None)
    return within.order_by("office__path")


def by_school(patterns: list[str], *, schools: list[int] | None = None) -> list[tuple]:
    """(code, school, province, level, poor, near poor, orphaned, waiting, teachers without a computer) per school.

    The three groups count approved students without a computer; ``schools`` (keys) names some, else it is all.
    """
    with connection.cursor() as cursor:
        cursor.execute(_BY_SCHOOL, {"paths": patterns, "schools": schools})
        return cursor.fetchall()


def _heard(patterns: list[str]) -> RawSQL:
    """Paths of the offices from whose subtree something came: a list committed or further, listed pupils, a figure.

    Looked for at the offices of these patterns alone: who reads of a few must not wait for a look at the nation.
    """
    return RawSQL(_HEARD, [patterns])


def silent_offices(user):
    """Who must be reminded: (offices without list or figure, how many have reported, how many there are).

    The nation's eyes look at the Sở and the universities; a Sở's at its Phòng and schools, a Phòng's at its schools.
    """
    kinds: tuple[str, ...] = (Office.Kind.PROVINCE_DEPARTMENT, Office.Kind.UNIVERSITY)
    mine = Office.objects.filter(reach(user), valid_to=None)
    offices = mine.filter(kind__in=kinds)
    own = list(offices.values_list("pk", "kind")[:2])
    if len(own) < 2:
        kinds = (Office.Kind.DISTRICT_OFFICE, Office.Kind.SCHOOL)
        offices = mine.filter(kind__in=kinds).exclude(staff_roles__in=user.staff_roles.filter(ended_at=None))
    silent = offices.exclude(path__in=_heard(paths_of(user)))
    all_of_them = offices.count()
    return silent, all_of_them - silent.count(), all_of_them


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
