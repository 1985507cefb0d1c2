"""One attempt to sign in, kept in a cookie of its own until the browser comes back.

Each tab has its attempt, so two at once both end well; the server keeps nothing of them.
"""

import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256

import msgspec
from msgspec import Struct

#: an attempt that takes longer is begun again
LASTS_SECONDS = 600
#: attempts of one browser at a time
ATTEMPTS_MAX = 8
_RANDOM_BYTES = 32
_NAME_CHARACTERS = 8
_CHARACTERS_MAX = 1024


class Attempt(Struct, frozen=True):
    """An attempt's secrets, and the page it leads to."""

    state: str
    nonce: str
    verifier: str
    next_path: str
    #: seconds since the person authenticated, at most; None: any
    max_age: int | None = None

    @property
    def purpose(self) -> str:
        """The part of the cookie's name that is the attempt's."""
        return purpose_of(self.state)

    @property
    def challenge(self) -> str:
        """The verifier's digest (RFC 7636, 4.2)."""
        return _text(sha256(self.verifier.encode()).digest())

    def value(self) -> str:
        """The value of its cookie."""
        return _text(msgspec.json.encode(self))


def begin(next_path: str, max_age: int | None = None) -> Attempt:
    state, nonce, verifier = (_text(secrets.token_bytes(_RANDOM_BYTES)) for _ in range(3))
    return Attempt(state, nonce, verifier, next_path, max_age)


def purpose_of(state: str) -> str:
    return f"signin-{state[:_NAME_CHARACTERS]}"


def read(value: str, state: str) -> Attempt | None:
    """The attempt of a cookie if it is that of a state, else None."""
    if len(value) > _CHARACTERS_MAX or not value.isascii():
        return None
    try:
        raw = urlsafe_b64decode(value + "=" * (-len(value) % 4))
        attempt = msgspec.json.decode(raw, type=Attempt)
    except ValueError:
        return None
    is_it = secrets.compare_digest(attempt.state.encode(), state.encode())
    return attempt if is_it else None


def _text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()
