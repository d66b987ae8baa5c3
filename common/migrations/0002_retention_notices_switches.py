"""How long data are kept, notices and switches; moves of jobs held by the database."""

import django.db.models.deletion
import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings
from django.db import migrations, models

from common.models import Job
from common.transitions import append_only, hold_transitions


class Migration(migrations.Migration):
    dependencies = [
        ("common", "0001_initial"),
        ("pghistory", "0007_auto_20250421_0444"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="BannerEvent",
            fields=[
                ("pgh_id", models.AutoField(primary_key=True, serialize=False)),
                ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                ("pgh_label", models.TextField(help_text="The event label.")),
                ("id", models.BigIntegerField()),
                ("text", models.CharField(max_length=300, verbose_name="nội dung")),
                ("text_en", models.CharField(blank=True, max_length=300, verbose_name="nội dung tiếng Anh")),
                ("is_warning", models.BooleanField(default=False, verbose_name="là cảnh báo")),
                ("shows_from", models.DateTimeField(verbose_name="hiện từ")),
                ("shows_until", models.DateTimeField(verbose_name="hiện đến")),
            ],
            options={
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="RetentionRule",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("code", models.CharField(max_length=40, unique=True, verbose_name="mã")),
                ("what", models.CharField(max_length=300, verbose_name="dữ liệu")),
                ("counted_from", models.CharField(max_length=200, verbose_name="tính từ")),
                ("keeps_days", models.PositiveIntegerField(verbose_name="giữ (ngày)")),
                ("legal_basis", models.CharField(max_length=300, verbose_name="căn cứ")),
                ("is_active", models.BooleanField(default=True, verbose_name="đang áp dụng")),
            ],
            options={
                "verbose_name": "thời hạn lưu dữ liệu cá nhân",
                "verbose_name_plural": "thời hạn lưu dữ liệu cá nhân",
            },
        ),
        migrations.CreateModel(
            name="RetentionRuleEvent",
            fields=[
                ("pgh_id", models.AutoField(primary_key=True, serialize=False)),
                ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                ("pgh_label", models.TextField(help_text="The event label.")),
                ("id", models.BigIntegerField()),
                ("code", models.CharField(max_length=40, verbose_name="mã")),
                ("what", models.CharField(max_length=300, verbose_name="dữ liệu")),
                ("counted_from", models.CharField(max_length=200, verbose_name="tính từ")),
                ("keeps_days", models.PositiveIntegerField(verbose_name="giữ (ngày)")),
                ("legal_basis", models.CharField(max_length=300, verbose_name="căn cứ")),
                ("is_active", models.BooleanField(default=True, verbose_name="đang áp dụng")),
            ],
            options={
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="RetentionRun",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("before_on", models.DateField(verbose_name="dữ liệu trước ngày")),
                ("erased_rows", models.BigIntegerField(verbose_name="số bản ghi đã xoá")),
                ("erased_at", models.DateTimeField(verbose_name="xoá lúc")),
            ],
            options={
                "verbose_name": "lần xoá dữ liệu hết hạn lưu",
                "verbose_name_plural": "lần xoá dữ liệu hết hạn lưu",
            },
        ),
        migrations.CreateModel(
            name="Switch",
            fields=[
                (
                    "name",
                    models.CharField(
                        choices=[
                            ("pledges", "Nhận ủng hộ qua mạng"),
                            ("grievances", "Nhận phản ánh qua mạng"),
                            ("student_lists", "Nhận danh sách học sinh"),
                        ],
                        max_length=20,
                        primary_key=True,
                        serialize=False,
                        verbose_name="việc",
                    ),
                ),
                ("is_on", models.BooleanField(default=True, verbose_name="đang nhận")),
                (
                    "why",
                    models.CharField(
                        blank=True, max_length=300, verbose_name="lý do tạm ngừng, khi nào nhận lại"
                    ),
                ),
            ],
            options={
                "verbose_name": "công tắc",
                "verbose_name_plural": "công tắc",
            },
        ),
        migrations.CreateModel(
            name="SwitchEvent",
            fields=[
                ("pgh_id", models.AutoField(primary_key=True, serialize=False)),
                ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                ("pgh_label", models.TextField(help_text="The event label.")),
                (
                    "name",
                    models.CharField(
                        choices=[
                            ("pledges", "Nhận ủng hộ qua mạng"),
                            ("grievances", "Nhận phản ánh qua mạng"),
                            ("student_lists", "Nhận danh sách học sinh"),
                        ],
                        max_length=20,
                        serialize=False,
                        verbose_name="việc",
                    ),
                ),
                ("is_on", models.BooleanField(default=True, verbose_name="đang nhận")),
                (
                    "why",
                    models.CharField(
                        blank=True, max_length=300, verbose_name="lý do tạm ngừng, khi nào nhận lại"
                    ),
                ),
            ],
            options={
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="Banner",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("text", models.CharField(max_length=300, verbose_name="nội dung")),
                ("text_en", models.CharField(blank=True, max_length=300, verbose_name="nội dung tiếng Anh")),
                ("is_warning", models.BooleanField(default=False, verbose_name="là cảnh báo")),
                ("shows_from", models.DateTimeField(verbose_name="hiện từ")),
                ("shows_until", models.DateTimeField(verbose_name="hiện đến")),
            ],
            options={
                "verbose_name": "thông báo trên đầu trang",
                "verbose_name_plural": "thông báo trên đầu trang",
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("shows_until__gt", models.F("shows_from"))),
                        name="banner_shows_in_order",
                        violation_error_message="Thời điểm ẩn phải sau thời điểm hiện.",
                    )
                ],
            },
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="banner",
            trigger=pgtrigger.compiler.Trigger(
                name="insert_insert",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='WITH _pgh_attached_context AS ( SELECT _pgh_attach_context() AS value ) INSERT INTO "common_bannerevent" ("id", "is_warning", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "shows_from", "shows_until", "text", "text_en") SELECT new_values."id", new_values."is_warning", _pgh_attached_context.value, NOW(), \'insert\', new_values."id", new_values."shows_from", new_values."shows_until", new_values."text", new_values."text_en" FROM ( SELECT new_values.* FROM new_values  ) AS new_values, _pgh_attached_context; RETURN NULL;',
                    hash="634e551c5482db5703cc320cdca0192793fd48e9",
                    level="STATEMENT",
                    operation="INSERT",
                    pgid="pgtrigger_insert_insert_584c8",
                    referencing="REFERENCING NEW TABLE AS new_values ",
                    table="common_banner",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="banner",
            trigger=pgtrigger.compiler.Trigger(
                name="update_update",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='WITH _pgh_attached_context AS ( SELECT _pgh_attach_context() AS value ) INSERT INTO "common_bannerevent" ("id", "is_warning", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "shows_from", "shows_until", "text", "text_en") SELECT new_values."id", new_values."is_warning", _pgh_attached_context.value, NOW(), \'update\', new_values."id", new_values."shows_from", new_values."shows_until", new_values."text", new_values."text_en" FROM ( SELECT new_values.* FROM old_values JOIN new_values ON (old_values."id") = (new_values."id") WHERE (old_values.* IS DISTINCT FROM new_values.*) ) AS new_values, _pgh_attached_context; RETURN NULL;',
                    hash="95c345aee8aaaa15be5755d393c537dc76568a2a",
                    level="STATEMENT",
                    operation="UPDATE",
                    pgid="pgtrigger_update_update_c4aef",
                    referencing="REFERENCING OLD TABLE AS old_values  NEW TABLE AS new_values ",
                    table="common_banner",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="banner",
            trigger=pgtrigger.compiler.Trigger(
                name="delete_delete",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='WITH _pgh_attached_context AS ( SELECT _pgh_attach_context() AS value ) INSERT INTO "common_bannerevent" ("id", "is_warning", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "shows_from", "shows_until", "text", "text_en") SELECT old_values."id", old_values."is_warning", _pgh_attached_context.value, NOW(), \'delete\', old_values."id", old_values."shows_from", old_values."shows_until", old_values."text", old_values."text_en" FROM ( SELECT old_values.* FROM old_values  ) AS old_values, _pgh_attached_context; RETURN NULL;',
                    hash="e4c9203225925aabe6a72e72459f274a5a39a65b",
                    level="STATEMENT",
                    operation="DELETE",
                    pgid="pgtrigger_delete_delete_f115f",
                    referencing="REFERENCING OLD TABLE AS old_values ",
                    table="common_banner",
                    when="AFTER",
                ),
            ),
        ),
        migrations.AddField(
            model_name="bannerevent",
            name="pgh_context",
            field=models.ForeignKey(
                db_constraint=False,
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="pghistory.context",
            ),
        ),
        migrations.AddField(
            model_name="bannerevent",
            name="pgh_obj",
            field=models.ForeignKey(
                db_constraint=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="events",
                to="common.banner",
            ),
        ),
        migrations.AddConstraint(
            model_name="retentionrule",
            constraint=models.CheckConstraint(
                condition=models.Q(("legal_basis", ""), _negated=True),
                name="retentionrule_has_legal_basis",
                violation_error_message="Phải ghi căn cứ pháp lý của thời hạn lưu.",
            ),
        ),
        migrations.AddConstraint(
            model_name="retentionrule",
            constraint=models.CheckConstraint(
                condition=models.Q(("keeps_days__gte", 30)),
                name="retentionrule_keeps_a_month",
                violation_error_message="Thời hạn lưu ít nhất 30 ngày, để còn sửa được việc làm nhầm.",
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="retentionrule",
            trigger=pgtrigger.compiler.Trigger(
                name="insert_insert",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='WITH _pgh_attached_context AS ( SELECT _pgh_attach_context() AS value ) INSERT INTO "common_retentionruleevent" ("code", "counted_from", "id", "is_active", "keeps_days", "legal_basis", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "what") SELECT new_values."code", new_values."counted_from", new_values."id", new_values."is_active", new_values."keeps_days", new_values."legal_basis", _pgh_attached_context.value, NOW(), \'insert\', new_values."id", new_values."what" FROM ( SELECT new_values.* FROM new_values  ) AS new_values, _pgh_attached_context; RETURN NULL;',
                    hash="7196dc49ddcf4a2f52a56d5998f3f172ca301596",
                    level="STATEMENT",
                    operation="INSERT",
                    pgid="pgtrigger_insert_insert_b2640",
                    referencing="REFERENCING NEW TABLE AS new_values ",
                    table="common_retentionrule",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="retentionrule",
            trigger=pgtrigger.compiler.Trigger(
                name="update_update",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='WITH _pgh_attached_context AS ( SELECT _pgh_attach_context() AS value ) INSERT INTO "common_retentionruleevent" ("code", "counted_from", "id", "is_active", "keeps_days", "legal_basis", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "what") SELECT new_values."code", new_values."counted_from", new_values."id", new_values."is_active", new_values."keeps_days", new_values."legal_basis", _pgh_attached_context.value, NOW(), \'update\', new_values."id", new_values."what" FROM ( SELECT new_values.* FROM old_values JOIN new_values ON (old_values."id") = (new_values."id") WHERE (old_values.* IS DISTINCT FROM new_values.*) ) AS new_values, _pgh_attached_context; RETURN NULL;',
                    hash="fcaf89c88339ef36495a58f4bc4f9e06d347034a",
                    level="STATEMENT",
                    operation="UPDATE",
                    pgid="pgtrigger_update_update_3269d",
                    referencing="REFERENCING OLD TABLE AS old_values  NEW TABLE AS new_values ",
                    table="common_retentionrule",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="retentionrule",
            trigger=pgtrigger.compiler.Trigger(
                name="delete_delete",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='WITH _pgh_attached_context AS ( SELECT _pgh_attach_context() AS value ) INSERT INTO "common_retentionruleevent" ("code", "counted_from", "id", "is_active", "keeps_days", "legal_basis", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "what") SELECT old_values."code", old_values."counted_from", old_values."id", old_values."is_active", old_values."keeps_days", old_values."legal_basis", _pgh_attached_context.value, NOW(), \'delete\', old_values."id", old_values."what" FROM ( SELECT old_values.* FROM old_values  ) AS old_values, _pgh_attached_context; RETURN NULL;',
                    hash="b898479d75213f92ac8ba1f0abdc57e57dcc4c0d",
                    level="STATEMENT",
                    operation="DELETE",
                    pgid="pgtrigger_delete_delete_79244",
                    referencing="REFERENCING OLD TABLE AS old_values ",
                    table="common_retentionrule",
                    when="AFTER",
                ),
            ),
        ),
        migrations.AddField(
            model_name="retentionruleevent",
            name="pgh_context",
            field=models.ForeignKey(
                db_constraint=False,
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="pghistory.context",
            ),
        ),
        migrations.AddField(
            model_name="retentionruleevent",
            name="pgh_obj",
            field=models.ForeignKey(
                db_constraint=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="events",
                to="common.retentionrule",
            ),
        ),
        migrations.AddField(
            model_name="retentionrun",
            name="erased_by",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
                verbose_name="người thực hiện",
            ),
        ),
        migrations.AddField(
            model_name="retentionrun",
            name="rule",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="runs",
                to="common.retentionrule",
                verbose_name="thời hạn",
            ),
        ),
        migrations.AddConstraint(
            model_name="switch",
            constraint=models.CheckConstraint(
                condition=models.Q(("is_on", True), models.Q(("why", ""), _negated=True), _connector="OR"),
                name="switch_off_says_why",
                violation_error_message="Tạm ngừng thì phải ghi lý do và khi nào nhận lại: người dùng đọc dòng này.",
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="switch",
            trigger=pgtrigger.compiler.Trigger(
                name="insert_insert",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='WITH _pgh_attached_context AS ( SELECT _pgh_attach_context() AS value ) INSERT INTO "common_switchevent" ("is_on", "name", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "why") SELECT new_values."is_on", new_values."name", _pgh_attached_context.value, NOW(), \'insert\', new_values."name", new_values."why" FROM ( SELECT new_values.* FROM new_values  ) AS new_values, _pgh_attached_context; RETURN NULL;',
                    hash="6322d9a9c586b165ee0512f587859638d6052243",
                    level="STATEMENT",
                    operation="INSERT",
                    pgid="pgtrigger_insert_insert_89076",
                    referencing="REFERENCING NEW TABLE AS new_values ",
                    table="common_switch",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="switch",
            trigger=pgtrigger.compiler.Trigger(
                name="update_update",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='WITH _pgh_attached_context AS ( SELECT _pgh_attach_context() AS value ) INSERT INTO "common_switchevent" ("is_on", "name", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "why") SELECT new_values."is_on", new_values."name", _pgh_attached_context.value, NOW(), \'update\', new_values."name", new_values."why" FROM ( SELECT new_values.* FROM old_values JOIN new_values ON (old_values."name") = (new_values."name") WHERE (old_values.* IS DISTINCT FROM new_values.*) ) AS new_values, _pgh_attached_context; RETURN NULL;',
                    hash="459153c80f3658c3ead3bac1f72e5b7c02524cb7",
                    level="STATEMENT",
                    operation="UPDATE",
                    pgid="pgtrigger_update_update_ecdd4",
                    referencing="REFERENCING OLD TABLE AS old_values  NEW TABLE AS new_values ",
                    table="common_switch",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="switch",
            trigger=pgtrigger.compiler.Trigger(
                name="delete_delete",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='WITH _pgh_attached_context AS ( SELECT _pgh_attach_context() AS value ) INSERT INTO "common_switchevent" ("is_on", "name", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "why") SELECT old_values."is_on", old_values."name", _pgh_attached_context.value, NOW(), \'delete\', old_values."name", old_values."why" FROM ( SELECT old_values.* FROM old_values  ) AS old_values, _pgh_attached_context; RETURN NULL;',
                    hash="2174a8e6616b27c012b22a93d370ee149deae1f7",
                    level="STATEMENT",
                    operation="DELETE",
                    pgid="pgtrigger_delete_delete_e9c5d",
                    referencing="REFERENCING OLD TABLE AS old_values ",
                    table="common_switch",
                    when="AFTER",
                ),
            ),
        ),
        migrations.AddField(
            model_name="switchevent",
            name="pgh_context",
            field=models.ForeignKey(
                db_constraint=False,
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="pghistory.context",
            ),
        ),
        migrations.AddField(
            model_name="switchevent",
            name="pgh_obj",
            field=models.ForeignKey(
                db_constraint=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="events",
                to="common.switch",
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="bannerevent",
            trigger=pgtrigger.compiler.Trigger(
                name="append_only",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;",
                    hash="9b1b7c8aa5ceff101ed7b21d03b80917f85158aa",
                    operation="UPDATE OR DELETE",
                    pgid="pgtrigger_append_only_68de3",
                    table="common_bannerevent",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="retentionruleevent",
            trigger=pgtrigger.compiler.Trigger(
                name="append_only",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;",
                    hash="3fc166069553909c663c8f9c3b12f36b69035514",
                    operation="UPDATE OR DELETE",
                    pgid="pgtrigger_append_only_bb1a5",
                    table="common_retentionruleevent",
                    when="BEFORE",
                ),
            ),
        ),
        migrations.AddConstraint(
            model_name="retentionrun",
            constraint=models.CheckConstraint(
                condition=models.Q(("erased_rows__gt", 0)),
                name="retentionrun_erased_rows_positive",
                violation_error_message="Số bản ghi phải lớn hơn 0.",
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="switchevent",
            trigger=pgtrigger.compiler.Trigger(
                name="append_only",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;",
                    hash="83cabb4c20ba900ddb76cc8c00f3bddc0a64db33",
                    operation="UPDATE OR DELETE",
                    pgid="pgtrigger_append_only_b81d5",
                    table="common_switchevent",
                    when="BEFORE",
                ),
            ),
        ),
        hold_transitions("common_job", "state", Job.TRANSITIONS),
        append_only("common_retentionrun"),
    ]
