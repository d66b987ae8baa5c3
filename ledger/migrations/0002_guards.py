"""What the database itself holds about the log: append-only, contiguous, hashed, one way per device.

Plain SQL, not django-pgtrigger: its `ignore()` walks round a trigger. `ENABLE ALWAYS` fires under
`session_replication_role = replica` too. A superuser who disables triggers can still forge; then the
signer, mirrors and witnesses catch it.
"""

from django.db import migrations

ROLES = """
DO $$
DECLARE name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['ledger_app', 'ledger_sequencer'] LOOP
        BEGIN
            IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = name) THEN
                EXECUTE format('CREATE ROLE %I NOLOGIN', name);
            END IF;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
        END;
        IF NOT pg_has_role(current_user, name, 'MEMBER') THEN
            EXECUTE format('GRANT %I TO CURRENT_USER', name);
        END IF;
    END LOOP;
END $$;

REVOKE ALL ON ledger_entry, ledger_outbox, ledger_checkpoint FROM PUBLIC;
GRANT SELECT ON ledger_entry, ledger_checkpoint TO ledger_app, ledger_sequencer;
GRANT SELECT, INSERT ON ledger_outbox TO ledger_app;
GRANT SELECT, INSERT, DELETE ON ledger_opening, ledger_closed_hold TO ledger_app;
GRANT INSERT ON ledger_entry, ledger_checkpoint TO ledger_sequencer;
GRANT SELECT, DELETE ON ledger_outbox TO ledger_sequencer;
GRANT SELECT ON ledger_closed_hold TO ledger_sequencer;
GRANT USAGE ON SEQUENCE ledger_outbox_id_seq TO ledger_app;
GRANT USAGE ON SEQUENCE ledger_checkpoint_id_seq TO ledger_sequencer;
"""

GUARDS = """
ALTER TABLE ledger_entry ADD CONSTRAINT ledger_entry_leaf_hash
    CHECK (leaf_hash = sha256('\\x00'::bytea || convert_to(body, 'UTF8')));
ALTER TABLE ledger_entry ADD CONSTRAINT ledger_entry_device_step CHECK ((dev IS NULL) = (n IS NULL));
ALTER TABLE ledger_outbox ADD CONSTRAINT ledger_outbox_device_step CHECK ((dev IS NULL) = (n IS NULL));

CREATE FUNCTION ledger_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        -- An empty log may be emptied (fresh databases, tests); one with entries never.
        IF TG_TABLE_NAME = 'ledger_entry' AND NOT EXISTS (SELECT 1 FROM ledger_entry) THEN RETURN NULL; END IF;
        IF TG_TABLE_NAME = 'ledger_checkpoint' AND NOT EXISTS (SELECT 1 FROM ledger_checkpoint) THEN RETURN NULL; END IF;
    END IF;
    RAISE EXCEPTION 'Sổ cái chỉ thêm vào, không sửa và không xoá (% trên %)', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;

CREATE FUNCTION ledger_only_sequencer() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_user <> 'ledger_sequencer' THEN
        RAISE EXCEPTION 'Chỉ bộ niêm phong được ghi vào % (đang là %)', TG_TABLE_NAME, current_user
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION ledger_contiguous() RETURNS trigger LANGUAGE plpgsql AS $$
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

CREATE FUNCTION ledger_outbox_one_way() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- After the unique index had its say, with a fresh snapshot: a step that was sealed meanwhile counts too.
    IF EXISTS (SELECT 1 FROM added a JOIN ledger_entry e ON e.dev = a.dev AND e.n = a.n) THEN
        RAISE EXCEPTION 'Máy này vừa được người khác ghi một bước khác'
            USING ERRCODE = 'unique_violation', CONSTRAINT = 'ledger_outbox_one_way';
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION ledger_outbox_refuse_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND current_user = 'ledger_sequencer' THEN RETURN NULL; END IF;
    RAISE EXCEPTION 'Mục đã ghi thì không sửa, không xoá; hãy ghi một mục đính chính (% trên %)', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;

CREATE TRIGGER a_never_changes BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_entry
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER a_only_sequencer BEFORE INSERT ON ledger_entry
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_only_sequencer();
CREATE TRIGGER b_contiguous AFTER INSERT ON ledger_entry REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_contiguous();
CREATE TRIGGER a_never_changes BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_checkpoint
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER a_only_sequencer BEFORE INSERT ON ledger_checkpoint
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_only_sequencer();
CREATE TRIGGER a_one_way AFTER INSERT ON ledger_outbox REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_outbox_one_way();
CREATE TRIGGER a_only_sealed BEFORE UPDATE OR DELETE ON ledger_outbox
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_outbox_refuse_update();

ALTER TABLE ledger_entry ENABLE ALWAYS TRIGGER a_never_changes;
ALTER TABLE ledger_entry ENABLE ALWAYS TRIGGER a_only_sequencer;
ALTER TABLE ledger_entry ENABLE ALWAYS TRIGGER b_contiguous;
ALTER TABLE ledger_checkpoint ENABLE ALWAYS TRIGGER a_never_changes;
ALTER TABLE ledger_checkpoint ENABLE ALWAYS TRIGGER a_only_sequencer;
ALTER TABLE ledger_outbox ENABLE ALWAYS TRIGGER a_one_way;
ALTER TABLE ledger_outbox ENABLE ALWAYS TRIGGER a_only_sealed;
"""

UNDO = """
DROP TRIGGER a_never_changes ON ledger_entry;
DROP TRIGGER a_only_sequencer ON ledger_entry;
DROP TRIGGER b_contiguous ON ledger_entry;
DROP TRIGGER a_never_changes ON ledger_checkpoint;
DROP TRIGGER a_only_sequencer ON ledger_checkpoint;
DROP TRIGGER a_one_way ON ledger_outbox;
DROP TRIGGER a_only_sealed ON ledger_outbox;
DROP FUNCTION ledger_refuse_change, ledger_only_sequencer, ledger_contiguous, ledger_outbox_one_way,
    ledger_outbox_refuse_update;
ALTER TABLE ledger_entry DROP CONSTRAINT ledger_entry_leaf_hash, DROP CONSTRAINT ledger_entry_device_step;
ALTER TABLE ledger_outbox DROP CONSTRAINT ledger_outbox_device_step;
"""


class Migration(migrations.Migration):
    dependencies = [("ledger", "0001_initial")]
    operations = [
        migrations.RunSQL(ROLES, migrations.RunSQL.noop),
        migrations.RunSQL(GUARDS, UNDO),
    ]
