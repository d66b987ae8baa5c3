"""Every type of entry, with its closed set of keys: the one table of the format (version 1).

Keys that every entry has: `v` (1), `t` (type), `eid` (128 random bits, hex), `d` (a date, no time of
day). Entries about one device also have `dev` (its code) and `prev` (leaf index of this device's
previous entry; absent on its first). `c` holds salted commitments, name → 64 hex digits.

There is no free text: a reason is an enum, an organisation's name (`org`) appears only where it agreed
to be named, a natural person is always a commitment. Nothing here names or places a child: the public
destination of a device is its `area`, fixed at allocation (rule 3 of what is public).

A service writes `record(event="device.received", on=date, device=code, to="KHO-TU", kind="tablet", …)`:
the fields are the keys of the table below. A new type is a new version of the format.
No Django here: the stand-alone verifier carries this very file.
"""

import datetime
import re
from dataclasses import dataclass, field

from ledger.canon import CanonError, canonical, check_text
from ledger.codes import is_device_code

VERSION = 1
EARLIEST = "2020-01-01"
CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,63}")
PROVINCE = re.compile(r"VN[0-9]{4}-[0-9]{2}")
EID = re.compile(r"[0-9a-f]{32}")
HEX256 = re.compile(r"[0-9a-f]{64}")
DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

KIND = ("tablet", "laptop", "desktop", "phone", "other")
DONOR = ("ministry", "agency", "organisation", "enterprise", "school", "staff", "individual", "union")
PLEDGE_KIND = ("devices", "money", "infrastructure", "data_plan")
FUND = ("donation", "state_budget", "local_budget", "telecom_fund", "enterprise")
OUTCOME = ("accepted", "to_repair", "refused")
FAULT = (
    "below_specification",
    "battery",
    "screen",
    "no_power",
    "not_wiped",
    "malware",
    "missing_part",
    "no_child_protection",
    "duplicate_serial",
    "other_fault",
)
LOSS = ("in_transit", "in_storage", "with_student", "theft", "disaster", "unknown")
REVOKE = (
    "not_eligible",
    "already_has_device",
    "moved_away",
    "withdrawn",
    "declined",
    "duplicate",
    "device_unfit",
    "supply_reduced",
    "substitution",
)
RETURN = (
    "left_school",
    "no_longer_eligible",
    "declined",
    "unused",
    "repair",
    "recall",
    "end_of_use",
    "replaced",
)
RECALL = ("security", "malware", "battery_safety", "defect", "administrative")
WRITE_OFF = ("beyond_repair", "lost", "stolen", "end_of_life", "returned_to_donor", "recycled")
CORRECTION = (
    "recorded_in_error",
    "wrong_device",
    "wrong_date",
    "wrong_office",
    "wrong_quantity",
    "wrong_value",
)
ERASURE = ("family_request", "donor_request", "retention_over", "court_order")
REJECT = ("error_in_inputs", "policy_changed", "supply_changed", "seed_not_revealed", "legal", "other_ground")
SOURCE = ("public_draw", "beacon", "three_parties")
CHANGE = ("donor_request", "partial_delivery", "price_change", "merged", "error")
POINT_URGENCY = ("urgent", "regular")
KEY_ROLE = ("signer", "witness")


@dataclass(frozen=True)
class Event:
    """Keys of one type: `required` and `optional` map key → kind, `commits` are the names `c` may hold.

    A kind is a tuple (one of these words), or the name of a function in `KINDS`.
    `subject` is the key by which the entry is found when it isn't about a device.
    """

    required: dict
    optional: dict = field(default_factory=dict)
    commits: tuple[str, ...] = ()
    subject: str | None = None
    example: dict = field(default_factory=dict)


def device(
    required: dict | None = None, optional: dict | None = None, *, commits=(), subject=None, **example
) -> Event:
    """A type about one device."""
    return Event({"dev": "device", **(required or {})}, optional or {}, tuple(commits), subject, example)


def other(
    subject: str | None, required: dict, optional: dict | None = None, *, commits=(), **example
) -> Event:
    """A type about something else, found by the key `subject`."""
    return Event(required, optional or {}, tuple(commits), subject, example)


