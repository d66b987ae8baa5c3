"""What the public sees of a figure is a column of its own, and since which day it stands (ADR 34).

Of the releases so far the need of every province is hidden: the next one begins anew.
"""

from django.db import migrations, models
from django.db.models import Q

OLD_VIEW = """
CREATE VIEW dashboards_publicfigure AS
SELECT id, "on", name, area, CASE WHEN instead = '' THEN value END AS value, instead, revision, note
FROM dashboards_dailyfigure
"""
VIEW = """
CREATE VIEW dashboards_publicfigure AS
SELECT id, "on", name, area, shown AS value, shown_on, revision, note FROM dashboards_dailyfigure
"""
SHOW = """
UPDATE dashboards_dailyfigure SET shown = value, shown_on = "on"
WHERE area = 'VN' OR name NOT IN ('need', 'listed')
  AND NOT (value BETWEEN 1 AND 9 AND name IN ('allocated', 'in_province', 'handed_over', 'in_use', 'donor_handed_over'))
"""


class Migration(migrations.Migration):
    dependencies = [("dashboards", "0003_public_figures")]
    operations = [
        migrations.RunSQL("DROP VIEW dashboards_publicfigure", OLD_VIEW),
        migrations.AddField(
            model_name="dailyfigure",
            name="shown",
            field=models.BigIntegerField(blank=True, null=True, verbose_name="công khai"),
        ),
        migrations.AddField(
            model_name="dailyfigure",
            name="shown_on",
            field=models.DateField(blank=True, null=True, verbose_name="công khai từ ngày"),
        ),
        migrations.RunSQL(SHOW, migrations.RunSQL.noop),
        migrations.RemoveIndex(model_name="dailyfigure", name="dailyfigure_hidden"),
        migrations.RemoveField(model_name="dailyfigure", name="instead"),
        migrations.AddConstraint(
            model_name="dailyfigure",
            constraint=models.CheckConstraint(
                condition=Q(shown__isnull=True, shown_on__isnull=True)
                | Q(shown__isnull=False, shown_on__isnull=False),
                name="dailyfigure_shown_since_a_day",
                violation_error_message="Số đã công khai phải ghi từ ngày nào.",
            ),
        ),
        # Of the view's model: nothing of it is in the database but the view itself.
        migrations.RemoveField(model_name="publicfigure", name="instead"),
        migrations.AddField(
            model_name="publicfigure",
            name="shown_on",
            field=models.DateField(null=True, verbose_name="công khai từ ngày"),
        ),
        migrations.RunSQL(VIEW, "DROP VIEW dashboards_publicfigure"),
        migrations.CreateModel(
            name="NeedRelease",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("on", models.DateField(verbose_name="ngày")),
                ("total", models.BigIntegerField(verbose_name="cả nước")),
                ("shown", models.JSONField(default=dict, verbose_name="các tỉnh hiện số")),
            ],
            options={
                "verbose_name": "nhu cầu đã công khai",
                "verbose_name_plural": "nhu cầu đã công khai",
            },
        ),
    ]
