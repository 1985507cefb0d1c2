"""Tools as a model's prompt template spells them: a namespace of TypeScript-like functions.

Owns an approximation that is good for counting. Must never be sent to a model. Source: the tool
declarations of the Kimi family's chat template.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from gateway.core.request import Tool

_HEAD = "# Tools\n\n## functions\nnamespace functions {\n"
#: deeper than any schema that people write; what is below is spelled as JSON
_DEPTH_MAX = 8


def declare(tools: Iterable[Tool]) -> str:
    """The declaration of all tools; empty when there are none."""
    declared = "\n".join(_function(tool) for tool in tools)
    return f"{_HEAD}{declared}\n}}\n" if declared else ""


def _function(tool: Tool) -> str:
    comment = "".join(f"// {line}\n" for line in (tool.description or "").splitlines())
    return f"{comment}type {tool.name} = (_: {_kind(tool.parameters or {}, 0)}) => any;"


def _kind(schema: Any, depth: int) -> str:
    """A schema as a type."""
    if not isinstance(schema, dict):
        return "any"
    if depth == _DEPTH_MAX:
        return msgspec.json.encode(schema).decode()
    if isinstance(choices := schema.get("enum"), list):
        return " | ".join(msgspec.json.encode(choice).decode() for choice in choices)
    for member in ("anyOf", "oneOf", "allOf"):
        if isinstance(kinds := schema.get(member), list):
            return " | ".join(_kind(kind, depth + 1) for kind in kinds)
    if isinstance(properties := schema.get("properties"), dict):
        return "{\n" + "".join(_members(schema, properties, depth)) + "}"
    if "items" in schema:
        return f"Array<{_kind(schema['items'], depth + 1)}>"
    return str(schema.get("type", "any"))


def _members(schema: dict[str, Any], properties: dict[str, Any], depth: int) -> Iterator[str]:
    required = schema.get("required")
    names = set(filter(_is_name, required)) if isinstance(required, list) else set()
    for name, member in properties.items():
        if isinstance(member, dict) and isinstance(text := member.get("description"), str):
            yield f"// {text}\n"
        mark = "" if name in names else "?"
        yield f"{name}{mark}: {_kind(member, depth + 1)},\n"


def _is_name(value: Any) -> bool:
    return isinstance(value, str)
