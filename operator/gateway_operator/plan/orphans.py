"""Which live keys have lost their object, and how many of them may be suspended for it. Pure.

An object that is missing from two complete lists in a row is gone. But a definition deleted by
mistake, or the wrong cluster, must not stop everybody: beyond a limit a person has to confirm it.
"""

from collections.abc import Collection, Iterable

from msgspec import Struct

from gateway.core.orphans import orphans_max
from gateway.store.key_rows import KeyState
from gateway_operator.resources.names import Name


class Orphans(Struct, frozen=True):
    """`missing`: names to remember for the next list; `gone`: those of the last one too."""

    missing: frozenset[Name]
    gone: tuple[KeyState, ...]
    limit: int

    @property
    def are_few(self) -> bool:
        return len(self.gone) <= self.limit

    def may_be_suspended(self, confirmed: int | None) -> bool:
        """True if they are few, or an administrator has named their exact number."""
        return self.are_few or confirmed == len(self.gone)


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
    alive = sum(not row.suspended for row in watched)
    names = frozenset((row.namespace, row.name) for row in lost)
    return Orphans(names, gone, orphans_max(alive))
