"""What a family may have erased: the guardian's name, notes on the device, the scan of the signed sheet."""

from django.db import migrations

from common.transitions import append_only

# A signed record stays as it is, but for its scan: the file may go, its hash and everything else stay.
RECORD_SIGNED = """
CREATE OR REPLACE FUNCTION delivery_handoverrecord_signed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    {but}
    RAISE EXCEPTION 'Biên bản đã ký thì không sửa, không xoá được.'
        USING ERRCODE = 'check_violation', CONSTRAINT = 'delivery_handoverrecord_signed',
              TABLE = 'delivery_handoverrecord';
END $$;
"""
BUT_SCAN = """IF TG_OP = 'UPDATE' AND NEW.evidence = '' AND to_jsonb(NEW) - 'evidence' = to_jsonb(OLD) - 'evidence' THEN
        RETURN NEW;
    END IF;"""


class Migration(migrations.Migration):
    dependencies = [("delivery", "0003_keep_images_before_a_change")]
    operations = [
        append_only("delivery_handover", erasable=["guardian_name"]),
        append_only("delivery_devicereport", erasable=["note"]),
        migrations.RunSQL(RECORD_SIGNED.format(but=BUT_SCAN), RECORD_SIGNED.format(but="")),
    ]
