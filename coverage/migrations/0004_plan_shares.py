"""What may still be given, in shares: a handover takes of one that nobody else holds (`PlanShare`)."""

import django.db.models.deletion
from django.db import migrations, models

from coverage.rules import PLAN_TARGET

SHARES, SHARES_OF_A_BATCH = 64, 16

CREATE = f"""
-- Once, of what is not given yet; `uncounted` plans of the caller's own are among those that are there.
CREATE FUNCTION coverage_share_million(uncounted bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('coverage.plan_shares'));
    INSERT INTO coverage_planshare (batch_id, remaining)
    SELECT NULL, rest / {SHARES} + (number <= rest % {SHARES})::int
    FROM (SELECT greatest({PLAN_TARGET} - count(*) + uncounted, 0) AS rest FROM coverage_dataplan) left_over,
        generate_series(1, {SHARES}) AS number
    WHERE NOT EXISTS (SELECT FROM coverage_planshare WHERE batch_id IS NULL);
END $$;

CREATE FUNCTION coverage_take(of_batch bigint, wanted bigint, name text, said text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    missing bigint := wanted;
    share record;
BEGIN
    IF of_batch IS NULL AND NOT EXISTS (SELECT FROM coverage_planshare WHERE batch_id IS NULL) THEN
        PERFORM coverage_share_million(wanted);
    END IF;
    BEGIN
        WHILE missing > 0 LOOP
            SELECT id, remaining INTO share FROM coverage_planshare
            WHERE batch_id IS NOT DISTINCT FROM of_batch AND remaining > 0
            ORDER BY remaining < missing, random() LIMIT 1 FOR UPDATE SKIP LOCKED;
            IF NOT FOUND THEN
                RAISE EXCEPTION USING ERRCODE = 'lock_not_available';
            END IF;
            UPDATE coverage_planshare SET remaining = remaining - least(missing, share.remaining) WHERE id = share.id;
            missing := missing - least(missing, share.remaining);
        END LOOP;
        RETURN;
    EXCEPTION WHEN lock_not_available THEN
        -- Too little that nobody holds. What was taken so far is given back, so that nobody waits for it in turn.
        missing := wanted;
    END;
    PERFORM pg_advisory_xact_lock(hashtext('coverage.plan_shares'));
    FOR share IN SELECT id, remaining FROM coverage_planshare
        WHERE batch_id IS NOT DISTINCT FROM of_batch AND remaining > 0 ORDER BY id FOR UPDATE
    LOOP
        UPDATE coverage_planshare SET remaining = remaining - least(missing, share.remaining) WHERE id = share.id;
        missing := missing - least(missing, share.remaining);
    END LOOP;
    IF missing > 0 THEN
        RAISE EXCEPTION '%', said USING ERRCODE = 'check_violation', CONSTRAINT = name;
    END IF;
END $$;

CREATE FUNCTION coverage_take_plans() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM coverage_take(NULL, count(*), 'dataplan_target',
        'Chương trình đã dùng hết {PLAN_TARGET:_} gói dữ liệu, không mở thêm được.') FROM added HAVING count(*) > 0;
    PERFORM coverage_take(given.sim_batch_id, given.count, 'simbatch_used_within_quantity',
        'Lô SIM này không còn đủ SIM.')
    FROM (SELECT sim_batch_id, count(*) FROM added WHERE sim_batch_id IS NOT NULL GROUP BY 1 ORDER BY 1) given;
    RETURN NULL;
END $$;
CREATE TRIGGER coverage_dataplan_takes AFTER INSERT ON coverage_dataplan
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION coverage_take_plans();

CREATE FUNCTION coverage_share_batch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO coverage_planshare (batch_id, remaining)
    SELECT NEW.id, NEW.quantity / {SHARES_OF_A_BATCH} + (number <= NEW.quantity % {SHARES_OF_A_BATCH})::int
    FROM generate_series(1, least({SHARES_OF_A_BATCH}, NEW.quantity)) AS number;
    RETURN NULL;
END $$;
CREATE TRIGGER coverage_simbatch_shares AFTER INSERT ON coverage_simbatch
    FOR EACH ROW EXECUTE FUNCTION coverage_share_batch();

INSERT INTO coverage_planshare (batch_id, remaining) SELECT id, quantity - used FROM coverage_simbatch;
SELECT coverage_share_million(0);
""".replace(f"{PLAN_TARGET:_}", f"{PLAN_TARGET:_}".replace("_", "."))
DROP = """
DROP TRIGGER coverage_simbatch_shares ON coverage_simbatch;
DROP FUNCTION coverage_share_batch();
DROP TRIGGER coverage_dataplan_takes ON coverage_dataplan;
DROP FUNCTION coverage_take_plans();
DROP FUNCTION coverage_take(bigint, bigint, text, text);
DROP FUNCTION coverage_share_million(bigint);
"""


class Migration(migrations.Migration):
    dependencies = [
        ("coverage", "0003_keep_images_before_a_change"),
    ]

    operations = [
        migrations.CreateModel(
            name="PlanShare",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("remaining", models.PositiveIntegerField(verbose_name="còn lại")),
                (
                    "batch",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="shares",
                        to="coverage.simbatch",
                        verbose_name="lô SIM",
                    ),
                ),
            ],
            options={
                "verbose_name": "phần còn lại của gói dữ liệu",
                "verbose_name_plural": "phần còn lại của gói dữ liệu",
            },
        ),
        migrations.RunSQL(CREATE, DROP),
    ]
