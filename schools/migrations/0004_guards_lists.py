"""Legal moves of a list, and what of students' history never changes."""

from django.db import migrations

from common.transitions import append_only, hold_transitions
from schools.models import StudentList


class Migration(migrations.Migration):
    dependencies = [("schools", "0003_lists")]

    operations = [
        hold_transitions("schools_studentlist", "state", StudentList.TRANSITIONS),
        append_only("schools_statuschange"),
        append_only("schools_needreminder"),
    ]
