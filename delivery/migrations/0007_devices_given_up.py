"""Devices missing on their arrival are given up as lost, by two people."""

import django.db.models.deletion
import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("delivery", "0006_handovers_from_a_phone"),
        ("pghistory", "0007_auto_20250421_0444"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AlterField(
            model_name="shipmentitem",
            name="result",
            field=models.CharField(
                choices=[
                    ("expected", "Chờ nhận"),
                    ("arrived", "Đã nhận đủ"),
                    ("missing", "Thiếu"),
                    ("damaged", "Hư hại khi đến"),
                    ("found", "Thiếu, đã tìm thấy"),
                    ("lost", "Thiếu, đã kết luận mất"),
                ],
                default="expected",
                max_length=10,
                verbose_name="kết quả nhận",
            ),
        ),
        migrations.AlterField(
            model_name="shipmentitemevent",
            name="result",
            field=models.CharField(
                choices=[
                    ("expected", "Chờ nhận"),
                    ("arrived", "Đã nhận đủ"),
                    ("missing", "Thiếu"),
                    ("damaged", "Hư hại khi đến"),
                    ("found", "Thiếu, đã tìm thấy"),
                    ("lost", "Thiếu, đã kết luận mất"),
                ],
                default="expected",
                max_length=10,
                verbose_name="kết quả nhận",
            ),
        ),
        migrations.CreateModel(
            name="Loss",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "reason",
                    models.CharField(
                        choices=[
                            ("in_transit", "Mất khi vận chuyển"),
                            ("in_storage", "Mất khi lưu kho, chưa hề lên đường"),
                            ("theft", "Bị lấy cắp"),
                            ("disaster", "Thiên tai"),
                            ("unknown", "Chưa rõ vì sao"),
                        ],
                        max_length=12,
                        verbose_name="vì sao",
                    ),
                ),
                (
                    "account",
                    models.TextField(
                        help_text="Đã hỏi ai, tìm ở đâu, từ ngày nào, có biên bản hay trình báo công an không.",
                        max_length=1000,
                        verbose_name="đã tìm thế nào",
                    ),
                ),
                ("requested_at", models.DateTimeField(verbose_name="đề nghị lúc")),
                (
                    "confirmed_at",
                    models.DateTimeField(blank=True, null=True, verbose_name="kết luận mất lúc"),
                ),
                ("refused_at", models.DateTimeField(blank=True, null=True, verbose_name="không đồng ý lúc")),
                (
                    "confirmed_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="người kết luận",
                    ),
                ),
                (
                    "item",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="losses",
                        to="delivery.shipmentitem",
                        verbose_name="máy trong lô hàng",
                    ),
                ),
                (
                    "refused_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="người không đồng ý",
                    ),
                ),
                (
                    "requested_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="người đề nghị",
                    ),
                ),
            ],
            options={
                "verbose_name": "đề nghị kết luận mất máy",
                "verbose_name_plural": "đề nghị kết luận mất máy",
            },
        ),
        migrations.CreateModel(
            name="LossEvent",
            fields=[
                ("pgh_id", models.AutoField(primary_key=True, serialize=False)),
                ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                ("pgh_label", models.TextField(help_text="The event label.")),
                ("id", models.BigIntegerField()),
                (
                    "reason",
                    models.CharField(
                        choices=[
                            ("in_transit", "Mất khi vận chuyển"),
                            ("in_storage", "Mất khi lưu kho, chưa hề lên đường"),
                            ("theft", "Bị lấy cắp"),
                            ("disaster", "Thiên tai"),
                            ("unknown", "Chưa rõ vì sao"),
                        ],
                        max_length=12,
                        verbose_name="vì sao",
                    ),
                ),
                ("requested_at", models.DateTimeField(verbose_name="đề nghị lúc")),
                (
                    "confirmed_at",
                    models.DateTimeField(blank=True, null=True, verbose_name="kết luận mất lúc"),
                ),
                ("refused_at", models.DateTimeField(blank=True, null=True, verbose_name="không đồng ý lúc")),
                (
                    "confirmed_by",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        related_query_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="người kết luận",
                    ),
                ),
                (
                    "item",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        related_query_name="+",
                        to="delivery.shipmentitem",
                        verbose_name="máy trong lô hàng",
                    ),
                ),
                (
                    "pgh_context",
                    models.ForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="pghistory.context",
                    ),
                ),
                (
                    "pgh_obj",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="events",
                        to="delivery.loss",
                    ),
                ),
                (
                    "refused_by",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        related_query_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="người không đồng ý",
                    ),
                ),
                (
                    "requested_by",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        related_query_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="người đề nghị",
                    ),
                ),
            ],
            options={
                "abstract": False,
            },
        ),
        migrations.AddConstraint(
            model_name="loss",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("confirmed_at__isnull", True), ("confirmed_by__isnull", True)),
                    models.Q(("confirmed_at__isnull", False), ("confirmed_by__isnull", False)),
                    _connector="OR",
                ),
                name="loss_confirmed_at_and_by_together",
                violation_error_message="Phải ghi cả người thực hiện và thời điểm thực hiện.",
            ),
        ),
        migrations.AddConstraint(
            model_name="loss",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("refused_at__isnull", True), ("refused_by__isnull", True)),
                    models.Q(("refused_at__isnull", False), ("refused_by__isnull", False)),
                    _connector="OR",
                ),
                name="loss_refused_at_and_by_together",
                violation_error_message="Phải ghi cả người thực hiện và thời điểm thực hiện.",
            ),
        ),
        migrations.AddConstraint(
            model_name="loss",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("confirmed_by__isnull", True),
                        models.Q(("confirmed_by", models.F("requested_by")), _negated=True),
                        _connector="OR",
                    ),
                    models.Q(
                        ("refused_by__isnull", True),
                        models.Q(("refused_by", models.F("requested_by")), _negated=True),
                        _connector="OR",
                    ),
                ),
                name="loss_decided_by_another",
                violation_error_message="Người quyết định phải khác người đề nghị kết luận mất.",
            ),
        ),
        migrations.AddConstraint(
            model_name="loss",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("confirmed_at__isnull", True), ("refused_at__isnull", True), _connector="OR"
                ),
                name="loss_one_answer",
                violation_error_message="Đề nghị này đã có quyết định.",
            ),
        ),
        migrations.AddConstraint(
            model_name="loss",
            constraint=models.CheckConstraint(
                condition=models.Q(("account", ""), _negated=True),
                name="loss_searched_first",
                violation_error_message="Hãy ghi đã tìm máy thế nào.",
            ),
        ),
        migrations.AddConstraint(
            model_name="loss",
            constraint=models.UniqueConstraint(
                condition=models.Q(("refused_at__isnull", True)),
                fields=("item",),
                name="loss_one_standing",
                violation_error_message="Máy này đã có đề nghị kết luận mất.",
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="loss",
            trigger=pgtrigger.compiler.Trigger(
                name="insert_insert",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='WITH _pgh_attached_context AS ( SELECT _pgh_attach_context() AS value ) INSERT INTO "delivery_lossevent" ("confirmed_at", "confirmed_by_id", "id", "item_id", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "reason", "refused_at", "refused_by_id", "requested_at", "requested_by_id") SELECT new_values."confirmed_at", new_values."confirmed_by_id", new_values."id", new_values."item_id", _pgh_attached_context.value, NOW(), \'insert\', new_values."id", new_values."reason", new_values."refused_at", new_values."refused_by_id", new_values."requested_at", new_values."requested_by_id" FROM ( SELECT new_values.* FROM new_values  ) AS new_values, _pgh_attached_context; RETURN NULL;',
                    hash="801a3445ccce1b38e02bf83220552906e2c8ddb9",
                    level="STATEMENT",
                    operation="INSERT",
                    pgid="pgtrigger_insert_insert_2116a",
                    referencing="REFERENCING NEW TABLE AS new_values ",
                    table="delivery_loss",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="loss",
            trigger=pgtrigger.compiler.Trigger(
                name="update_update",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='WITH _pgh_attached_context AS ( SELECT _pgh_attach_context() AS value ) INSERT INTO "delivery_lossevent" ("confirmed_at", "confirmed_by_id", "id", "item_id", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "reason", "refused_at", "refused_by_id", "requested_at", "requested_by_id") SELECT new_values."confirmed_at", new_values."confirmed_by_id", new_values."id", new_values."item_id", _pgh_attached_context.value, NOW(), \'update\', new_values."id", new_values."reason", new_values."refused_at", new_values."refused_by_id", new_values."requested_at", new_values."requested_by_id" FROM ( SELECT new_values.* FROM old_values JOIN new_values ON (old_values."id") = (new_values."id") WHERE (old_values."confirmed_at" IS DISTINCT FROM (new_values."confirmed_at") OR old_values."confirmed_by_id" IS DISTINCT FROM (new_values."confirmed_by_id") OR old_values."id" IS DISTINCT FROM (new_values."id") OR old_values."item_id" IS DISTINCT FROM (new_values."item_id") OR old_values."reason" IS DISTINCT FROM (new_values."reason") OR old_values."refused_at" IS DISTINCT FROM (new_values."refused_at") OR old_values."refused_by_id" IS DISTINCT FROM (new_values."refused_by_id") OR old_values."requested_at" IS DISTINCT FROM (new_values."requested_at") OR old_values."requested_by_id" IS DISTINCT FROM (new_values."requested_by_id")) ) AS new_values, _pgh_attached_context; RETURN NULL;',
                    hash="c4393d6deb5d7ae90ee288e0c9b6e8ff4e001d3e",
                    level="STATEMENT",
                    operation="UPDATE",
                    pgid="pgtrigger_update_update_c0699",
                    referencing="REFERENCING OLD TABLE AS old_values  NEW TABLE AS new_values ",
                    table="delivery_loss",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="loss",
            trigger=pgtrigger.compiler.Trigger(
                name="delete_delete",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='WITH _pgh_attached_context AS ( SELECT _pgh_attach_context() AS value ) INSERT INTO "delivery_lossevent" ("confirmed_at", "confirmed_by_id", "id", "item_id", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "reason", "refused_at", "refused_by_id", "requested_at", "requested_by_id") SELECT old_values."confirmed_at", old_values."confirmed_by_id", old_values."id", old_values."item_id", _pgh_attached_context.value, NOW(), \'delete\', old_values."id", old_values."reason", old_values."refused_at", old_values."refused_by_id", old_values."requested_at", old_values."requested_by_id" FROM ( SELECT old_values.* FROM old_values  ) AS old_values, _pgh_attached_context; RETURN NULL;',
                    hash="8c6672f49f5a14137eada2f75ba5094fb912f02b",
                    level="STATEMENT",
                    operation="DELETE",
                    pgid="pgtrigger_delete_delete_fc6e5",
                    referencing="REFERENCING OLD TABLE AS old_values ",
                    table="delivery_loss",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="lossevent",
            trigger=pgtrigger.compiler.Trigger(
                name="append_only",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;",
                    hash="87975aa4dc29c9df8e1dad47a128adaf1754b53d",
                    operation="UPDATE OR DELETE",
                    pgid="pgtrigger_append_only_a157e",
                    table="delivery_lossevent",
                    when="BEFORE",
                ),
            ),
        ),
    ]
