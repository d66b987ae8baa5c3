#!/usr/bin/env python3
# Made by `python -m verifier.build` from ledger/ and verifier/; do not edit.
# ruff: noqa
"""Stand-alone verifier of the public ledger of the programme «Sóng và máy tính cho em».

Runs with Python 3.11 and the package `cryptography` alone; trusts nothing but the log's public key.

    verify-log DIR|URL        every byte of the log is what was signed
    verify-device CODE        the way of one device, from the checked log          (--log DIR|URL)
    verify-receipt FILE       a receipt (.tlog-proof), offline                      (--key VKEY)
    verify-receipt 'QR-TEXT'  a family's receipt: what its QR opens, in a log       (--log DIR|URL)
    verify-run RUN            the draw of an allocation run, recomputed             (--log DIR|URL)
    audit DIR|URL             every rule of the programme over the whole log        (or --log DIR|URL)

Options: --key VKEY (or a file with one per line; default: `vkey` beside the log, which only shows that the log
agrees with itself), --witness VKEY (repeat), --witnesses-needed N, --lang vi|en, --json.
Exit codes: 0 holds; 1 does not hold (also: a part is missing, cut or malformed); 2 wrong use; 3 nothing to check could
be read (no such folder, file, address or checkpoint, no key or a malformed one, no answer).
"""

from collections import Counter
from collections import Counter, defaultdict
from collections.abc import Callable
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Callable, Sequence
from collections.abc import Iterable
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Iterable, Sequence
from collections.abc import Iterator
from collections.abc import Iterator, Mapping
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from dataclasses import dataclass
from dataclasses import dataclass, field
from fractions import Fraction
from hashlib import sha256
from pathlib import Path
import argparse
import base64
import binascii
import datetime
import hashlib
import http.client
import itertools
import json
import os
import re
import secrets
import stat
import struct
import sys
import unicodedata
import urllib.error
import urllib.parse
import urllib.request
import zlib


# --- ledger/canon.py ---

MAX_BODY_BYTES = 4096
# I-JSON (RFC 7493): integers that every JSON reader keeps exactly.
MAX_INTEGER = 2**53 - 1
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class CanonError(ValueError):
    """The value has no canonical form in this log; the message says which part and why."""


def check_text(text: str, where: str) -> None:
    """Raise CanonError unless `text` is NFC and free of control characters."""
    if CONTROL.search(text):
        raise CanonError(f"{where}: control character in text")
    if not text.isascii() and unicodedata.normalize("NFC", text) != text:
        raise CanonError(f"{where}: text is not NFC")


def check_value(value: object, where: str) -> None:
    """Raise CanonError unless `value` is made of integers, NFC strings and objects of those."""
    if isinstance(value, bool) or not isinstance(value, int | str | dict):
        raise CanonError(f"{where}: {type(value).__name__} is not allowed, only integers and strings")
    if isinstance(value, int):
        if abs(value) > MAX_INTEGER:
            raise CanonError(f"{where}: integer beyond 2^53 - 1")
    elif isinstance(value, str):
        check_text(value, where)
    else:
        for key, inner in value.items():
            if not isinstance(key, str) or not key.isascii():
                raise CanonError(f"{where}: key is not an ASCII string")
            check_value(inner, f"{where}.{key}")


def dumps(value: object) -> bytes:
    """RFC 8785 bytes of a value made of ASCII-keyed objects, lists, strings and integers."""
    return json.dumps(
        value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False
    ).encode()


def canonical(body: dict) -> bytes:
    """Canonical bytes of an entry's body; raises CanonError if it can't be an entry."""
    check_value(body, "entry")
    data = dumps(body)
    if len(data) > MAX_BODY_BYTES:
        raise CanonError(f"entry: {len(data)} bytes, at most {MAX_BODY_BYTES} are allowed")
    return data


def refuse_duplicates(pairs: list[tuple[str, object]]) -> dict:
    """`object_pairs_hook` that refuses an object with the same key twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise CanonError("the same key twice")
    return found


def parse(data: bytes) -> dict:
    """Read an entry back; raises CanonError unless `data` is exactly its canonical form."""
    if len(data) > MAX_BODY_BYTES:
        raise CanonError(f"entry: {len(data)} bytes, at most {MAX_BODY_BYTES} are allowed")
    try:
        body = json.loads(data.decode(), object_pairs_hook=refuse_duplicates)
    except CanonError:
        raise
    except (ValueError, RecursionError) as error:
        raise CanonError(f"entry: not JSON ({error})") from error
    if not isinstance(body, dict):
        raise CanonError("entry: not an object")
    if canonical(body) != data:
        raise CanonError("entry: not in canonical form")
    return body


# --- ledger/codes.py ---

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
RANDOM_SYMBOLS = 11
LENGTH = RANDOM_SYMBOLS + 1
VALUE = {symbol: value for value, symbol in enumerate(ALPHABET)}
# What people read wrongly on a label; U is in no code.
LOOKALIKE = str.maketrans({"I": "1", "L": "1", "O": "0"} | dict.fromkeys("- \t\u00a0._–—‐‑−", ""))


def powers() -> tuple[list[int], dict[int, int]]:
    """Powers and logarithms of x in GF(32) = GF(2)[x] / (x^5 + x^2 + 1), where x is a generator."""
    exponent, value = [], 1
    for _ in range(31):
        exponent.append(value)
        value <<= 1
        if value & 32:
            value ^= 0b100101
    return exponent, {power: index for index, power in enumerate(exponent)}


EXP, LOG = powers()
# WEIGHTED[i][s]: value of symbol s times x^(i+1); distinct nonzero weights find swaps.
WEIGHTED = [[0] + [EXP[(LOG[v] + place + 1) % 31] for v in range(1, 32)] for place in range(RANDOM_SYMBOLS)]


def check_symbol(symbols: str) -> str:
    """Check symbol of at most 11 symbols."""
    total = 0
    for row, symbol in zip(WEIGHTED, symbols, strict=False):
        total ^= row[VALUE[symbol]]
    return ALPHABET[total]


def new_device_code() -> str:
    """A fresh device code of 55 random bits from the operating system."""
    return new_device_codes(1)[0]


def new_device_codes(count: int) -> list[str]:
    """`count` fresh device codes, all different."""
    codes: dict[str, None] = {}
    while len(codes) < count:
        bits = int.from_bytes(secrets.token_bytes(7), "big")
        symbols = "".join([ALPHABET[(bits >> shift) & 31] for shift in range(0, 55, 5)])
        codes[symbols + check_symbol(symbols)] = None
    return list(codes)


def normalise_code(typed: str) -> str | None:
    """The code that a person typed or scanned, in stored form; None if it can't be one."""
    code = typed.strip().upper().translate(LOOKALIKE)
    if len(code) != LENGTH or any(symbol not in VALUE for symbol in code):
        return None
    return code if check_symbol(code[:-1]) == code[-1] else None


def is_device_code(code: str) -> bool:
    """Whether `code` is a device code in stored form."""
    return normalise_code(code) == code


def spell(code: str) -> str:
    """Groups of four, as printed on the label."""
    return "-".join(code[start : start + 4] for start in range(0, len(code), 4))


def new_code(prefix: str, *, symbols: int = 8) -> str:
    """A random human code such as `CK-7K3QF9XWM`: `symbols` random symbols (5 bits each) and a check symbol."""
    bits = int.from_bytes(secrets.token_bytes(7), "big")
    drawn = "".join(
        [ALPHABET[(bits >> shift) & 31] for shift in range(0, 5 * min(symbols, RANDOM_SYMBOLS), 5)]
    )
    return f"{prefix}-{drawn}{check_symbol(drawn)}"


def normalise(typed: str) -> str | None:
    """A human code as typed (any case, look-alikes, spaces), in stored form; None if it can't be one."""
    prefix, hyphen, rest = typed.strip().upper().rpartition("-")
    drawn = rest.translate(LOOKALIKE)
    if not hyphen or len(drawn) < 2 or len(drawn) > LENGTH or any(symbol not in VALUE for symbol in drawn):
        return None
    return f"{prefix}-{drawn}" if check_symbol(drawn[:-1]) == drawn[-1] else None


# --- ledger/events.py ---

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


# --- ledger/custody.py ---

NEW = ""
LABEL = {
    NEW: "chưa có trong sổ cái",
    "received": "Đã tiếp nhận, chờ kiểm định",
    "accepted": "Đạt kiểm định, sẵn sàng phân bổ",
    "to_repair": "Chờ sửa chữa",
    "repaired": "Đã sửa, chờ kiểm định lại",
    "refused": "Không đạt kiểm định",
    "allocated": "Đã phân bổ, chờ chuyển đi",
    "in_transit": "Đang vận chuyển",
    "arrived": "Đã đến nơi, chờ chuyển tiếp hoặc bàn giao",
    "missing": "Thất lạc, đang tìm",
    "damaged": "Hư hỏng trên đường",
    "handed_over": "Đã bàn giao cho học sinh",
    "in_use": "Đang sử dụng, gia đình đã xác nhận",
    "broken": "Hỏng khi đang sử dụng",
    "lost": "Mất",
    "stolen": "Bị lấy cắp",
    "returned": "Đã thu về, chờ kiểm định lại",
    "recalled": "Có lệnh thu hồi, máy đang ở cơ quan",
    "recalled_out": "Có lệnh thu hồi, máy đang ở học sinh",
    "replaced": "Đã được thay bằng máy khác",
    "transfer": "Đang chuyển kho",
    "sent_back": "Đang trên đường trả về",
    "missing_free": "Thất lạc, không còn phân bổ",
    "written_off": "Đã thanh lý",
}
# What a person reads, in a refusal and in the verifier's report.
EVENT_LABEL = {
    "device.received": "tiếp nhận",
    "device.inspected": "kiểm định",
    "device.repaired": "sửa xong",
    "device.allocated": "phân bổ",
    "device.allocation_revoked": "huỷ phân bổ",
    "device.dispatched": "chuyển đi",
    "device.arrived": "đã đến",
    "device.missing": "thất lạc",
    "device.damaged": "hư hỏng",
    "device.found": "tìm thấy",
    "device.handed_over": "bàn giao",
    "device.handover_confirmed": "gia đình xác nhận",
    "device.broken": "hỏng",
    "device.lost": "mất",
    "device.stolen": "bị lấy cắp",
    "device.returned": "thu về",
    "device.replaced": "thay bằng máy khác",
    "device.recalled": "thu hồi",
    "device.written_off": "thanh lý",
    "correction": "đính chính",
}
WITH_STUDENT = ("handed_over", "in_use", "broken", "recalled_out")
IN_OFFICE = ("received", "accepted", "to_repair", "repaired", "allocated", "arrived", "damaged", "returned")
# A device in these states is bound to one allocation.
ALLOCATED = ("allocated", "in_transit", "arrived", "missing", "damaged", "handed_over", "in_use", "broken")

