"""The trail of changes: whoever changes a row and however, and that many rows cost what many rows cost."""

import pytest
from django.apps import apps
from django.db import connection
from django.urls import reverse

from common.audit import acting
from schools.models import School
from tests.delivery_world import make_world

pytestmark = pytest.mark.django_db
IMAGES_PER_ROW = """
SELECT p.proname, coalesce('enable_nestloop=off' = ANY (p.proconfig), false) FROM pg_trigger t
JOIN pg_proc p ON p.oid = t.tgfoid WHERE p.prosrc LIKE '% JOIN new_values %'
"""


def test_raw_sql_bulk_and_admin_changes_all_leave_who_when_before_and_after(sign_in, user):
    world = make_world(per_school=0)
    school = world.schools[0]
    # Nobody is named for what is typed into the database itself; that it happened is on record all the same.
    with connection.cursor() as cursor:
        cursor.execute("UPDATE schools_school SET enrolment = 500")
    with acting(world.people["programme"], via="command test"):
        School.objects.update(enrolment=501)
    user.is_staff = user.is_superuser = True
    user.save()
    address = reverse("admin:schools_school_change", args=[school.pk])
    typed = {"level": school.level, "enrolment": 502, "teacher_count": 0, "teachers_without_computer": 0}
    assert sign_in(user).post(address, typed).status_code == 302
    School.objects.filter(pk=school.pk).delete()

    trail = apps.get_model("schools", "SchoolEvent").objects.filter(pgh_obj_id=school.pk).order_by("pgh_id")
    kept = [
        (event.pgh_label, event.enrolment, *(event.pgh_context.metadata.get(key) for key in ("user", "url")))
        for event in trail.filter(pgh_context__isnull=False)
    ]
    assert kept[:2] == [
        ("update", 501, world.people["programme"].pk, "command test"),
        ("update", 502, user.pk, address),
    ]
    assert list(trail.values_list("pgh_label", "enrolment")) == [
        ("insert", 400), ("update", 500), ("update", 501), ("update", 502), ("delete", 502),
    ]  # fmt: skip
    assert trail.filter(pgh_created_at__isnull=False).count() == 5


def test_no_trigger_compares_every_row_with_every_other():
    """A session keeps the plan of its first update: of one row, it would be a nested loop for all that follow."""
    with connection.cursor() as cursor:
        cursor.execute(IMAGES_PER_ROW)
        found = dict(cursor.fetchall())
    assert len(found) > 30
    assert [name for name, is_set in found.items() if not is_set] == []
