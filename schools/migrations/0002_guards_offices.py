"""What must never be false across rows of offices, schools and roles, whoever writes them and however."""

from django.db import migrations

# A path is the parent's path and the own code, for every office, after every statement: a subtree moves in one UPDATE.
PATHS = """
CREATE FUNCTION schools_office_paths_hold() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM changed LEFT JOIN schools_office parent ON parent.id = changed.parent_id
        WHERE changed.path <> coalesce(parent.path, '/') || changed.code || '/'
    ) OR EXISTS (
        SELECT FROM changed JOIN schools_office child ON child.parent_id = changed.id
        WHERE child.path <> changed.path || child.code || '/'
    ) THEN
        RAISE EXCEPTION 'Đường dẫn của cơ quan không khớp với cơ quan cấp trên.'
            USING ERRCODE = '23514', CONSTRAINT = 'office_path_follows_parent';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER office_path_follows_parent_insert AFTER INSERT ON schools_office
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION schools_office_paths_hold();
CREATE TRIGGER office_path_follows_parent_update AFTER UPDATE ON schools_office
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION schools_office_paths_hold();
"""
NO_PATHS = """
DROP TRIGGER office_path_follows_parent_insert ON schools_office;
DROP TRIGGER office_path_follows_parent_update ON schools_office;
DROP FUNCTION schools_office_paths_hold;
"""

# District and province of a school are copies of its commune's, for the engine's reads.
PLACES = """
CREATE FUNCTION schools_school_places_hold() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM changed
        JOIN schools_administrativeunit commune ON commune.id = changed.commune_id
        WHERE commune.level <> 'commune'
           OR changed.province_id IS DISTINCT FROM commune.province_id
           OR changed.district_id IS DISTINCT FROM CASE
                WHEN commune.parent_id = commune.province_id THEN NULL ELSE commune.parent_id END
    ) THEN
        RAISE EXCEPTION 'Huyện và tỉnh của trường phải là huyện và tỉnh của xã nơi trường đóng.'
            USING ERRCODE = '23514', CONSTRAINT = 'school_place_follows_commune';
    END IF;
    IF EXISTS (
        SELECT FROM changed JOIN schools_office office ON office.id = changed.office_id
        WHERE office.kind NOT IN ('school', 'university')
    ) THEN
        RAISE EXCEPTION 'Chỉ trường học, trường đại học hoặc cao đẳng mới có hồ sơ trường.'
            USING ERRCODE = '23514', CONSTRAINT = 'school_office_is_a_school';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER school_place_follows_commune_insert AFTER INSERT ON schools_school
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION schools_school_places_hold();
CREATE TRIGGER school_place_follows_commune_update AFTER UPDATE ON schools_school
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION schools_school_places_hold();
"""
NO_PLACES = """
DROP TRIGGER school_place_follows_commune_insert ON schools_school;
DROP TRIGGER school_place_follows_commune_update ON schools_school;
DROP FUNCTION schools_school_places_hold;
"""

# The pairs are those of StaffRole.INCOMPATIBLE (a test compares them). The lock on the person makes two grants at the
# same moment wait for each other.
ROLES = """
CREATE FUNCTION schools_staffrole_pairs_hold() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.ended_at IS NOT NULL THEN
        RETURN NEW;
    END IF;
    PERFORM FROM accounts_user WHERE id = NEW.user_id FOR NO KEY UPDATE;
    IF EXISTS (
        SELECT FROM schools_staffrole held
        JOIN (VALUES ('clerk', 'approver'), ('keeper', 'approver'), ('keeper', 'inspector'), ('auditor', 'manager'),
                     ('auditor', 'clerk'), ('auditor', 'approver'), ('auditor', 'keeper'), ('auditor', 'inspector')
             ) AS pair(one, other)
          ON (held.role, NEW.role) IN ((pair.one, pair.other), (pair.other, pair.one))
        WHERE held.user_id = NEW.user_id AND held.ended_at IS NULL AND held.id <> NEW.id
    ) THEN
        RAISE EXCEPTION 'Vai trò này không đi cùng vai trò mà người đó đang giữ: người lập không được duyệt, '
            'thủ kho không được kiểm định, kiểm toán viên không làm việc khác. Hãy thu vai trò cũ trước.'
            USING ERRCODE = '23514', CONSTRAINT = 'staffrole_compatible';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER staffrole_compatible BEFORE INSERT OR UPDATE ON schools_staffrole
    FOR EACH ROW EXECUTE FUNCTION schools_staffrole_pairs_hold();
"""
NO_ROLES = """
DROP TRIGGER staffrole_compatible ON schools_staffrole;
DROP FUNCTION schools_staffrole_pairs_hold;
"""


class Migration(migrations.Migration):
    dependencies = [("schools", "0001_initial")]
    operations = [
        migrations.RunSQL(PATHS, NO_PATHS),
        migrations.RunSQL(PLACES, NO_PLACES),
        migrations.RunSQL(ROLES, NO_ROLES),
    ]