DEV = "7K3QF9XW2MDC"
EVENTS: dict[str, Event] = {
    # --- pledges (numbers only; `org` only with the organisation's consent) --------------------------
    "pledge.made": other(
        "pledge",
        {"pledge": "code", "kind": PLEDGE_KIND, "donor": DONOR},
        {"qty": "count", "amount_vnd": "count", "earmark": "province", "org": "name", "umbrella": "code"},
        commits=("donor",),
        pledge="CK-2021-000123",
        kind="devices",
        donor="enterprise",
        qty=20,
        org="Công ty Ánh Dương",
    ),
    "pledge.changed": other(
        "pledge",
        {"pledge": "code", "reason": CHANGE},
        {"qty": "count", "amount_vnd": "count"},
        pledge="CK-2021-000123",
        reason="donor_request",
        qty=15,
    ),
    "pledge.cancelled": other(
        "pledge", {"pledge": "code", "reason": CHANGE}, pledge="CK-2021-000123", reason="donor_request"
    ),
    # --- money and purchase ---------------------------------------------------------------------------
    "money.received": other(
        "ref",
        {"ref": "code", "amount_vnd": "count", "fund": FUND},
        {"pledge": "code", "org": "name"},
        commits=("donor",),
        ref="THU-000045",
        amount_vnd=2500000000,
        fund="donation",
        pledge="CK-2021-000124",
    ),
    "money.transferred": other(
        "ref",
        {"ref": "code", "amount_vnd": "count"},
        {"to": "place", "order": "code", "fund": FUND},
        ref="CHI-000012",
        amount_vnd=500000000,
        order="DM-0007",
    ),
    "purchase.ordered": other(
        "order",
        {"order": "code", "qty": "count", "amount_vnd": "count"},
        {"unit_price_vnd": "count", "kind": KIND, "org": "name"},
        order="DM-0007",
        qty=200,
        amount_vnd=500000000,
        unit_price_vnd=2500000,
        kind="tablet",
    ),
    "purchase.delivered": other(
        "order",
        {"order": "code", "qty": "count"},
        {"lot": "code", "to": "place"},
        order="DM-0007",
        qty=200,
        lot="LO-0031",
        to="KHO-TU",
    ),
    # --- a device's way ---------------------------------------------------------------------------------
    # `from`/`to` are codes of offices, never finer than the device's `area`.
    "device.received": device(
        {"to": "place", "kind": KIND},
        {"lot": "code", "pledge": "code", "order": "code", "earmark": "province"},
        commits=("serial", "imei"),
        subject="pledge",
        to="KHO-TU",
        kind="tablet",
        pledge="CK-2021-000123",
        lot="LO-0031",
    ),
    "device.inspected": device(
        {"outcome": OUTCOME},
        {"reason": FAULT, "criteria": "code", "protection": "flag"},
        commits=("report",),
        outcome="accepted",
        criteria="TC-TABLET-1",
        protection=1,
    ),
    "device.repaired": device(optional={"at": "place"}, at="KHO-TU"),
    "device.allocated": device(
        {"run": "code", "area": "place"},
        {"lot": "code"},
        commits=("recipient",),
        run="DPB-2021-01",
        area="VN2021-15",
    ),
    "device.allocation_revoked": device(
        {"run": "code", "reason": REVOKE}, run="DPB-2021-01", reason="moved_away"
    ),
    "device.dispatched": device(
        {"from": "place", "to": "place"}, {"lot": "code"}, **{"from": "KHO-TU"}, to="SGD-15", lot="CH-000211"
    ),
    "device.arrived": device({"to": "place"}, {"lot": "code"}, to="SGD-15", lot="CH-000211"),
    "device.missing": device(
        {"reason": LOSS}, {"lot": "code", "at": "place"}, reason="in_transit", lot="CH-000211"
    ),
    "device.damaged": device(
        {"reason": FAULT}, {"lot": "code", "at": "place"}, reason="screen", lot="CH-000211"
    ),
    "device.found": device(optional={"at": "place"}, at="SGD-15"),
    # `d` of these two becomes the Monday of the published batch; no place is given: it is the `area`.
    "device.handed_over": device(
        {"run": "code"},
        commits=("recipient", "school", "date", "record", "photo", "guardian"),
        run="DPB-2021-01",
    ),
    "device.handover_confirmed": device(commits=("recipient", "record", "date", "guardian", "photo")),
    "device.broken": device({"reason": FAULT}, commits=("report",), reason="screen"),
    "device.lost": device({"reason": LOSS}, commits=("report",), reason="with_student"),
    "device.stolen": device(optional={"reason": LOSS}, commits=("report",), reason="theft"),
    "device.returned": device({"reason": RETURN}, {"to": "place"}, reason="left_school", to="VN2021-15"),
    "device.replaced": device(optional={"by": "device"}, by="0123456789AX"),
    "device.recalled": device({"reason": RECALL}, {"lot": "code"}, reason="malware", lot="LO-0031"),
    "device.written_off": device({"reason": WRITE_OFF}, reason="beyond_repair"),
    # --- lots ------------------------------------------------------------------------------------------
    "lot.dispatched": other(
        "lot",
        {"lot": "code", "from": "place", "to": "place", "qty": "count"},
        None,
        lot="CH-000211",
        **{"from": "KHO-TU"},
        to="SGD-15",
        qty=120,
    ),
    "lot.arrived": other(
        "lot",
        {"lot": "code", "to": "place", "qty": "count"},
        {"missing": "count", "damaged": "count"},
        lot="CH-000211",
        to="SGD-15",
        qty=119,
        missing=1,
    ),
    "lot.recalled": other(
        "lot", {"lot": "code", "reason": RECALL, "qty": "count"}, lot="LO-0031", reason="malware", qty=119
    ),
    # --- an allocation run -------------------------------------------------------------------------------
    "run.frozen": other(
        "run",
        {
            "run": "code",
            "root": "hash",
            "applicants": "count",
            "supply": "count",
            "policy": "hash",
            "engine": "hash",
            "source": SOURCE,
            "draw_on": "date",
        },
        {"draw": "code", "party1": "hash", "party2": "hash", "party3": "hash", "scope": "place"},
        run="DPB-2021-01",
        root="0" * 64,
        applicants=20000,
        supply=5000,
        policy="1" * 64,
        engine="2" * 64,
        source="public_draw",
        draw="XSMB-2021-10-05",
        draw_on="2021-10-05",
    ),
    "run.seeded": other(
        "run",
        {"run": "code", "randomness": "hexbytes", "seed": "hash"},
        run="DPB-2021-01",
        randomness="313233",
        seed="3" * 64,
    ),
    "run.approved": other(
        "run",
        {"run": "code", "proposal": "hash", "served": "count"},
        run="DPB-2021-01",
        proposal="4" * 64,
        served=5000,
    ),
    "run.rejected": other(
        "run", {"run": "code", "reason": REJECT}, run="DPB-2021-01", reason="error_in_inputs"
    ),
    "run.committed": other(
        "run",
        {"run": "code", "served": "count", "unserved": "count", "result": "hash", "draw_file": "hash"},
        {"voided": "flag"},
        run="DPB-2021-01",
        served=5000,
        unserved=15000,
        result="5" * 64,
        draw_file="6" * 64,
    ),
    # --- what is published ---------------------------------------------------------------------------------
    "policy.published": other("policy", {"policy": "code", "hash": "hash"}, policy="CS-1", hash="1" * 64),
    "criteria.published": other(
        "criteria", {"criteria": "code", "hash": "hash"}, criteria="TC-TABLET-1", hash="1" * 64
    ),
    "figures.published": other(
        "figures",
        {"figures": "code", "hash": "hash", "size": "count"},
        figures="2021-10-11",
        hash="1" * 64,
        size=120034,
    ),
    "point.covered": other(
        "point",
        {"point": "code", "operator": "code"},
        {"unit": "place", "urgency": POINT_URGENCY},
        commits=("evidence",),
        point="DLS-00017",
        operator="VTL",
        unit="VN2021-15",
        urgency="urgent",
    ),
    # --- units: codes carry their vintage ------------------------------------------------------------------
    "unit.registered": other(
        "unit", {"unit": "place", "name": "name"}, unit="VN2025-15", name="Tỉnh Lào Cai"
    ),
    "unit.renamed": other("unit", {"unit": "place", "name": "name"}, unit="VN2025-15", name="Tỉnh Lào Cai"),
    "unit.merged": other("unit", {"unit": "place", "into": "place"}, unit="VN2021-10", into="VN2025-15"),
    # --- the log about itself --------------------------------------------------------------------------------
    # A correction of a device's latest entry with `recorded_in_error` puts the device back to its state before.
    "correction": other(
        "corrects",
        {"corrects": "eid", "reason": CORRECTION},
        {"dev": "device", "to": "place", "on": "date", "qty": "count", "amount_vnd": "count"},
        commits=("serial", "imei", "recipient", "donor"),
        corrects="0" * 32,
        reason="wrong_office",
        dev=DEV,
        to="SGD-15",
    ),
    "commitment.erased": other(
        "erases",
        {
            "erases": "eid",
            "field": (
                "serial",
                "imei",
                "donor",
                "recipient",
                "school",
                "date",
                "record",
                "photo",
                "guardian",
                "report",
                "evidence",
                "contact",  # of a pledge: whom to call was never committed to, only that it was erased is said
            ),
            "reason": ERASURE,
        },
        erases="0" * 32,
        field="recipient",
        reason="family_request",
    ),
    "key.rotated": other(
        "key",
        {"role": KEY_ROLE, "key": "keyname", "old": "hash", "new": "hash"},
        role="signer",
        key="so-cai.songvamaytinh.example+2021",
        old="1" * 64,
        new="2" * 64,
    ),
}

