"""Donors by what was delivered: pledges beside what arrived and what reached students, without double count."""

from dataclasses import dataclass

from django.db import connection
from django.db.models import Q
from django.utils.translation import gettext as _

from dashboards import snapshot
from dashboards.figures import DONOR_HANDED_OVER, DONOR_RECEIVED
from donations.models import Donor, Pledge

# A member's pledge inside an umbrella's is shown with the member and not added to any total.
PLEDGED = """
    SELECT donor.id, donor.code, donor.name, donor.kind, umbrella.name,
           coalesce(sum(pledge.quantity) FILTER (WHERE pledge.kind = 'device'), 0)::bigint,
           coalesce(sum(receipt.amount), 0)::bigint
    FROM donations_donor donor
    JOIN donations_pledge pledge ON pledge.donor_id = donor.id AND pledge.state NOT IN ('made', 'cancelled')
    LEFT JOIN (SELECT pledge_id, sum(amount_vnd) AS amount FROM donations_moneyreceipt GROUP BY 1) receipt
        ON receipt.pledge_id = pledge.id
    LEFT JOIN donations_donor umbrella ON umbrella.id = donor.umbrella_id
    WHERE donor.is_named_in_public
    GROUP BY donor.id, donor.code, donor.name, donor.kind, umbrella.name
"""


def earmarked_for(unit) -> list[Pledge]:
    """Confirmed pledges for one province or a school of it, the local initiatives first (Plan I.2c, III.3d).

    Each with its progress and `is_local`: raised by the province itself, beside the national programme.
    """
    rows = list(
        Pledge.objects.counted()
        .exclude(state=Pledge.State.MADE)
        .filter(Q(earmark_unit=unit) | Q(earmark_unit__province=unit) | Q(earmark_school__province=unit))
        .select_related("donor")
        .with_progress()
        .order_by("made_at", "pk")[:50]
    )
    for row in rows:
        row.is_local = row.funding_source in Pledge.LOCAL_SOURCES
    return sorted(rows, key=lambda row: not row.is_local)


@dataclass(frozen=True)
class DonorRow:
    """One named donor; `handed_over` is None for 1 to 9 devices."""

    code: str
    name: str
    kind: str
    umbrella: str
    pledged: int
    amount_vnd: int
    received: int
    handed_over: int | None


def delivered(shot: snapshot.Snapshot | None = None) -> list[DonorRow]:
    """Named donors by devices in students' hands, then received, then money; names in the order of their codes."""
    shot = shot or snapshot.latest()
    received, handed = shot.counts(DONOR_RECEIVED), shot.shown.get(DONOR_HANDED_OVER, {})
    labels = dict(Donor.Kind.choices)
    with connection.cursor() as cursor:
        cursor.execute(PLEDGED)
        rows = [
            DonorRow(
                code, name, str(_(labels[kind])), umbrella or "", pledged, amount, received.get(code, 0),
                None if isinstance(given := handed.get(code, 0), str) else given,
            )
            for _id, code, name, kind, umbrella, pledged, amount in cursor.fetchall()
        ]  # fmt: skip
    return sorted(
        rows,
        key=lambda row: (-(row.handed_over or 0), -row.received, -row.amount_vnd, -row.pledged, row.code),
    )
