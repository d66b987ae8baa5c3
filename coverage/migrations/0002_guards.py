"""What the database refuses by itself: points move by their list of moves, reports are never rewritten."""

from django.db import migrations

from common.transitions import append_only, hold_transitions
from coverage.models import CoveragePoint


class Migration(migrations.Migration):
    dependencies = [("coverage", "0001_initial")]
    operations = [
        hold_transitions("coverage_coveragepoint", "state", CoveragePoint.TRANSITIONS),
        append_only("coverage_pointreport"),
    ]