# Held until their batch is out, and dated by its Monday.
BATCHED = ("device.handed_over", "device.handover_confirmed")
COMMON = {"v", "t", "eid", "d"}


def is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53


def is_text(pattern: re.Pattern):
    def matches(value: object) -> bool:
        return isinstance(value, str) and pattern.fullmatch(value) is not None

    return matches


def is_date(value: object) -> bool:
    if not isinstance(value, str) or not DATE.fullmatch(value) or value < EARLIEST:
        return False
    try:
        datetime.date.fromisoformat(value)
    except ValueError:
        return False
    return True


def is_name(value: object) -> bool:
    """An organisation's or a unit's name: NFC, one line, at most 200 characters."""
    if not isinstance(value, str) or not 0 < len(value) <= 200 or value != value.strip():
        return False
    try:
        check_text(value, "name")
    except CanonError:
        return False
    return True


KINDS = {
    "code": (is_text(CODE), "a code of letters, digits and . _ / -, at most 64 characters"),
    "place": (is_text(CODE), "the code of an office or area"),
    "province": (is_text(PROVINCE), "the code of a province (VN2021-15)"),
    "device": (lambda value: isinstance(value, str) and is_device_code(value), "a device code"),
    "count": (is_count, "an integer from 0"),
    "flag": (lambda value: is_count(value) and value in (0, 1), "0 or 1"),
    "hash": (is_text(HEX256), "64 hex digits"),
    "hexbytes": (is_text(re.compile(r"(?:[0-9a-f]{2}){1,512}")), "bytes as hex"),
    "eid": (is_text(EID), "32 hex digits"),
    "date": (is_date, "a date, YYYY-MM-DD"),
    "name": (is_name, "a name in NFC, one line, at most 200 characters"),
    "keyname": (is_text(re.compile(r"[^\s+]{1,100}(?:\+[^\s+]{1,100})?")), "the name of a key"),
}


