"""Sealed text: what the gateway gives to a client to carry, or keeps, for one account only.

AES-256-GCM with a key derived from the installation secret; the account is authenticated data, so
that one account's sealed text reads as nothing to another. Layout: version, nonce, ciphertext, in
URL-safe base64 without padding after the prefix `tg1_`.
"""

import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

PREFIX = "tg1_"
_NONCE_BYTES = 12


class Sealer:
    """Seals and opens; `key` is 32 bytes."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def seal(self, account_id: int, plain: bytes) -> str:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = nonce + self._cipher.encrypt(nonce, plain, _binding(account_id))
        return PREFIX + urlsafe_b64encode(sealed).rstrip(b"=").decode()

    def open(self, account_id: int, sealed: str) -> bytes | None:
        """The plain bytes, or None for anything this account did not get from us."""
        if not sealed.startswith(PREFIX):
            return None
        text = sealed[len(PREFIX) :]
        try:
            raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
            return self._cipher.decrypt(
                raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], _binding(account_id)
            )
        except (InvalidTag, ValueError):
            return None


def _binding(account_id: int) -> bytes:
    return b"account:%d" % account_id
