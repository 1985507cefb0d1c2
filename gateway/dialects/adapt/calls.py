"""Arguments of calls as every server takes them: the JSON of an object.

Servers put them into templates and refuse anything else, such as what a call was when its stream
broke.
"""

from typing import Any

import msgspec

from gateway.dialects.json import read_object

Object = dict[str, Any]


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
