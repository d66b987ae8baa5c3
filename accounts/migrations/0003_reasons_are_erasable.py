"""A reason typed into the log of readings may name a child: it alone may be overwritten by the mark of an erasure."""

from django.db import migrations

from common.erasure import ERASED

FORWARD = f"""
CREATE OR REPLACE FUNCTION accounts_access_log_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND to_jsonb(NEW) - 'reason' = to_jsonb(OLD) - 'reason' AND NEW.reason = '{ERASED}' THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'Nhật ký đọc dữ liệu cá nhân chỉ được ghi thêm, không sửa, không xoá.'
        USING ERRCODE = '23514', CONSTRAINT = 'personaldataaccess_append_only';
END $$;
"""
BACKWARD = """
CREATE OR REPLACE FUNCTION accounts_access_log_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'Nhật ký đọc dữ liệu cá nhân chỉ được ghi thêm, không sửa, không xoá.'
        USING ERRCODE = '23514', CONSTRAINT = 'personaldataaccess_append_only';
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0002_guards")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
