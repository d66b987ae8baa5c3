"""Canonical bytes of a ledger entry (RFC 8785, JSON Canonicalization Scheme).

An entry holds integers, strings and at most one level of nested objects of strings, so the scheme
reduces to: keys in code unit order, no white space, UTF-8, the short escapes. Text is NFC: RFC 8785
does not normalise, and the NFC and NFD forms of "Trường" are different bytes.
No Django here: the stand-alone verifier carries this very file.
"""

import json
import re
import unicodedata

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
