"""JSON Schema brought into MFJS, the subset that Moonshot takes for tools and output formats.

    local $ref ──▶ inlined        no type ──▶ inferred        oneOf, const ──▶ anyOf, enum
    allOf ──▶ merged              unknown combinators ──▶ dropped

Every step loosens at most: the result never refuses what the schema allows, except for an untyped
property, which MFJS cannot express and which becomes a string. A part that recurses, points outside
or grows without end becomes `{"type": "object"}`: nodes, bytes and references are counted, and
their bounds follow from the schema's own size. Must never change its input, and always give the
same bytes for the same schema, since the upstream's prefix cache depends on it.

Sources: MoonshotAI/walle, "MFJS specification" and "Validation rules and canonicalization".
"""

from functools import lru_cache
from typing import Any

import msgspec
from msgspec import Raw

from gateway.core.errors import InvalidRequest
from gateway.dialects.adapt.schema_root import follow
from gateway.dialects.json import encode

Schema = dict[str, Any]

_DEPTH_MAX = 24
_NODES_MAX = 4000
#: a small schema may grow to so many, with any references
_NODES_MIN = 64
#: the least bytes of the schema for a further node
_BYTES_PER_NODE = 4
#: the factor by which a schema may grow through what is inlined and merged
_GROWTH_MAX = 4
_GROWTH_BYTES_MIN = 16 * 1024
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
#: members that hold nodes which are counted by themselves, and the least that is written of each
_CHILDREN = frozenset({"properties", "items", "additionalProperties", "anyOf", "oneOf"})
_CHILD_BYTES_MIN = 20
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
    return Raw(encode(_Normaliser(msgspec.json.decode(encoded), len(encoded)).root()))


_normalise_cached = lru_cache(maxsize=512)(_normalise)


