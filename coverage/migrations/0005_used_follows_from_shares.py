"""How many SIMs of a batch are used follows from its shares."""

import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("coverage", "0004_plan_shares"),
    ]

    operations = [
        pgtrigger.migrations.RemoveTrigger(
            model_name="simbatch",
            name="insert_insert",
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name="simbatch",
            name="update_update",
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name="simbatch",
            name="delete_delete",
        ),
        migrations.RemoveConstraint(
            model_name="simbatch",
            name="simbatch_used_within_quantity",
        ),
        migrations.RemoveField(
            model_name="simbatch",
            name="used",
        ),
        migrations.RemoveField(
            model_name="simbatchevent",
            name="used",
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="simbatch",
            trigger=pgtrigger.compiler.Trigger(
                name="insert_insert",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='WITH _pgh_attached_context AS ( SELECT _pgh_attach_context() AS value ) INSERT INTO "coverage_simbatchevent" ("code", "delivered_on", "id", "operator_id", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "province_id", "quantity", "registered_at", "registered_by_id") SELECT new_values."code", new_values."delivered_on", new_values."id", new_values."operator_id", _pgh_attached_context.value, NOW(), \'insert\', new_values."id", new_values."province_id", new_values."quantity", new_values."registered_at", new_values."registered_by_id" FROM ( SELECT new_values.* FROM new_values  ) AS new_values, _pgh_attached_context; RETURN NULL;',
                    hash="0525d5a1df65001140feb9da1b119429fa47a78b",
                    level="STATEMENT",
                    operation="INSERT",
                    pgid="pgtrigger_insert_insert_6fc18",
                    referencing="REFERENCING NEW TABLE AS new_values ",
                    table="coverage_simbatch",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="simbatch",
            trigger=pgtrigger.compiler.Trigger(
                name="update_update",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='WITH _pgh_attached_context AS ( SELECT _pgh_attach_context() AS value ) INSERT INTO "coverage_simbatchevent" ("code", "delivered_on", "id", "operator_id", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "province_id", "quantity", "registered_at", "registered_by_id") SELECT new_values."code", new_values."delivered_on", new_values."id", new_values."operator_id", _pgh_attached_context.value, NOW(), \'update\', new_values."id", new_values."province_id", new_values."quantity", new_values."registered_at", new_values."registered_by_id" FROM ( SELECT new_values.* FROM old_values JOIN new_values ON (old_values."id") = (new_values."id") WHERE (old_values.* IS DISTINCT FROM new_values.*) ) AS new_values, _pgh_attached_context; RETURN NULL;',
                    hash="bc1f44f1f78346d0e6e416c43d83e3767ae52348",
                    level="STATEMENT",
                    operation="UPDATE",
                    pgid="pgtrigger_update_update_572ca",
                    referencing="REFERENCING OLD TABLE AS old_values  NEW TABLE AS new_values ",
                    table="coverage_simbatch",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="simbatch",
            trigger=pgtrigger.compiler.Trigger(
                name="delete_delete",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='WITH _pgh_attached_context AS ( SELECT _pgh_attach_context() AS value ) INSERT INTO "coverage_simbatchevent" ("code", "delivered_on", "id", "operator_id", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "province_id", "quantity", "registered_at", "registered_by_id") SELECT old_values."code", old_values."delivered_on", old_values."id", old_values."operator_id", _pgh_attached_context.value, NOW(), \'delete\', old_values."id", old_values."province_id", old_values."quantity", old_values."registered_at", old_values."registered_by_id" FROM ( SELECT old_values.* FROM old_values  ) AS old_values, _pgh_attached_context; RETURN NULL;',
                    hash="3b4458fe079f25cf7af353af91b1e64f177e8845",
                    level="STATEMENT",
                    operation="DELETE",
                    pgid="pgtrigger_delete_delete_00cb2",
                    referencing="REFERENCING OLD TABLE AS old_values ",
                    table="coverage_simbatch",
                    when="AFTER",
                ),
            ),
        ),
    ]
