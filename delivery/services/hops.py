"""Where devices go next on their way to their students' schools: hop by hop down the tree of offices (Plan I.2d, III.2c).

Set-based: to plan a nation's first hop costs as many statements as to plan one device's.
"""

import datetime as dt
from collections.abc import Collection, Iterable, Sequence
from contextlib import AbstractContextManager

from django.db import connection, transaction
from django.utils import timezone

from accounts.models import User
from common.planning import MANY, planned_for_many
from delivery import rules
from delivery.conditions import LATEST_REPORT
from delivery.models import Custody, Shipment
from donations.models import Device
from ledger.codes import new_code
from schools.models import Office

# Where each allocated device stands and where it goes next. Only the distinct pairs (holder, target) walk the tree.
# From an office that is not on the way (a warehouse, the school of a student who was substituted) it goes to the
# nearest office above that is, else to the first on the way. What came to a school
# for a pupil who then moved away stays there: the next pupil by rank gets it.
HOPS = f"""
WITH held AS (
    SELECT c.device_id, c.office_id AS holder_id, c.from_at AS since
    FROM delivery_custody c
    WHERE c.to_at IS NULL AND (%(holders)s::bigint[] IS NULL OR c.office_id = ANY(%(holders)s))
    UNION ALL
    SELECT d.id, l.warehouse_id, NULL
    FROM donations_device d JOIN donations_lot l ON l.id = d.lot_id
    WHERE (%(holders)s::bigint[] IS NULL OR l.warehouse_id = ANY(%(holders)s))
      AND NOT EXISTS (SELECT 1 FROM delivery_custody c WHERE c.device_id = d.id AND c.to_at IS NULL)
), mine AS (
    SELECT a.device_id, held.holder_id, o.path AS holder_path, s.school_id AS target_id
    FROM held
    JOIN allocation_allocation a ON a.device_id = held.device_id AND a.ended_at IS NULL
    JOIN allocation_allocationrun r ON r.id = a.run_id AND r.state = 'committed'
    JOIN donations_device d ON d.id = a.device_id AND d.state = 'accepted'
    JOIN schools_student s ON s.id = a.student_id
    JOIN schools_office o ON o.id = held.holder_id
    {LATEST_REPORT}
    WHERE coalesce(latest.kind, '') = ANY(%(sound)s)
      AND (%(run)s::bigint IS NULL OR a.run_id = %(run)s)
      AND (o.kind NOT IN ('school', 'university') OR a.engine_pass = 'substitute' OR held.since < r.approved_at)
      AND NOT EXISTS (SELECT 1 FROM delivery_handover h WHERE h.allocation_id = a.id)
      AND NOT EXISTS (SELECT 1 FROM delivery_shipmentitem i WHERE i.device_id = a.device_id AND i.is_open)
), steps AS (
    SELECT t.target_id, o.id AS office_id, o.path, c.depth
    FROM (SELECT DISTINCT target_id FROM mine) t
    JOIN schools_office leaf ON leaf.id = t.target_id
    CROSS JOIN LATERAL unnest(string_to_array(trim(BOTH '/' FROM leaf.path), '/')) WITH ORDINALITY AS c (code, depth)
    JOIN schools_office o ON o.code = c.code
    WHERE o.kind = ANY(%(passes)s) AND o.valid_from <= %(day)s AND (o.valid_to IS NULL OR o.valid_to > %(day)s)
), pairs AS (
    SELECT p.holder_id, p.target_id, CASE
        WHEN here.depth IS NOT NULL
        THEN (array_agg(s.office_id ORDER BY s.depth) FILTER (WHERE s.depth > here.depth))[1]
        ELSE coalesce(
            (array_agg(s.office_id ORDER BY s.depth DESC) FILTER (WHERE starts_with(p.holder_path, s.path)))[1],
            (array_agg(s.office_id ORDER BY s.depth))[1]) END AS next_id
    FROM (SELECT DISTINCT holder_id, holder_path, target_id FROM mine) p
    JOIN steps s USING (target_id)
    LEFT JOIN steps here ON here.target_id = p.target_id AND here.office_id = p.holder_id
    GROUP BY p.holder_id, p.holder_path, p.target_id, here.depth
)
SELECT m.device_id, m.holder_id, p.next_id
FROM mine m JOIN pairs p USING (holder_id, target_id) WHERE p.next_id IS NOT NULL
"""
PLAN = f"CREATE TEMP TABLE delivery_plan ON COMMIT DROP AS {HOPS}"
FILL = """
INSERT INTO delivery_shipmentitem (shipment_id, device_id, result, is_open, fault)
SELECT s.id, p.device_id, 'expected', true, ''
FROM delivery_plan p JOIN delivery_shipment s
  ON s.id = ANY(%(shipments)s) AND s.from_office_id = p.holder_id AND s.to_office_id = p.next_id
ORDER BY s.id, p.device_id
"""


