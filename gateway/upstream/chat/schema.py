"""JSON Schema brought into MFJS, the subset that Moonshot takes for tools and output formats.

    local $ref ──▶ inlined        no type ──▶ inferred        oneOf, const ──▶ anyOf, enum
    allOf ──▶ merged              unknown combinators ──▶ dropped

Every step loosens at most: the result never refuses what the schema allows, but for an untyped
property, which MFJS cannot say and which becomes a string. What recurses, points outside or grows
without end becomes `{"type": "object"}`. Must never change its input, and always give the same
bytes for the same schema, since the upstream's prefix cache depends on it.

Sources: MoonshotAI/walle, "MFJS specification" and "Validation rules and canonicalization".
"""

from functools import lru_cache
from typing import Any

import msgspec
from msgspec import Raw

from gateway.errors import InvalidRequest
from gateway.wire.json import encode

Schema = dict[str, Any]

_DEPTH_MAX = 24
_NODES_MAX = 4000
_CACHED_BYTES_MAX = 16 * 1024

#: combinators and bookkeeping that the subset lacks; they may hold references, so they go
_DROPPED = frozenset(
    {
        "$schema",
        "$id",
        "$comment",
        "$anchor",
        "$dynamicAnchor",
        "$dynamicRef",
        "$vocabulary",
        "$defs",
        "$ref",
        "definitions",
        "allOf",
        "anyOf",
        "oneOf",
        "not",
        "if",
        "then",
        "else",
        "const",
        "patternProperties",
        "propertyNames",
        "dependencies",
        "dependentSchemas",
        "dependentRequired",
        "contains",
        "minContains",
        "maxContains",
        "prefixItems",
        "additionalItems",
        "unevaluatedItems",
        "unevaluatedProperties",
        "contentSchema",
    }
)
_OBJECT = frozenset(
    {"properties", "required", "additionalProperties", "minProperties", "maxProperties"}
)
_ARRAY = frozenset({"items", "minItems", "maxItems", "uniqueItems", "prefixItems"})
_NUMBER = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"})
_ANNOTATIONS = ("title", "description", "default")
_TYPES = frozenset({"null", "boolean", "object", "array", "number", "integer", "string"})


def normalise(schema: Schema) -> Raw:
    """The schema in MFJS, as JSON; raises `InvalidRequest` where it nests too deeply to read.

    Agents send the same tools with every request, so small results are remembered.
    """
    encoded = encode(schema)
    try:
        if len(encoded) <= _CACHED_BYTES_MAX:
            return _normalise_cached(encoded)
        return _normalise(encoded)
    except RecursionError:
        raise InvalidRequest("A schema is nested too deeply.") from None


def _normalise(encoded: bytes) -> Raw:
    return Raw(encode(_Normaliser(msgspec.json.decode(encoded)).root()))


_normalise_cached = lru_cache(maxsize=512)(_normalise)


