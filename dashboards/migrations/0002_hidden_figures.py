"""Which figures the public did not see is kept with each release; releases of before hid what one release must."""

from collections import defaultdict

from django.db import migrations, models

from ledger.disclosure import suppress

PROTECTED = ("need", "listed", "allocated", "in_province", "handed_over", "in_use")


def hide_as_shown(apps, schema_editor):
    figures = apps.get_model("dashboards", "DailyFigure").objects.filter(name__in=PROTECTED)
    rows = defaultdict(dict)
    for on, name, area, value in (
        figures.exclude(area="VN").order_by("revision").values_list("on", "name", "area", "value")
    ):
        rows[on, name][area] = value
    for (on, name), cells in rows.items():
        hidden = [area for area, shown in suppress(cells).items() if isinstance(shown, str)]
        figures.filter(on=on, name=name, area__in=hidden).update(is_hidden=True)


class Migration(migrations.Migration):
    dependencies = [("dashboards", "0001_initial")]
    operations = [
        migrations.AddField(
            model_name="dailyfigure",
            name="is_hidden",
            field=models.BooleanField(default=False, verbose_name="không hiện công khai"),
        ),
        migrations.RunPython(hide_as_shown, migrations.RunPython.noop),
        migrations.AddIndex(
            model_name="dailyfigure",
            index=models.Index(
                condition=models.Q(("is_hidden", True)), fields=["name", "on"], name="dailyfigure_hidden"
            ),
        ),
    ]
