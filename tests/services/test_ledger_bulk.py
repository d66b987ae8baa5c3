"""Many entries at once: a few rows go with the statement, many through a staging table; nobody can tell which."""

import datetime as dt

import pytest
from django.db import transaction

from ledger.bulk import FEW, record_many
from ledger.codes import new_device_codes
from ledger.models import LedgerOutbox
from ledger.services import LedgerRefusedError

pytestmark = pytest.mark.django_db
DAY = dt.date(2021, 9, 20)


def receive(codes):
    with transaction.atomic():
        return record_many(
            event="device.received",
            on=DAY,
            rows=(
                {"device": code, "to": "KHO-TW", "kind": "tablet", "commit": {"serial": f"SN{code}"}}
                for code in codes
            ),
        )


@pytest.mark.parametrize("count", [0, 1, FEW - 1, FEW, FEW + 1])
def test_every_row_is_an_entry_in_the_order_of_the_random_codes(count):
    codes = new_device_codes(count)
    eids = receive(codes)
    assert list(eids) == codes
    entries = LedgerOutbox.objects.order_by("pk").values_list("dev", "n", "state", "day", "eid")
    assert list(entries) == [(code, 0, "received", DAY, eids[code]) for code in sorted(codes)]


@pytest.mark.parametrize("count", [3, FEW + 3])
def test_one_illegal_move_refuses_all_and_is_named(count):
    codes = new_device_codes(count)
    receive([codes[1]])
    with pytest.raises(LedgerRefusedError, match=codes[1]):
        receive(codes)
    assert LedgerOutbox.objects.count() == 1