# (event, outcome or "") → {state before: state after}
TRANSITIONS: dict[tuple[str, str], dict[str, str]] = {
    ("device.received", ""): {NEW: "received"},
    ("device.inspected", "accepted"): dict.fromkeys(("received", "repaired", "returned", "recalled"), "accepted"),
    ("device.inspected", "to_repair"): dict.fromkeys(
        ("received", "repaired", "returned", "recalled", "accepted"), "to_repair"
    ),
    ("device.inspected", "refused"): dict.fromkeys(
        ("received", "repaired", "returned", "recalled", "accepted"), "refused"
    ),
    ("device.repaired", ""): {
        "to_repair": "repaired",
        "recalled": "repaired",
        "damaged": "arrived",
        "broken": "in_use",
        "recalled_out": "in_use",
    },
    ("device.allocated", ""): {"accepted": "allocated"},
    ("device.allocation_revoked", ""): {
        "allocated": "accepted",
        "arrived": "accepted",
        "in_transit": "transfer",
        "missing": "missing_free",
        "damaged": "to_repair",
    },
    ("device.dispatched", ""): {
        "allocated": "in_transit",
        "arrived": "in_transit",
        "accepted": "transfer",
        **dict.fromkeys(("returned", "recalled", "to_repair", "refused", "replaced"), "sent_back"),
    },
    ("device.arrived", ""): {"in_transit": "arrived", "transfer": "accepted", "sent_back": "returned"},
    ("device.missing", ""): {
        **dict.fromkeys(("allocated", "in_transit", "arrived", "damaged"), "missing"),
        **dict.fromkeys(
            ("received", "accepted", "to_repair", "repaired", "refused", "returned", "recalled", "transfer", "sent_back"),
            "missing_free",
        ),
    },
    ("device.damaged", ""): dict.fromkeys(("allocated", "in_transit", "arrived"), "damaged")
    | dict.fromkeys(("received", "accepted", "transfer", "sent_back", "returned"), "to_repair"),
    ("device.found", ""): {
        "missing": "arrived",
        "missing_free": "returned",
        "lost": "in_use",
        "stolen": "in_use",
        "replaced": "returned",
    },
    ("device.handed_over", ""): {"arrived": "handed_over", "allocated": "handed_over"},
    ("device.handover_confirmed", ""): {"handed_over": "in_use"},
    ("device.broken", ""): dict.fromkeys(("handed_over", "in_use"), "broken"),
    ("device.lost", ""): dict.fromkeys(("handed_over", "in_use", "broken", "recalled_out"), "lost"),
    ("device.stolen", ""): dict.fromkeys(("handed_over", "in_use", "broken", "recalled_out"), "stolen"),
    ("device.returned", ""): dict.fromkeys(
        ("handed_over", "in_use", "broken", "recalled_out", "lost", "stolen", "replaced"), "returned"
    ),
    ("device.replaced", ""): dict.fromkeys(
        ("broken", "lost", "stolen", "damaged", "missing", "recalled", "recalled_out", "returned"), "replaced"
    ),
    ("device.recalled", ""): {
        **dict.fromkeys(IN_OFFICE, "recalled"),
        **dict.fromkeys(("in_transit", "transfer", "sent_back"), "recalled"),
        **dict.fromkeys(("handed_over", "in_use", "broken"), "recalled_out"),
    },
    ("device.written_off", ""): dict.fromkeys(
        ("to_repair", "refused", "damaged", "missing", "missing_free", "broken", "lost", "stolen", "returned",
         "recalled", "recalled_out", "replaced"),
        "written_off",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class IllegalMoveError(ValueError):
    """The device may not make this move from where it is."""

    event: str
    outcome: str
    state: str

    def __str__(self) -> str:
        what = f"{self.event} ({self.outcome})" if self.outcome else self.event
        return f"{what} is not allowed when the device is {self.state or 'unknown to the log'}"


def move(state: str, event: str, outcome: str = "") -> str:
    """State after `event` in `state`; raises IllegalMoveError."""
    after = TRANSITIONS.get((event, outcome), {}).get(state)
    if after is None:
        raise IllegalMoveError(event, outcome, state)
    return after


def is_undo(body: dict) -> bool:
    """Whether a correction puts its device back to the state before the entry that it corrects."""
    return body["t"] == "correction" and body["reason"] == "recorded_in_error" and "dev" in body


def next_state(way: list[str], body: dict) -> str:
    """State of a device after an entry about it, given its states so far; raises IllegalMoveError."""
    state = way[-1] if way else NEW
    if body["t"] == "correction":
        if not way:
            raise IllegalMoveError("correction", "", state)
        return (way[-2] if len(way) > 1 else NEW) if is_undo(body) else state
    return move(state, body["t"], body.get("outcome", ""))


# --- ledger/commitments.py ---

SALT_BYTES = 32
COMMIT_PREFIX = b"mtce/commit/v1\0"
SEED_PREFIX = b"mtce/seed/v1\0"
LOT_PREFIX = b"mtce/lot/v1\0"


def new_salt() -> bytes:
    """32 random bytes of the operating system; one per field per event."""
    return secrets.token_bytes(SALT_BYTES)


def commitment(field: str, value: str, salt: bytes) -> bytes:
    """SHA-256("mtce/commit/v1\\0" ‖ salt ‖ JCS([field, value])); raises ValueError if the salt isn't 32 bytes."""
    if len(salt) != SALT_BYTES:
        raise ValueError(f"salt: {len(salt)} bytes, expected {SALT_BYTES}")
    return hashlib.sha256(COMMIT_PREFIX + salt + dumps([field, value])).digest()


def draw_seed(frozen_root: bytes, randomness: bytes) -> bytes:
    """SHA-256("mtce/seed/v1\\0" ‖ frozen_root ‖ randomness): fixed by the freeze and by what nobody here can steer."""
    return hashlib.sha256(SEED_PREFIX + frozen_root + randomness).digest()


def lot_number(seed: bytes, applicant: str) -> bytes:
    """SHA-256("mtce/lot/v1\\0" ‖ seed ‖ applicant), compared as bytes, ascending: the order inside a tie."""
    return hashlib.sha256(LOT_PREFIX + seed + applicant.encode()).digest()


# --- ledger/tree.py ---

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()
# A complete subtree: (level, index) is the hash of entries index·2^level … (index+1)·2^level - 1.
NodeReader = Callable[[int, int], bytes]


class ProofError(ValueError):
    """A proof doesn't show what it should."""


def leaf_hash(data: bytes) -> bytes:
    """SHA-256(0x00 ‖ entry), RFC 6962 section 2.1."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 ‖ left ‖ right)."""
    return sha256(b"\x01" + left + right).digest()


def next_level(hashes: bytes) -> bytes:
    """Parents of a concatenation of hashes, pairwise; an odd last hash is left out."""
    return b"".join(
        [sha256(b"\x01" + hashes[at : at + 64]).digest() for at in range(0, len(hashes) - 63, 64)]
    )


def perfect_root(hashes: bytes) -> bytes:
    """Root over 2^k concatenated hashes."""
    while len(hashes) > HASH_BYTES:
        hashes = next_level(hashes)
    return hashes


def root_of(leaves: Sequence[bytes]) -> bytes:
    """Root over leaf hashes; for small trees and as the plain statement of the definition."""
    if not leaves:
        return EMPTY_ROOT
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return node_hash(root_of(leaves[:split]), root_of(leaves[split:]))


def range_hash(node: NodeReader, low: int, high: int) -> bytes:
    """Hash of entries low … high-1, where `low` is a multiple of the smallest power of two ≥ the length."""
    count = high - low
    if count == 0:
        return EMPTY_ROOT
    level = count.bit_length() - 1
    if count == 1 << level:
        return node(level, low >> level)
    return node_hash(node(level, low >> level), range_hash(node, low + (1 << level), high))


def inclusion_proof(node: NodeReader, index: int, size: int) -> list[bytes]:
    """Audit path of entry `index` in the tree of `size`, leaf's sibling first (RFC 6962 section 2.1.1)."""
    if not 0 <= index < size:
        raise ProofError(f"entry {index} is not in a tree of {size}")
    path, low, high = [], 0, size
    while high - low > 1:
        split = low + (1 << (high - low - 1).bit_length() - 1)
        if index < split:
            path.append(range_hash(node, split, high))
            high = split
        else:
            path.append(range_hash(node, low, split))
            low = split
    return path[::-1]


def consistency_proof(node: NodeReader, old: int, new: int) -> list[bytes]:
    """Proof that the tree of `old` entries is a prefix of the tree of `new` (RFC 6962 section 2.1.2)."""
    if not 0 <= old <= new:
        raise ProofError(f"{old} is not a size before {new}")
    if old in (0, new):
        return []
    path, low, high, whole = [], 0, new, True
    while old != high:
        split = low + (1 << (high - low - 1).bit_length() - 1)
        if old <= split:
            path.append(range_hash(node, split, high))
            high = split
        else:
            path.append(range_hash(node, low, split))
            low, whole = split, False
    if not whole:
        path.append(range_hash(node, low, high))
    return path[::-1]


def _check_steps(path: Sequence[bytes]) -> None:
    """Raise ProofError unless every step is a hash: of other lengths, two trees could have the same node."""
    if any(len(step) != HASH_BYTES for step in path):
        raise ProofError(f"a step of the proof is not {HASH_BYTES} bytes")


def root_from_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """Root that the audit path leads to (RFC 9162 section 2.1.3.2); raises ProofError on a wrong length."""
    if not 0 <= index < size:
        raise ProofError(f"entry {index} is not in a tree of {size}")
    _check_steps(path)
    at, last, root = index, size - 1, leaf
    for step in path:
        if last == 0:
            raise ProofError("inclusion proof is too long")
        if at & 1 or at == last:
            root = node_hash(step, root)
            while not at & 1 and at:
                at >>= 1
                last >>= 1
        else:
            root = node_hash(root, step)
        at >>= 1
        last >>= 1
    if last:
        raise ProofError("inclusion proof is too short")
    return root


def check_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> None:
    """Raise ProofError unless `path` shows `leaf` at `index` under `root`."""
    if root_from_inclusion(leaf, index, size, path) != root:
        raise ProofError("inclusion proof leads to another root")


def check_consistency(old: int, new: int, path: Sequence[bytes], old_root: bytes, new_root: bytes) -> None:
    """Raise ProofError unless `path` shows that the old tree is a prefix of the new one (RFC 9162 2.1.4.2)."""
    if not 0 <= old <= new:
        raise ProofError("the new tree is smaller than the old one" if old > new else f"{old} is not a size")
    _check_steps(path)
    if old in (0, new):
        if path:
            raise ProofError("consistency proof is too long")
        if old == new and old_root != new_root:
            raise ProofError("trees of the same size differ")
        if old == 0 and old_root != EMPTY_ROOT:
            raise ProofError("not the root of the empty tree")
        return
    steps = list(path)
    if not steps:
        raise ProofError("consistency proof is empty")
    if old & (old - 1) == 0:
        steps.insert(0, old_root)
    at, last = old - 1, new - 1
    while at & 1:
        at >>= 1
        last >>= 1
    first = second = steps[0]
    for step in steps[1:]:
        if last == 0:
            raise ProofError("consistency proof is too long")
        if at & 1 or at == last:
            first, second = node_hash(step, first), node_hash(step, second)
            while not at & 1 and at:
                at >>= 1
                last >>= 1
        else:
            second = node_hash(second, step)
        at >>= 1
        last >>= 1
    if last or first != old_root or second != new_root:
        raise ProofError("consistency proof leads to other roots")


# --- ledger/tiles.py ---

WIDTH = 256
FULL_TILE = WIDTH * HASH_BYTES
ENTRIES = "entries"
# Reads one file of the log by its path; raises FileNotFoundError when it isn't there.
Fetch = Callable[[str], bytes]


class TileError(ValueError):
    """A file of the log is missing, cut or of the wrong size; the message names it."""


def tile_path(level: int | str, number: int, width: int = WIDTH) -> str:
    """Path of a tile (`level` 0…) or of an entry bundle (`level` = "entries")."""
    parts = [f"{number % 1000:03d}"]
    while number := number // 1000:
        parts.append(f"x{number % 1000:03d}")
    path = f"tile/{level}/{'/'.join(reversed(parts))}"
    return path if width == WIDTH else f"{path}.p/{width}"


def partial_width(level: int, size: int) -> int:
    """Hashes in the partial tile at `level` of a tree of `size`; 0 when there is none."""
    return (size >> 8 * level) % WIDTH


def fetch_wide(fetch: Fetch, level: int | str, number: int, width: int) -> tuple[str, bytes, int]:
    """(path, data, width) of a tile or bundle of at least `width`: the partial file of that size, else the full one."""
    path = tile_path(level, number, width)
    try:
        return path, fetch(path), width
    except FileNotFoundError:
        if width == WIDTH:
            raise TileError(f"{path}: missing") from None
    full = tile_path(level, number)
    try:
        return full, fetch(full), WIDTH
    except FileNotFoundError:
        raise TileError(f"{path}: missing, and so is {full}") from None


def fetch_tile(fetch: Fetch, level: int, number: int, width: int) -> bytes:
    """The first `width` hashes of a tile; raises TileError unless its file has exactly the size of its name."""
    path, data, found = fetch_wide(fetch, level, number, width)
    if len(data) != found * HASH_BYTES:
        raise TileError(f"{path}: {len(data)} bytes, expected {found * HASH_BYTES}")
    return data[: width * HASH_BYTES]


class Tiles:
    """Subtree hashes of a tree of `size`, read from tiles; `node` is a tree.NodeReader.

    Of each level `cached` tiles are kept with the hashes inside them, so that proofs one after another read and hash
    little more than the tile of their entry.
    """

    def __init__(self, fetch: Fetch, size: int, *, cached: int = 64):
        self.fetch, self.size, self.cached = fetch, size, cached
        # Level → number of the tile → its hashes, and the complete subtrees above them, height by height.
        self.tiles: dict[int, dict[int, list[bytes]]] = {}

    def _heights(self, level: int, number: int) -> list[bytes]:
        row = self.tiles.setdefault(level, {})
        held = row.get(number)
        if held is None:
            width = min((self.size >> 8 * level) - number * WIDTH, WIDTH)
            if width <= 0:
                raise TileError(f"{tile_path(level, number)}: beyond a tree of {self.size}")
            held = [fetch_tile(self.fetch, level, number, width)]
            if len(row) >= self.cached:
                row.pop(next(iter(row)))
            row[number] = held
        return held

    def tile(self, level: int, number: int) -> bytes:
        """All hashes of a tile that a tree of this size has."""
        return self._heights(level, number)[0]

    def node(self, level: int, index: int) -> bytes:
        """Hash of the complete subtree of 2^level entries at `index`."""
        row, height = divmod(level, 8)
        number, at = divmod(index << height, WIDTH)
        heights = self._heights(row, number)
        while len(heights) <= height:
            heights.append(next_level(heights[-1]))
        place = (at >> height) * HASH_BYTES
        found = heights[height][place : place + HASH_BYTES]
        if len(found) != HASH_BYTES:
            raise TileError(f"{tile_path(row, number)}: no hash {at}")
        return found

    def root(self) -> bytes:
        """Root of the tree, from its right edge."""
        return edge_root([self.edge(level) for level in range(levels(self.size))])

    def edge(self, level: int) -> bytes:
        """Hashes of the partial tile at `level`; empty when the tree has none."""
        width = partial_width(level, self.size)
        return self.tile(level, self.size >> 8 * (level + 1))[: width * HASH_BYTES] if width else b""


def levels(size: int) -> int:
    """How many tile levels a tree of `size` has."""
    count = 0
    while size >> 8 * count:
        count += 1
    return count


def edge_root(edges: list[bytes]) -> bytes:
    """Root of a tree from the partial tiles of its right edge, level 0 first."""
    root = b""
    for edge in edges:
        hashes = edge
        while hashes:
            odd = len(hashes) // HASH_BYTES % 2
            if odd:
                root = node_hash(hashes[-HASH_BYTES:], root) if root else hashes[-HASH_BYTES:]
            hashes = next_level(hashes)
    return root or EMPTY_ROOT


def pack(entries: Iterable[bytes]) -> bytes:
    """Bytes of an entry bundle."""
    return b"".join([struct.pack(">H", len(entry)) + entry for entry in entries])


def unpack(data: bytes, where: str) -> list[bytes]:
    """Entries of a bundle; raises TileError when it is cut."""
    entries: list[bytes] = []
    at, end = 0, len(data)
    while at < end:
        start = at + 2
        at = start + int.from_bytes(data[at:start], "big")
        if start > end or at > end:
            raise TileError(f"{where}: cut in entry {len(entries)}")
        entries.append(data[start:at])
    return entries


def read_entries(fetch: Fetch, size: int, start: int = 0) -> Iterator[list[bytes]]:
    """Entries start … size-1 bundle by bundle, `start` being a multiple of 256."""
    for number in range(start // WIDTH, (size + WIDTH - 1) // WIDTH):
        width = min(size - number * WIDTH, WIDTH)
        path, data, found = fetch_wide(fetch, ENTRIES, number, width)
        entries = unpack(data, path)
        if len(entries) != found:
            raise TileError(f"{path}: {len(entries)} entries, expected {found}")
        yield entries[:width]


class Edge:
    """The growing right edge of a log: feeds on entries, gives the files that are complete.

    Start with the partial tiles and the partial bundle of a tree of `size`. Its memory is one partial tile per
    level, whatever the size of the log.
    """

    def __init__(
        self,
        size: int = 0,
        edges: list[bytes] | None = None,
        bundle: list[bytes] | None = None,
        *,
        hashes_only: bool = False,
    ):
        """`hashes_only` gives tiles and no bundles: for checking a log whose bundles were just read."""
        self.size, self.edges, self.bundle = size, edges or [], bundle or []
        self.hashes_only = hashes_only

    def add(self, bodies: list[bytes], leaves: list[bytes]) -> Iterator[tuple[str, bytes]]:
        """Append entries with their leaf hashes; yield (path, data) of every tile and bundle that became full."""
        if not self.hashes_only:
            first = self.size // WIDTH
            self.bundle += bodies
            full = len(self.bundle) // WIDTH
            for number in range(full):
                yield (
                    tile_path(ENTRIES, first + number),
                    pack(self.bundle[number * WIDTH : (number + 1) * WIDTH]),
                )
            del self.bundle[: full * WIDTH]
        fresh, level, before = b"".join(leaves), 0, self.size
        self.size += len(bodies)
        while fresh:
            if level == len(self.edges):
                self.edges.append(b"")
            hashes, number, above = self.edges[level] + fresh, before >> 8 * (level + 1), []
            cut = len(hashes) - len(hashes) % FULL_TILE
            for at in range(0, cut, FULL_TILE):
                tile = hashes[at : at + FULL_TILE]
                yield tile_path(level, number + at // FULL_TILE), tile
                above.append(perfect_root(tile))
            self.edges[level] = hashes[cut:]
            fresh, level = b"".join(above), level + 1

    def partials(self) -> Iterator[tuple[str, bytes]]:
        """(path, data) of the partial tiles and the partial bundle that a checkpoint of this size needs."""
        if self.bundle:
            yield tile_path(ENTRIES, self.size // WIDTH, len(self.bundle)), pack(self.bundle)
        for level, edge in enumerate(self.edges):
            if edge:
                yield tile_path(level, self.size >> 8 * (level + 1), len(edge) // HASH_BYTES), edge

    def root(self) -> bytes:
        return edge_root(self.edges)


def leaf_hashes(bodies: Iterable[bytes]) -> list[bytes]:
    """RFC 6962 leaf hash of each entry."""
    return [sha256(b"\x00" + body).digest() for body in bodies]


def open_edge(fetch: Fetch, size: int) -> Edge:
    """The right edge of the published log of `size`, from its files."""
    tiles = Tiles(fetch, size)
    bundle: list[bytes] = []
    if size % WIDTH:
        for entries in read_entries(fetch, size, size - size % WIDTH):
            bundle = entries
    return Edge(size, [tiles.edge(level) for level in range(levels(size))], bundle)


def log_files(size: int) -> Iterator[str]:
    """Paths of every file that a checkpoint of `size` commits to."""
    for number in range((size + WIDTH - 1) // WIDTH):
        yield tile_path(ENTRIES, number, min(size - number * WIDTH, WIDTH))
    for level in range(levels(size)):
        count = size >> 8 * level
        for number in range((count + WIDTH - 1) // WIDTH):
            yield tile_path(level, number, min(count - number * WIDTH, WIDTH))


def copy_log(
    fetch: Fetch,
    put_all: Callable[[Iterable[tuple[str, bytes]]], None],
    *,
    beside: Callable[[], Iterable[str]] = tuple,
) -> int:
    """Copy a log that may grow meanwhile; the copy verifies at every moment. Returns how many files.

    The checkpoint is read first and written last: what it commits to is there before it is. `beside` names the files
    that lie beside the log (draw files, figures, receipts of keys); it is asked after the checkpoint was read.
    """
    checkpoint = fetch("checkpoint")
    lines = checkpoint.split(b"\n")
    if len(lines) < 3 or not lines[1].isdigit():
        raise TileError("checkpoint: malformed")
    size, count = int(lines[1]), 0
    some: list[tuple[str, bytes]] = []
    for path in beside():
        put_all([(path, fetch(path))])
        count += 1
    for path in log_files(size):
        bare, _, width = path.partition(".p/")
        try:
            data = fetch(path)
        except FileNotFoundError:
            if not width:
                raise TileError(f"{path}: missing") from None
            # The log grew past this partial file and tidied it up; the full one serves.
            path, data = bare, fetch(bare)
        some.append((path, data))
        if len(some) == 512:
            put_all(some)
            count, some = count + len(some), []
    put_all(some)
    extra = []
    for path in ("vkey", "policy.json"):
        try:
            extra.append((path, fetch(path)))
        except FileNotFoundError:
            continue
    put_all(extra)
    put_all([("checkpoint", checkpoint)])
    return count + len(some) + len(extra) + 1


# --- ledger/notes.py ---

ED25519, COSIGNATURE = 1, 4
MARK = "— "
DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")
KEY_NAME = re.compile(r"[^\s+]+")
# At least sixteen signatures, of other kinds too (signed-note): a post-quantum one is up to 5 kB, 7 in base64.
MAX_NOTE_BYTES = 256 * 1024


class NoteError(ValueError):
    """A note, checkpoint or key is malformed or isn't signed as it should be."""


def decode64(text: str, what: str) -> bytes:
    """Strict standard base64; the one text form per value is required, so no two texts mean the same."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise NoteError(f"{what}: not base64") from error
    if base64.b64encode(data).decode() != text:
        raise NoteError(f"{what}: not canonical base64")
    return data


def encode64(data: bytes) -> str:
    return base64.b64encode(data).decode()


@dataclass(frozen=True)
class VerifierKey:
    """A public key with its name; `kind` says whether it signs checkpoints or cosigns them as a witness."""

    name: str
    kind: int
    public: bytes

    @classmethod
    def parse(cls, text: str) -> "VerifierKey":
        """Read `name+hex id+base64`; raises NoteError."""
        name, _, rest = text.strip().partition("+")
        shown, _, encoded = rest.partition("+")
        data = decode64(encoded, "key")
        if not KEY_NAME.fullmatch(name) or len(data) != 33 or data[0] not in (ED25519, COSIGNATURE):
            raise NoteError("key: expected name+id+base64 of an Ed25519 key")
        key = cls(name, data[0], data[1:])
        if key.key_id.hex() != shown:
            raise NoteError("key: its id doesn't fit its name and bytes")
        return key

    @property
    def key_id(self) -> bytes:
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.public).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{encode64(bytes([self.kind]) + self.public)}"

    def check(self, text: str, signature: bytes) -> int | None:
        """Raise NoteError unless `signature` is this key's over `text`; a cosignature's time in Unix seconds."""
        message, moment = text.encode(), None
        if self.kind == COSIGNATURE:
            if len(signature) != 72:
                raise NoteError(f"cosignature of {self.name}: wrong length")
            (moment,) = struct.unpack(">Q", signature[:8])
            message, signature = b"cosignature/v1\ntime %d\n" % moment + message, signature[8:]
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except InvalidSignature as error:
            raise NoteError(f"signature of {self.name} is wrong") from error
        return moment


@dataclass(frozen=True)
class SigningKey:
    """A private key with its name; made of 32 seed bytes."""

    name: str
    seed: bytes
    kind: int = ED25519

    @property
    def verifier(self) -> VerifierKey:
        public = Ed25519PrivateKey.from_private_bytes(self.seed).public_key()
        return VerifierKey(self.name, self.kind, public.public_bytes(Encoding.Raw, PublicFormat.Raw))

    def signature_line(self, text: str, *, at: int = 0) -> str:
        """The signature line over a note's text; `at` is the Unix time of a cosignature."""
        key, message, stamp = Ed25519PrivateKey.from_private_bytes(self.seed), text.encode(), b""
        if self.kind == COSIGNATURE:
            message, stamp = b"cosignature/v1\ntime %d\n" % at + message, struct.pack(">Q", at)
        return f"{MARK}{self.name} {encode64(self.verifier.key_id + stamp + key.sign(message))}\n"


@dataclass(frozen=True)
class Note:
    """A signed note: its text (ends with a newline) and signature lines as (name, key id, signature)."""

    text: str
    signatures: tuple[tuple[str, bytes, bytes], ...]

    @classmethod
    def parse(cls, raw: bytes) -> "Note":
        """Read a signed note; raises NoteError."""
        if len(raw) > MAX_NOTE_BYTES:
            raise NoteError("note: too long")
        try:
            content = raw.decode()
        except UnicodeDecodeError as error:
            raise NoteError("note: not UTF-8") from error
        text, separator, lines = content.rpartition("\n\n")
        if not separator or not lines.endswith("\n") or any(ord(c) < 32 and c != "\n" for c in content):
            raise NoteError("note: expected a text, an empty line and signature lines")
        return cls(text + "\n", tuple(cls.parse_signature(line) for line in lines[:-1].split("\n")))

    @staticmethod
    def parse_signature(line: str) -> tuple[str, bytes, bytes]:
        name, space, encoded = line.removeprefix(MARK).partition(" ")
        data = decode64(encoded, "signature")
        if not line.startswith(MARK) or not space or not KEY_NAME.fullmatch(name) or len(data) < 5:
            raise NoteError("note: malformed signature line")
        return name, data[:4], data[4:]

    def signed_by(self, key: VerifierKey) -> int | None:
        """Raise NoteError unless `key` signed; the time of a cosignature."""
        for name, key_id, signature in self.signatures:
            if name == key.name and key_id == key.key_id:
                return key.check(self.text, signature)
        raise NoteError(f"not signed by {key.name}+{key.key_id.hex()}")


@dataclass(frozen=True)
class TreeHead:
    """What a checkpoint says: this log had `size` entries under `root`; `extra` lines carry the time of signing."""

    origin: str
    size: int
    root: bytes
    extra: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        return "".join(
            f"{line}\n" for line in (self.origin, str(self.size), encode64(self.root), *self.extra)
        )

    @classmethod
    def parse(cls, text: str) -> "TreeHead":
        """Read a checkpoint's text; raises NoteError."""
        lines = text.split("\n")
        if len(lines) < 4 or lines[-1] or any(not line for line in lines[:-1]):
            raise NoteError("checkpoint: expected origin, size and root")
        if not DECIMAL.fullmatch(lines[1]):
            raise NoteError("checkpoint: size is not a number")
        root = decode64(lines[2], "checkpoint: root")
        if len(root) != HASH_BYTES:
            raise NoteError("checkpoint: root is not 32 bytes")
        return cls(lines[0], int(lines[1]), root, tuple(lines[3:-1]))

    @property
    def signed_at(self) -> str | None:
        """Moment of signing (`time 2021-10-05T09:00:00Z` in the extra lines), as text."""
        return next((line.removeprefix("time ") for line in self.extra if line.startswith("time ")), None)


def open_checkpoint(raw: bytes, key: VerifierKey) -> tuple[TreeHead, Note]:
    """The tree head in a checkpoint that `key` signed; raises NoteError."""
    note = Note.parse(raw)
    head = TreeHead.parse(note.text)
    if key.kind != ED25519:
        raise NoteError(f"{key.name}: the key of a witness, not of a log")
    if head.origin != key.name:
        raise NoteError(f"checkpoint: of the log {head.origin}, expected {key.name}")
    note.signed_by(key)
    return head, note


def distinct(keys: list[VerifierKey]) -> list[VerifierKey]:
    """The keys of different bodies. A cosignature doesn't commit to its signer's name (tlog-cosignature), so one key under
    two names is one witness."""
    return list({key.public: key for key in reversed(keys)}.values())[::-1]


def witnesses_of(note: Note, keys: list[VerifierKey]) -> list[tuple[str, int]]:
    """(name, Unix time) of each trusted witness with a valid cosignature; a wrong one raises NoteError."""
    found = []
    for key in distinct(keys):
        if key.kind != COSIGNATURE:
            raise NoteError(f"{key.name}: not the key of a witness")
        if any((name, key_id) == (key.name, key.key_id) for name, key_id, _ in note.signatures):
            found.append((key.name, note.signed_by(key) or 0))
    return found


# --- ledger/receipts.py ---

FIRST_LINE = "c2sp.org/tlog-proof@v1"
MAX_PATH = 63
HEX_SALT = re.compile(rf"[0-9a-f]{{{2 * SALT_BYTES}}}")


class ReceiptError(ValueError):
    """The receipt doesn't prove what it claims; the message says which part."""


@dataclass(frozen=True)
class Receipt:
    """One entry, its place in the log, and the signed tree head it is under."""

    body: dict
    index: int
    path: tuple[bytes, ...]
    checkpoint: bytes
    openings: tuple[tuple[str, str, str], ...] = ()

    def dumps(self) -> str:
        """Text of the .tlog-proof file."""
        extra: dict = {"entry": self.body}
        if self.openings:
            extra["open"] = {field: {"salt": salt, "value": value} for field, value, salt in self.openings}
        lines = [
            FIRST_LINE,
            f"extra {encode64(dumps(extra))}",
            f"index {self.index}",
            *map(encode64, self.path),
            "",
        ]
        return "\n".join(lines) + "\n" + self.checkpoint.decode()


def make_receipt(
    body: bytes,
    index: int,
    path: Sequence[bytes],
    checkpoint: bytes,
    openings: Sequence[tuple[str, str, bytes]] = (),
) -> str:
    """Text of a receipt; `openings` are (field, value, salt)."""
    opened = tuple((field, value, salt.hex()) for field, value, salt in openings)
    return Receipt(parse(body), index, tuple(path), checkpoint, opened).dumps()


def read_receipt(raw: bytes) -> Receipt:
    """Read a .tlog-proof file; raises ReceiptError."""
    try:
        return _read(raw)
    except ReceiptError:
        raise
    except (ValueError, RecursionError) as error:  # whatever reading a note, an entry, JSON or UTF-8 raises
        raise ReceiptError(f"receipt: {error}") from error


def _read(raw: bytes) -> Receipt:
    head, _, checkpoint = raw.decode().partition("\n\n")
    lines = head.split("\n")
    if lines[0] != FIRST_LINE or len(lines) < 3 or not lines[1].startswith("extra "):
        raise ReceiptError(f"receipt: expected the lines {FIRST_LINE}, extra and index")
    extra_bytes = decode64(lines[1].removeprefix("extra "), "extra")
    extra = json.loads(extra_bytes, object_pairs_hook=refuse_duplicates)
    if (
        not isinstance(extra, dict)
        or set(extra) - {"entry", "open"}
        or not isinstance(extra.get("entry"), dict)
    ):
        raise ReceiptError("receipt: the extra line has no entry")
    if dumps(extra) != extra_bytes:
        raise ReceiptError("receipt: the extra line is not canonical")
    body = extra["entry"]
    canonical(body)
    check_entry(body)
    index = lines[2].removeprefix("index ")
    if not lines[2].startswith("index ") or not DECIMAL.fullmatch(index):
        raise ReceiptError("receipt: no index")
    path = tuple(decode64(line, "proof") for line in lines[3:])
    if len(path) > MAX_PATH or any(len(step) != HASH_BYTES for step in path):
        raise ReceiptError("receipt: malformed proof")
    openings = extra.get("open", {})
    if not isinstance(openings, dict):
        raise ReceiptError("receipt: malformed openings")
    opened = []
    for field, value in openings.items():
        if (
            not isinstance(value, dict)
            or set(value) != {"salt", "value"}
            or not isinstance(value["value"], str)
            or not isinstance(value["salt"], str)
            or not HEX_SALT.fullmatch(value["salt"])
        ):
            raise ReceiptError(f"receipt: malformed opening of {field}")
        opened.append((field, value["value"], value["salt"]))
    return Receipt(body, int(index), path, checkpoint.encode(), tuple(opened))


def check_receipt(raw: bytes, key: VerifierKey) -> tuple[Receipt, TreeHead, Note]:
    """The receipt, the tree head it is under and its note; raises ReceiptError unless every part holds."""
    receipt = read_receipt(raw)
    try:
        head, note = open_checkpoint(receipt.checkpoint, key)
        check_inclusion(leaf_hash(canonical(receipt.body)), receipt.index, head.size, receipt.path, head.root)
    except (NoteError, ProofError, CanonError) as error:
        raise ReceiptError(f"receipt: {error}") from error
    check_openings(receipt.body, receipt.openings)
    return receipt, head, note


def check_openings(body: dict, openings: Iterable[tuple[str, str, str]]) -> None:
    """Raise ReceiptError unless each (field, value, salt in hex) opens a commitment of the entry."""
    for field, value, salt in openings:
        if not isinstance(salt, str) or not HEX_SALT.fullmatch(salt):
            raise ReceiptError(f"receipt: the salt of «{field}» is malformed")
        committed = body.get("c", {}).get(field)
        if committed is None or commitment(field, value, bytes.fromhex(salt)).hex() != committed:
            raise ReceiptError(f"receipt: the opening of «{field}» doesn't fit the entry's commitment")


# The QR of a family's receipt, behind the # of its address: what names the entry and opens its commitments, packed as
# one number in decimal digits. A QR holds digits at 3.3 bits each, so that the code stays coarse enough for a cheap
# printer and an old phone. Bytes: version 1; device code (12); event id (16); then per field its place in
# FAMILY_FIELDS (1), salt (32), length of the value (2, big-endian), value (UTF-8). Receipts of before 12/2026 have
# URL-safe base64 of the JSON {"d": device, "e": event id, "o": {field: {"salt", "value"}}} and are read for ever.
FAMILY_VERSION = 1
FAMILY_FIELDS = ("recipient", "guardian", "school", "date", "record", "photo", "report", "donor", "serial", "imei",
                 "evidence")  # only ever longer  # fmt: skip
DEVICE_BYTES, EID_BYTES = 12, 16
# What a family reads.
FIELD_LABEL = {
    "recipient": "người nhận",
    "guardian": "người giám hộ",
    "school": "trường",
    "date": "ngày nhận",
    "record": "biên bản",
    "photo": "bản chụp biên bản",
    "report": "nội dung báo",
    "donor": "nhà tài trợ",
    "serial": "số sê-ri",
    "imei": "IMEI",
    "evidence": "chứng từ",
}


def pack_family(device: str, eid: bytes, openings: Iterable[tuple[str, str, bytes]]) -> str:
    """Digits of a family's QR; `openings` are (field, value, salt)."""
    parts = [bytes([FAMILY_VERSION]), device.encode(), eid]
    for field, value, salt in openings:
        text = value.encode()
        parts += [bytes([FAMILY_FIELDS.index(field)]), salt, len(text).to_bytes(2, "big"), text]
    return str(int.from_bytes(b"".join(parts), "big"))


def read_family(packed: str) -> tuple[str, str, tuple[tuple[str, str, str], ...]]:
    """(device, event id, openings as (field, value, salt in hex)) of a family's QR; raises ReceiptError."""
    try:
        if not re.fullmatch("[0-9]+", packed):
            old = json.loads(base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4)))
            opened = tuple((field, one["value"], one["salt"]) for field, one in old["o"].items())
            return old["d"], old["e"], opened
        number = int(packed)
        data = number.to_bytes((number.bit_length() + 7) // 8, "big")
        at = 1 + DEVICE_BYTES + EID_BYTES
        if data[:1] != bytes([FAMILY_VERSION]) or len(data) < at:
            raise ReceiptError("receipt: not the code of a family's receipt")
        found = []
        while at < len(data):
            field, salt, at = FAMILY_FIELDS[data[at]], data[at + 1 : at + 1 + SALT_BYTES], at + 1 + SALT_BYTES
            end = at + 2 + int.from_bytes(data[at : at + 2], "big")
            if end > len(data):
                raise ReceiptError(f"receipt: cut in {field}")
            found.append((field, data[at + 2 : end].decode(), salt.hex()))
            at = end
        eid = data[1 + DEVICE_BYTES : 1 + DEVICE_BYTES + EID_BYTES].hex()
        return data[1 : 1 + DEVICE_BYTES].decode(), eid, tuple(found)
    except ReceiptError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise ReceiptError("receipt: not the code of a family's receipt") from error


# --- ledger/log.py ---

# More changes of key than this are not followed.
MAX_CHANGES = 64


class LogError(Exception):
    """The log doesn't hold what it promises; the message says what and where."""


class NoLogError(LogError):
    """There is no log here: no checkpoint to start from."""


def endorsed_keys(fetch: Fetch, keys: list[VerifierKey]) -> list[VerifierKey]:
    """The trusted keys and those that followed them, each by a `key.rotated` entry under the older key's signature.

    The receipt of that entry lies beside the log as `keys/<id of the new key>.tlog-proof`; so whoever holds the first
    key can check a log that is signed by the fifth.
    """
    trusted = list(keys)
    try:
        beside = [VerifierKey.parse(line) for line in fetch("vkey").decode().splitlines() if line.strip()]
    except (FileNotFoundError, UnicodeDecodeError, NoteError):
        return trusted
    for new in beside:
        chain = _chain_to(fetch, new, trusted)
        trusted += [key for key in chain if key not in trusted]
    return trusted


def _chain_to(fetch: Fetch, new: VerifierKey, trusted: list[VerifierKey]) -> list[VerifierKey]:
    """The keys from a trusted one to `new`, each named under the signature of the one before; empty if there is none."""
    chain: list[VerifierKey] = []
    key = new
    while key not in trusted and key not in chain and len(chain) < MAX_CHANGES:
        try:
            raw = fetch(f"keys/{key.key_id.hex()}.tlog-proof")
            body = read_receipt(raw).body
            if body["t"] != "key.rotated" or (body["key"], body["new"]) != (key.name, key.public.hex()):
                return []
            old = VerifierKey(key.name, ED25519, bytes.fromhex(body["old"]))
            check_receipt(raw, old)
        except (FileNotFoundError, ReceiptError):
            return []
        chain.insert(0, key)
        key = old
    return chain if key in trusted else []


def read_checkpoint(
    fetch: Fetch, keys: list[VerifierKey], *, witnesses: list[VerifierKey] | None = None, needed: int = 0
) -> tuple[TreeHead, Note]:
    """The signed tree head, by any of the trusted keys and `needed` of the `witnesses`; raises LogError."""
    try:
        raw = fetch("checkpoint")
    except FileNotFoundError:
        raise NoLogError("checkpoint: missing; there is no log here") from None
    trouble = "no key to check it with"
    for key in keys:
        try:
            head, note = open_checkpoint(raw, key)
        except NoteError as error:
            trouble = str(error)
            continue
        check_witnesses(note, witnesses or [], needed, "checkpoint")
        return head, note
    raise LogError(f"checkpoint: {trouble}")


def check_witnesses(note: Note, witnesses: list[VerifierKey], needed: int, where: str) -> list[str]:
    """Names of the trusted witnesses that cosigned; raises LogError when they are fewer than `needed`."""
    try:
        seen = witnesses_of(note, witnesses)
    except NoteError as error:
        raise LogError(f"{where}: {error}") from error
    if len(seen) < needed:
        raise LogError(f"{where}: {len(seen)} of the {needed} needed witnesses cosigned")
    return [name for name, _ in seen]


def verify_log(
    fetch: Fetch, keys: list[VerifierKey], *, witnesses: list[VerifierKey] | None = None, needed: int = 0
) -> dict:
    """Recompute every hash of the log and compare with every tile and the signed root.

    Returns {"size", "root", "signed_at", "witnesses"}. Raises LogError naming the file. `needed` of the `witnesses`
    must have cosigned.
    """
    head, note = read_checkpoint(fetch, keys, witnesses=witnesses, needed=needed)
    for _ in checked_entries(fetch, head):
        pass
    return {
        "origin": head.origin,
        "size": head.size,
        "root": head.root.hex(),
        "signed_at": head.signed_at,
        "witnesses": check_witnesses(note, witnesses or [], needed, "checkpoint"),
    }


def checked_entries(fetch: Fetch, head: TreeHead) -> Iterator[list[bytes]]:
    """Bundles of entries, each compared with the tiles; after the last one the root. Raises LogError."""
    edge = Edge(hashes_only=True)
    try:
        for bodies in read_entries(fetch, head.size):
            for path, data in edge.add(bodies, leaf_hashes(bodies)):
                if fetch(path) != data:
                    raise LogError(f"{path}: not the hashes of the entries")
            yield bodies
        for path, data in edge.partials():
            level = int(path.split("/")[1])
            number = edge.size >> 8 * (level + 1)
            if fetch_tile(fetch, level, number, len(data) // HASH_BYTES) != data:
                raise LogError(f"{path}: not the hashes of the entries")
    except TileError as error:
        raise LogError(str(error)) from error
    except FileNotFoundError as error:
        raise LogError(f"{error.filename or error}: missing") from None
    if edge.root() != head.root:
        raise LogError("the entries don't lead to the signed root")


# --- ledger/disclosure.py ---

# Rule 3: an area's recipients in one run are at least this many, and at most half of its roll.
AREA_MINIMUM = 10
# Rule 4: counts below this are not shown at province level.
CELL_MINIMUM = 10
# Where the count can be made from the log's entries; where it can't, hidden says nothing at all.
FEW, HIDDEN = "<10", "ẩn"
# Rule 4 from release to release (`release_line`): from where on a number is shown, by how much its count must move
# before it changes, and how much of the total is always in no shown number.
SHOWN_FROM, CELL_STEP, KEPT_BACK = 20, 10, 30
NATION = "VN"
# Words that may never be a key of anything public (rules 1 and 2).
PERSONAL_KEYS = frozenset(
    [
        "name",
        "full_name",
        "student",
        "pupil",
        "class",
        "class_name",
        "grade",
        "birth_date",
        "date_of_birth",
        "dob",
        "sex",
        "gender",
        "ethnicity",
        "photo",
        "address",
        "guardian",
        "phone",
        "email",
        "identity_number",
        "citizen_id",
        "cccd",
        "household",
        "group",
        "eligibility_group",
        "priority",
        # Heads of columns, as a file for people has them.
        "họ và tên",
        "họ tên",
        "học sinh",
        "lớp",
        "ngày sinh",
        "giới tính",
        "dân tộc",
        "địa chỉ",
        "người giám hộ",
        "số điện thoại",
        "số định danh",
        "đối tượng",
    ]
)
# A place, an organisation, a platform and a figure have a `name` in public; what is a person's is never called just so.
NAMES_OF_THINGS = frozenset(["name"])
# Where twelve digits are no citizen's: a device code may be all digits.
DEVICE_KEYS = frozenset(["dev", "device"])
CITIZEN_NUMBER = re.compile(r"(?<![0-9A-Za-z])\d{12}(?![0-9A-Za-z])")
MASK = "(đã ẩn)"
# Under this key an entry has its salted commitments: what each is about, and nothing but its hash.
COMMITMENTS = "c"
COMMITMENT = re.compile(r"[0-9a-f]{64}")


class DisclosureError(ValueError):
    """What was about to be published says more than the rules allow."""


def choose_area(chain: Sequence[tuple[str, int, int]]) -> str:
    """Rule 3: the smallest area that may be named as the destination of a handover, fixed at allocation.

    `chain` goes from the school up (school, commune, district, province): (code, recipients of this run in it, roll).
    The nation is the last resort, so the answer always exists.
    """
    for code, recipients, roll in chain:
        if recipients >= AREA_MINIMUM and 2 * recipients <= roll:
            return code
    return NATION


def choose_areas(schools: Sequence[tuple[Sequence[str | None], int, int]]) -> list[str]:
    """Rule 3 for all schools of a run at once: each school's public area, never one that few are left in.

    Each school is (codes from itself up: school, commune, district, province, None where it has none; recipients;
    roll). From the finest
    level up, an area is taken by the schools in it that have none yet, when those have at least ten recipients who
    are at most half of those schools' roll. Counting only who is left matters: in a commune whose large school is
    named by itself, the commune's name would otherwise point at the one pupil of its small school. And where fewer
    than ten of the whole run are left for "the nation", an area around them takes in its neighbours.
    """
    found: list[str | None] = [None] * len(schools)
    levels = max((len(chain) for chain, _, _ in schools), default=0)
    for level in range(levels):
        _name_areas(schools, found, level, [at for at, area in enumerate(found) if area is None])
    _hide_the_rest(schools, found, levels)
    return [area or NATION for area in found]


Schools = Sequence[tuple[Sequence[str | None], int, int]]


def _at(chain: Sequence[str | None], level: int) -> str | None:
    return chain[level] if level < len(chain) else None


def _name_areas(schools: Schools, found: list[str | None], level: int, members: Sequence[int]) -> None:
    """Give the areas of a level to those of these schools that are, together, enough to hide their recipients."""
    recipients: Counter[str | None] = Counter()
    roll: Counter[str | None] = Counter()
    for at in members:
        chain, count, size = schools[at]
        recipients[_at(chain, level)] += count
        roll[_at(chain, level)] += size
    for at in members:
        area = _at(schools[at][0], level)
        if area and recipients[area] >= AREA_MINIMUM and 2 * recipients[area] <= roll[area]:
            found[at] = area


def _hide_the_rest(schools: Schools, found: list[str | None], levels: int) -> None:
    """Where fewer than ten recipients of the whole nation are left, "the nation" would point at them.

    The finest area around them takes in its neighbours, who were named more finely; in the last resort the nation
    takes in the smallest area.
    """

    def rest() -> list[int]:
        left = [at for at, area in enumerate(found) if area is None and schools[at][1]]
        return left if sum(schools[at][1] for at in left) < AREA_MINIMUM else []

    for level in range(1, levels):
        around = {_at(schools[at][0], level) for at in rest()} - {None}
        if around:
            finer = [
                at
                for at, area in enumerate(found)
                if (area is None or area in schools[at][0][:level]) and _at(schools[at][0], level) in around
            ]
            _name_areas(schools, found, level, finer)
    while rest():
        sizes: Counter[str] = Counter()
        for at, area in enumerate(found):
            if area and schools[at][1]:
                sizes[area] += schools[at][1]
        if not sizes:
            return
        smallest = min(sizes, key=lambda area: (sizes[area], area))
        for at, area in enumerate(found):
            if area == smallest:
                found[at] = None


def public_place(chain: Sequence[str], area: str | None) -> str:
    """Rule 3: the finest code that may stand in an entry or on a page for a place of an allocated device.

    `chain` are the codes from the place itself up to the widest (an office, its units, the nation); `area` is the
    device's. A place inside the area is replaced by the area; one that holds the area, or lies elsewhere, stays.
    A device without an area (not allocated) keeps its place.
    """
    if area is None or not chain or area not in chain:
        return chain[0] if chain and (area is None or area != NATION) else NATION
    return area


def check_public(
    value: object, where: str = "answer", *, allowed: frozenset[str] = frozenset(), key: str = ""
) -> None:
    """Rules 1 and 2: raise DisclosureError if a public structure carries a key or number of a person.

    `allowed` are keys that here are no person's; `key` is the one that the value stands under.
    """
    if isinstance(value, Mapping):
        if key == COMMITMENTS and all(COMMITMENT.fullmatch(str(inner)) for inner in value.values()):
            return
        check_keys(value, where, allowed=allowed)
        for name, inner in value.items():
            check_public(inner, f"{where}.{name}", allowed=allowed, key=str(name))
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            check_public(inner, f"{where}[{number}]", allowed=allowed, key=key)
    elif isinstance(value, str) and key not in DEVICE_KEYS and CITIZEN_NUMBER.search(value):
        raise DisclosureError(f"{where}: looks like a citizen number")


def check_keys(keys: Iterable, where: str, *, allowed: frozenset[str] = frozenset()) -> None:
    """Rules 1 and 2 for the keys of an object or the columns of a table."""
    for key in keys:
        if str(key).strip().lower() in PERSONAL_KEYS - allowed:
            raise DisclosureError(f"{where}: «{key}» may not be public")


def public_rows(columns: Sequence[str], rows: Iterable[Sequence], where: str) -> Iterator[tuple]:
    """Rules 1 and 2 for a table, row by row: a column about persons is refused, a citizen's number in a text masked.

    The texts are other people's (a bank's line, a donor's note); one of them must not keep the whole table from the
    public.
    """
    check_keys(columns, where, allowed=NAMES_OF_THINGS)
    for row in rows:
        yield tuple(CITIZEN_NUMBER.sub(MASK, cell) if isinstance(cell, str) else cell for cell in row)


def ten_or_none(count: int) -> int | None:
    """Rule 4 for a count that anybody can make from the log's entries: 1 to 9 aren't spread, and nothing else is hidden.

    Hiding other counts beside it would protect nothing (ADR 24, 34).
    """
    return None if 0 < count < CELL_MINIMUM else count


@dataclass(frozen=True)
class PublicLine:
    """What stood in public of a line of counts at one release: its total, and the numbers of the cells that had one."""

    total: int
    shown: Mapping[str, int]


def release_line(counts: Mapping[str, int], stood: Sequence[PublicLine]) -> dict[str, int]:
    """Rule 4 for counts that stand nowhere else, from release to release: which number of each cell the public sees.

    `counts`: the line as counted; its total is public and exact. `stood`: all that stood in public so far, the latest
    last. A number is shown from 20 on and stays as it is until its count has moved by ten; one that falls below ten is
    hidden again. At least 30 of the total are in no shown number. A cell waits, in the order of the codes, whose new
    number would leave less, or would let a plain guess about an earlier release come out. Whatever isn't in the answer
    is hidden, zeros too, and nothing may tell such cells apart. Source: rule 4 of the ledger's design; tried and
    measured in ADR 34.
    """
    total = sum(counts.values())
    before = stood[-1].shown if stood else {}
    shown = {cell: before[cell] for cell in sorted(counts) if cell in before}
    for cell in list(shown):
        if counts[cell] < CELL_MINIMUM and shown[cell] - counts[cell] >= CELL_STEP:
            del shown[cell]
    for cell in sorted(counts):
        count, old = counts[cell], shown.get(cell)
        if (count >= SHOWN_FROM) if old is None else (abs(count - old) >= CELL_STEP):
            new = shown | {cell: count}
            is_kept_back = total - sum(new.values()) >= KEPT_BACK or count < (old or 0)
            if is_kept_back and not any(_lets_guess(total, new, then) for then in stood):
                shown = new
    for cell in sorted(shown, reverse=True):  # only where counts fell
        if total - sum(shown.values()) < KEPT_BACK:
            del shown[cell]
    return shown


def _lets_guess(total: int, shown: Mapping[str, int], then: PublicLine) -> bool:
    """Whether a plain guess about an earlier release would come out at a small count.

    The guesses: none of the cells that were hidden then and are shown now has changed since (what is left of the total
    of then is the others'), or one of them alone has, by all that the hidden ones have moved.
    """
    fresh = shown.keys() - then.shown.keys()
    if not fresh:
        return False
    left = then.total - sum(then.shown.values()) - sum(shown[cell] for cell in fresh)
    moved = total - then.total - sum(shown[cell] - old for cell, old in then.shown.items() if cell in shown)
    return 0 <= left < KEPT_BACK or any(0 < shown[cell] - moved < CELL_MINIMUM for cell in fresh)


def merge_small(
    counts: Mapping[str, int], parents: Mapping[str, str], minimum: int = CELL_MINIMUM
) -> dict[str, int]:
    """Rules 2 and "the draw": cells below `minimum` are added to their parent's, upward, until all are large enough."""
    merged = Counter({key: count for key, count in counts.items() if count})
    while True:
        small = sorted(key for key, count in merged.items() if count < minimum and key in parents)
        if not small:
            return dict(merged)
        for key in small:
            merged[parents[key]] += merged.pop(key)


@dataclass
class Tally:
    """Public figures from the entries alone (rules 3 and 4): `figures()` is what a release says of a log."""

    devices: Counter = field(default_factory=Counter)
    handed: Counter = field(default_factory=Counter)
    points: Counter = field(default_factory=Counter)
    area: dict[str, str] = field(default_factory=dict)
    money_vnd: int = 0
    pledges: int = 0

    def add(self, body: Mapping) -> None:
        """Count one entry."""
        kind = body["t"]
        if kind == "device.allocated":
            self.area[body["dev"]] = body["area"]
        if kind.startswith("device."):
            self.devices[
                kind.removeprefix("device.") + (f"_{body['outcome']}" if "outcome" in body else "")
            ] += 1
        if kind == "device.handed_over":
            self.handed[self.area.get(body["dev"], NATION)] += 1
        elif kind == "point.covered":
            self.points[body.get("urgency", "regular")] += 1
        elif kind == "money.received":
            self.money_vnd += body["amount_vnd"]
        elif kind == "pledge.made":
            self.pledges += 1

    def figures(self) -> dict:
        """National counts of each step, and handovers by the areas of rule 3; small areas are merged upward."""
        areas = merge_small(
            self.handed, {code: NATION for code in self.handed if code != NATION}, AREA_MINIMUM
        )
        return {
            "devices": dict(sorted(self.devices.items())),
            "handed_over_by_area": dict(sorted(areas.items())),
            "points_covered": dict(sorted(self.points.items())),
            "money_received_vnd": self.money_vnd,
            "pledges": self.pledges,
        }

    def digest(self) -> str:
        """SHA-256 of the canonical figures: what `figures.published` carries."""
        return hashlib.sha256(dumps(self.figures())).hexdigest()


# --- ledger/draw.py ---

HEADER = "applicant,cell,served"
SERVED = ("no", "draw", "earmark")
LINE = re.compile(r"([A-Za-z0-9._-]{1,40}),(\*?[A-Za-z0-9._/-]{1,60}),(no|draw|earmark)")
DRAW_CELL_MINIMUM = 10
# A cell of its own: locality, group, place in the household, then the province.
TIER_CELL = re.compile(r"([0-9]{1,2})\.([0-9]{1,2})\.([0-9]{1,4})-([A-Za-z0-9._/-]+)")
# The two orders that a policy may have: (locality, group, place) and (group, locality, place).
TIER_ORDERS = {"locality_first": (0, 1, 2), "group_first": (1, 0, 2)}
Tier = tuple[int, int, int]


class DrawError(ValueError):
    """The draw file is malformed or doesn't agree with the log."""


def draw_file(rows: Iterable[tuple[str, str, str]]) -> bytes:
    """Bytes of the draw file of (applicant, cell, served) rows; raises DrawError on a cell under ten."""
    lines = sorted(rows, key=lambda row: row[0].encode())
    for row in lines:
        if not LINE.fullmatch(",".join(row)):
            raise DrawError(f"draw file: malformed line {','.join(row)}")
    small = [cell for cell, count in Counter(row[1] for row in lines).items() if count < DRAW_CELL_MINIMUM]
    if small and len(lines) >= DRAW_CELL_MINIMUM:
        raise DrawError(f"draw file: {len(small)} cells have fewer than {DRAW_CELL_MINIMUM} applicants")
    return "".join(f"{line}\n" for line in [HEADER, *(",".join(row) for row in lines)]).encode()


def read_draw_file(data: bytes) -> list[tuple[str, str, str]]:
    """Rows of a draw file; raises DrawError naming the line."""
    try:
        lines = data.decode().split("\n")
    except UnicodeDecodeError as error:
        raise DrawError("draw file: not UTF-8") from error
    if lines[0] != HEADER or lines[-1]:
        raise DrawError(f"draw file: expected the header {HEADER} and a last line end")
    rows = []
    for number, line in enumerate(lines[1:-1], 2):
        match = LINE.fullmatch(line)
        if match is None:
            raise DrawError(f"draw file: line {number} is malformed")
        rows.append((match[1], match[2], match[3]))
    codes = [row[0].encode() for row in rows]
    if any(one >= other for one, other in itertools.pairwise(codes)):
        raise DrawError("draw file: not sorted by applicant, or an applicant twice")
    return rows


@dataclass
class Cell:
    """What the file says of one cell: its size, who was served, and the draw among those without an earmark."""

    size: int = 0
    served: int = 0
    need: int = 0
    given: int = 0
    last_served: bytes = b""
    first_unserved: bytes = b""

    def add(self, how: str, lot: bytes) -> None:
        self.size += 1
        self.served += how != "no"
        if how == "earmark":
            return
        self.need += 1
        if how == "draw":
            self.given += 1
            self.last_served = max(self.last_served, lot)
        else:
            self.first_unserved = min(self.first_unserved or lot, lot)

    @property
    def is_in_order(self) -> bool:
        return not self.first_unserved or self.last_served < self.first_unserved


@dataclass
class TierCells:
    """One tier over its provinces, as far as its cells were large enough to be shown."""

    provinces: dict[str, Cell] = field(default_factory=dict)

    @property
    def need(self) -> dict[str, int]:
        return {province: cell.need for province, cell in self.provinces.items() if cell.need}

    @property
    def given(self) -> dict[str, int]:
        return {province: cell.given for province, cell in self.provinces.items() if cell.need}

    @property
    def is_drawn_as_one(self) -> bool:
        """Whether the draw alone decided in the whole tier, whatever the province."""
        unserved = [cell.first_unserved for cell in self.provinces.values() if cell.first_unserved]
        return not unserved or max(cell.last_served for cell in self.provinces.values()) < min(unserved)


def largest_shares(left: int, need: dict[str, int]) -> dict[str, int]:
    """`left` devices in proportion to `need`: the floors, then one each to the largest remainders.

    Ties go to the larger need, then to the smaller code.
    """
    total = sum(need.values())
    share = {province: left * wanted // total for province, wanted in need.items()}
    by_remainder = sorted(need, key=lambda code: (-(left * need[code] % total), -need[code], code.encode()))
    for province in by_remainder[: left - sum(share.values())]:
        share[province] += 1
    return share


def is_fair_to_one(need: dict[str, int], given: dict[str, int]) -> bool:
    """Whether one common share explains every province to within one device (some cells of the tier are merged)."""
    low = max((Fraction(given[code] - 1, need[code]) for code in need), default=Fraction(0))
    high = min((Fraction(given[code] + 1, need[code]) for code in need), default=Fraction(1))
    return low < high


def check_margin(cells: dict[str, Cell]) -> dict:
    """Prove who came first and how the last devices were split. Raises DrawError.

    Under one of the two orders a policy may have, no tier is served while one before it waits; the one tier that was
    served in part is the margin, and its devices are split over the provinces in proportion to the need (largest
    remainders) or by the draw alone. Cells that were merged because they are small stay out: where some are, a
    province's share is proved to within one device.
    """
    tiers: dict[Tier, TierCells] = {}
    for name, cell in cells.items():
        if match := TIER_CELL.fullmatch(name):
            tier = (int(match[1]), int(match[2]), int(match[3]))
            tiers.setdefault(tier, TierCells()).provinces[match[4]] = cell
    merged = any(name.startswith("*") for name in cells)
    waiting = [tier for tier, shown in tiers.items() if sum(shown.need.values()) > sum(shown.given.values())]
    served = [tier for tier, shown in tiers.items() if sum(shown.given.values())]
    orders = []
    for order, key in TIER_ORDERS.items():
        first_waiting = min(([tier[at] for at in key] for tier in waiting), default=None)
        last_served = max(([tier[at] for at in key] for tier in served), default=None)
        if first_waiting is None or last_served is None or last_served <= first_waiting:
            orders.append(order)
    if not orders:
        raise DrawError("draw file: a later tier was served from the free devices while an earlier one waits")
    margin = [tier for tier in waiting if tier in served]
    if not margin:
        return {"orders": orders, "margin": None}
    (tier,) = margin
    need, given = tiers[tier].need, tiers[tier].given
    if given == largest_shares(sum(given.values()), need):
        split = "proportional"
    elif merged and is_fair_to_one(need, given):
        split = "proportional to within one device"
    elif tiers[tier].is_drawn_as_one:
        split = "by the draw alone"
    else:
        raise DrawError(
            f"draw file: the devices of the last tier {'.'.join(map(str, tier))} are split over the provinces neither"
            " in proportion nor by the draw"
        )
    quotas = {province: [need[province], given[province]] for province in sorted(need)}
    return {
        "orders": orders,
        "margin": {"tier": ".".join(map(str, tier)), "split": split, "provinces": quotas},
    }


def check_draw(data: bytes, frozen: dict, seeded: dict, committed: dict) -> dict:
    """Prove a run's file against its entries: counts, seed, order of the draw, quotas at the margin. Raises DrawError.

    Returns {"applicants", "served", "cells": {cell: [applicants, served]}, "ordered_cells", "seed", "orders",
    "margin"}.
    """
    if hashlib.sha256(data).hexdigest() != committed["draw_file"]:
        raise DrawError("draw file: not the file whose hash was committed")
    rows = read_draw_file(data)
    if len(rows) != frozen["applicants"]:
        raise DrawError(f"draw file: {len(rows)} applicants, {frozen['applicants']} were frozen")
    served = sum(row[2] != "no" for row in rows)
    if served != committed["served"] or len(rows) - served != committed["unserved"]:
        raise DrawError(f"draw file: {served} served, the run says {committed['served']}")
    if served > frozen["supply"]:
        raise DrawError(f"draw file: {served} served with {frozen['supply']} devices")
    seed = draw_seed(bytes.fromhex(frozen["root"]), bytes.fromhex(seeded["randomness"]))
    if seed.hex() != seeded["seed"]:
        raise DrawError("the seed doesn't follow from the freeze and the randomness")
    cells: dict[str, Cell] = {}
    for applicant, name, how in rows:
        cells.setdefault(name, Cell()).add(how, lot_number(seed, applicant))
    small = [name for name, cell in cells.items() if cell.size < DRAW_CELL_MINIMUM]
    if small and len(rows) >= DRAW_CELL_MINIMUM:
        raise DrawError(f"draw file: cell {min(small)} has fewer than {DRAW_CELL_MINIMUM} applicants")
    for name, cell in cells.items():
        if not name.startswith("*") and not cell.is_in_order:
            raise DrawError(f"draw file: cell {name} was not served in the order of the draw")
    return {
        "applicants": len(rows),
        "served": served,
        "cells": {name: [cells[name].size, cells[name].served] for name in sorted(cells)},
        "ordered_cells": sum(not name.startswith("*") for name in cells),
        "seed": seed.hex(),
    } | check_margin(cells)


# --- ledger/runs.py ---

RUN_STEPS = ("frozen", "seeded", "approved", "committed")
# What must have come before a step.
STEP_BEFORE = {"seeded": "frozen", "approved": "seeded", "committed": "approved", "rejected": "frozen"}
# A device that stands here in public may have been handed over, confirmed or replaced since: that is held for its batch.
MAY_BE_FURTHER = ("allocated", "arrived", "handed_over")


@dataclass
class Run:
    """What the log says about one run: its entries by their step, and how many devices were allocated in it.

    `early` are allocations before the approval.
    """

    steps: dict[str, dict] = field(default_factory=dict)
    allocated: int = 0
    early: int = 0

    def add(self, body: Mapping, seeds: dict[str, str]) -> list[str]:
        """Take in the run's next entry; what is wrong with it. `seeds` are those of all runs, by their frozen root."""
        step, wrong = body["t"].removeprefix("run."), []
        if step in STEP_BEFORE and STEP_BEFORE[step] not in self.steps:
            wrong.append(f"{step} before its time")
        if step in self.steps:
            wrong.append(f"{step} twice")
        if "rejected" in self.steps or (step == "rejected" and "committed" in self.steps):
            wrong.append(f"{step} after it had ended")
        self.steps[step] = dict(body)
        frozen, approved = self.steps.get("frozen"), self.steps.get("approved")
        # Inputs that were drawn before, in a run that was rejected, keep their seed: nobody chose it at this freeze.
        if step == "frozen" and body["draw_on"] < body["d"] and body["root"] not in seeds:
            wrong.append(f"the randomness of {body['draw_on']} was known at the freeze")
        if step == "seeded" and frozen is not None:
            wrong += seed_problems(body, frozen, seeds)
        if step == "committed" and frozen is not None and approved is not None:
            wrong += commit_problems(body, frozen, approved)
        return wrong

    def whole(self, devices: Mapping[str, int], live: int) -> list[str]:
        """What is wrong once the whole log was read.

        `devices` counts those last allocated in this run by their state, `live` are those whose allocation was neither
        revoked nor ended by a replacement. At most as many students have a device as were served. More allocations than
        that live on only while a device was replaced whose own last steps are held for the batch of its handover.
        """
        committed = self.steps.get("committed")
        if committed is None:
            return [f"{self.allocated} devices allocated, never committed"] if self.allocated else []
        wrong = [f"{self.early} devices allocated before it was approved"] if self.early else []
        served = committed["served"]
        in_hands, held = (
            sum(devices.get(state, 0) for state in states) for states in (WITH_STUDENT, MAY_BE_FURTHER)
        )
        if self.allocated < served or live > served + held or in_hands > served:
            wrong.append(
                f"says {served} served, has {self.allocated} allocations, {live} of them live, and {in_hands} devices in "
                "students' hands"
            )
        return wrong


def seed_problems(body: Mapping, frozen: Mapping, seeds: dict[str, str]) -> list[str]:
    """What is wrong with a seed: it follows from the freeze and from randomness that nobody here could choose."""
    wrong, randomness = [], bytes.fromhex(body["randomness"])
    if draw_seed(bytes.fromhex(frozen["root"]), randomness).hex() != body["seed"]:
        wrong.append("the seed doesn't follow from the freeze and the randomness")
    if seeds.setdefault(frozen["root"], body["seed"]) != body["seed"]:
        wrong.append("the same inputs were drawn again with another seed")
    if frozen["source"] == "three_parties":
        promised = [frozen.get(f"party{number}") for number in (1, 2, 3)]
        if [sha256(part).hexdigest() for part in randomness.split(b"\n")] != promised:
            wrong.append("a party revealed another value than it promised")
    elif body["d"] < frozen["draw_on"]:
        wrong.append(f"seeded before the draw of {frozen['draw_on']}")
    return wrong


def commit_problems(body: Mapping, frozen: Mapping, approved: Mapping) -> list[str]:
    """What is wrong with a commit: it is what was approved, over the applicants and devices that were frozen."""
    wrong = []
    if (body["served"], body["result"]) != (approved["served"], approved["proposal"]):
        wrong.append("what was committed is not what was approved")
    if body["served"] + body["unserved"] != frozen["applicants"] or body["served"] > frozen["supply"]:
        wrong.append(
            f"{body['served']} served and {body['unserved']} not, of {frozen['applicants']} applicants and "
            f"{frozen['supply']} devices"
        )
    return wrong


def run_entries(
    fetch: Fetch,
    keys: list[VerifierKey],
    run: str,
    *,
    witnesses: list[VerifierKey] | None = None,
    needed: int = 0,
) -> dict[str, dict]:
    """The run's entries by their step (frozen, seeded, approved, committed, rejected), from the checked log.

    Raises LogError when the log doesn't hold or one of them breaks a rule.
    """
    head, _ = read_checkpoint(fetch, keys, witnesses=witnesses, needed=needed)
    runs: dict[str, Run] = {run: Run()}
    seeds: dict[str, str] = {}
    for index, body in _of_runs(checked_entries(fetch, head)):
        wrong = runs.setdefault(body["run"], Run()).add(body, seeds)
        if wrong and body["run"] == run:
            raise LogError(f"entry {index}: run {run}: {wrong[0]}")
    return runs[run].steps


def _of_runs(bundles: Iterator[list[bytes]]) -> Iterator[tuple[int, dict]]:
    index = 0
    for bodies in bundles:
        for data in bodies:
            if b'"t":"run.' in data:
                body = parse(data)
                check_entry(body)
                yield index, body
            index += 1


# --- ledger/audit.py ---

SHOWN = 20
# What ends an allocation: it is revoked, the student gets another device, or this one is written off (lost on its way).
RELEASES = ("device.allocation_revoked", "device.replaced", "device.written_off")


@dataclass
class Claims:
    """What the log says about its own past, gathered in a first reading so that the second needs little memory."""

    figures: set[int] = field(default_factory=set)
    named: set[str] = field(default_factory=set)


def read_claims(fetch: Fetch, head: TreeHead) -> Claims:
    """Sizes over which figures are claimed, and the events that later entries correct or erase."""
    claims = Claims()
    try:
        for bodies in read_entries(fetch, head.size):
            for data in bodies:
                if b'"t":"figures.published"' in data:
                    claims.figures.add(parse(data).get("size", -1))
                elif b'"corrects":' in data or b'"erases":' in data:
                    body = parse(data)
                    claims.named.add(str(body.get("corrects") or body.get("erases")))
    except (TileError, CanonError) as error:
        raise LogError(str(error)) from error
    return claims


@dataclass
class Named:
    """An entry that a later one names: what it is, and which of its commitments can still be opened."""

    body: dict
    commits: set[str]


@dataclass
class Audit:
    """All rules over a whole log, one entry at a time; `problems` are the broken ones, in order."""

    claims: Claims = field(default_factory=Claims)
    problems: list[str] = field(default_factory=list)
    events: Counter = field(default_factory=Counter)
    # Device → its last two states, the index and event of its last entry, the run it was last allocated in; `live` are
    # those whose allocation has not ended, `ended` the event that ended one.
    ways: dict[str, tuple[str, ...]] = field(default_factory=dict)
    last: dict[str, int] = field(default_factory=dict)
    latest: dict[str, str] = field(default_factory=dict)
    run_of: dict[str, str] = field(default_factory=dict)
    live: set[str] = field(default_factory=set)
    ended: dict[str, str] = field(default_factory=dict)
    runs: dict[str, Run] = field(default_factory=lambda: defaultdict(Run))
    seen: set[bytes] = field(default_factory=set)
    named: dict[str, Named] = field(default_factory=dict)
    pledges: set[str] = field(default_factory=set)
    seeds: dict[str, str] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)
    figures: dict[int, str] = field(default_factory=dict)
    releases: dict[str, str] = field(default_factory=dict)
    size: int = 0
    latest_day: str = ""

    def wrong(self, index: int, what: str) -> None:
        self.problems.append(f"entry {index}: {what}")

    def add(self, data: bytes) -> None:
        """Check the next entry."""
        if self.size in self.claims.figures:
            self.figures[self.size] = self.tally.digest()
        index, self.size = self.size, self.size + 1
        try:
            body = parse(data)
            check_entry(body)
        except (CanonError, EventError) as error:
            self.wrong(index, str(error))
            return
        kind, eid = body["t"], body["eid"]
        self.events[kind] += 1
        self.latest_day = max(self.latest_day, body["d"])
        if (mark := bytes.fromhex(eid)) in self.seen:
            self.wrong(index, f"event id {eid} was used before")
        self.seen.add(mark)
        if kind == "correction":
            self._correction(index, body)
        if "dev" in body:
            self._device(index, body)
        if eid in self.claims.named:
            self.named[eid] = Named(body, set(body.get("c", ())))
        if kind.startswith("run."):
            self._run(index, body)
        elif kind.startswith("pledge."):
            self._pledge(index, body)
        elif kind == "commitment.erased":
            self._erasure(index, body)
        elif kind == "figures.published":
            self._figures(index, body)
        elif kind == "key.rotated":
            self._rotation(index, body)
        self.tally.add(body)

    def _device(self, index: int, body: dict) -> None:
        device, kind = body["dev"], body["t"]
        if body.get("prev") != self.last.get(device):
            self.wrong(
                index, f"prev is {body.get('prev')}, the device's last entry is {self.last.get(device)}"
            )
        way = self.ways.get(device, ())
        try:
            state = next_state(list(way), body)
        except IllegalMoveError as error:
            self.wrong(index, f"device {device}: {error}")
            state = way[-1] if way else NEW
        self.ways[device] = (*way[-1:], state)
        self.last[device], self.latest[device] = index, body["eid"]
        if kind == "device.allocated":
            self.run_of[device] = body["run"]
            run = self.runs[body["run"]]
            run.allocated += 1
            run.early += "approved" not in run.steps
            self.live.add(device)
        elif kind in RELEASES and device in self.live:
            self.live.discard(device)
            self.ended[device] = body["eid"]
        if "run" in body and self.run_of.get(device) != body["run"]:
            allocated = self.run_of.get(device) or "none"
            what = kind.removeprefix("device.").replace("_", " ")
            self.wrong(index, f"{what} in run {body['run']}, allocated in {allocated}")

    def _correction(self, index: int, body: dict) -> None:
        found = self.named.get(body["corrects"])
        if found is None:
            self.wrong(index, f"corrects {body['corrects']}, which is not before it")
        elif found.body.get("dev") != body.get("dev"):
            self.wrong(index, f"corrects an entry about {found.body.get('dev') or 'no device'}")
        elif is_undo(body):
            if self.latest.get(body["dev"]) != body["corrects"]:
                self.wrong(index, f"takes back an entry of device {body['dev']} that isn't its latest")
            # What is taken back never was: an allocation, or the end of one.
            if found.body["t"] == "device.allocated":
                self.live.discard(body["dev"])
            elif self.ended.get(body["dev"]) == body["corrects"]:
                self.live.add(body["dev"])

    def _erasure(self, index: int, body: dict) -> None:
        found = self.named.get(body["erases"])
        if body["field"] == "contact" and found is not None and found.body["t"] == "pledge.made":
            return  # in no entry ever: the entry is what a restored backup is erased from again
        if found is None or body["field"] not in found.commits:
            self.wrong(index, f"erases {body['field']} of {body['erases']}, which has no such commitment")
        else:
            found.commits.discard(body["field"])

    def _pledge(self, index: int, body: dict) -> None:
        if body["t"] == "pledge.made":
            if body["pledge"] in self.pledges:
                self.wrong(index, f"pledge {body['pledge']} made twice")
            self.pledges.add(body["pledge"])
        elif body["pledge"] not in self.pledges:
            self.wrong(index, f"pledge {body['pledge']} was never made")

    def _rotation(self, index: int, body: dict) -> None:
        role = f"{body['role']} {body['key']}"
        if self.keys.setdefault(role, body["old"]) != body["old"]:
            self.wrong(index, f"the {role} replaces a key that it doesn't have")
        self.keys[role] = body["new"]

    def _run(self, index: int, body: dict) -> None:
        for what in self.runs[body["run"]].add(body, self.seeds):
            self.wrong(index, f"run {body['run']}: {what}")

    def _figures(self, index: int, body: dict) -> None:
        expected = self.figures.get(body["size"])
        if expected is None:
            self.wrong(index, f"figures over {body['size']} entries, more than there were")
        elif expected != body["hash"]:
            self.wrong(index, "the published figures don't follow from the entries")
        self.releases[body["figures"]] = body["hash"]

    def check_beside(self, fetch: Fetch) -> dict[str, dict]:
        """The draw of each committed run and the file of each release, from beside the log; the draws by run."""
        draws = {}
        for name, run in self.runs.items():
            if not {"frozen", "seeded", "committed"} <= run.steps.keys():
                continue
            try:
                data = fetch(f"runs/{name}.csv")
                draws[name] = check_draw(
                    data, run.steps["frozen"], run.steps["seeded"], run.steps["committed"]
                )
            except FileNotFoundError:
                self.problems.append(f"run {name}: its draw file runs/{name}.csv is missing")
            except (DrawError, ValueError) as error:
                self.problems.append(f"run {name}: {error}")
        for name, digest in self.releases.items():
            try:
                if sha256(fetch(f"figures/{name}.json")).hexdigest() != digest:
                    self.problems.append(f"figures/{name}.json: not the figures whose hash was published")
            except FileNotFoundError:
                self.problems.append(f"figures/{name}.json: missing")
        return draws

    def finish(self, head: TreeHead) -> list[str]:
        """The rules about the whole; all problems."""
        devices: dict[str, Counter] = defaultdict(Counter)
        live: Counter = Counter()
        for device, name in self.run_of.items():
            devices[name][self.ways[device][-1]] += 1
            live[name] += device in self.live
        for name, run in self.runs.items():
            self.problems += [f"run {name}: {what}" for what in run.whole(devices[name], live[name])]
        # East of Greenwich it is tomorrow already.
        if head.signed_at and self.latest_day > day_after(head.signed_at):
            self.problems.append(
                f"an entry is dated {self.latest_day}, after the signature of {head.signed_at}"
            )
        return self.problems


def day_after(moment: str) -> str:
    """The day after a moment's date, as text; the moment itself when it isn't one."""
    try:
        return (datetime.date.fromisoformat(moment[:10]) + datetime.timedelta(days=1)).isoformat()
    except (ValueError, OverflowError):
        return moment


def audit(
    fetch: Fetch, keys: list[VerifierKey], *, witnesses: list[VerifierKey] | None = None, needed: int = 0
) -> dict:
    """Check the files and every rule; {"size", "events", "devices", "runs", "problems", …}. Raises LogError."""
    head, _ = read_checkpoint(fetch, keys, witnesses=witnesses, needed=needed)
    state = Audit(claims=read_claims(fetch, head))
    for bodies in checked_entries(fetch, head):
        for data in bodies:
            state.add(data)
    draws = state.check_beside(fetch)
    problems = state.finish(head)
    return {
        "origin": head.origin,
        "size": head.size,
        "root": head.root.hex(),
        "signed_at": head.signed_at,
        "events": dict(sorted(state.events.items())),
        "devices": len(state.ways),
        "states": dict(sorted(Counter(way[-1] for way in state.ways.values()).items())),
        "runs": {name: run_report(run, name in draws) for name, run in sorted(state.runs.items())},
        "figures": sorted(state.releases),
        "problem_count": len(problems),
        "problems": problems[:SHOWN],
    }


def run_report(run: Run, is_drawn: bool) -> dict:
    """One run for the audit's report; `is_drawn` says that its draw file was checked. None where it isn't that far."""
    steps = run.steps
    return {
        "applicants": steps["frozen"]["applicants"] if "frozen" in steps else None,
        "allocated": run.allocated,
        "served": steps["committed"]["served"] if "committed" in steps else None,
        "rejected": steps["rejected"]["reason"] if "rejected" in steps else None,
        "seed_checked": {"frozen", "seeded"} <= steps.keys(),
        "draw_checked": is_drawn,
    }


def device_entries(
    fetch: Fetch,
    keys: list[VerifierKey],
    device: str,
    *,
    witnesses: list[VerifierKey] | None = None,
    needed: int = 0,
) -> list[tuple[int, dict, str]]:
    """(index, entry, state after it) of one device in the whole checked log; raises LogError if its chain is broken."""
    head, _ = read_checkpoint(fetch, keys, witnesses=witnesses, needed=needed)
    found: list[tuple[int, dict, str]] = []
    index, needle = 0, f'"dev":"{device}"'.encode()
    for bodies in checked_entries(fetch, head):
        for data in bodies:
            if needle in data:
                body = parse(data)
                if body.get("dev") == device:
                    found.append((index, body, _step(index, body, found)))
            index += 1
    return found


def _step(index: int, body: dict, before: list[tuple[int, dict, str]]) -> str:
    """The device's state after this entry; raises LogError when the entry may not follow those before it."""
    last = before[-1][0] if before else None
    try:
        check_entry(body)
        state = next_state([state for _, _, state in before], body)
    except (EventError, IllegalMoveError) as error:
        raise LogError(f"entry {index}: {error}") from error
    if body.get("prev") != last:
        raise LogError(f"entry {index}: prev is {body.get('prev')}, the device's last entry is {last}")
    return state


# --- verifier/cli.py ---

HOLDS, BROKEN, WRONG_USE, UNREADABLE = 0, 1, 2, 3
# Nothing that is asked for is larger: a bundle of 256 entries, a receipt; a draw file has a line per applicant.
MAX_FILE, MAX_DRAW_FILE = 32 * 2**20, 1024 * 2**20
MAX_LINE = 400
VERDICT = {
    HOLDS: "ĐẠT (HOLDS)",
    BROKEN: "KHÔNG ĐẠT (DOES NOT HOLD)",
    WRONG_USE: "SAI CÁCH GỌI (WRONG USE)",
    UNREADABLE: "KHÔNG ĐỌC ĐƯỢC (CAN'T READ)",
}


class UnreadableError(Exception):
    """Something needed can't be read; the message says what."""


class UsageError(Exception):
    """The command was called in a way that means nothing; the message says how it is meant."""


def limit_of(path: str) -> int:
    return MAX_DRAW_FILE if path.startswith("runs/") else MAX_FILE


def read_file(path: Path, limit: int) -> bytes:
    """A regular file's bytes; raises OSError, or UnreadableError for what isn't a file or is too large."""
    found = path.stat()
    if stat.S_ISDIR(found.st_mode):
        raise UnreadableError(f"{path}: a folder, expected a file")
    if not stat.S_ISREG(found.st_mode):
        raise UnreadableError(f"{path}: not a regular file")
    if found.st_size > limit:
        raise UnreadableError(f"{path}: {found.st_size} bytes, at most {limit} are read")
    return path.read_bytes()


def exists(name: str) -> bool:
    """Whether a file has this name; a key or the text of a QR may be too long to be one."""
    try:
        return Path(name).exists()
    except (OSError, ValueError):
        return False


def opener(where: str) -> Fetch:
    """Reads files of the log under a folder or a web address."""
    if not where.startswith(("http://", "https://")):
        root = Path(where)
        if not root.is_dir():
            raise UnreadableError(f"{where}: no such folder, and not an address that starts with http")
        return lambda path: read_file(root / path, limit_of(path))
    base = where.rstrip("/") + "/"

    def fetch(path: str) -> bytes:
        address, limit = base + urllib.parse.quote(path), limit_of(path)
        try:
            # tlog-tiles: a server may compress, asked or not.
            request = urllib.request.Request(address, headers={"Accept-Encoding": "gzip, identity"})
            with urllib.request.urlopen(request, timeout=30) as answer:
                data, missing = answer.read(limit + 1), answer.length
                if answer.headers.get("Content-Encoding", "").lower() == "gzip" and not missing:
                    data = zlib.decompressobj(wbits=31).decompress(data, limit + 1)
        except urllib.error.HTTPError as error:
            if error.code in (404, 410):
                raise FileNotFoundError(path) from error
            raise UnreadableError(f"{address}: {error}") from error
        except (OSError, ValueError, http.client.HTTPException, zlib.error) as error:
            raise UnreadableError(f"{address}: {error}") from error
        if len(data) > limit:
            raise UnreadableError(f"{address}: more than {limit} bytes")
        if missing:
            # A broken line is no fault of the log.
            raise UnreadableError(f"{address}: the answer was cut off, {missing} bytes are missing")
        return data

    return fetch


def read_keys(given: str | None, fetch: Fetch | None) -> list[VerifierKey]:
    """Trusted keys: given as text or file, else the `vkey` file beside the log."""
    if given is None:
        if fetch is None:
            raise UnreadableError("--key is needed: the log's public key (or --log, for the key beside it)")
        try:
            text = fetch("vkey").decode()
        except FileNotFoundError as error:
            raise UnreadableError(
                "vkey: missing beside the log; there is no log here, or give --key"
            ) from error
        except UnicodeDecodeError as error:
            raise UnreadableError("vkey beside the log: not UTF-8") from error
    else:
        text = given
        if "+" not in given or exists(given):
            try:
                text = read_file(Path(given), MAX_FILE).decode()
            except (OSError, ValueError) as error:
                raise UnreadableError(
                    f"--key {given}: neither a key nor a file with keys ({error})"
                ) from error
    try:
        keys = [VerifierKey.parse(line) for line in text.splitlines() if line.strip()]
    except NoteError as error:
        raise UnreadableError(str(error)) from error
    if not keys:
        raise UnreadableError("key: empty")
    if any(key.kind != ED25519 for key in keys):
        raise UnreadableError("key: the key of a witness, not of a log")
    # Only a key that was given is a reason to trust another; what lies beside the log proves nothing about itself.
    return endorsed_keys(fetch, keys) if fetch and given is not None else keys


def read_witnesses(given: list[str], needed: int) -> list[VerifierKey]:
    """The witnesses' keys; raises UnreadableError for a malformed one, UsageError for an impossible policy."""
    try:
        keys = distinct([VerifierKey.parse(text) for text in given])
    except NoteError as error:
        raise UnreadableError(f"--witness: {error}") from error
    if any(key.kind != COSIGNATURE for key in keys):
        raise UnreadableError("--witness: the key of a log, not of a witness")
    if not 0 <= needed <= len(keys):
        raise UsageError(f"--witnesses-needed {needed}: {len(keys)} different keys are given by --witness")
    return keys


def do_verify_log(options, fetch: Fetch, keys: list[VerifierKey]) -> dict:
    return verify_log(fetch, keys, **options.policy)


def do_verify_device(options, fetch: Fetch, keys: list[VerifierKey]) -> dict:
    code = normalise_code(options.what)
    if code is None:
        raise UsageError(f"{options.what}: not a device code (12 letters and digits; check what was typed)")
    way = device_entries(fetch, keys, code, **options.policy)
    if not way:
        raise LogError(
            f"device {code} is not in the log: mistyped, of another programme, or its receipt isn't published yet"
        )
    return {
        "device": code,
        "entries": [{"index": index, "date": body["d"], "event": body["t"]} for index, body, _ in way],
        "state": way[-1][2],
        "state_vi": LABEL[way[-1][2]],
    }


def verify_family(options, fetch: Fetch | None, keys: list[VerifierKey]) -> dict:
    """What a family's QR opens, in the checked log: nothing of it goes to whoever serves the log."""
    if fetch is None:
        raise UsageError("verify-receipt: the text of a QR is checked against a log, --log DIR|URL is needed")
    device, eid, openings = read_family(options.what.partition("#")[2])
    head, note = read_checkpoint(fetch, keys, **options.policy)
    for index, body, _ in device_entries(fetch, keys, device, **options.policy):
        if body["eid"] == eid:
            check_openings(body, openings)
            seen = check_witnesses(note, options.policy["witnesses"], options.policy["needed"], "checkpoint")
            return receipt_report(body, index, head, openings, seen)
    raise LogError(
        f"event {eid} of device {device} is not in the log, or not yet: handovers come out by the week"
    )


def receipt_report(body: dict, index: int, head: TreeHead, openings, witnesses: list[str]) -> dict:
    return {
        "origin": head.origin,
        "device": body.get("dev"),
        "event": body["t"],
        "date": body["d"],
        "index": index,
        "log_size": head.size,
        "signed_at": head.signed_at,
        "witnesses": witnesses,
        "entry": body,
        "opened": {field: value for field, value, _ in openings},
    }


def do_verify_receipt(options, fetch: Fetch | None, keys: list[VerifierKey]) -> dict:
    if "#" in options.what and not exists(options.what):
        return verify_family(options, fetch, keys)
    raw = read_file(Path(options.what), MAX_FILE)
    trouble: Exception = ReceiptError("no key")
    for key in keys:
        try:
            receipt, head, note = check_receipt(raw, key)
        except ReceiptError as error:
            trouble = error
            continue
        seen = check_witnesses(note, options.policy["witnesses"], options.policy["needed"], "receipt")
        return receipt_report(receipt.body, receipt.index, head, receipt.openings, seen)
    raise trouble


def do_verify_run(options, fetch: Fetch, keys: list[VerifierKey]) -> dict:
    if not CODE.fullmatch(options.what) or "/" in options.what:
        raise UsageError(f"{options.what}: not the code of a run")
    steps = run_entries(fetch, keys, options.what, **options.policy)
    if not steps:
        raise LogError(f"run {options.what}: no entry in the log")
    if "rejected" in steps:
        why = steps["rejected"]["reason"]
        raise UnreadableError(f"run {options.what} was rejected ({why}): there is no draw to check")
    missing = [step for step in RUN_STEPS if step not in steps]
    if missing and missing == [*RUN_STEPS[len(steps) :]]:
        raise UnreadableError(f"run {options.what} is under way, run.{missing[0]} is still to come")
    if missing:
        raise LogError(f"run {options.what}: no entry run.{missing[0]} in the log")
    name = f"runs/{options.what}.csv"
    try:
        data = fetch(name)
    except FileNotFoundError as error:
        raise LogError(f"{name}: missing beside the log, which names its hash") from error
    return {"run": options.what} | check_draw(data, steps["frozen"], steps["seeded"], steps["committed"])


def do_audit(options, fetch: Fetch, keys: list[VerifierKey]) -> dict:
    return audit(fetch, keys, **options.policy)


def plain(command: str, report: dict, *, vi: bool) -> str:
    """The report in sentences that can be quoted."""
    if command == "verify-log":
        return plain_log(report, vi)
    if command == "verify-device":
        return plain_device(report, vi)
    if command == "verify-receipt":
        return plain_receipt(report, vi)
    return plain_run(report, vi) if command == "verify-run" else plain_audit(report, vi)


def plain_log(report: dict, vi: bool) -> str:
    witnesses = ", ".join(report["witnesses"])
    if vi:
        seen = f" Nhân chứng độc lập đã ký: {witnesses}." if witnesses else ""
        return (
            f"Sổ cái «{report['origin']}» nguyên vẹn: {report['size']} mục, mục nào cũng nằm dưới gốc được ký lúc "
            f"{report['signed_at']}. Không mục nào bị xoá hay sửa.{seen}"
        )
    seen = f" Cosigned by the witnesses {witnesses}." if witnesses else ""
    return (
        f"The log «{report['origin']}» is whole: {report['size']} entries, each under the root signed at "
        f"{report['signed_at']}. Nothing was removed or rewritten.{seen}"
    )


def plain_device(report: dict, vi: bool) -> str:
    def name(event: str) -> str:
        return EVENT_LABEL.get(event, event) if vi else event

    where = "mục" if vi else "entry"
    lines = [
        f"  {entry['date']}  {name(entry['event'])}  ({where} {entry['index']})"
        for entry in report["entries"]
    ]
    state = (
        f"Máy {report['device']}: {report['state_vi']}"
        if vi
        else f"Device {report['device']}: {report['state']}"
    )
    return "\n".join([state, *lines])


def plain_receipt(report: dict, vi: bool) -> str:
    names = FIELD_LABEL if vi else {}
    opened = "".join(
        f"\n  {names.get(field, field)}: {one_line(value)}" for field, value in report["opened"].items()
    )
    event = report["event"]
    if vi:
        about = f"«{EVENT_LABEL.get(event, event)}»" + (
            f" của máy {report['device']}" if report["device"] else ""
        )
        return (
            f"Biên nhận đúng: việc {about}, ngày {report['date']}, là mục {report['index']} trong {report['log_size']} "
            f"mục của sổ cái «{report['origin']}», ký lúc {report['signed_at']}.{opened}"
        )
    about = f"{event} of device {report['device']}" if report["device"] else event
    return (
        f"The receipt is true: {about}, dated {report['date']}, is entry {report['index']} of the {report['log_size']} "
        f"of the log «{report['origin']}» that were signed at {report['signed_at']}.{opened}"
    )


SPLIT_VI = {
    "proportional": "theo tỷ lệ nhu cầu của các tỉnh",
    "proportional to within one device": "theo tỷ lệ nhu cầu của các tỉnh, sai khác không quá một máy",
    "by the draw alone": "hoàn toàn theo thứ tự bốc thăm",
}


def plain_run(report: dict, vi: bool) -> str:
    margin, shown = report["margin"], report["ordered_cells"]
    merged = len(report["cells"]) - shown
    if vi:
        ordered = (
            f"trong cả {shown} ô, máy được trao theo đúng thứ tự bốc thăm; không bậc nào được nhận trước một bậc ưu "
            "tiên hơn"
            if shown
            else "mọi ô đều nhỏ nên phải gộp, thứ tự bốc thăm không kiểm được từ tệp công khai"
        )
        if shown and merged:
            ordered += f" ({merged} ô gộp từ các ô dưới mười em chỉ kiểm được tổng số)"
        last = f" Ở bậc cuối ({margin['tier']}), máy được chia {SPLIT_VI[margin['split']]}." if margin else ""
        return (
            f"Đợt {report['run']} đúng: {report['served']} trong {report['applicants']} em được nhận máy; số bốc thăm "
            f"sinh ra từ dữ liệu đã chốt và số ngẫu nhiên công khai; {ordered}.{last}"
        )
    ordered = (
        f"in each of {shown} cells the devices went in the order of the draw; no tier was served before one that comes "
        "first"
        if shown
        else "every cell was small and is merged, so that the public file doesn't show the order of the draw"
    )
    if shown and merged:
        ordered += f" (of {merged} cells merged from ones under ten, only the totals)"
    last = f" In the last tier ({margin['tier']}) the devices were split {margin['split']}." if margin else ""
    return (
        f"Run {report['run']} is true: {report['served']} of {report['applicants']} applicants were served; the seed "
        f"follows from the freeze and the public randomness; {ordered}.{last}"
    )


def plain_audit(report: dict, vi: bool) -> str:
    runs, count = report["runs"], report["problem_count"]
    if vi:
        lines = [
            f"Sổ cái «{report['origin']}» có {report['size']} mục về {report['devices']} máy, ký lúc {report['signed_at']}."
        ]
        lines += [f"  {number:>9}  {LABEL.get(state, state)}" for state, number in report["states"].items()]
        lines += [
            f"  đợt {name}: {run['served']} trong {run['applicants']} em được nhận máy"
            + (", kết quả bốc thăm đã được tính lại" if run["draw_checked"] else "")
            for name, run in runs.items()
            if run["served"] is not None
        ]
        lines += [
            f"  đợt {name}: bị bác ({run['rejected']})"
            for name, run in runs.items()
            if run["rejected"] is not None
        ]
        lines.append(
            f"Có {count} chỗ trái quy tắc{f', đây là {SHOWN} chỗ đầu' if count > SHOWN else ''}:"
            if count
            else "Mọi quy tắc đều được giữ: mỗi máy chỉ có một đường đi và một nơi giữ, không máy nào được bàn giao mà "
            "không qua phân bổ, "
            "số bốc thăm và thứ tự của "
            f"{sum(run['draw_checked'] for run in runs.values())} đợt phân bổ đều đúng, số liệu công bố "
            f"({len(report['figures'])} kỳ) đều tính ra được từ sổ."
        )
    else:
        about = f"{report['size']} entries about {report['devices']} devices"
        lines = [f"The log «{report['origin']}» has {about}, signed at {report['signed_at']}."]
        lines += [f"  {number:>9}  {state}" for state, number in report["states"].items()]
        lines += [
            f"  run {name}: {run['served']} of {run['applicants']} applicants served"
            + (", the draw recomputed" if run["draw_checked"] else "")
            for name, run in runs.items()
            if run["served"] is not None
        ]
        lines += [
            f"  run {name}: rejected ({run['rejected']})"
            for name, run in runs.items()
            if run["rejected"] is not None
        ]
        lines.append(
            f"{count} rules are broken{f', the first {SHOWN}' if count > SHOWN else ''}:"
            if count
            else "Every rule holds: one way and one holder per device, no handover without an allocation, "
            f"{sum(run['draw_checked'] for run in runs.values())} draws in order, "
            f"{len(report['figures'])} releases of figures that follow from the entries."
        )
    return "\n".join(lines + [f"  {one_line(problem)}" for problem in report["problems"]])


# What kind of trouble it is, before the English words that name the place.
TROUBLE_VI: dict[type[BaseException], str] = {
    UsageError: "lệnh thiếu, thừa hoặc ghi sai một phần",
    UnreadableError: "không có hoặc không đọc được thứ cần kiểm tra",
    NoLogError: "ở đây không có sổ cái nào đã ký",
    LogError: "sổ cái không đúng như đã ký",
    ReceiptError: "biên nhận không đúng, hoặc bị sửa hay bị cắt",
    ProofError: "bằng chứng không dẫn đến gốc đã ký",
    NoteError: "chữ ký hoặc khoá không đúng",
    DrawError: "kết quả phân bổ không tính lại được như đã công bố",
    TileError: "tệp của sổ cái bị thiếu, bị cắt hoặc bị sửa",
    CanonError: "có mục không được ghi đúng dạng",
    EventError: "có mục trái quy tắc của sổ cái",
    DisclosureError: "có mục chứa điều không được công khai",
    OSError: "không đọc được tệp hoặc địa chỉ",
    KeyboardInterrupt: "đã dừng giữa chừng",
}


def said(error: BaseException, *, vi: bool) -> str:
    """One error as a person reads it: in Vietnamese what kind it is, and in English, as the log itself, what and where."""
    if isinstance(error, OSError):
        what = f"{error.filename or ''}: {error.strerror or error}"
    elif isinstance(error, KeyboardInterrupt):
        what = "interrupted"
    elif type(error) in TROUBLE_VI:
        what = str(error)
    else:
        # A file so malformed that no reader named the place: still one line and an exit code.
        what = f"malformed data ({type(error).__name__}: {error})"
    if not vi:
        return what
    kind = next((TROUBLE_VI[one] for one in type(error).__mro__ if one in TROUBLE_VI), "dữ liệu hỏng")
    return f"{kind} – {what}"


COMMANDS: dict[str, Callable[..., dict]] = {
    "verify-log": do_verify_log,
    "verify-device": do_verify_device,
    "verify-receipt": do_verify_receipt,
    "verify-run": do_verify_run,
    "audit": do_audit,
}


def one_line(text: object) -> str:
    """What is shown of a message that may quote foreign data: one line, no control characters, not endless."""
    shown = "".join(sign if sign.isprintable() else " " for sign in str(text))
    return shown if len(shown) <= MAX_LINE else f"{shown[:MAX_LINE]}…"


def judge(options) -> dict:
    """Carry the command out; the report, or one of the errors that `main` knows."""
    is_whole = options.command in ("verify-log", "audit")
    if is_whole and options.log and options.what:
        raise UsageError(f"{options.command}: the log twice, {options.log} and {options.what}")
    where = options.log or (options.what if is_whole else None)
    if where is None and options.command != "verify-receipt":
        raise UsageError(f"{options.command}: which log? A folder or an address is needed (see --help)")
    if options.what is None and not is_whole:
        raise UsageError(f"{options.command}: what? (see --help)")
    fetch = opener(where) if where else None
    witnesses = read_witnesses(options.witness_keys, options.needed)
    options.policy = {"witnesses": witnesses, "needed": options.needed}
    keys = read_keys(options.key, fetch)
    return COMMANDS[options.command](options, fetch, keys)


def main(argv: list[str] | None = None) -> int:
    """Run one command; the exit code."""
    for stream in (sys.stdout, sys.stderr):
        # Whatever the terminal can't show is escaped, never a reason to fail.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    parser = argparse.ArgumentParser(
        prog="mtce_verify", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("what", nargs="?", default=None, help="DIR|URL, CODE, FILE or RUN")
    parser.add_argument("--log", default=None, help="folder or address of the log")
    parser.add_argument("--key", default=None)
    parser.add_argument("--witness", action="append", default=[], dest="witness_keys")
    parser.add_argument("--witnesses-needed", type=int, default=0, dest="needed")
    parser.add_argument("--lang", choices=["vi", "en"], default="vi")
    parser.add_argument("--json", action="store_true")
    try:
        options = parser.parse_args(argv)
    except SystemExit as end:
        return WRONG_USE if end.code else HOLDS
    vi = options.lang == "vi"
    try:
        code, report, trouble, broken = HOLDS, judge(options), "", ""
        if count := report.get("problem_count"):
            rules = f"{count} chỗ trái quy tắc, chỗ đầu tiên" if vi else f"{count} rules are broken, first"
            code, broken = BROKEN, f"{rules}: {report['problems'][0]}"
    except UsageError as error:
        code, report, trouble = WRONG_USE, {}, said(error, vi=vi)
    except (UnreadableError, NoLogError, OSError, KeyboardInterrupt) as error:
        code, report, trouble = UNREADABLE, {}, said(error, vi=vi)
    except (LogError, ValueError, KeyError, TypeError, AttributeError, RecursionError, MemoryError) as error:
        # The errors of the log's own parts are ValueErrors.
        code, report, trouble = BROKEN, {}, said(error, vi=vi)
    try:
        if trouble:
            print(f"{VERDICT[code]}: {one_line(trouble)}", file=sys.stderr)
        elif options.json:
            print(json.dumps(report, ensure_ascii=False, indent=1))
        else:
            print(f"{VERDICT[code]}: {plain(options.command, report, vi=vi)}")
        sys.stdout.flush()
        if code == BROKEN and not trouble:
            print(f"{VERDICT[code]}: {one_line(broken)}", file=sys.stderr)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


if __name__ == "__main__":
    sys.exit(main())
