"""Nobody rewrites the log of who read personal data."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION accounts_access_log_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'Nhật ký đọc dữ liệu cá nhân chỉ được ghi thêm, không sửa, không xoá.'
        USING ERRCODE = '23514', CONSTRAINT = 'personaldataaccess_append_only';
END $$;
CREATE TRIGGER personaldataaccess_append_only BEFORE UPDATE OR DELETE ON accounts_personaldataaccess
    FOR EACH ROW EXECUTE FUNCTION accounts_access_log_is_append_only();
ALTER TABLE accounts_personaldataaccess ENABLE ALWAYS TRIGGER personaldataaccess_append_only;
"""
BACKWARD = """
DROP TRIGGER personaldataaccess_append_only ON accounts_personaldataaccess;
DROP FUNCTION accounts_access_log_is_append_only;
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
