"""Which statuses of ApiKeys are worth writing for a balance or a last use. Pure."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct

from gateway.store.balances import KeyBalance, mark_of
from gateway_operator.resources.names import Name

#: a balance that differs by less of what was granted is not worth a write
_SHARE = 100
#: nor is a last use that is less newer than the one that is shown
_USE = timedelta(minutes=1)


class ShownFigures(Struct, frozen=True):
    """The figures in the status of one ApiKey, and the object's UID."""

    uid: str
    balance: int | None = None
    used_at: datetime | None = None


def read_shown(uid: str, status: Mapping[str, Any]) -> ShownFigures:
    """The figures that an object's status shows now."""
    used_at = status.get("lastUsedTime")
    return ShownFigures(
        uid, status.get("balance"), datetime.fromisoformat(used_at) if used_at else None
    )


def has_object(key: KeyBalance, shown: Mapping[Name, ShownFigures]) -> bool:
    """True if there is the object that a key was issued to, and not just one of its name."""
    now = shown.get(_name(key))
    return now is not None and now.uid == key.uid


class StatusWrite(Struct, frozen=True):
    """A status that is worth writing; one whose account has reached a mark comes first."""

    key: KeyBalance
    is_urgent: bool


def choose_writes(
    keys: Iterable[KeyBalance], shown: Mapping[Name, ShownFigures], written: Mapping[Name, float]
) -> list[StatusWrite]:
    """The statuses to write, in this order: what is urgent, then what was written longest ago.

    `shown` has the objects that there are; `written` holds when this process wrote one last.
    """
    found = []
    for key in keys:
        if has_object(key, shown) and is_worth_writing(key, now := shown[_name(key)]):
            found.append(StatusWrite(key, _is_urgent(key, now)))
    return sorted(found, key=lambda one: (not one.is_urgent, written.get(_name(one.key), 0.0)))


def is_worth_writing(key: KeyBalance, shown: ShownFigures) -> bool:
    """True if the figures shown are too far from the real ones."""
    if key.used_at is not None and (shown.used_at is None or key.used_at - shown.used_at >= _USE):
        return True
    if shown.balance is None or _is_urgent(key, shown):
        return True
    difference = abs(key.balance - shown.balance)
    return difference > 0 and difference >= key.granted // _SHARE


def _name(key: KeyBalance) -> Name:
    return key.namespace, key.name


def _is_urgent(key: KeyBalance, shown: ShownFigures) -> bool:
    if shown.balance is None:
        return False
    return mark_of(key.balance, key.granted) != mark_of(shown.balance, key.granted)
