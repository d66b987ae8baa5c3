"""Children's data when the phases that concern them have closed (Law 91/2025/QH15: the purpose is over), and what people
reported, when it was answered long ago."""

import datetime as dt

from django.utils import timezone

from allocation.models import Phase
from common.erasure import ERASED
from common.retention import erases
from delivery.models import Grievance
from delivery.services.erasure import erase_children
from schools.models import Student

# Whom an office listed again since then is somebody's concern still.
CHILDREN = """
SELECT s.id FROM schools_student s WHERE s."group" = ANY(%s) AND s.full_name <> %s AND NOT EXISTS (
    SELECT FROM schools_listrow r JOIN schools_studentlist l ON l.id = r.student_list_id
    WHERE r.student_id = s.id AND l.uploaded_at >= %s)
"""


@erases("students")
def erase_of_closed_phases(*, by, at: dt.datetime, before: dt.datetime) -> int:
    """Children of the groups whose every phase ended before a day, with all that is known of their families; how many.

    A group of a phase that runs still, or ended later, keeps its records: its children may yet be allocated, handed
    over, visited, or given another computer under the warranty.
    """
    day = timezone.localdate(before)
    live, closed = (
        {group for groups in phases.values_list("groups", flat=True) for group in groups}
        for phases in (Phase.objects.filter(ends_on__gte=day), Phase.objects.filter(ends_on__lt=day))
    )
    groups = sorted((closed - live) & set(Student.Group.values))
    if not groups:
        return 0
    count = erase_children(
        by=by, select=CHILDREN, params=[groups, ERASED, before], until=before, on=timezone.localdate(at)
    )
    if count:
        # A child may be named without the device's code.
        erase_grievances(by=by, at=at, before=before)
    return count


@erases("grievances")
def erase_grievances(*, by, at: dt.datetime, before: dt.datetime) -> int:
    """Text, contact and answer of problems answered before a day; kind, place and dates stay for the figures."""
    old = Grievance.objects.filter(state=Grievance.State.ANSWERED, answered_at__lt=before).exclude(
        text=ERASED
    )
    return old.update(text=ERASED, contact="", answer=ERASED)
