"""The way of an entry: recorded with its change, sealed, published, signed, and found wrong when touched."""

import datetime
import json
import re
import uuid

import pytest
from django.db import IntegrityError, connection, transaction

from ledger.audit import audit
from ledger.bulk import BOUNDS, PATTERN, column_test, record_many, record_select
from ledger.codes import new_device_codes
from ledger.log import verify_log
from ledger.models import LedgerEntry, LedgerOutbox
from ledger.publisher import publish_figures, seal_and_publish
from ledger.sequencer import PLAIN, as_sequencer
from ledger.services import LedgerRefusedError, close_holds, record
from tests.ledger_log import DAY, empty_tables, make_log, receive


@pytest.fixture
def log(tmp_path, db):
    return make_log(tmp_path)


def walk(device: str, *, hold: str = "DPB-1/VN2021-15") -> None:
    """One device from acceptance to the child."""
    record(event="device.inspected", on=DAY, device=device, outcome="accepted")
    record(event="device.allocated", on=DAY, device=device, run="DPB-1", area="VN2021-15")
    record(event="device.dispatched", on=DAY, device=device, from_="KHO-TU", to="S-15")
    record(event="device.arrived", on=DAY, device=device, to="S-15")
    record(
        event="device.handed_over", on=DAY, device=device, run="DPB-1", hold=hold, commit={"recipient": "A"}
    )


@pytest.mark.django_db
def test_a_device_way_is_sealed_published_and_verified(log):
    codes = receive(300)
    walk(codes[0])
    last = log.turn()
    assert last.head.size == 305
    report = verify_log(log.disk.fetch, log.verifiers)
    assert report["size"] == 305
    way = list(LedgerEntry.objects.filter(dev=codes[0]).order_by("n").values_list("index", "state"))
    assert [state for _, state in way] == [
        "received",
        "accepted",
        "allocated",
        "in_transit",
        "arrived",
        "handed_over",
    ]
    walk(codes[1])
    assert log.turn().head.size == 310
    result = audit(log.disk.fetch, log.verifiers)
    # The only thing missing in this little log is the run itself.
    assert result["problems"] == ["run DPB-1: 2 devices allocated, never committed"]
    assert LedgerOutbox.objects.count() == 0


@pytest.mark.django_db
def test_handovers_wait_for_ten_and_are_dated_by_their_monday(log):
    codes = receive(10)
    for code in codes[:9]:
        walk(code)
    record(event="device.broken", on=DAY, device=codes[0], reason="screen")
    week_later = DAY + datetime.timedelta(days=7)
    log.turn(at_once=False, today=week_later)
    assert LedgerOutbox.objects.count() == 10
    walk(codes[9])
    log.turn(at_once=False, today=DAY)
    assert LedgerOutbox.objects.count() == 11, "the week isn't over"
    log.turn(at_once=False, today=week_later)
    assert LedgerOutbox.objects.count() == 0
    bodies = LedgerEntry.objects.filter(event="device.handed_over").values_list("body", flat=True)
    assert all('"d":"2021-10-04"' in body for body in bodies)
    order = [body.split('"dev":"')[1][:12] for body in bodies.order_by("index")]
    assert sorted(order) == sorted(codes)
    assert audit(log.disk.fetch, log.verifiers)["problem_count"] == 1


@pytest.mark.django_db
def test_the_order_of_a_list_is_not_the_order_in_the_log(log):
    """Who stands beside whom in a class's list, or the order of a shipment's sheet, is told by no entry's place."""
    codes = sorted(new_device_codes(40), reverse=True)
    rows = [{"device": code, "to": "KHO-TU", "kind": "tablet"} for code in codes]
    record_many(event="device.received", on=DAY, rows=rows)
    record_select(
        event="device.inspected", on=DAY, columns=["device"], constants={"outcome": "accepted"},
        select="SELECT unnest(%s::text[]) AS device", params=[codes],
    )  # fmt: skip
    log.turn()
    for event in ("device.received", "device.inspected"):
        placed = LedgerEntry.objects.filter(event=event).order_by("index").values_list("dev", flat=True)
        assert list(placed) == codes[::-1]


