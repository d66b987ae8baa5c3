"""A line of a proposal carries its student's school, so that a national commit looks nobody up twice."""

from django.db import migrations, models

# The table is append-only for everyone else; lines of runs that are not committed yet get theirs from the freeze.
FILL = """
ALTER TABLE allocation_proposed DISABLE TRIGGER allocation_proposed_append_only;
UPDATE allocation_proposed p SET school_id = a.school_id
FROM allocation_applicant a WHERE a.run_id = p.run_id AND a.student_id = p.student_id;
ALTER TABLE allocation_proposed ENABLE TRIGGER allocation_proposed_append_only;
"""


class Migration(migrations.Migration):
    dependencies = [("allocation", "0004_draw_file_digest")]

    operations = [
        migrations.AddField(
            model_name="proposed",
            name="school_id",
            field=models.BigIntegerField(default=-1, verbose_name="trường"),
            preserve_default=False,
        ),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
    ]
