"""The reason of a status change may be overwritten by the mark of an erasure; nothing else of the row ever changes."""

from django.db import migrations

from common.transitions import append_only


class Migration(migrations.Migration):
    dependencies = [("schools", "0006_another_submitter")]
    operations = [append_only("schools_statuschange", erasable=["reason"])]
