"""The guards cost the same however long the log is: each asks the index for one entry, whatever the planner believes.

With `index > high` and `index < low` PostgreSQL read the whole table at every sealing: it plans for any value, so for a
third of the rows. And a session that had recorded thousands at once kept the plan of that, which reads the whole log, for
each single entry after them.
"""

from django.db import migrations

CONTIGUOUS = """
CREATE OR REPLACE FUNCTION ledger_contiguous() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE low bigint; high bigint; many bigint; last bigint;
BEGIN
    SELECT min(index), max(index), count(*) INTO low, high, many FROM added;
    IF many = 0 THEN RETURN NULL; END IF;
    SELECT max(index) INTO last FROM ledger_entry;
    -- What was there is contiguous from 0 and no index is there twice: so the entry before `low` is the last of it.
    IF high - low + 1 <> many OR last <> high
        OR (low <> 0 AND NOT EXISTS (SELECT 1 FROM ledger_entry WHERE index = low - 1)) THEN
        RAISE EXCEPTION 'Sổ cái phải liền số: thêm % mục từ % đến %, mục cuối là %', many, low, high, last
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
"""
ONE_WAY = """
CREATE OR REPLACE FUNCTION ledger_outbox_one_way() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- After the unique index had its say, with a fresh snapshot: a step that was sealed meanwhile counts too.
    -- A statement keeps its plan for the session: each row is looked up by itself (OFFSET 0), which for a million
    -- costs less than reading the log they are compared with.
    IF EXISTS (SELECT 1 FROM added a CROSS JOIN LATERAL
        (SELECT 1 FROM ledger_entry e WHERE e.dev = a.dev AND e.n = a.n OFFSET 0) AS sealed) THEN
        RAISE EXCEPTION 'Máy này vừa được người khác ghi một bước khác'
            USING ERRCODE = 'unique_violation', CONSTRAINT = 'ledger_outbox_one_way';
    END IF;
    RETURN NULL;
END $$;
"""
AS_BEFORE = """
CREATE OR REPLACE FUNCTION ledger_contiguous() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE low bigint; high bigint; many bigint; before bigint;
BEGIN
    SELECT min(index), max(index), count(*) INTO low, high, many FROM added;
    IF many = 0 THEN RETURN NULL; END IF;
    SELECT coalesce(max(index), -1) INTO before FROM ledger_entry WHERE index < low;
    IF low <> before + 1 OR high - low + 1 <> many
        OR EXISTS (SELECT 1 FROM ledger_entry WHERE index > high) THEN
        RAISE EXCEPTION 'Sổ cái phải liền số: trước là %, thêm % mục từ % đến %', before, many, low, high
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE OR REPLACE FUNCTION ledger_outbox_one_way() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM added a JOIN ledger_entry e ON e.dev = a.dev AND e.n = a.n) THEN
        RAISE EXCEPTION 'Máy này vừa được người khác ghi một bước khác'
            USING ERRCODE = 'unique_violation', CONSTRAINT = 'ledger_outbox_one_way';
    END IF;
    RETURN NULL;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("ledger", "0005_requests_about_pledges")]
    operations = [migrations.RunSQL(CONTIGUOUS + ONE_WAY, AS_BEFORE)]
