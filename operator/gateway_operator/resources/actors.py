"""The actor of a change, from the fields' managers that the API server keeps with each object."""

from datetime import datetime
from typing import Any

from gateway.core.actor import UNKNOWN_ACTOR, Actor
from gateway_operator.resources.names import FIELD_MANAGER

OPERATOR = Actor(FIELD_MANAGER)


def actor_of(body: dict[str, Any]) -> Actor:
    """The manager that wrote the object's spec last, and when."""
    writers = [
        each
        for each in body["metadata"].get("managedFields") or ()
        if "f:spec" in (each.get("fieldsV1") or {}) and each.get("time")
    ]
    if not writers:
        return UNKNOWN_ACTOR
    last = max(writers, key=lambda each: str(each["time"]))
    return Actor(
        str(last.get("manager") or UNKNOWN_ACTOR.name), datetime.fromisoformat(last["time"])
    )


def deleter_of(body: dict[str, Any]) -> Actor:
    """The deletion of an object: the API server keeps when, and not by whom."""
    moment = body["metadata"].get("deletionTimestamp")
    return Actor("deletion", datetime.fromisoformat(moment) if moment else None)
