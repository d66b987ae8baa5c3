"""Who waits for shares waits in one order, and only until it has enough: the million's first, then a batch's.

One lock for all who wait, as before, held up who had taken of the million and waited for a batch while its holder
waited for that share of the million: PostgreSQL broke one of the two off.
"""

from django.db import migrations

SHARES_OF_A_BATCH = 16

TAKE = """
CREATE OR REPLACE FUNCTION coverage_take(of_batch bigint, wanted bigint, name text, said text)
RETURNS void LANGUAGE plpgsql AS $$
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
    FOR share IN SELECT id, remaining FROM coverage_planshare
        WHERE batch_id IS NOT DISTINCT FROM of_batch AND remaining > 0 ORDER BY id FOR UPDATE
    LOOP
        UPDATE coverage_planshare SET remaining = remaining - least(missing, share.remaining) WHERE id = share.id;
        missing := missing - least(missing, share.remaining);
        EXIT WHEN missing = 0;
    END LOOP;
    IF missing > 0 THEN
        RAISE EXCEPTION '%', said USING ERRCODE = 'check_violation', CONSTRAINT = name;
    END IF;
END $$;
"""
# Batches registered before there were shares have one.
SPLIT = f"""
WITH whole AS (
    DELETE FROM coverage_planshare WHERE batch_id IN (
        SELECT batch_id FROM coverage_planshare WHERE batch_id IS NOT NULL
        GROUP BY batch_id HAVING count(*) = 1 AND sum(remaining) > 1
    ) RETURNING batch_id, remaining
)
INSERT INTO coverage_planshare (batch_id, remaining)
SELECT batch_id, remaining / {SHARES_OF_A_BATCH} + (number <= remaining % {SHARES_OF_A_BATCH})::int
FROM whole, generate_series(1, least({SHARES_OF_A_BATCH}, remaining)) AS number;
"""


class Migration(migrations.Migration):
    dependencies = [("coverage", "0005_used_follows_from_shares")]
    operations = [
        migrations.RunSQL(TAKE, migrations.RunSQL.noop),
        migrations.RunSQL(SPLIT, migrations.RunSQL.noop),
    ]
