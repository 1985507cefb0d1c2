"""Identifiers on the wire: call ids in Anthropic's alphabet.

Owns the encoding between an upstream's call id and the one a client carries. Must never keep
anything: the client brings back all that is needed. Source: Anthropic API reference, `tool_use.id`
matches `^[a-zA-Z0-9_-]+$`, which an upstream's `functions.read:0` does not.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode

#: an id that the dialect takes
WIRE_ID = re.compile(r"[a-zA-Z0-9_-]+")
_PREFIX = "toolu_"


def encode_call_id(upstream_id: str) -> str:
    """The client's form of an upstream's call id."""
    return _PREFIX + urlsafe_b64encode(upstream_id.encode()).rstrip(b"=").decode()


def decode_call_id(client_id: str) -> str:
    """The upstream's id again; an id that was not made here stays as it is."""
    if not client_id.startswith(_PREFIX):
        return client_id
    encoded = client_id[len(_PREFIX) :]
    try:
        upstream_id = urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
    except ValueError:
        return client_id
    # Foreign ids decode to noise, if at all.
    is_ours = upstream_id.isprintable() and encode_call_id(upstream_id) == client_id
    return upstream_id if upstream_id and is_ours else client_id
