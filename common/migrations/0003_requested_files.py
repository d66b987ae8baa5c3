"""Large tables that staff ask for."""

import uuid

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("common", "0002_retention_notices_switches"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="RequestedFile",
            fields=[
                (
                    "id",
                    models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False),
                ),
                ("kind", models.CharField(max_length=60, verbose_name="loại tệp")),
                ("filters", models.CharField(blank=True, max_length=1000, verbose_name="bộ lọc")),
                ("reach", models.CharField(blank=True, max_length=64, verbose_name="dấu vết phạm vi")),
                ("row_count", models.BigIntegerField(blank=True, null=True, verbose_name="số dòng")),
                ("created_at", models.DateTimeField(auto_now_add=True, verbose_name="yêu cầu lúc")),
                ("expires_on_clock_at", models.DateTimeField(verbose_name="giữ đến")),
                (
                    "created_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="người yêu cầu",
                    ),
                ),
            ],
            options={
                "verbose_name": "tệp đã yêu cầu",
                "verbose_name_plural": "tệp đã yêu cầu",
                "indexes": [models.Index(fields=["created_by", "-created_at"], name="requestedfile_mine")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("row_count__gte", 0)),
                        name="requestedfile_row_count_positive",
                        violation_error_message="Số dòng của tệp không thể âm.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("expires_on_clock_at__gt", models.F("created_at"))),
                        name="requestedfile_expires_after_it_was_asked_for",
                        violation_error_message="Thời điểm xoá tệp phải sau thời điểm yêu cầu.",
                    ),
                ],
            },
        ),
    ]
