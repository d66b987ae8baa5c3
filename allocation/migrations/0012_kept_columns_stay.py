"""What the commit reads is what was kept: a column of a run goes as a whole when the run is over, and is never changed."""

from django.db import migrations

CREATE = """
CREATE FUNCTION allocation_frozencolumn_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'Bảng allocation_frozencolumn không sửa được: cột đã chốt chỉ bỏ đi khi đợt đã xong.'
        USING ERRCODE = 'restrict_violation', TABLE = 'allocation_frozencolumn', CONSTRAINT = 'frozencolumn_stays';
END $$;
CREATE TRIGGER frozencolumn_stays BEFORE UPDATE ON allocation_frozencolumn FOR EACH STATEMENT
EXECUTE FUNCTION allocation_frozencolumn_refuse_change();
"""
DROP = """
DROP TRIGGER frozencolumn_stays ON allocation_frozencolumn;
DROP FUNCTION allocation_frozencolumn_refuse_change();
"""


class Migration(migrations.Migration):
    dependencies = [("allocation", "0011_spelled_out_reasons")]

    operations = [migrations.RunSQL(CREATE, DROP)]
