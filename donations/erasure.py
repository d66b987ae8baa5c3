"""What donations hold about a person who gave, erased on their request (Law 91/2025/QH15, art. 14).

What was given stays, by code: pledges, amounts, the documents that accounting law keeps. Nothing left names the giver.
Their account is for the floors above to erase, who know what else it is for.
"""

import datetime as dt
from dataclasses import dataclass, field

from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone

from common.erasure import ERASED, images_of
from donations.models import Donor, DonorMember, MoneyReceipt, Pledge
from donations.services.pledges import PERSONS
from ledger.models import LedgerEntry
from ledger.privacy import erase_donor_openings, owe_contact


@dataclass
class Erased:
    """Givers, commitments of the public log that went blank, and the users who acted for the givers no more."""

    givers: int = 0
    openings: int = 0
    users: set[int] = field(default_factory=set)


@transaction.atomic
def erase_donor(*, by, pledge: Pledge, at: dt.datetime) -> Erased:
    """Erase the person behind a pledge.

    A donor who is a person goes with all its pledges. An organisation's name is nobody's personal data and stays: there
    it is the contact of this pledge who is forgotten. The images of the audit trail are scrubbed with them.
    """
    del by  # the audit trail names who
    donor = Donor.objects.select_for_update().get(pk=pledge.donor_id)
    is_person = donor.kind in PERSONS
    pledges = Pledge.objects.filter(donor=donor) if is_person else Pledge.objects.filter(pk=pledge.pk)
    ids = list(pledges.values_list("pk", flat=True))
    people = DonorMember.objects.filter(donor=donor)
    if not is_person:
        people = _people_of_contact(pledge)
    users = set(people.values_list("user_id", flat=True))
    people.filter(ended_at=None).update(ended_at=at)
    pledges.update(contact_name="", contact_email="", contact_phone="")
    if not is_person:
        owe_contact(pledge=pledge.code, on=timezone.localdate(at))
        return Erased(1, 0, users)
    # What a giver wrote of a gift may name them.
    pledges.exclude(description="").update(description=ERASED)
    Donor.objects.filter(pk=donor.pk).update(
        name=ERASED, search_key="", tax_code="", email="", phone="", is_named_in_public=False
    )
    with images_of(Pledge), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE donations_pledgeevent SET description = %s WHERE pgh_obj_id = ANY(%s) AND description <> ''",
            [ERASED, ids],
        )
    with images_of(Donor), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE donations_donorevent SET name = %s, search_key = '', tax_code = '' WHERE pgh_obj_id = %s",
            [ERASED, donor.pk],
        )
    receipts = MoneyReceipt.objects.filter(pledge__in=ids).values_list("code", flat=True)
    subjects = [*pledges.values_list("code", flat=True), *receipts]
    return Erased(1, erase_donor_openings(subjects=subjects, on=timezone.localdate(at)), users)


def _people_of_contact(pledge: Pledge):
    """Who acts for an organisation at the address of this pledge's contact, unless another pledge has it too."""
    same = Pledge.objects.filter(donor=pledge.donor_id, contact_email__iexact=pledge.contact_email)
    if not pledge.contact_email or same.exclude(pk=pledge.pk).exists():
        return DonorMember.objects.none()
    return DonorMember.objects.filter(donor=pledge.donor_id, user__email__iexact=pledge.contact_email)


@transaction.atomic
def erase_donors_again(*, by, events: list[str], at: dt.datetime) -> Erased:
    """After a backup came back: erase anew the givers whose pledges' entries (event ids, hex) were erased."""
    codes = LedgerEntry.objects.filter(eid__in=events, event="pledge.made").values_list("subject", flat=True)
    has_contact = ~Q(contact_name="", contact_email="", contact_phone="")
    found = Pledge.objects.filter(code__in=list(codes)).select_related("donor")
    persons = found.filter(donor__kind__in=PERSONS).exclude(donor__name=ERASED)
    contacts = found.exclude(donor__kind__in=PERSONS).filter(has_contact)
    done = Erased()
    for pledge in [*{pledge.donor_id: pledge for pledge in persons}.values(), *contacts]:
        one = erase_donor(by=by, pledge=pledge, at=at)
        done.givers, done.openings = done.givers + 1, done.openings + one.openings
        done.users |= one.users
    return done