@pytest.mark.django_db
def test_a_handover_is_never_recorded_without_its_batch(log):
    """By no door of the ledger, nor beside them: published at once, it would tell the day a family was served."""
    (code,) = receive(1)
    walk(code)
    confirmed = {"event": "device.handover_confirmed", "on": DAY}
    before = LedgerOutbox.objects.count()
    with pytest.raises(LedgerRefusedError, match="đợt công bố"):
        record(**confirmed, device=code)
    with pytest.raises(LedgerRefusedError, match="đợt công bố"), transaction.atomic():
        record_many(**confirmed, rows=[{"device": code, "hold": ""}])
    for columns in (["device"], ["device", "hold"]):
        select = "SELECT %s::text AS device" + ", NULL::text AS hold" * ("hold" in columns)
        with pytest.raises(LedgerRefusedError), transaction.atomic():
            record_select(**confirmed, columns=columns, select=select, params=[code])
    assert LedgerOutbox.objects.count() == before
    for change in ({"event": "device.broken"}, {"hold": None}):
        row = LedgerOutbox.objects.get(event="device.handed_over")
        row.pk, row.n, row.eid = None, 9, uuid.uuid4()
        for name, value in change.items():
            setattr(row, name, value)
        with pytest.raises(IntegrityError, match="ledger_outbox_handovers_held"), transaction.atomic():
            row.save()


@transaction.atomic
def change_and_record(fields: dict) -> None:
    """A change of its own, then an entry that is refused."""
    record(event="pledge.cancelled", on=DAY, pledge="CK-9", reason="error")
    record(**fields)


@pytest.mark.django_db
def test_refused_entries_roll_the_change_back(log):
    (code,) = receive(1)
    made = {"event": "pledge.made", "pledge": "CK-1", "kind": "money", "donor": "agency"}
    inspected = {"event": "device.inspected", "device": code, "outcome": "accepted"}
    bad = [
        ({"event": "device.repaired", "device": code, "at_": "KHO"}, "không ghi được «sửa xong»"),
        (inspected | {"outcome": "good"}, "outcome: expected one of"),
        (inspected | {"note": "đẹp"}, "note: not a key"),
        (inspected | {"on": datetime.date(2099, 1, 1)}, "chưa tới"),
        (made | {"org": "Tru\u031bờng"}, "org: expected a name in NFC"),
        (made | {"org": "x" * 201}, "org: expected a name .* at most 200 characters"),
        (made | {"qty": 1.5}, "qty: expected an integer"),
        (
            {"event": "run.seeded", "run": "R", "randomness": "31" * 513, "seed": "0" * 64},
            "randomness: expected",
        ),
    ]
    for fields, why in bad:
        with pytest.raises(LedgerRefusedError, match=why):
            change_and_record({"on": DAY} | fields)
    assert LedgerOutbox.objects.count() == 1


@pytest.mark.django_db
def test_record_select_is_the_same_as_one_by_one(log):
    codes = receive(50)
    for code in codes:
        record(event="device.inspected", on=DAY, device=code, outcome="accepted")
    count = record_select(
        event="device.allocated",
        on=DAY,
        columns=["device", "area"],
        constants={"run": "DPB-1"},
        select="SELECT dev AS device, 'VN2021-15' AS area FROM ledger_outbox WHERE state = %s",
        params=["accepted"],
    )
    assert count == 50
    with pytest.raises(LedgerRefusedError, match="không ghi được"), transaction.atomic():
        record_select(
            event="device.allocated",
            on=DAY,
            columns=["device", "area"],
            constants={"run": "DPB-1"},
            select="SELECT dev AS device, 'VN2021-15' AS area FROM ledger_outbox WHERE state = 'allocated'",
        )
    log.turn()
    assert audit(log.disk.fetch, log.verifiers)["problems"] == [
        "run DPB-1: 50 devices allocated, never committed"
    ]


