"""A client's body that goes to an upstream as it was written, except for what it may not set.

Owns what no dialect leaves to the client: who serves it, by whose tools, and what names people.
Must never leave a member in two readings, for what decides on the bill has to be what the upstream
reads.
"""

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Raw

Members = dict[str, Any]

#: by which routers choose another model or another provider, and ask for more than the model
_ROUTES = ("models", "fallbacks", "route", "provider", "plugins")
#: members that name people and sessions; a dialect puts a pseudonym where it has a word for one
_NAMES = (
    "metadata",
    "user",
    "safety_identifier",
    "prompt_cache_key",
    "client_metadata",
    "session_id",
    "user_profile_id",
    "trace",
)
_NOTHING = (b"null", b"[]", b"{}")

read_members = msgspec.json.Decoder(dict[str, Raw]).decode


def open_body(
    data: bytes, denied: Iterable[str], decisive: Iterable[str]
) -> tuple[Members, list[str]]:
    """The members that may go, and the names of those that were taken out.

    Those named `decisive` are decoded to the end, for of two members of one name some readers take
    the first and some the last. A name in capitals is no dialect's, but some readers do not mind.
    """
    body: Members = dict(read_members(data))
    taken = [name for name in body if name != name.lower()]
    for name in taken:
        del body[name]
    for name in (*denied, *_ROUTES):
        if bytes(body.pop(name, b"null")) not in _NOTHING:
            taken.append(name)
    for name in _NAMES:
        body.pop(name, None)
    for name in decisive:
        if name in body:
            body[name] = msgspec.json.decode(body[name])
    return body, taken