class EventError(ValueError):
    """The entry breaks the format; `field` says where."""

    def __init__(self, where: str, message: str):
        super().__init__(f"{where}: {message}")
        self.where = where


def check_kind(key: str, value: object, kind: str | tuple) -> None:
    """Raise EventError unless `value` is of `kind`."""
    if isinstance(kind, tuple):
        if value not in kind or not isinstance(value, str):
            raise EventError(key, f"expected one of {', '.join(kind)}")
        return
    accepts, expected = KINDS[kind]
    if not accepts(value):
        raise EventError(key, f"expected {expected}")


def check_entry(body: dict) -> Event:
    """Raise EventError unless `body` (with or without `prev`) has exactly the keys and kinds of its type."""
    name = body.get("t")
    event = EVENTS.get(name) if isinstance(name, str) else None
    if event is None:
        raise EventError("t", f"unknown type {name!r}")
    if body.get("v") != VERSION or isinstance(body.get("v"), bool):
        raise EventError("v", f"expected {VERSION}")
    check_kind("eid", body.get("eid"), "eid")
    check_kind("d", body.get("d"), "date")
    for key, kind in event.required.items():
        if key not in body:
            raise EventError(key, f"missing in {name}")
        check_kind(key, body[key], kind)
    for key, value in body.items():
        if key in event.optional:
            check_kind(key, value, event.optional[key])
        elif key == "prev" and "dev" in body:
            check_kind(key, value, "count")
        elif key == "c":
            check_commits(body["t"], event, value)
        elif key not in COMMON and key not in event.required:
            raise EventError(key, f"not a key of {name}")
    return event


def check_commits(name: str, event: Event, value: object) -> None:
    """Raise EventError unless `value` maps names that the type allows to hashes."""
    if not isinstance(value, dict) or not value:
        raise EventError("c", "expected an object of commitments")
    for key, digest in value.items():
        if key not in event.commits:
            raise EventError(f"c.{key}", f"not a commitment of {name}")
        check_kind(f"c.{key}", digest, "hash")


def encode(body: dict) -> tuple[bytes, Event]:
    """Canonical bytes of a checked entry and its type; raises EventError or CanonError."""
    event = check_entry(body)
    return canonical(body), event


def monday(day: datetime.date) -> datetime.date:
    """Monday of the week of `day`: the date of a batch of handovers."""
    return day - datetime.timedelta(days=day.weekday())