@pytest.mark.django_db
def test_record_select_sees_what_waits_and_what_is_sealed(log):
    waiting, sealed, refused, unknown = *receive(3), "ZZZZZZZZZZZZ"
    for code in (sealed, refused):
        record(event="device.inspected", on=DAY, device=code, outcome="accepted")
    log.turn()
    record(event="device.inspected", on=DAY, device=waiting, outcome="accepted")
    record(event="device.inspected", on=DAY, device=refused, outcome="refused")  # waits, and counts more

    def allocate(*codes: str) -> int:
        with transaction.atomic():
            return record_select(
                event="device.allocated",
                on=DAY,
                columns=["device", "area"],
                constants={"run": "DPB-1"},
                select="SELECT unnest(%s::text[]) AS device, 'VN2021-15' AS area",
                params=[list(codes)],
            )

    # The first of the list that may not, whatever the order of the codes.
    with pytest.raises(LedgerRefusedError, match=f"{refused}: .*Không đạt kiểm định"):
        allocate(waiting, refused, unknown)
    with pytest.raises(LedgerRefusedError, match=f"{unknown}: "):
        allocate(unknown, refused, waiting)
    assert not LedgerOutbox.objects.filter(event="device.allocated").exists()
    assert allocate(sealed, waiting) == 2
    steps = LedgerOutbox.objects.filter(event="device.allocated").values_list("dev", "n", "state")
    assert set(steps) == {(sealed, 2, "allocated"), (waiting, 2, "allocated")}
    bodies = [json.loads(body) for body in LedgerOutbox.objects.values_list("body", flat=True)]
    assert len({body["eid"] for body in bodies}) == len(bodies)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "values",
    [
        {"device": "7K3QF9XW2MD"},
        {"device": "7K3QF9XW2MDCC"},
        {"device": "7k3qf9xw2mdc"},
        {"device": "7K3QF9XW2MDO"},
        {"device": None},
        {"area": ""},
        {"area": ".VN"},
        {"area": "VN 15"},
        {"area": "VN2021-15\n"},
        {"area": "Đà-Nẵng"},
        {"area": 'VN","x":"'},
        {"area": "V" * 65},
        {"area": None},
    ],
)
def test_record_select_refuses_values_that_are_not_of_their_kind(log, values):
    (code,) = receive(1)
    record(event="device.inspected", on=DAY, device=code, outcome="accepted")
    given = {"device": code, "area": "V" * 64} | values
    with pytest.raises(LedgerRefusedError, match="không đúng dạng"), transaction.atomic():
        record_select(
            event="device.allocated",
            on=DAY,
            columns=["device", "area"],
            constants={"run": "DPB-1"},
            select="SELECT %s::text AS device, %s::text AS area",
            params=[given["device"], given["area"]],
        )
    assert LedgerOutbox.objects.count() == 2


@pytest.mark.django_db
def test_a_kind_s_length_and_letters_are_its_pattern():
    alphabet = ' -./09AIOUZ_afgz\n"\\đ'
    for kind, pattern in PATTERN.items():
        shortest, longest = BOUNDS[kind]
        sizes = (shortest - 1, shortest, longest, longest + 1)
        values = {
            "VN2021-15",
            "A" * longest,
            "0" * longest,
            "a" * longest,
            *(c * n for c in alphabet for n in sizes),
        }
        values |= {f"{c}{'0' * (longest - 1)}" for c in alphabet} | {
            f"{'0' * (longest - 1)}{c}" for c in alphabet
        }
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT v FROM unnest(%s::text[]) AS v WHERE {column_test('v', kind, optional=False)}",
                [sorted(values)],
            )
            assert {row[0] for row in cursor} == {v for v in values if re.fullmatch(pattern, v)}, kind


