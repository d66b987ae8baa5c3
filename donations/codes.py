"""Codes that people write and read on paper, and the secrets of private links."""

import hashlib
import hmac
import secrets

from django.utils.crypto import salted_hmac

from ledger.codes import normalise

PLEDGE, LOT, ORDER, RECEIPT, TRANSFER, AGREEMENT, DONOR = "CK", "LO", "DM", "THU", "CHI", "GIA", "NTT"


def read_code(prefix: str, typed: str) -> str | None:
    """The code that a person typed, with or without prefix, hyphens and capitals; None if it can't be one."""
    text = typed.strip().upper().replace(" ", "").replace("-", "")
    return normalise(f"{prefix}-{text.removeprefix(prefix)}") or normalise(f"{prefix}-{text}")


def new_secret() -> str:
    """The secret of a draft's address: 192 random bits."""
    return secrets.token_urlsafe(24)


def pledge_secret(code: str) -> str:
    """The secret of a pledge's private link, made again from its code and the installation's key.

    Only its hash is stored; the task that sends the mail makes it again instead of being handed it by the broker.
    """
    return salted_hmac("donations.pledge", code, algorithm="sha256").hexdigest()[:40]


def secret_hash(secret: str) -> bytes:
    """What is stored of a secret: 32 bytes; the secret has 160 bits or more, so no salt is needed."""
    return hashlib.sha256(secret.encode()).digest()


def is_secret_of(secret: str, stored: bytes) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(secret_hash(secret), bytes(stored))
