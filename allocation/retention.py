"""Children's records when the phases that concern them have closed (Law 91/2025/QH15: the purpose is over)."""

import datetime as dt

from django.utils import timezone

from allocation.models import Phase
from common.retention import erases
from schools.models import Student
from schools.retention import erase_students


@erases("students")
def erase_of_closed_phases(*, by, before: dt.datetime) -> int:
    """Children of the groups whose every phase ended before a day; returns how many.

    A group of a phase that runs still, or ended later, keeps its records: its children may yet be allocated, handed
    over, visited, or given another computer under the warranty.
    """
    day = timezone.localdate(before)
    live = {
        group
        for groups in Phase.objects.filter(ends_on__gte=day).values_list("groups", flat=True)
        for group in groups
    }
    closed = {
        group
        for groups in Phase.objects.filter(ends_on__lt=day).values_list("groups", flat=True)
        for group in groups
    }
    groups = sorted((closed - live) & set(Student.Group.values))
    return erase_students(groups=groups) if groups else 0
