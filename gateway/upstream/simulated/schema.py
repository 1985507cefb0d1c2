"""JSON Schema, twice: what Moonshot's subset (MFJS) refuses, and a minimal instance of a schema.

The check follows MoonshotAI/walle and the messages users have reported of the live API; it is the
stricter of the two where they differ. Not checked: recursion that never ends, sizes and depths.
"""

from typing import Any

from gateway.upstream.simulated.errors import Refused

Schema = dict[str, Any]

_TYPES = ("null", "boolean", "object", "array", "number", "integer", "string")
#: keywords that are looked into, and what they must be
_SHAPES: tuple[tuple[str, type, str], ...] = (
    ("$defs", dict, "an object"),
    ("$ref", str, "a string"),
    ("anyOf", list, "an array"),
    ("items", dict, "an object"),
    ("properties", dict, "an object"),
)
_LOCAL = "#/$defs/"
_DEPTH_MAX = 32
_ITEMS_MAX = 1000
_CHARACTERS_MAX = 100_000
_FORMATS = {
    "date": "2026-01-01",
    "date-time": "2026-01-01T00:00:00Z",
    "time": "00:00:00Z",
    "email": "someone@example.com",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def check_schema(schema: Any, member: str) -> None:
    """Refuse a schema outside MFJS; `member` names it, such as `tools.function.parameters`."""
    if not isinstance(schema, dict):
        raise Refused(f"{member} must be an object")
    problem = _find_problem(schema, schema, "") if schema else None
    if problem is not None:
        path, reason = problem
        raise Refused(
            f"{member} is not a valid moonshot flavored json schema, "
            f"details: <At path '{path or 'root'}': {reason}>"
        )


def _find_problem(node: Any, root: Schema, path: str) -> tuple[str, str] | None:
    """The first (path, reason) that breaks MFJS in a node or below it."""
    if not isinstance(node, dict):
        return path, "schema must be an object"
    reason = _find_own_problem(node, root, is_root=node is root)
    if reason is not None:
        return path, reason
    for name, child in node.get("properties", {}).items():
        if not isinstance(child, dict):
            where = f"{path}.properties" if path else "properties"
            return where, f"property schema for '{name}' must be an object"
    for name, child in _children(node, root):
        problem = _find_problem(child, root, f"{path}.{name}" if path else name)
        if problem is not None:
            return problem
    return None


def _find_own_problem(node: Schema, root: Schema, *, is_root: bool) -> str | None:
    for keyword, shape, wanted in _SHAPES:
        if keyword in node and not isinstance(node[keyword], shape):
            return f"{keyword} must be {wanted}"
    if "$defs" in node and not is_root:
        return "keyword $defs must be at root level"
    if "$ref" in node:
        return _find_reference_problem(node, root)
    if "anyOf" in node:
        if "type" not in node:
            return None
        return (
            "when using anyOf, type should be defined in anyOf items instead of the parent schema"
        )
    kind = node.get("type")
    if kind is None:
        return "type is not defined"
    kinds = kind if isinstance(kind, list) else [kind]
    return None if kinds and all(one in _TYPES for one in kinds) else "invalid type"


def _find_reference_problem(node: Schema, root: Schema) -> str | None:
    reference: str = node["$ref"]
    if "type" in node:
        return (
            "when using $ref, type should be defined in the referenced schema "
            "instead of the parent schema"
        )
    if reference != "#" and not reference.startswith(_LOCAL):
        return f"references must start with {_LOCAL}"
    target = resolve(reference, root)
    if target is None:
        return f"$defs not found for reference {reference}"
    conflicts = sorted(node.keys() & target.keys())
    if conflicts:
        return f"conflicting keywords found after $ref expansion: {', '.join(conflicts)}"
    return None


def _children(node: Schema, root: Schema) -> list[tuple[str, Any]]:
    children: list[tuple[str, Any]] = []
    children += [(f"$defs.{name}", child) for name, child in node.get("$defs", {}).items()]
    children += [
        (f"properties.{name}", child) for name, child in node.get("properties", {}).items()
    ]
    if "items" in node:
        children.append(("items", node["items"]))
    if node.get("additionalProperties") and node["additionalProperties"] is not True:
        children.append(("additionalProperties", node["additionalProperties"]))
    children += [(f"anyOf{{{index}}}", child) for index, child in enumerate(node.get("anyOf", []))]
    return children


def resolve(reference: str, root: Schema) -> Schema | None:
    """The local schema a `$ref` points to, or None."""
    node: Any = root
    for step in reference.removeprefix("#").split("/")[1:]:
        node = node.get(step) if isinstance(node, dict) else None
    return node if isinstance(node, dict) else None


def make_instance(schema: Any) -> Any:
    """A small valid value: required properties only, the shortest branch of a choice.

    `pattern` is not looked at, and a schema that can only recurse for ever ends in null. Raises
    `Refused` for what is no schema at all.
    """
    try:
        return _make(schema, schema, 0)
    except (AttributeError, LookupError, TypeError, ValueError, ArithmeticError):
        raise Refused("Invalid request: not a valid JSON Schema") from None


def _make(schema: Any, root: Any, depth: int) -> Any:
    if not isinstance(schema, dict) or depth > _DEPTH_MAX:
        return None
    if "$ref" in schema:
        return _make(resolve(schema["$ref"], root), root, depth + 1)
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    for choice in ("anyOf", "oneOf"):
        if schema.get(choice):
            return _make(min(schema[choice], key=_weight), root, depth + 1)
    if schema.get("allOf"):
        parts = [_make(part, root, depth + 1) for part in schema["allOf"]]
        merged: dict[str, Any] = {}
        for part in parts:
            merged.update(part if isinstance(part, dict) else {})
        return merged or parts[0]
    return _make_value(schema, root, depth)


def _weight(schema: Any) -> int:
    """Scalars first, then null, then what may be large or recurse."""
    kind = schema.get("type") if isinstance(schema, dict) else None
    if kind == "null":
        return 1
    return 0 if kind in ("string", "integer", "number", "boolean") else 2


def _make_value(schema: Schema, root: Schema, depth: int) -> Any:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((one for one in kind if one != "null"), "null")
    if kind == "object" or (kind is None and "properties" in schema):
        properties = schema.get("properties", {})
        return {
            name: _make(properties.get(name, {"type": "string"}), root, depth + 1)
            for name in schema.get("required", [])
            if isinstance(name, str)
        }
    if kind == "array":
        item = _make(schema.get("items", {"type": "string"}), root, depth + 1)
        return [item] * min(int(schema.get("minItems", 0)), _ITEMS_MAX)
    if kind in ("integer", "number"):
        return _make_number(schema)
    if kind == "boolean":
        return True
    return None if kind == "null" else _make_string(schema)


def _make_string(schema: Schema) -> str:
    text = _FORMATS.get(schema.get("format", ""), "text")
    text = text.ljust(min(int(schema.get("minLength", 0)), _CHARACTERS_MAX), "x")
    return text[: int(schema.get("maxLength", len(text)))]


def _make_number(schema: Schema) -> Any:
    lowest = schema.get("minimum")
    if "exclusiveMinimum" in schema:
        lowest = schema["exclusiveMinimum"] + 1
    highest = schema.get("maximum")
    if "exclusiveMaximum" in schema:
        highest = schema["exclusiveMaximum"] - 1
    number = lowest if lowest is not None else 1
    if highest is not None and number > highest:
        number = highest
    factor = schema.get("multipleOf")
    return -(-number // factor) * factor if factor else number