def test_tables_are_left_as_found(transactional_db, tmp_path):
    """The cleaning that transactional tests use works, and the log starts again from nothing."""
    log = make_log(tmp_path)
    with transaction.atomic():
        receive(3)
    log.turn()
    empty_tables()
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM ledger_entry")
        assert cursor.fetchone()[0] == 0


@pytest.mark.django_db
def test_published_figures_follow_from_the_entries(log):
    codes = receive(12)
    for code in codes:
        walk(code)
    log.turn()
    figures = publish_figures(on=DAY, disk=log.disk)
    assert figures["handed_over_by_area"] == {"VN2021-15": 12}
    receive(1)
    log.turn()
    result = audit(log.disk.fetch, log.verifiers)
    assert result["events"]["figures.published"] == 1
    assert result["problem_count"] == 1, "only the run that was never committed"
    record(event="figures.published", on=DAY, figures="2021-10-06", hash="0" * 64, size=5)
    log.turn()
    assert any("figures" in problem for problem in audit(log.disk.fetch, log.verifiers)["problems"])


@pytest.mark.django_db
def test_sealing_never_compares_every_event_with_every_held_one():
    """An outbox that just grew still has the statistics of an empty table, which make nested loops look cheap."""
    with connection.cursor() as cursor, as_sequencer(cursor):
        cursor.execute(f"EXPLAIN {PLAIN}", {"base": 0, "limit": 10})
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "Anti Join" in plan
    assert "Nested Loop" not in plan


@pytest.mark.django_db
def test_a_checkpoint_is_signed_again_before_a_day_is_over(log):
    receive(1)
    first = log.turn()
    at = first.signed_at

    def publish_at(hours: float):
        return seal_and_publish(
            at=at + datetime.timedelta(hours=hours), today=DAY, signer=log.signer(), disk=log.disk
        )[1]

    assert publish_at(22) is None, "nothing new and not yet due"
    again = publish_at(23.5)
    assert (again.head.size, again.head.root) == (first.head.size, first.head.root)
    assert again.signed_at - at < datetime.timedelta(hours=24)
    assert verify_log(log.disk.fetch, log.verifiers)["size"] == 1


@pytest.mark.django_db
def test_what_names_a_waiting_handover_waits_with_it(log):
    (code,) = receive(1)
    walk(code)
    handed = LedgerOutbox.objects.get(event="device.handed_over")
    record(
        event="commitment.erased", on=DAY, erases=handed.eid.hex, field="recipient", reason="family_request"
    )
    log.turn(at_once=False)
    assert set(LedgerOutbox.objects.values_list("event", flat=True)) == {
        "device.handed_over",
        "commitment.erased",
    }
    close_holds(holds=["DPB-1/VN2021-15"])
    week_later = DAY + datetime.timedelta(days=7)
    log.turn(at_once=False, today=week_later)
    log.turn(at_once=False, today=week_later)
    assert LedgerOutbox.objects.count() == 0
    assert [
        problem for problem in audit(log.disk.fetch, log.verifiers)["problems"] if "erases" in problem
    ] == []


@pytest.mark.django_db
def test_ten_is_ten_handovers(log):
    codes, hold = receive(15), "DPB-1/VN2021-15"
    week_later = DAY + datetime.timedelta(days=7)
    for code in codes[:10]:
        walk(code, hold=hold)
    log.turn(at_once=False, today=week_later)
    assert LedgerOutbox.objects.count() == 0
    # Five confirmations and five more handovers are no ten of either.
    for code in codes[:5]:
        record(event="device.handover_confirmed", on=DAY, device=code, hold=hold)
    for code in codes[10:]:
        walk(code, hold=hold)
    log.turn(at_once=False, today=week_later)
    assert LedgerOutbox.objects.filter(event="device.handed_over").count() == 5
    assert LedgerOutbox.objects.filter(event="device.handover_confirmed").count() == 5
