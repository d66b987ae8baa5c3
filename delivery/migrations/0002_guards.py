"""What the database refuses by itself, whoever writes: moves of states, changes of what is signed, a wrong handover."""

from django.db import migrations

from common.transitions import append_only, hold_transitions
from delivery.models import Grievance, Shipment

# A handover stands for ever: only the allocated student, at the school that holds the device, and never changed.
HANDOVER_FITS = """
CREATE FUNCTION delivery_handover_fits() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT 1
        FROM delivery_handoverrecord r
        JOIN allocation_allocation a ON a.id = NEW.allocation_id AND a.ended_at IS NULL
        JOIN schools_student s ON s.id = a.student_id AND s.school_id = r.school_id AND s.state = 'approved'
        JOIN delivery_custody c ON c.device_id = a.device_id AND c.to_at IS NULL AND c.office_id = r.school_id
        WHERE r.id = NEW.record_id AND r.signed_at IS NULL
    ) THEN
        RAISE EXCEPTION 'Chỉ bàn giao máy mà trường đang giữ, cho đúng học sinh đang học ở trường được phân bổ máy đó.'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'delivery_handover_fits', TABLE = 'delivery_handover';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER delivery_handover_fits BEFORE INSERT ON delivery_handover
    FOR EACH ROW EXECUTE FUNCTION delivery_handover_fits();
"""
RECORD_SIGNED = """
CREATE FUNCTION delivery_handoverrecord_signed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'Biên bản đã ký thì không sửa, không xoá được.'
        USING ERRCODE = 'check_violation', CONSTRAINT = 'delivery_handoverrecord_signed',
              TABLE = 'delivery_handoverrecord';
END $$;
CREATE TRIGGER delivery_handoverrecord_signed BEFORE UPDATE OR DELETE ON delivery_handoverrecord
    FOR EACH ROW WHEN (OLD.signed_at IS NOT NULL) EXECUTE FUNCTION delivery_handoverrecord_signed();
"""


class Migration(migrations.Migration):
    dependencies = [("delivery", "0001_initial")]
    operations = [
        hold_transitions("delivery_shipment", "state", Shipment.TRANSITIONS),
        hold_transitions("delivery_grievance", "state", Grievance.TRANSITIONS),
        append_only("delivery_devicereport"),
        append_only("delivery_handover"),
        migrations.RunSQL(
            HANDOVER_FITS,
            "DROP TRIGGER delivery_handover_fits ON delivery_handover; DROP FUNCTION delivery_handover_fits();",
        ),
        migrations.RunSQL(
            RECORD_SIGNED,
            "DROP TRIGGER delivery_handoverrecord_signed ON delivery_handoverrecord;"
            " DROP FUNCTION delivery_handoverrecord_signed();",
        ),
    ]
