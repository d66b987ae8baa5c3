"""What the database itself refuses: illegal moves, changes to what was fixed, two live runs over one place."""

from django.db import migrations

from allocation.models import AllocationRun
from common.transitions import append_only, hold_transitions

# NULL is the whole nation: int8range(NULL, NULL) has no bounds, so it overlaps every province.
ONE_LIVE_RUN = """
ALTER TABLE allocation_allocationrun ADD CONSTRAINT run_one_live_per_place
EXCLUDE USING gist (int8range(province_id, province_id, '[]') WITH &&)
WHERE (state IN ('opened', 'frozen', 'seeded', 'proposed', 'approved'));
"""
PUBLISHED_NEVER_CHANGES = """
CREATE FUNCTION allocation_policy_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'Chính sách đã công bố thì không sửa được; hãy lập phiên bản mới.'
        USING ERRCODE = 'check_violation', CONSTRAINT = 'policy_published_never_changes';
END $$;
CREATE TRIGGER policy_published_never_changes BEFORE UPDATE OR DELETE ON allocation_allocationpolicy
FOR EACH ROW WHEN (OLD.published_at IS NOT NULL) EXECUTE FUNCTION allocation_policy_refuse_change();
"""
# What a run was frozen with and drawn from stays as it is.
FROZEN_NEVER_CHANGES = """
CREATE FUNCTION allocation_run_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'Dữ liệu đã chốt và số đã bốc của một đợt phân bổ không sửa được.'
        USING ERRCODE = 'check_violation', CONSTRAINT = 'run_frozen_never_changes';
END $$;
CREATE TRIGGER run_frozen_never_changes BEFORE UPDATE ON allocation_allocationrun FOR EACH ROW
WHEN (
    (OLD.frozen_root <> '' AND (OLD.frozen_root, OLD.policy_id, OLD.applicant_count, OLD.supply_count, OLD.draw_at)
        IS DISTINCT FROM (NEW.frozen_root, NEW.policy_id, NEW.applicant_count, NEW.supply_count, NEW.draw_at))
    OR (OLD.seed <> '' AND (OLD.seed, OLD.randomness) IS DISTINCT FROM (NEW.seed, NEW.randomness))
) EXECUTE FUNCTION allocation_run_refuse_change();
"""


class Migration(migrations.Migration):
    dependencies = [("allocation", "0001_initial")]

    operations = [
        hold_transitions("allocation_allocationrun", "state", AllocationRun.TRANSITIONS),
        append_only("allocation_applicant"),
        append_only("allocation_offer"),
        append_only("allocation_proposed"),
        migrations.RunSQL(
            ONE_LIVE_RUN, "ALTER TABLE allocation_allocationrun DROP CONSTRAINT run_one_live_per_place"
        ),
        migrations.RunSQL(
            PUBLISHED_NEVER_CHANGES,
            "DROP TRIGGER policy_published_never_changes ON allocation_allocationpolicy;"
            "DROP FUNCTION allocation_policy_refuse_change();",
        ),
        migrations.RunSQL(
            FROZEN_NEVER_CHANGES,
            "DROP TRIGGER run_frozen_never_changes ON allocation_allocationrun;"
            "DROP FUNCTION allocation_run_refuse_change();",
        ),
    ]
