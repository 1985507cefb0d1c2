"""Calls as every server takes them: ids of a bounded length, and arguments that are an object.

Servers put arguments into templates and refuse anything else, such as what a call was when its
stream broke.
"""

from hashlib import sha256
from typing import Any

import msgspec

from gateway.core.profile import Profile
from gateway.dialects.json import read_object

Object = dict[str, Any]


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


def read_arguments(arguments: str) -> Object:
    """The arguments as an object."""
    if not arguments.strip():
        return {}
    try:
        return read_object(arguments)
    except (ValueError, RecursionError):
        return {"invalid_arguments": arguments}


def repair_arguments(arguments: str) -> str:
    """The text itself where it is one of an object."""
    if not arguments.strip():
        return "{}"
    try:
        read_object(arguments)
    except (ValueError, RecursionError):
        return msgspec.json.encode({"invalid_arguments": arguments}).decode()
    return arguments
