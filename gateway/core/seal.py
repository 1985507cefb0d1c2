"""Sealed text: what the gateway gives to a client to carry, or keeps, for one account only.

AES-256-GCM with a key derived from the installation secret; the account is authenticated data, so
that one account's sealed text reads as nothing to another. Layout: version, nonce, ciphertext, in
URL-safe base64 without padding after the prefix `tg1_`, for a thought that an upstream signed after
`tgt1_`.
"""

import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.core.request import SignedReasoning

PREFIX = "tg1_"
REASONING_PREFIX = "tgt1_"
_NONCE_BYTES = 12
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(SignedReasoning).decode


class Sealer:
    """Seals and opens; `key` is 32 bytes."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def seal(self, account_id: int, plain: bytes) -> str:
        return self._seal(PREFIX, b"account:%d" % account_id, plain)

    def open(self, account_id: int, sealed: str) -> bytes | None:
        """The plain bytes, or None for anything this account did not get from us."""
        return self._open(PREFIX, b"account:%d" % account_id, sealed)

    def seal_reasoning(self, account_id: int, signed_block: SignedReasoning) -> str:
        return self._seal(REASONING_PREFIX, b"thought:%d" % account_id, _encode(signed_block))

    def open_reasoning(self, account_id: int, sealed: str) -> SignedReasoning | None:
        """The thought, or None for anything this account did not get from us."""
        if not sealed.startswith(REASONING_PREFIX):  # by far the most of what is asked for
            return None
        plain = self._open(REASONING_PREFIX, b"thought:%d" % account_id, sealed)
        return None if plain is None else _decode(plain)

    def _seal(self, prefix: str, binding: bytes, plain: bytes) -> str:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = nonce + self._cipher.encrypt(nonce, plain, binding)
        return prefix + urlsafe_b64encode(sealed).rstrip(b"=").decode()

    def _open(self, prefix: str, binding: bytes, sealed: str) -> bytes | None:
        if not sealed.startswith(prefix):
            return None
        text = sealed[len(prefix) :]
        try:
            raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
            return self._cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], binding)
        except (InvalidTag, ValueError):
            return None
