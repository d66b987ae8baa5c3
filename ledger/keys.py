"""Key files of a signer or a witness: 32 random bytes as URL-safe base64, readable by their owner alone.

No Django here: the stand-alone witness carries this very file.
"""

import base64
import os
import secrets
from pathlib import Path

from ledger.notes import NoteError, decode64

SEED_BYTES = 32


def new_seed() -> str:
    """A fresh private key as text."""
    return base64.urlsafe_b64encode(secrets.token_bytes(SEED_BYTES)).decode()


def read_seed(text: str, what: str) -> bytes:
    """The 32 bytes of a private key; raises NoteError that names `what` and never shows the key."""
    seed = decode64(text.strip().replace("-", "+").replace("_", "/"), what)
    if len(seed) != SEED_BYTES:
        raise NoteError(f"{what}: expected {SEED_BYTES} bytes as base64")
    return seed


def write_key(path: Path) -> str:
    """Make a key and write it to a new file (mode 0600); raises FileExistsError rather than overwrite one."""
    seed = new_seed()
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(seed + "\n")
        file.flush()
        os.fsync(file.fileno())
    return seed


def read_key(path: Path) -> bytes:
    """The private key in a file; raises OSError or NoteError."""
    return read_seed(path.read_text(errors="replace"), str(path))
