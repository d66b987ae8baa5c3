"""What donations hold about a person who gave, erased on their request (Law 91/2025/QH15, art. 14).

What was given stays, by code: pledges, amounts, the documents that accounting law keeps. Nothing left names the giver.
"""

import datetime as dt

from django.db import connection, transaction
from django.utils import timezone

from common.erasure import ERASED, images_of
from donations.models import Donor, DonorMember, MoneyReceipt, Pledge
from donations.services.pledges import PERSONS
from ledger.models import LedgerEntry
from ledger.privacy import erase_donor_openings


@transaction.atomic
def erase_donor(*, by, pledge: Pledge, at: dt.datetime) -> int:
    """Erase the person behind a pledge; how many commitments of the public log went blank.

    A donor who is a person goes with all its pledges. An organisation's name is nobody's personal data and stays: there
    it is the contact of this pledge who is forgotten. The images of the audit trail are scrubbed with them.
    """
    del by  # the audit trail names who
    donor = Donor.objects.select_for_update().get(pk=pledge.donor_id)
    is_person = donor.kind in PERSONS
    pledges = Pledge.objects.filter(donor=donor) if is_person else Pledge.objects.filter(pk=pledge.pk)
    ids = list(pledges.values_list("pk", flat=True))
    pledges.update(contact_name="", contact_email="", contact_phone="")
    if not is_person:
        return 0
    # What a giver wrote of a gift may name them.
    pledges.exclude(description="").update(description=ERASED)
    Donor.objects.filter(pk=donor.pk).update(
        name=ERASED, search_key="", tax_code="", email="", phone="", is_named_in_public=False
    )
    DonorMember.objects.filter(donor=donor, ended_at=None).update(ended_at=at)
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
    return erase_donor_openings(subjects=subjects, on=timezone.localdate(at))


@transaction.atomic
def erase_donors_again(*, by, events: list[str], at: dt.datetime) -> int:
    """After a backup came back: erase anew the donors whose pledges' entries (event ids, hex) were erased; how many."""
    codes = LedgerEntry.objects.filter(eid__in=events, event="pledge.made").values_list("subject", flat=True)
    found = Pledge.objects.filter(code__in=list(codes)).exclude(donor__name=ERASED)
    one_each = {pledge.donor_id: pledge for pledge in found}
    for pledge in one_each.values():
        erase_donor(by=by, pledge=pledge, at=at)
    return len(one_each)
