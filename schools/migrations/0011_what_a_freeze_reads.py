"""A freeze and a count of who is eligible read an index alone; the index of the school's key alone was the beginning of another."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("schools", "0010_spelled_out_reasons"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name="student",
            name="student_household",
        ),
        migrations.AlterField(
            model_name="student",
            name="school",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="students",
                to="schools.school",
                verbose_name="trường",
            ),
        ),
        migrations.AddIndex(
            model_name="student",
            index=models.Index(
                condition=models.Q(("has_device", False), ("state", "approved")),
                fields=["school"],
                include=("id", "group", "household_key", "grade"),
                name="student_eligible",
            ),
        ),
        migrations.AddIndex(
            model_name="student",
            index=models.Index(
                condition=models.Q(("household_key", ""), _negated=True),
                fields=["household_key"],
                include=("id",),
                name="student_household",
            ),
        ),
    ]