class _Normaliser:
    """One schema of `size` bytes, which bounds what references that multiply can grow to."""

    def __init__(self, root: Schema, size: int) -> None:
        self._root = root
        #: the references that led to the node under way
        self._path = {"#"}
        self._nodes_left = min(_NODES_MAX, _NODES_MIN + size // _BYTES_PER_NODE)
        self._bytes_left = _GROWTH_BYTES_MIN + _GROWTH_MAX * size
        #: by the identity of a value, which is kept for as long
        self._sizes: dict[int, tuple[Any, int]] = {}

    def root(self) -> Schema:
        node = self._node(self._root, 0)
        if "anyOf" not in node and node.get("type") != "object":
            node = {**node, "type": "object"}
        if "anyOf" not in node:
            node.setdefault("properties", {})
        return node

    @property
    def _is_exhausted(self) -> bool:
        return self._nodes_left < 0 or self._bytes_left < 0

    def _node(self, node: Any, depth: int) -> Schema:
        self._nodes_left -= 1
        if depth > _DEPTH_MAX or self._is_exhausted:
            return {"type": "object"}
        if not isinstance(node, dict):
            return {"type": "string"}
        followed: list[str] = []
        merged = self._resolve(node, followed)
        if merged is None:
            return {"type": "object"}
        node = self._merge_all(merged, followed)
        self._bytes_left -= self._size_of(node)
        result = {"type": "object"} if self._bytes_left < 0 else self._write(node, depth)
        self._path.difference_update(followed)
        return result

    def _write(self, node: Schema, depth: int) -> Schema:
        """A node without references and `allOf`."""
        choices = node.get("anyOf") or node.get("oneOf")
        result = {name: value for name, value in node.items() if name not in _DROPPED}
        if not isinstance(result.get("description", ""), str):
            del result["description"]
        if isinstance(choices, list) and choices and not _has_structure(result):
            return self._choose(result, choices, depth)
        _set_type(result, node)
        self._descend(result, depth)
        return result

    def _size_of(self, node: Schema) -> int:
        """About the bytes that a node adds itself; its children are counted where they come."""
        size = 0
        for name, value in node.items():
            size += len(name)
            if isinstance(value, str):
                size += len(value)
            elif isinstance(value, list | dict):
                if name in _CHILDREN:
                    size += _CHILD_BYTES_MIN * len(value)
                elif name not in _DROPPED:
                    size += self._encoded_size(value)
        return size

    def _encoded_size(self, value: Any) -> int:
        known = self._sizes.get(id(value))
        if known is None:
            known = self._sizes[id(value)] = (value, len(encode(value)))
        return known[1]

    def _resolve(self, node: Schema, followed: list[str]) -> Schema | None:
        """Follow a reference; what stands beside it wins. None where it leads nowhere or back."""
        first = len(followed)
        while "$ref" in node:
            reference = node["$ref"]
            target = self._find(reference)
            if target is None or reference in self._path:
                self._path.difference_update(followed[first:])
                del followed[first:]
                return None
            self._path.add(reference)
            followed.append(reference)
            self._bytes_left -= len(node) + len(target)
            node = {**target, **{name: node[name] for name in node if name != "$ref"}}
        return node

    def _find(self, reference: Any) -> Schema | None:
        if not isinstance(reference, str) or not (reference == "#" or reference.startswith("#/")):
            return None
        self._nodes_left -= 1
        self._bytes_left -= len(reference)
        if self._is_exhausted:
            return None
        return follow(reference, self._root)

    def _merge_all(self, node: Schema, followed: list[str]) -> Schema:
        """`allOf` merged into the node: properties and required united, else the node wins."""
        parts = node.get("allOf")
        self._nodes_left -= 1
        if not isinstance(parts, list) or self._is_exhausted:
            return node
        union = _Union(node)
        del union.node["allOf"]
        for part in parts:
            resolved = self._resolve(part, followed) if isinstance(part, dict) else None
            if resolved is None:
                continue
            self._bytes_left -= union.add(self._merge_all(resolved, followed))
            if self._is_exhausted:
                break
        return union.node

    def _choose(self, result: Schema, choices: list[Any], depth: int) -> Schema:
        """`anyOf`: the type belongs into its branches, only annotations stay beside it."""
        kind = result.pop("type", None)
        branches = []
        for choice in choices:
            if kind is not None and isinstance(choice, dict) and "$ref" not in choice:
                choice = {"type": kind, **choice}
            branches.append(self._node(choice, depth + 1))
        kept: Schema = {name: result[name] for name in _ANNOTATIONS if name in result}
        return {**kept, "anyOf": branches}

    def _descend(self, result: Schema, depth: int) -> None:
        """Replace the node's children by their normalised forms."""
        properties = result.get("properties")
        if isinstance(properties, dict):
            result["properties"] = properties = {
                name: self._node(child, depth + 1) for name, child in properties.items()
            }
        else:
            result.pop("properties", None)
            properties = {}
        _prune_required(result, properties)
        if "items" in result:
            self._set_items(result, depth)
        extra = result.get("additionalProperties")
        if isinstance(extra, dict) and extra:
            result["additionalProperties"] = self._node(extra, depth + 1)
        elif extra is not None and not isinstance(extra, bool | dict):
            del result["additionalProperties"]

    def _set_items(self, result: Schema, depth: int) -> None:
        """One schema for all items: a tuple's members become alternatives, "any" is left out."""
        items = result.pop("items")
        if isinstance(items, list):
            items = {"anyOf": items} if items else None
        if isinstance(items, dict) and items:
            result["items"] = self._node(items, depth + 1)


class _Union:
    """A node that others are merged into; what it holds is copied once."""

    def __init__(self, node: Schema) -> None:
        self.node = dict(node)
        #: of each list that was united, what is in it
        self._known: dict[str, set[bytes]] = {}
        self._own: set[str] = set()

    def add(self, part: Schema) -> int:
        """Unite objects and lists, else keep what is there; gives how many members that took."""
        members = len(part)
        for name, value in part.items():
            own = self.node.setdefault(name, value)
            if own is value:
                continue
            if isinstance(own, dict) and isinstance(value, dict):
                members += len(value) + self._make_own(name)
                for inner, held in value.items():
                    self.node[name].setdefault(inner, held)
            elif isinstance(own, list) and isinstance(value, list):
                members += len(value) + self._make_own(name)
                self._extend(name, value)
        return members

    def _extend(self, name: str, value: list[Any]) -> None:
        own = self.node[name]
        if name not in self._known:
            self._known[name] = set(map(encode, own))
        known = self._known[name]
        for item in value:
            if (key := encode(item)) not in known:
                known.add(key)
                own.append(item)

    def _make_own(self, name: str) -> int:
        if name in self._own:
            return 0
        self._own.add(name)
        self.node[name] = self.node[name].copy()
        return len(self.node[name])


def _has_structure(node: Schema) -> bool:
    """True if a node has so much structure itself that its `anyOf` only narrows it."""
    return bool(node.keys() & (_OBJECT | _ARRAY))


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
    """True if a type allows a value of one of these kinds at least."""
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
