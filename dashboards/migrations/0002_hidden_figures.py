"""Which figures the public did not see is kept with each release (what came of it: `0004_figures_that_stand`)."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("dashboards", "0001_initial")]
    operations = [
        migrations.AddField(
            model_name="dailyfigure",
            name="is_hidden",
            field=models.BooleanField(default=False, verbose_name="không hiện công khai"),
        ),
        migrations.AddIndex(
            model_name="dailyfigure",
            index=models.Index(
                condition=models.Q(("is_hidden", True)), fields=["name", "on"], name="dailyfigure_hidden"
            ),
        ),
    ]
