"""What the database holds about donations beyond constraints: legal moves, what never changes, no umbrella in another."""

from django.db import migrations

from common.transitions import append_only, hold_transitions
from donations.models import Device, Pledge, PurchaseOrder

# An umbrella's number already holds its members' (100,000 of the capital committee hold EVN's 24,000): a member
# has no members and belongs to one umbrella of the same kind or to a money pledge inside a device pledge.
UMBRELLA = """
CREATE FUNCTION donations_pledge_umbrella() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM donations_pledge WHERE id = NEW.umbrella_id AND umbrella_id IS NOT NULL)
        OR EXISTS (SELECT FROM donations_pledge WHERE umbrella_id = NEW.id) THEN
        RAISE EXCEPTION 'Cam kết chung chỉ có một cấp: cam kết này hoặc cam kết chung kia đã nằm trong một cam kết khác.'
            USING ERRCODE = 'check_violation', TABLE = 'donations_pledge', CONSTRAINT = 'pledge_umbrella_one_level';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER donations_pledge_umbrella BEFORE INSERT OR UPDATE OF umbrella_id ON donations_pledge
    FOR EACH ROW WHEN (NEW.umbrella_id IS NOT NULL) EXECUTE FUNCTION donations_pledge_umbrella();
"""
NO_UMBRELLA = """
DROP TRIGGER donations_pledge_umbrella ON donations_pledge;
DROP FUNCTION donations_pledge_umbrella;
"""
# Published criteria are what inspections cite: from then on they never change.
CRITERIA = """
CREATE FUNCTION donations_criteria_published() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'Tiêu chí đã công bố không sửa được; hãy lập phiên bản mới.'
        USING ERRCODE = 'restrict_violation', TABLE = 'donations_devicecriteria', CONSTRAINT = 'criteria_published_stays';
END $$;
CREATE TRIGGER donations_criteria_published BEFORE UPDATE OF device_kind, version, is_used_device, limits, published_at
    ON donations_devicecriteria FOR EACH ROW WHEN (OLD.published_at IS NOT NULL)
    EXECUTE FUNCTION donations_criteria_published();
CREATE TRIGGER donations_criteria_published_delete BEFORE DELETE ON donations_devicecriteria
    FOR EACH ROW WHEN (OLD.published_at IS NOT NULL) EXECUTE FUNCTION donations_criteria_published();
"""
NO_CRITERIA = """
DROP TRIGGER donations_criteria_published ON donations_devicecriteria;
DROP TRIGGER donations_criteria_published_delete ON donations_devicecriteria;
DROP FUNCTION donations_criteria_published;
"""


class Migration(migrations.Migration):
    dependencies = [("donations", "0001_initial")]

    operations = [
        hold_transitions("donations_pledge", "state", Pledge.TRANSITIONS),
        hold_transitions("donations_purchaseorder", "state", PurchaseOrder.TRANSITIONS),
        hold_transitions("donations_device", "state", Device.TRANSITIONS),
        # A code is for ever, and so is the way from money to device.
        append_only("donations_device", columns=["code", "lot_id"]),
        append_only("donations_inspection"),
        append_only("donations_moneyreceipt"),
        append_only("donations_moneytransfer"),
        # A later price never changes an earlier conversion; an agreement only ends.
        append_only(
            "donations_priceagreement",
            columns=["code", "supplier", "device_kind", "model_name", "unit_price_vnd", "valid_from"],
        ),
        migrations.RunSQL(UMBRELLA, NO_UMBRELLA),
        migrations.RunSQL(CRITERIA, NO_CRITERIA),
    ]
