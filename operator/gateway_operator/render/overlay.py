"""Laying the administrator's part of a pod over ours, much as a strategic merge patch does.

Objects are merged member by member; lists of named things (containers, volumes, variables) name by
name, in our order; any other list, and any other value, is the administrator's.
"""

from typing import Any

#: the fields that name a thing in a list, in this order
_NAMES = ("mountPath", "name")


def overlay(ours: Any, theirs: Any) -> Any:
    """`ours` with `theirs` laid over it; neither is changed."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        merged = {key: overlay(value, theirs[key]) for key, value in ours.items() if key in theirs}
        return {**ours, **theirs, **merged}
    if isinstance(ours, list) and isinstance(theirs, list):
        named = next((name for name in _NAMES if _all_named(name, [*ours, *theirs])), None)
        return theirs if named is None else _overlay_named(named, ours, theirs)
    return theirs


def without_nothing(value: Any) -> Any:
    """The value without its members that are None: they have taken ours away."""
    if isinstance(value, dict):
        return {key: without_nothing(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_nothing(item) for item in value]
    return value


def _all_named(name: str, items: list[Any]) -> bool:
    return all(isinstance(item, dict) and name in item for item in items)


def _overlay_named(name: str, ours: list[Any], theirs: list[Any]) -> list[Any]:
    given = {item[name]: item for item in theirs}
    known = {item[name] for item in ours}
    merged = [overlay(item, given.get(item[name], {})) for item in ours]
    return merged + [item for item in theirs if item[name] not in known]
