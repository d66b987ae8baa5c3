"""A national commit's entries, laid out as columns: what one by one would have recorded, or a refusal and nothing."""

import datetime
import json

import numpy as np
import pytest
from django.db import IntegrityError, transaction

from ledger import bulk_columns
from ledger.audit import audit
from ledger.bulk_columns import Seen, numbers_of, record_columns
from ledger.canon import parse
from ledger.codes import ALPHABET, new_device_codes
from ledger.events import check_entry
from ledger.models import LedgerOutbox
from ledger.sequencer import log_size
from ledger.services import LedgerRefusedError, prepare, record
from tests.ledger_log import DAY, make_log, receive

pytestmark = pytest.mark.django_db
AREAS = ["VN2021-15", "VN2021-15-132", "VN2021-15-132-04552", "VN2021-24", "TH.ND-7"]


@pytest.fixture
def log(tmp_path, db):
    return make_log(tmp_path)


def accepted(count: int) -> list[str]:
    codes = receive(count)
    for code in codes:
        record(event="device.inspected", on=DAY, device=code, outcome="accepted")
    return codes


def allocate(codes, *, seen: int, areas=AREAS, on=DAY, event="device.allocated", run="DPB-1") -> int:
    """All of them, the first in the first area, the second in the second, …; their second step was seen."""
    with transaction.atomic():
        return record_columns(
            event=event, on=on, devices=np.array(codes, "S12"), steps=np.ones(len(codes), "i4"), areas=areas,
            area_of=np.arange(len(codes)) % len(areas), constants={"run": run}, seen=Seen("accepted", seen),
        )  # fmt: skip


def test_every_entry_is_what_one_by_one_would_have_recorded(log, monkeypatch):
    monkeypatch.setattr(bulk_columns, "CHUNK_ROWS", 7)  # several chunks, and one that is not full
    codes = accepted(100)
    assert allocate(codes, seen=0) == 100
    rows = list(LedgerOutbox.objects.filter(event="device.allocated").order_by("id"))
    assert {row.dev: json.loads(row.body)["area"] for row in rows} == {
        code: AREAS[number % 5] for number, code in enumerate(codes)
    }
    for row in rows:
        body = parse(row.body.encode())
        check_entry(body)
        alone = prepare(
            event="device.allocated", on=DAY, fields={"dev": row.dev, "area": body["area"], "run": "DPB-1"}
        )
        assert row.body == alone.body.replace(alone.eid.hex, row.eid.hex)
        assert (row.prev_at, row.subject, row.hold) == (alone.prev_at, alone.subject, None)
        assert (row.n, row.state, row.day) == (2, "allocated", DAY)
    assert len({row.eid for row in rows}) == 100
    assert [row.dev for row in rows] == sorted(codes), "not in the order in which they were given"
    log.turn()
    assert audit(log.disk.fetch, log.verifiers)["problems"] == [
        "run DPB-1: 100 devices allocated, never committed"
    ]


def test_what_was_recorded_since_the_caller_looked_counts(log):
    still, sealed_since, waits, back, gone = accepted(5)
    log.turn()
    seen = log_size()
    record(event="device.recalled", on=DAY, device=back, reason="malware")
    record(event="device.inspected", on=DAY, device=back, outcome="accepted")
    record(event="device.recalled", on=DAY, device=gone, reason="malware")
    log.turn()  # what moved is sealed by now
    record(event="device.recalled", on=DAY, device=waits, reason="malware")
    stranger = receive(1)[0]  # of no concern to these
    for moved in (gone, waits):
        with pytest.raises(LedgerRefusedError, match=f"{moved}: .*thu hồi"):
            allocate([still, moved, back], seen=seen)
    assert not LedgerOutbox.objects.filter(event="device.allocated").exists()
    assert allocate([still, sealed_since, back], seen=seen) == 3
    steps = LedgerOutbox.objects.filter(event="device.allocated").values_list("dev", "n")
    assert set(steps) == {(still, 2), (sealed_since, 2), (back, 4)}
    assert not LedgerOutbox.objects.filter(dev=stranger).exclude(event="device.received").exists()


def test_a_step_that_another_took_meanwhile_is_refused_by_the_table(log):
    """As if it came between the look and the statement: one waits, the other is sealed by now."""
    sealed, waiting = accepted(2)
    log.turn()
    record(event="device.recalled", on=DAY, device=sealed, reason="malware")
    log.turn()
    record(event="device.recalled", on=DAY, device=waiting, reason="malware")
    for code in (sealed, waiting):
        with pytest.raises(IntegrityError, match="ledger_outbox_one_way"):
            # A log that is longer than it is: nothing counts as recorded since, but for what waits.
            allocate_unseen(code)
    with pytest.raises(IntegrityError, match="ledger_outbox_one_way"):
        allocate([*accepted(1) * 2], seen=log_size())
    assert not LedgerOutbox.objects.filter(event="device.allocated").exists()


def allocate_unseen(code: str) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(bulk_columns, "_steps_now", lambda event, seen, numbers, steps: steps)
        allocate([code], seen=0)


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"codes": ["7K3QF9XW2MD"]}, "không phải mã máy"),
        ({"codes": ["7k3qf9xw2mdc"]}, "không phải mã máy"),
        ({"codes": ["7K3QF9XW2MDU"]}, "không phải mã máy"),
        ({"codes": ['7K3QF9"},{"a']}, "không phải mã máy"),
        ({"areas": [""]}, "không phải mã nơi"),
        ({"areas": ["VN2021-15", "VN 15"]}, "không phải mã nơi"),
        ({"areas": ["VN2021-15\n"]}, "không phải mã nơi"),
        ({"areas": ["Đà-Nẵng"]}, "không phải mã nơi"),
        ({"areas": ['VN","x":"']}, "không phải mã nơi"),
        ({"areas": ["V" * 65]}, "không phải mã nơi"),
        ({"run": 'DPB","x":"'}, "không nhận mục"),
        ({"event": "device.dispatched"}, "không nhận mục"),
        ({"event": "device.handover_confirmed"}, "đợt công bố"),
        ({"on": datetime.date(2099, 1, 1)}, "chưa tới"),
    ],
)
def test_what_breaks_the_format_is_refused_whole(log, wrong, match):
    given = {"codes": accepted(3)} | wrong
    before = LedgerOutbox.objects.count()
    with pytest.raises(LedgerRefusedError, match=match):
        allocate(given.pop("codes"), seen=0, **given)
    assert LedgerOutbox.objects.count() == before


def test_none_is_none(log):
    assert allocate([], seen=0) == 0


def test_codes_as_numbers_keep_their_order():
    codes = [*new_device_codes(500), "0" * 12, "Z" * 12]
    numbers = numbers_of(np.array(codes, "S12"))
    assert [codes[place] for place in np.argsort(numbers)] == sorted(codes)
    assert len(set(numbers.tolist())) == len(set(codes))
    assert list(ALPHABET) == sorted(ALPHABET)


@pytest.mark.django_db(transaction=True)
def test_outside_of_a_transaction_nothing_is_recorded():
    with pytest.raises(RuntimeError, match="inside the transaction"):
        record_columns(
            event="device.allocated", on=DAY, devices=np.array(["7K3QF9XW2MDC"]), steps=np.ones(1, "i4"),
            areas=["VN"], area_of=np.zeros(1, int), constants={"run": "R"}, seen=Seen("accepted", 0),
        )  # fmt: skip