class _Normaliser:
    """One schema; `_nodes` bounds what references that multiply can grow to."""

    def __init__(self, root: Schema) -> None:
        self._root = root
        self._nodes = 0

    def root(self) -> Schema:
        node = self._node(self._root, ("#",), 0)
        if "anyOf" not in node and node.get("type") != "object":
            node = {**node, "type": "object"}
        if "anyOf" not in node:
            node.setdefault("properties", {})
        return node

    def _node(self, node: Any, path: tuple[str, ...], depth: int) -> Schema:
        """One node; `path` holds the references that led here."""
        self._nodes += 1
        if depth > _DEPTH_MAX or self._nodes > _NODES_MAX:
            return {"type": "object"}
        if not isinstance(node, dict):
            return {"type": "string"}
        merged = self._resolve(node, path)
        if merged is None:
            return {"type": "object"}
        node, path = self._merge_all(*merged)
        choices = node.get("anyOf") or node.get("oneOf")
        result = {name: value for name, value in node.items() if name not in _DROPPED}
        if not isinstance(result.get("description", ""), str):
            del result["description"]
        if isinstance(choices, list) and choices and not _has_structure(result):
            return self._choose(result, choices, path, depth)
        _set_type(result, node)
        self._descend(result, path, depth)
        return result

    def _resolve(
        self, node: Schema, path: tuple[str, ...]
    ) -> tuple[Schema, tuple[str, ...]] | None:
        """Follow a reference; what stands beside it wins. None where it leads nowhere or back."""
        while "$ref" in node:
            reference = node["$ref"]
            target = self._find(reference)
            if target is None or reference in path:
                return None
            path = (*path, reference)
            node = {**target, **{name: node[name] for name in node if name != "$ref"}}
        return node, path

    def _find(self, reference: Any) -> Schema | None:
        if not isinstance(reference, str) or not (reference == "#" or reference.startswith("#/")):
            return None
        node: Any = self._root
        for step in reference.split("/")[1:]:
            if not isinstance(node, dict):
                return None
            node = node.get(step.replace("~1", "/").replace("~0", "~"))
        return node if isinstance(node, dict) else None

    def _merge_all(self, node: Schema, path: tuple[str, ...]) -> tuple[Schema, tuple[str, ...]]:
        """`allOf` merged into the node: properties and required united, else the node wins."""
        parts = node.get("allOf")
        self._nodes += 1
        if not isinstance(parts, list) or self._nodes > _NODES_MAX:
            return node, path
        merged = dict(node)
        del merged["allOf"]
        for part in parts:
            resolved = self._resolve(part, path) if isinstance(part, dict) else None
            if resolved is None:
                continue
            part, path = self._merge_all(*resolved)
            for name, value in part.items():
                merged[name] = _unite(merged.get(name), value) if name in merged else value
        return merged, path

    def _choose(
        self, result: Schema, choices: list[Any], path: tuple[str, ...], depth: int
    ) -> Schema:
        """`anyOf`: the type belongs into its branches, only annotations stay beside it."""
        kind = result.pop("type", None)
        branches = []
        for choice in choices:
            if kind is not None and isinstance(choice, dict) and "$ref" not in choice:
                choice = {"type": kind, **choice}
            branches.append(self._node(choice, path, depth + 1))
        kept: Schema = {name: result[name] for name in _ANNOTATIONS if name in result}
        return {**kept, "anyOf": branches}

    def _descend(self, result: Schema, path: tuple[str, ...], depth: int) -> None:
        """Replace the node's children by their normalised forms."""
        properties = result.get("properties")
        if isinstance(properties, dict):
            result["properties"] = properties = {
                name: self._node(child, path, depth + 1) for name, child in properties.items()
            }
        else:
            result.pop("properties", None)
            properties = {}
        _prune_required(result, properties)
        if "items" in result:
            self._set_items(result, path, depth)
        extra = result.get("additionalProperties")
        if isinstance(extra, dict) and extra:
            result["additionalProperties"] = self._node(extra, path, depth + 1)
        elif extra is not None and not isinstance(extra, bool | dict):
            del result["additionalProperties"]

    def _set_items(self, result: Schema, path: tuple[str, ...], depth: int) -> None:
        """One schema for all items: a tuple's members become alternatives, "any" is left out."""
        items = result.pop("items")
        if isinstance(items, list):
            items = {"anyOf": items} if items else None
        if isinstance(items, dict) and items:
            result["items"] = self._node(items, path, depth + 1)


def _has_structure(node: Schema) -> bool:
    """Whether a node says so much itself that its `anyOf` only narrows it."""
    return bool(node.keys() & (_OBJECT | _ARRAY))


def _unite(own: Any, other: Any) -> Any:
    if isinstance(own, dict) and isinstance(other, dict):
        return {**other, **own}
    if isinstance(own, list) and isinstance(other, list):
        return own + [item for item in other if item not in own]
    return own


def _prune_required(result: Schema, properties: Schema) -> None:
    """`required` may only name declared properties."""
    required = result.pop("required", None)
    if isinstance(required, list):
        known = [name for name in required if isinstance(name, str) and name in properties]
        if known:
            result["required"] = known


def _set_type(result: Schema, node: Schema) -> None:
    """A type, taken from the node, its values or its structure; a single value is an enum.

    Only strings and numbers may be enumerated; a type that none of the values has is wrong.
    """
    values = [node["const"]] if "const" in node else node.get("enum")
    if not isinstance(values, list):
        values = []
    kinds = list(dict.fromkeys(_kind_of(value) for value in values))
    kind = result.get("type")
    if not _is_type(kind) or (kinds and not _allows(kind, kinds)):
        result["type"] = (kinds[0] if len(kinds) == 1 else kinds) or _guess(node)
    if any(one in ("string", "integer", "number") for one in kinds):
        result["enum"] = values
    else:
        result.pop("enum", None)


def _allows(kind: Any, kinds: list[str]) -> bool:
    """Whether a type allows a value of one of these kinds at least."""
    allowed = kind if isinstance(kind, list) else [kind]
    return any(one in allowed or (one == "integer" and "number" in allowed) for one in kinds)


def _is_type(kind: Any) -> bool:
    kinds = kind if isinstance(kind, list) else [kind]
    return bool(kinds) and all(isinstance(one, str) and one in _TYPES for one in kinds)


def _guess(node: Schema) -> str:
    if node.keys() & (_OBJECT | {"patternProperties", "propertyNames"}):
        return "object"
    if node.keys() & _ARRAY:
        return "array"
    return "number" if node.keys() & _NUMBER else "string"


def _kind_of(value: Any) -> str:
    if value is None:
        return "null"
    kinds = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array"}
    return kinds.get(type(value), "object")
