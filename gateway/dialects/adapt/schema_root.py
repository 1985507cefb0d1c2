"""The root of a tool's schema as one object: for everybody the one that a reference names, for
providers that take no choice and no union there what they add up to.

    $ref ──▶ what it names        allOf ──▶ merged
    anyOf, oneOf ──▶ the properties of all, required what all require

The result never refuses what a choice allows. Must never change its input, always give the same for
the same schema, and look at each node once, so that references which multiply cost nothing.

Sources: the refusals of OpenAI ("schema must have type 'object' and not have
'oneOf'/'anyOf'/'allOf'/'enum'/'not' at the top level") and Anthropic ("input_schema does not
support oneOf, allOf, or anyOf at the top level").
"""

from typing import Any
from urllib.parse import unquote

Schema = dict[str, Any]

COMBINED = frozenset({"anyOf", "oneOf", "allOf", "enum", "not"})
_NODES_MAX = 256
#: one behind the other, from the root
_REFERENCES_MAX = 16
#: characters; escapes cost many times their bytes, and names of definitions are short
_REFERENCE_LENGTH_MAX = 1024
#: a longer list is left out: what is not required may still be given
_REQUIRED_MAX = 256
#: of one property; with more of them it may be anything
_ALTERNATIVES_MAX = 16


def resolve(root: Schema) -> Schema:
    """The root with the members of the definition that it refers to; the same one if it does not.

    Pydantic writes recursive classes so, and nobody looks behind a reference for properties.
    """
    chain = [root]
    while len(chain) <= _REFERENCES_MAX:
        named = _named(chain[-1], root)
        if named is None or any(named is part for part in chain):
            break
        chain.append(named)
    if len(chain) == 1:
        return root
    whole: Schema = {}
    properties: Schema = {}
    for part in reversed(chain):
        whole |= part
        if isinstance(own := part.get("properties"), dict):
            properties |= own
    del whole["$ref"]
    return {**whole, "properties": properties} if properties else whole


def flatten(root: Schema) -> Schema:
    """The root without any of `COMBINED`."""
    collector = _Collector(root)
    required = collector.collect(root, is_choice=False)
    flat = {name: value for name, value in root.items() if name not in COMBINED}
    flat["type"] = "object"
    flat["properties"] = {name: _one_of(given) for name, given in collector.properties.items()}
    flat.pop("required", None)
    kept = [name for name in collector.properties if name in required]
    return {**flat, "required": kept} if kept else flat


def _one_of(alternatives: list[Any]) -> Any:
    if len(alternatives) == 1:
        return alternatives[0]
    return {"anyOf": alternatives} if len(alternatives) <= _ALTERNATIVES_MAX else {}


class _Collector:
    def __init__(self, root: Schema) -> None:
        #: the schemas of each property, of different choices
        self.properties: dict[str, list[Any]] = {}
        self._root = root
        self._seen: set[int] = set()

    def collect(self, node: Schema, *, is_choice: bool) -> set[str]:
        """Add the properties of a node and of all that is combined in it; return what it
        requires."""
        if id(node) in self._seen or len(self._seen) >= _NODES_MAX:
            return set()
        self._seen.add(id(node))
        properties = node.get("properties")
        for name, schema in properties.items() if isinstance(properties, dict) else ():
            self._add(name, schema, is_choice=is_choice)
        required = _required(node)
        united = _parts(node, "allOf")
        if (named := _named(node, self._root)) is not None:
            united.append(named)
        for part in united:
            required |= self.collect(part, is_choice=is_choice)
        for keyword in ("anyOf", "oneOf"):
            each = [self.collect(part, is_choice=True) for part in _parts(node, keyword)]
            required |= set.intersection(*each) if each else set()
        return required

    def _add(self, name: str, schema: Any, *, is_choice: bool) -> None:
        """Add a schema; one that is united with others narrows them, so the first counts."""
        known = self.properties.setdefault(name, [schema])
        if is_choice and len(known) <= _ALTERNATIVES_MAX and schema not in known:
            known.append(schema)


def follow(reference: str, root: Schema) -> Schema | None:
    """The part of a schema that a local reference names, if there is one (RFC 6901, section 6)."""
    if len(reference) > _REFERENCE_LENGTH_MAX:
        return None
    found: Any = root
    for step in reference.split("/")[1:]:
        if not isinstance(found, dict):
            return None
        name = step.replace("~1", "/").replace("~0", "~")
        found = found.get(name, found.get(unquote(name)))
    return found if isinstance(found, dict) else None


def _parts(node: Schema, keyword: str) -> list[Schema]:
    parts = node.get(keyword)
    return [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []


def _named(node: Schema, root: Schema) -> Schema | None:
    """The part that a local reference of the node names, if it has one."""
    reference = node.get("$ref")
    if not isinstance(reference, str) or not reference.startswith("#/"):
        return None
    return follow(reference, root)


def _required(node: Schema) -> set[str]:
    named = node.get("required")
    if not isinstance(named, list) or len(named) > _REQUIRED_MAX:
        return set()
    return {name for name in named if isinstance(name, str)}
