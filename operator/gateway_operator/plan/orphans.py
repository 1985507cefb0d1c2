"""Which live keys have lost their object, and how many of them may be suspended for it. Pure.

An object that is missing from two complete lists in a row is gone. But a definition deleted by
mistake, or the wrong cluster, must not stop everybody: beyond a limit a person has to confirm it.
The many of one namespace keep those of others waiting only where these have lost many, too, or all.
"""

from collections import Counter
from collections.abc import Collection, Iterable

from msgspec import Struct

from gateway.core.orphans import orphans_max
from gateway.store.key_rows import KeyState
from gateway_operator.resources.names import Name


class Orphans(Struct, frozen=True):
    """`missing`: names to remember for the next list; `gone`: those of the last one too.

    `few` are those of them that may be suspended unasked.
    """

    missing: frozenset[Name]
    gone: tuple[KeyState, ...]
    few: tuple[KeyState, ...]

    def to_suspend(self, confirmed: int | None) -> tuple[KeyState, ...]:
        """All, if an administrator has named their exact number; else the few."""
        return self.gone if confirmed == len(self.gone) else self.few


def find_orphans(
    rows: Iterable[KeyState],
    listed: Collection[Name],
    missing_before: Collection[Name],
    namespaces: Collection[str] = (),
) -> Orphans:
    """Compare the living rows with a complete list of objects.

    `rows` must have been read before the list was. `namespaces` are those that were listed, empty
    for all; keys of others are none of our business.
    """
    watched = [row for row in rows if not namespaces or row.namespace in namespaces]
    lost = [row for row in watched if (row.namespace, row.name) not in listed]
    gone = tuple(
        row for row in lost if (row.namespace, row.name) in missing_before and not row.suspended
    )
    alive = Counter(row.namespace for row in watched if not row.suspended)
    names = frozenset((row.namespace, row.name) for row in lost)
    return Orphans(names, gone, _few(gone, alive))


def _few(gone: tuple[KeyState, ...], alive: Counter[str]) -> tuple[KeyState, ...]:
    """All, or those of namespaces that have lost few of their own; none if these are many, too."""
    most = orphans_max(alive.total())
    if len(gone) <= most:
        return gone
    lost = Counter(row.namespace for row in gone)
    calm = {
        namespace
        for namespace, number in lost.items()
        if number <= orphans_max(alive[namespace]) and number < alive[namespace]
    }
    few = tuple(row for row in gone if row.namespace in calm)
    return few if len(few) <= most else ()
