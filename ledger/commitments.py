"""Salted commitments, and the hashes of the draw. No Django: the stand-alone verifier carries this very file."""

import hashlib
import secrets

from ledger.canon import dumps

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