@transaction.atomic
def plan_shipments(
    *,
    by: User,
    at: dt.datetime,
    offices: Iterable[Office] | None = None,
    run=None,
    expected_on: dt.date | None = None,
) -> list[Shipment]:
    """Draft one shipment per hop for every allocated device that can go on (Plan I.2d).

    A device goes from who holds it (before its first shipment: the lot's warehouse) to the next office on the way
    to its student's school. Devices that are missing, damaged, recalled, under way or handed over stay.

    Args:
        offices: plan only what these hold; all if None (the whole programme).
        run: only the allocations of this committed run.

    Returns the drafts, by sender and receiver; empty when nothing can go on.
    """
    holders = [office.pk for office in offices] if offices is not None else None
    with _planned(holders), connection.cursor() as cursor:
        # Two people planning at once would draft the same devices: the second waits, then finds them taken.
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('delivery.plan'))")
        cursor.execute("DROP TABLE IF EXISTS pg_temp.delivery_plan")
        cursor.execute(PLAN, plan_params(holders, at, run))
        cursor.execute("SELECT DISTINCT holder_id, next_id FROM delivery_plan ORDER BY 1, 2")
        hops = cursor.fetchall()
        shipments = new_shipments(hops, by=by, at=at, expected_on=expected_on)
        cursor.execute(FILL, {"shipments": [shipment.pk for shipment in shipments]})
    return shipments


def holds_many(offices: Collection[int]) -> bool:
    """Whether so many devices lie in these offices (keys) that to look where each goes next takes seconds."""
    here = Custody.objects.open().filter(office__in=offices)
    stock = Device.objects.filter(lot__warehouse__in=offices, state=Device.State.ACCEPTED).order_by()
    return here[:MANY].count() + stock[:MANY].count() >= MANY


def _planned(holders: list[int] | None) -> AbstractContextManager[None]:
    """How statements over `HOPS` of these offices (all if None) are to be planned."""
    return planned_for_many(MANY if holders is None or holds_many(holders) else 0)


def plan_params(holders: list[int] | None, at: dt.datetime, run=None) -> dict:
    """The parameters of `HOPS`: devices of these offices (all if None) and of this run (any if None)."""
    return {
        "sound": list(rules.SOUND),
        "run": run.pk if run else None,
        "holders": holders,
        "passes": list(rules.PASSES),
        "day": timezone.localdate(at),
    }


@transaction.atomic
def next_hops(*, offices: Iterable[Office], at: dt.datetime) -> list[tuple[str, str, int]]:
    """What `plan_shipments` would draft now: (sender's name, receiver's name, devices)."""
    holders = [office.pk for office in offices]
    with _planned(holders), connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT f.name, t.name, count(*) FROM ({HOPS}) hop
            JOIN schools_office f ON f.id = hop.holder_id JOIN schools_office t ON t.id = hop.next_id
            GROUP BY f.path, f.name, t.path, t.name ORDER BY f.path, t.path""",
            plan_params(holders, at),
        )
        return cursor.fetchall()


def new_shipments(
    hops: Sequence[tuple[int, int]],
    *,
    by: User,
    at: dt.datetime,
    expected_on: dt.date | None,
    is_return: bool = False,
) -> list[Shipment]:
    """One draft per hop (sender, receiver), without devices yet."""
    return Shipment.objects.bulk_create(
        [
            Shipment(
                code=new_code("VC"),
                from_office_id=sender,
                to_office_id=receiver,
                created_at=at,
                created_by=by,
                expected_on=expected_on,
                is_return=is_return,
            )
            for sender, receiver in hops
        ]
    )
