"""What stands for a hidden figure is stored with it, and the public reads a view in which the figure itself isn't."""

from django.db import migrations, models
from django.db.models import Q

VIEW = """
CREATE VIEW dashboards_publicfigure AS
SELECT id, "on", name, area, CASE WHEN instead = '' THEN value END AS value, instead, revision, note
FROM dashboards_dailyfigure
"""


class Migration(migrations.Migration):
    dependencies = [("dashboards", "0002_hidden_figures")]
    operations = [
        migrations.AddField(
            model_name="dailyfigure",
            name="instead",
            field=models.CharField(
                blank=True, db_default="", default="", max_length=4, verbose_name="công khai thành"
            ),
        ),
        migrations.RemoveIndex(model_name="dailyfigure", name="dailyfigure_hidden"),
        migrations.RemoveField(model_name="dailyfigure", name="is_hidden"),
        migrations.AddIndex(
            model_name="dailyfigure",
            index=models.Index(condition=~Q(instead=""), fields=["name", "on"], name="dailyfigure_hidden"),
        ),
        migrations.RunSQL(VIEW, "DROP VIEW dashboards_publicfigure"),
        migrations.CreateModel(
            name="PublicFigure",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("on", models.DateField(verbose_name="ngày")),
                ("name", models.CharField(max_length=60, verbose_name="chỉ số")),
                ("area", models.CharField(max_length=24, verbose_name="địa bàn")),
                ("value", models.BigIntegerField(null=True, verbose_name="giá trị")),
                ("instead", models.CharField(max_length=4, verbose_name="công khai thành")),
                ("revision", models.PositiveSmallIntegerField(verbose_name="lần điều chỉnh")),
                ("note", models.CharField(max_length=200, verbose_name="ghi chú điều chỉnh")),
            ],
            options={
                "verbose_name": "số liệu công khai",
                "verbose_name_plural": "số liệu công khai",
                "db_table": "dashboards_publicfigure",
                "managed": False,
            },
        ),
    ]
