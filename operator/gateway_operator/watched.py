"""The objects as the watches bring them: what is asked of all of them at any moment.

Owns only what is needed of each, never a whole object: there may be ten thousand.
"""

import asyncio
from collections import Counter
from collections.abc import Collection
from typing import Any

from gateway_operator.conditions import ready_reason
from gateway_operator.plan.balances import ShownFigures, read_shown
from gateway_operator.resources.apikey import KIND as API_KEY
from gateway_operator.resources.names import Name, name_of

_NOTHING: frozenset[Name] = frozenset()


class WatchedObjects:
    """The reason of each object to be ready or not; of ApiKeys also what their status shows, and
    the Secret that they read."""

    def __init__(self) -> None:
        self._reasons: dict[tuple[str, Name], str] = {}
        self._shown: dict[Name, ShownFigures] = {}
        self._source_of: dict[Name, Name] = {}
        self._readers_of: dict[Name, set[Name]] = {}
        #: set when all ApiKeys that there were at the start are known
        self.complete = asyncio.Event()

    def saw(self, kind: str, body: dict[str, Any]) -> None:
        """An object is there, as it is now."""
        name = name_of(body)
        self._reasons[kind, name] = ready_reason(body.get("status") or {}) or ""
        if kind == API_KEY:
            self._shown[name] = read_shown(body["metadata"]["uid"], body.get("status") or {})
            self._read_from(name, _source(body))

    def met(self, kind: str, body: dict[str, Any]) -> None:
        """An object stands in a list, which may be older than what the watch has brought of it."""
        if (kind, name_of(body)) not in self._reasons:
            self.saw(kind, body)

    def lost(self, kind: str, name: Name) -> None:
        """An object is gone."""
        self._reasons.pop((kind, name), None)
        if kind == API_KEY:
            self._shown.pop(name, None)
            self._read_from(name, None)

    def names(self, kind: str) -> set[Name]:
        """The names of all objects of a kind."""
        return {name for each, name in self._reasons if each == kind}

    def by_reason(self, served: Collection[str]) -> dict[tuple[str, str], int]:
        """The number of objects by kind and reason, of these namespaces or of all."""
        return Counter(
            (kind, reason)
            for (kind, (namespace, _)), reason in self._reasons.items()
            if not served or namespace in served
        )

    def shown(self) -> dict[Name, ShownFigures]:
        """The figures in the statuses of all ApiKeys."""
        return dict(self._shown)

    def readers_of(self, secret: Name) -> Collection[Name]:
        """The ApiKeys that read a Secret that somebody brought along."""
        return self._readers_of.get(secret, _NOTHING)

    def _read_from(self, name: Name, secret: Name | None) -> None:
        before = self._source_of.pop(name, None)
        if before is not None:
            readers = self._readers_of[before]
            readers.discard(name)
            if not readers:
                del self._readers_of[before]
        if secret is not None:
            self._source_of[name] = secret
            self._readers_of.setdefault(secret, set()).add(name)


def _source(body: dict[str, Any]) -> Name | None:
    reference = (body["spec"].get("valueFrom") or {}).get("secretKeyRef") or {}
    return (name_of(body)[0], reference["name"]) if "name" in reference else None
