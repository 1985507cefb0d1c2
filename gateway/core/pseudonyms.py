"""Pseudonyms that a provider gets instead of the names that clients give to people and to sessions.

Equal names of one account stay equal, so that caches are hit and abuse is found; names of two
accounts have nothing in common. Must never be made without a secret: a plain hash of an address of
mail is found by trying.
"""

import hmac
from typing import Literal

from gateway.core.request import Request

#: providers take 64 characters
_BYTES = 16


class Pseudonyms:
    """Names under one secret."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def hide(self, request: Request, account: str) -> None:
        """Put pseudonyms into `request` for every name that its client gave."""
        if request.safety_identifier:
            request.safety_identifier = self._of(account, "person", request.safety_identifier)
        if request.cache_key:
            request.cache_key = self._of(account, "session", request.cache_key)

    def _of(self, account: str, kind: Literal["person", "session"], name: str) -> str:
        digest = hmac.digest(self._secret, f"{account}\0{kind}\0{name}".encode(), "sha256")
        return digest[:_BYTES].hex()
