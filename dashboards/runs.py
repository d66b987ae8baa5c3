"""How far a committed run has come, province by province: five numbers that are never mixed up (need, cap, allocated,
sent, received) and what reached a child; raw figures, for staff only."""

from collections.abc import Collection
from dataclasses import dataclass, fields

from django.db import connection

from allocation.models import AllocationRun
from allocation.proposing import totals_by
from schools.models import AdministrativeUnit, Office

# Of each live allocation of the run where its device is. Until the receiver confirms, custody stays with the sender.
STANDING = """
    SELECT p.public_code, count(*), count(*) FILTER (WHERE where_is.received OR where_is.under_way),
        count(*) FILTER (WHERE where_is.received), count(*) FILTER (WHERE where_is.handed_over)
    FROM allocation_allocation a
    JOIN schools_student t ON t.id = a.student_id
    JOIN schools_school s ON s.office_id = t.school_id
    JOIN schools_administrativeunit p ON p.id = s.province_id
    LEFT JOIN delivery_handover h ON h.allocation_id = a.id
    LEFT JOIN delivery_custody c ON c.device_id = a.device_id AND c.to_at IS NULL
    LEFT JOIN schools_office o ON o.id = c.office_id
    LEFT JOIN delivery_shipmentitem i ON i.device_id = a.device_id AND i.is_open
    LEFT JOIN delivery_shipment v ON v.id = i.shipment_id AND v.state = 'dispatched'
    CROSS JOIN LATERAL (SELECT h.id IS NOT NULL AS handed_over, v.id IS NOT NULL AS under_way,
        h.id IS NOT NULL OR coalesce(o.kind <> ALL(%(above)s), false) AS received) where_is
    WHERE a.run_id = %(run)s AND a.ended_at IS NULL
    GROUP BY p.public_code
"""
ABOVE_PROVINCES = [Office.Kind.WAREHOUSE, Office.Kind.PROGRAMME]


@dataclass
class Standing:
    """A province's part of a run, in students or devices. `cap` is what was approved for it, and `allocated` what of
    that still holds (taken back, passed on to another province); sent and received are of the allocated."""

    need: int = 0
    cap: int = 0
    allocated: int = 0
    sent: int = 0
    received: int = 0
    handed_over: int = 0

    def __add__(self, other: "Standing") -> "Standing":
        return Standing(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    @property
    def numbers(self) -> list[int]:
        return [getattr(self, field.name) for field in fields(self)]


def standing(
    run: AllocationRun, *, only: Collection[str] | None = None
) -> list[tuple[AdministrativeUnit, Standing]]:
    """Each province's part of a committed run, in the order of their codes; `only` some (public codes)."""
    found: dict[str, Standing] = {}
    for code, need, cap in totals_by(run.summary["cells"], "province"):
        found[code] = Standing(need=need, cap=cap)
    with connection.cursor() as cursor:
        cursor.execute(STANDING, {"run": run.pk, "above": [str(kind) for kind in ABOVE_PROVINCES]})
        for code, *counts in cursor:
            found[code] = found.get(code, Standing()) + Standing(0, 0, *counts)
    units = AdministrativeUnit.objects.provinces().filter(public_code__in=found).order_by("code")
    return [(unit, found[unit.public_code]) for unit in units if only is None or unit.public_code in only]
