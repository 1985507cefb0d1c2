"""Web hooks: the message that a share of a limit is used, and its signature. Pure.

Source: Standard Webhooks 1.0.0, "Signature scheme": HMAC-SHA256 of `id.timestamp.body`, by a secret
`whsec_` with 24 to 64 bytes in base64.
"""

import base64
import binascii
import hmac
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
from msgspec import Struct

from gateway.core.spec_fields import SpecError
from gateway.core.statement import stamp

_PREFIX = "whsec_"
_SECRET_BYTES = range(24, 65)
#: after an attempt that failed; each pause is four times the one before, up to an hour
_FIRST_PAUSE_SECONDS = 5
_PAUSE_SECONDS_MAX = 3600
#: a message that was not taken for so long is given up
PATIENCE = timedelta(hours=24)


class ReachedShare(Struct, frozen=True, kw_only=True):
    """A limit of which `percent` is used; `key` and `key_id` are None where it is an account's.

    `limit`: `credits_per_day`, `credits_per_month`, `credits`, or `granted` for the credits of an
    account. `period`: the day, the first of the month, "" for good, or the latest grant's id.
    """

    subject_id: int
    account: str
    key: str | None
    key_id: str | None
    limit: str
    period: str
    credits: int
    used: int
    percent: int


def write_message(reached: ReachedShare, at: datetime) -> str:
    """The body of a message, as JSON."""
    data = {
        "account": reached.account,
        "key": reached.key,
        "key_id": reached.key_id,
        "limit": reached.limit,
        "period": reached.period if reached.limit.startswith("credits_per_") else None,
        "percent": reached.percent,
        "credits": reached.credits,
        "used": reached.used,
    }
    message = {"type": "limit.reached", "timestamp": stamp(at), "data": data}
    return msgspec.json.encode(message).decode()


def read_signing_keys(secret: str) -> tuple[bytes, ...]:
    """The keys of a secret, which may be two with a space between while it is exchanged.

    Raises `SpecError`.
    """
    keys = tuple(_read_key(each) for each in secret.split())
    if not 1 <= len(keys) <= 2:
        raise SpecError("webhook: the secret must be one text that begins with whsec_, or two")
    return keys


def signature(keys: Sequence[bytes], message_id: str, seconds: int, body: str) -> str:
    """The value of `webhook-signature`: one signature of each key."""
    signed = f"{message_id}.{seconds}.{body}".encode()
    made = (base64.b64encode(hmac.digest(key, signed, "sha256")).decode() for key in keys)
    return " ".join(f"v1,{each}" for each in made)


def next_attempt(first_at: datetime, now: datetime, attempts: int) -> datetime | None:
    """When a message is sent again after so many attempts; None where it is given up."""
    pause = min(_FIRST_PAUSE_SECONDS * 4 ** min(attempts - 1, 8), _PAUSE_SECONDS_MAX)
    due = now + timedelta(seconds=pause)
    return due if due <= first_at + PATIENCE else None


def _read_key(text: str) -> bytes:
    try:
        key = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not text.startswith(_PREFIX) or len(key) not in _SECRET_BYTES:
        raise SpecError(
            f"webhook: a secret is {_PREFIX} and 24 to 64 random bytes in base64, such as"
            " `echo whsec_$(openssl rand -base64 32)` prints"
        )
    return key
