"""In which condition a device is: its latest report since it last passed inspection.

What was reported before (returned, replaced, recalled) is settled by the inspection: the device is as good as new and
may be allocated, sent and handed over again.
"""

# For a statement in which `d` is the device: joins `latest.kind` and `.reported_at`, NULL when nothing was reported.
LATEST_REPORT = """LEFT JOIN LATERAL (
    SELECT kind, reported_at FROM delivery_devicereport p
    WHERE p.device_id = d.id AND p.reported_at >= coalesce(d.accepted_at, p.reported_at) ORDER BY p.id DESC LIMIT 1
) latest ON true"""
# Devices that came to a warehouse wait there for inspection; %(items)s are the items of the shipments they came in.
WAIT_FOR_INSPECTION = """
UPDATE donations_device d SET state = 'received', returned_to_id = s.to_office_id
FROM delivery_shipmentitem i JOIN delivery_shipment s ON s.id = i.shipment_id
JOIN schools_office o ON o.id = s.to_office_id AND o.kind = 'warehouse'
WHERE i.id = ANY(%(items)s) AND d.id = i.device_id AND d.state = 'returned'
"""
# Devices in stock or just taken back that must be inspected again: where they are in a warehouse, else once they have
# come to one.
TAKE_BACK = """
UPDATE donations_device d SET
    state = CASE WHEN o.kind = 'warehouse' THEN 'received' ELSE 'returned' END,
    returned_to_id = CASE WHEN o.kind = 'warehouse' AND o.id <> l.warehouse_id THEN o.id END
FROM donations_lot l, schools_office o
WHERE d.id = ANY(%(devices)s) AND d.state = 'accepted' AND l.id = d.lot_id
  AND o.id = coalesce(
    (SELECT c.office_id FROM delivery_custody c WHERE c.device_id = d.id AND c.to_at IS NULL), l.warehouse_id)
"""
