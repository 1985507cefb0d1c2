"""Arrays in a tool's schema, each with a schema of its items, for providers that demand one.

Must never change its input, and looks at each node once. Source: the refusal of OpenAI ("array
schema missing items"), at any depth.
"""

from functools import lru_cache
from typing import Any

import msgspec
from msgspec import Raw

from gateway.core.errors import InvalidRequest
from gateway.dialects.json import encode

Schema = dict[str, Any]

#: members that hold schemas by name, in a list, and one alone
_NAMED = ("properties", "patternProperties", "$defs", "definitions")
_LISTED = ("anyOf", "oneOf", "allOf", "prefixItems")
_SINGLE = ("items", "additionalProperties", "not")
_CACHED_BYTES_MAX = 16 * 1024


def complete_arrays(schema: Schema) -> Raw | Schema:
    """The schema itself where all of its arrays name their items; else with "any" for the others.

    Agents send the same tools with every request, so small results are remembered.
    """
    encoded = encode(schema)
    if b'"array"' not in encoded:
        return schema
    try:
        is_small = len(encoded) <= _CACHED_BYTES_MAX
        completed = _complete_cached(encoded) if is_small else _complete(encoded)
    except RecursionError:
        raise InvalidRequest("A schema is nested too deeply.") from None
    return schema if completed is None else completed


def _complete(encoded: bytes) -> Raw | None:
    """The completed schema as JSON; None where nothing is missing."""
    root = msgspec.json.decode(encoded)
    is_whole, waiting = True, [root]
    while waiting:
        node = waiting.pop()
        if not isinstance(node, dict):
            continue
        kind = node.get("type")
        if (kind == "array" or (isinstance(kind, list) and "array" in kind)) and (
            node.get("items") is None
        ):
            node["items"] = {}
            is_whole = False
        waiting += [node.get(name) for name in _SINGLE]
        for name in _NAMED:
            named = node.get(name)
            waiting += named.values() if isinstance(named, dict) else ()
        for name in _LISTED:
            listed = node.get(name)
            waiting += listed if isinstance(listed, list) else ()
    return None if is_whole else Raw(encode(root))


_complete_cached = lru_cache(maxsize=512)(_complete)
