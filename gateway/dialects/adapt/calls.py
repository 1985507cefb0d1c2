"""Calls as every server takes them: ids of a bounded length, and arguments that are an object.

Servers put arguments into templates and refuse anything else, such as what a call was when its
stream broke.
"""

from hashlib import sha256

import msgspec
from msgspec import Raw

from gateway.core.profile import Profile
from gateway.dialects.json import encode_object


def shorten_id(call_id: str, length_max: int | None) -> str:
    """An id that is not too long; one that is, is always shortened to the same."""
    if length_max is None or len(call_id) <= length_max:
        return call_id
    return f"call_{sha256(call_id.encode()).hexdigest()[:24]}"


def fit_id(call_id: str, profile: Profile) -> str:
    """An id in the form that the profile takes in chat; equal ids are fitted to the same."""
    length = profile.call_id_length
    if length is None:
        return shorten_id(call_id, profile.call_id_length_max)
    if len(call_id) == length and call_id.isascii() and call_id.isalnum():
        return call_id
    return sha256(call_id.encode()).hexdigest()[:length]


def encode_arguments(arguments: str) -> Raw:
    """The arguments as an object, as they were written where they are one: what is made of them
    would take many times their bytes.

    Raises `RequestTooLarge` for too many values.
    """
    if not arguments.strip():
        return Raw(b"{}")
    try:
        return Raw(encode_object(arguments))
    except (ValueError, RecursionError):
        return Raw(msgspec.json.encode({"invalid_arguments": arguments}))


def repair_arguments(arguments: str) -> str:
    """The same as text."""
    return bytes(encode_arguments(arguments)).decode()
