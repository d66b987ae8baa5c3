"""The key ring of identity numbers: the newest key seals, every key of the ring opens, a foreign one doesn't."""

import base64

import pytest

from common import crypto


def key(byte: int) -> str:
    return base64.urlsafe_b64encode(bytes([byte]) * 32).decode()


def test_a_new_key_at_the_end_seals_from_now_on_and_old_texts_still_open(settings):
    settings.IDENTITY_KEYS = f"1:{key(1)}"
    old = crypto.seal(b"001210000001")
    settings.IDENTITY_KEYS = f"1:{key(1)},2:{key(2)}"
    new = crypto.seal(b"001210000001")
    assert (old[0], new[0]) == (1, 2)
    assert crypto.unseal(old) == crypto.unseal(new) == b"001210000001"
    # Sealed anew, the old key can go.
    settings.IDENTITY_KEYS = f"2:{key(2)}"
    assert crypto.unseal(new) == b"001210000001"
    with pytest.raises(crypto.CannotUnseal):
        crypto.unseal(old)


def test_a_changed_text_opens_with_no_key(settings):
    settings.IDENTITY_KEYS = key(1)
    sealed = bytearray(crypto.seal(b"001210000001"))
    sealed[-1] ^= 1
    with pytest.raises(crypto.CannotUnseal):
        crypto.unseal(bytes(sealed))


def test_two_keys_with_one_number_are_refused(settings):
    settings.IDENTITY_KEYS = f"1:{key(1)},1:{key(2)}"
    with pytest.raises(ValueError, match="number 1"):
        crypto.seal(b"x")
