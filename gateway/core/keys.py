"""API keys: their form, their hash, and the secrets derived from the installation secret.

A generated key is `sk-` and 48 base62 characters: 42 random ones (250 bits) and a checksum of six,
so that a mistyped or invented key is refused without asking the database. A brought-along key is
any 32 or more printable ASCII characters without blanks, or one that LiteLLM generated.
"""

import hmac
import re
import secrets
import string
import zlib
from hashlib import sha256

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from msgspec import Struct

_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_RANDOM_CHARACTERS = 42
_CHECKSUM_CHARACTERS = 6
_PREFIX = "sk-"
_ID_DIGITS = 24
_LENGTH = len(_PREFIX) + _RANDOM_CHARACTERS + _CHECKSUM_CHARACTERS
BROUGHT_CHARACTERS_MIN = 32
BROUGHT_CHARACTERS_MAX = 512
#: a key of LiteLLM, `"sk-" + secrets.token_urlsafe(16)`: shorter, but with 128 random bits
_LITELLM = re.compile("sk-[A-Za-z0-9_-]{22}")
#: characters of a key that may be shown
SHOWN_CHARACTERS = 10
#: the scopes of a key: it may infer, or manage and not infer
INFERENCE = "inference"
MANAGE = "manage"
#: the pepper that new hashes are made with
PEPPER = 1


def generate_key() -> str:
    """A new plaintext key."""
    body = "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM_CHARACTERS))
    return _PREFIX + body + _checksum(body)


def generate_key_id() -> str:
    """A new public id of a key."""
    return "key_" + secrets.token_hex(_ID_DIGITS // 2)


def key_id_of(identity: str, idempotency_key: str) -> str:
    """The id of the key that somebody asks for, the same however often they ask.

    >>> key_id_of("key_1", "nightly") == key_id_of("key_1", "nightly")
    True
    >>> key_id_of("key_1", "nightly") == key_id_of("key_2", "nightly")
    False
    """
    return "key_" + asked_by(identity, idempotency_key).hex()[:_ID_DIGITS]


def asked_by(identity: str, idempotency_key: str) -> bytes:
    """The digest of a request of somebody, which nobody else's request has. 32 bytes."""
    return sha256(f"{identity}\n{idempotency_key}".encode()).digest()


def has_checksum(plaintext: str) -> bool:
    """True if this could be a key that we generated."""
    if len(plaintext) != _LENGTH or not plaintext.startswith(_PREFIX):
        return False
    body = plaintext[len(_PREFIX) : -_CHECKSUM_CHARACTERS]
    return plaintext[-_CHECKSUM_CHARACTERS:] == _checksum(body)


def problem_of_brought_key(plaintext: str) -> str | None:
    """Why a brought-along key cannot be used, or None. Never holds the key."""
    if len(plaintext) < BROUGHT_CHARACTERS_MIN and not _LITELLM.fullmatch(plaintext):
        return f"an API key needs at least {BROUGHT_CHARACTERS_MIN} characters"
    if len(plaintext) > BROUGHT_CHARACTERS_MAX:
        return f"an API key may have at most {BROUGHT_CHARACTERS_MAX} characters"
    if is_address(plaintext):
        return "an API key may not be a URL: everyone who knows the address would have the key"
    if not all("!" <= character <= "~" for character in plaintext):
        return "an API key may hold printable ASCII characters only, and no blanks"
    return None


def is_address(value: str) -> bool:
    """True if a value is an address, which is known to many."""
    return "://" in value


def shown_prefix(plaintext: str) -> str:
    """The part of a key that may be shown."""
    return plaintext[:SHOWN_CHARACTERS]


def hash_key(pepper: bytes, plaintext: bytes) -> bytes:
    """The database's form of a key: HMAC-SHA-256 under the pepper, 32 bytes."""
    return hmac.digest(pepper, plaintext, "sha256")


class Credential(Struct, frozen=True):
    """The parts of one plaintext that are kept: its hash, the pepper's number and the prefix to be
    shown."""

    hash: bytes
    pepper: int
    prefix: str


def credential_of(pepper: bytes, plaintext: str) -> Credential:
    """The kept parts of a plaintext, under the pepper that new hashes are made with."""
    return Credential(hash_key(pepper, plaintext.encode()), PEPPER, shown_prefix(plaintext))


class KeyHasher:
    """`hash_key` under one pepper for who asks it often: HMAC's two pads are digested once.

    Source: RFC 2104, section 4.
    """

    def __init__(self, pepper: bytes) -> None:
        block = pepper.ljust(sha256().block_size, b"\0")
        self._inner = sha256(bytes(byte ^ 0x36 for byte in block))
        self._outer = sha256(bytes(byte ^ 0x5C for byte in block))

    def hash(self, plaintext: bytes) -> bytes:
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(plaintext)
        outer.update(inner.digest())
        return outer.digest()


def secret_values(plaintext: str, client_url: str) -> dict[str, str]:
    """The values of a key's secret: everything an SDK of either family reads from its
    environment."""
    return {
        "OPENAI_API_KEY": plaintext,
        "OPENAI_BASE_URL": f"{client_url}/api/openai/v1",
        "ANTHROPIC_AUTH_TOKEN": plaintext,
        "ANTHROPIC_BASE_URL": f"{client_url}/api/anthropic",
    }


class InstallationSecret:
    """The one secret of an installation; everything else is derived from it by HKDF-SHA-256.

    It never leaves this object: `repr` does not show it.
    """

    CHARACTERS_MIN = 32

    def __init__(self, secret: str) -> None:
        if len(secret) < self.CHARACTERS_MIN:
            raise ValueError(
                f"the installation secret needs at least {self.CHARACTERS_MIN} characters"
            )
        self._secret = secret.encode()

    def pepper(self, number: int) -> bytes:
        """The key of the HMAC of API keys; rows carry its number."""
        return self._derive(b"pepper/%d" % number)

    def envelope_key(self) -> bytes:
        """The key that seals what clients carry and what is kept for them."""
        return self._derive(b"envelope/1")

    def pseudonym_key(self) -> bytes:
        """The key of the names that providers get for people and sessions."""
        return self._derive(b"pseudonym/1")

    def form_key(self) -> bytes:
        """The key of the tokens in the console's forms."""
        return self._derive(b"console/forms/1")

    def sign_in_key(self) -> bytes:
        """The key that seals what the console keeps of sign-ins."""
        return self._derive(b"console/sign-in/1")

    def fingerprint(self) -> str:
        """A public name of the secret, kept in the database so that a wrong one is noticed."""
        return sha256(self._derive(b"fingerprint")).hexdigest()[:32]

    def _derive(self, purpose: bytes) -> bytes:
        kdf = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"faregate/" + purpose)
        return kdf.derive(self._secret)


def _checksum(body: str) -> str:
    number = zlib.crc32(body.encode())
    characters = []
    for _ in range(_CHECKSUM_CHARACTERS):
        number, rest = divmod(number, len(_ALPHABET))
        characters.append(_ALPHABET[rest])
    return "".join(reversed(characters))
