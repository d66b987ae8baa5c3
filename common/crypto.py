"""Identity numbers and uploaded lists at rest: sealed by AES-256-GCM under a ring of keys, found by a blind index.

The keys are settings (files outside the database). A sealed text is one byte with the key's number, a
nonce of 12 bytes, then ciphertext and tag. The index is HMAC-SHA256 under another key, so that whoever
holds the database alone can neither read a number nor test a guess.
"""

import base64
import hmac
import os
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

_CONTEXT = b"mtce/sealed/v1"
_NONCE_BYTES = 12


class CannotUnseal(Exception):
    """The text was not sealed by a key of the ring, or was changed since."""


@lru_cache(maxsize=8)
def _key(text: str) -> bytes:
    key = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if len(key) != 32:
        raise ValueError("A key is 32 bytes in URL-safe base64.")
    return key


@lru_cache(maxsize=4)
def _ring(text: str) -> tuple[int, dict[int, AESGCM]]:
    """The number of the key that seals, the last of the ring, and every key by its number (0 to 255)."""
    keys: dict[int, AESGCM] = {}
    for entry in text.split(","):
        number, _, key = entry.strip().rpartition(":")
        newest = int(number or 1)
        if newest in keys:
            raise ValueError(f"Two keys of the ring have the number {newest}.")
        keys[newest] = AESGCM(_key(key))
    return newest, keys


def seal(content: bytes) -> bytes:
    """Encrypt with the ring's newest key, its last (`settings.IDENTITY_KEYS`)."""
    number, keys = _ring(settings.IDENTITY_KEYS)
    nonce = os.urandom(_NONCE_BYTES)
    return bytes([number]) + nonce + keys[number].encrypt(nonce, content, _CONTEXT)


def unseal(sealed: bytes) -> bytes:
    """Decrypt what `seal` gave. Raises `CannotUnseal`."""
    sealed = bytes(sealed)
    _, keys = _ring(settings.IDENTITY_KEYS)
    try:
        return keys[sealed[0]].decrypt(sealed[1:13], sealed[13:], _CONTEXT)
    except (KeyError, IndexError, InvalidTag) as error:
        raise CannotUnseal("No key of the ring opens this.") from error


@lru_cache(maxsize=4)
def _keyed(text: str) -> hmac.HMAC:
    return hmac.new(_key(text), digestmod="sha256")


def blind_index(text: str) -> bytes:
    """32 bytes by which equal texts are found without being read (`settings.IDENTITY_INDEX_KEY`)."""
    # A copy of the keyed state costs half of what setting the key up does.
    index = _keyed(settings.IDENTITY_INDEX_KEY).copy()
    index.update(text.encode())
    return index.digest()
