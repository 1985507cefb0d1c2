"""Conditions of a status: `Ready` means that it works, `Stalled` that no new attempt will help.

Ready   Stalled   the object
True    False     is as its spec asks
False   False     will be tried again
False   True      waits for somebody to change something
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from msgspec import Struct

#: fields of a status that change by themselves; they are written apart, by a manager of their own
SHOWN_APART = frozenset({"balance", "lastUsedTime"})

#: what is kept of a message: the definitions take 32,768 characters, an Event's field takes these
MESSAGE_CHARACTERS = 1024

ConditionKind = Literal["ready", "waiting", "stalled"]


class ConditionState(Struct, frozen=True):
    """The result of reconciling an object; `reason` is one of its kind's closed set."""

    state: ConditionKind
    reason: str
    message: str


def utc_now() -> datetime:
    return datetime.now(UTC)


def timestamp(moment: datetime) -> str:
    """A moment of UTC as objects have it, to the second."""
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def merge_conditions(
    before: list[dict[str, Any]],
    condition: ConditionState,
    generation: int,
    clock: Callable[[], datetime] = utc_now,
) -> list[dict[str, Any]]:
    """The conditions of a status, as the API server holds them.

    A condition whose `status` stays keeps its `lastTransitionTime`, so equal states on equal
    generations give equal conditions. `generation` is the one that the state is about.
    """
    known = {each.get("type"): each for each in before}
    return [
        _condition("Ready", condition.state == "ready", condition, generation, known, clock),
        _condition("Stalled", condition.state == "stalled", condition, generation, known, clock),
    ]


def build_status(
    body: dict[str, Any],
    condition: ConditionState,
    clock: Callable[[], datetime] = utc_now,
    **fields: Any,
) -> dict[str, Any]:
    """The whole status of an object; `fields` that are None are left out."""
    generation = body["metadata"].get("generation", 1)
    before = (body.get("status") or {}).get("conditions") or []
    return {
        "observedGeneration": generation,
        **{name: value for name, value in fields.items() if value is not None},
        "conditions": merge_conditions(before, condition, generation, clock),
    }


def own_fields(status: dict[str, Any]) -> dict[str, Any]:
    """The part of a status that reports what became of an object."""
    return {name: value for name, value in status.items() if name not in SHOWN_APART}


def has_status(body: dict[str, Any], status: dict[str, Any]) -> bool:
    """True if an object's status is this one already, apart from what is shown beside it."""
    before = body.get("status") or {}
    return status in (before, own_fields(before))


def is_transition(before: dict[str, Any] | None, after: dict[str, Any]) -> bool:
    """True if the reason to be ready or not changed: that is worth an Event."""
    return ready_reason(before or {}) != ready_reason(after)


def ready_reason(status: Mapping[str, Any]) -> str | None:
    """The reason of the condition `Ready`; None where there is none yet."""
    for condition in status.get("conditions") or ():
        if condition.get("type") == "Ready":
            reason: str | None = condition.get("reason")
            return reason
    return None


def _condition(
    kind: str,
    holds: bool,
    condition: ConditionState,
    generation: int,
    known: dict[str | None, dict[str, Any]],
    clock: Callable[[], datetime],
) -> dict[str, Any]:
    status = "True" if holds else "False"
    old = known.get(kind)
    since = old.get("lastTransitionTime") if old and old.get("status") == status else None
    return {
        "type": kind,
        "status": status,
        "reason": condition.reason,
        "message": condition.message[:MESSAGE_CHARACTERS],
        "observedGeneration": generation,
        "lastTransitionTime": since or timestamp(clock()),
    }
