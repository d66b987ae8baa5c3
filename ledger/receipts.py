"""C2SP tlog-proof: a receipt that verifies offline for ever.

The extra line holds the entry itself and, on a family's receipt, what opens its commitments. It proves nothing
by itself: the entry must hash to the proved leaf, an opening to a commitment inside the entry.
No Django here: the stand-alone verifier carries this very file.
"""

import base64
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ledger.canon import CanonError, canonical, dumps, parse, refuse_duplicates
from ledger.commitments import SALT_BYTES, commitment
from ledger.events import check_entry
from ledger.notes import DECIMAL, Note, NoteError, TreeHead, VerifierKey, decode64, encode64, open_checkpoint
from ledger.tree import HASH_BYTES, ProofError, check_inclusion, leaf_hash

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
