"""The evidence that a run leaves for the judge, and the questions that can be asked of it."""

from collections.abc import Callable, Iterable

from msgspec import Struct

from tests.chaos.ledger import Ledger
from tests.chaos.plan import KINDS, NOBODY
from tests.chaos.records import Got, Incident, Restore

#: what an end or a refund may wait for, written behind as it is, with the database away meanwhile
_CALM_SECONDS = 12.0


def _of(*places: str) -> frozenset[str]:
    return frozenset(name for name, kind in KINDS.items() if kind.place in places)


GATEWAY, UPSTREAM = _of("gateway"), _of("upstream", "upstream link")
DATABASE = _of("database", "database link")
DRAINED = frozenset({"gateway drained"})


class Violation(Struct, frozen=True):
    """A violation; `got` where it is of one request."""

    sentence: str
    got: Got | None = None


class Evidence(Struct, frozen=True, kw_only=True):
    """All that is known."""

    records: list[Got]
    ledger: Ledger
    #: numbers of the requests of which an upstream got something, that it began to answer, and
    #: that it answered whole
    dispatched: set[int]
    begun: set[int]
    answered: set[int]
    incidents: list[Incident]
    restores: list[Restore]
    #: from when to when everything was right
    quiet: list[tuple[float, float]]
    lease_was_over: Callable[[str], bool]
    #: by the id of a request the replica that was seen to hold it
    held_by: dict[str, str]
    #: the charge of a request; None where it is the most of a price by tokens
    price: Callable[[Got], int | None]
    #: and then what its tokens cost, as its upstream counted them; None where that is not known
    used: Callable[[Got], int | None]
    #: keys that always work, and the accounts of which can always pay
    good_keys: Iterable[str]
    caps: dict[str, int]
    #: names of the grants whose posting was confirmed
    granted: set[str]

    def forgot(self, got: Got) -> bool:
        """True if the database was put back to a state that cannot know how a request ended."""
        number = got.asked.number
        return any(
            got.began <= restore.restored
            and (
                number in restore.open
                or got.ended + _CALM_SECONDS >= restore.dumped
                or (
                    (booked := self.ledger.booked.get(number)) is not None
                    and booked.charged_at > restore.restored
                )
            )
            for restore in self.restores
        )

    def hit(self, got: Got, kinds: frozenset[str]) -> bool:
        """True if a fault of these kinds met a request or its replica."""
        return self.hit_between(got.asked.gateway, got.began, got.ended + 1.0, kinds)

    def hit_between(self, gateway: int, began: float, ended: float, kinds: frozenset[str]) -> bool:
        """True if a fault of these kinds met a replica between two moments."""
        return any(
            incident.fault.kind in kinds
            and incident.fault.gateway in (gateway, NOBODY)
            and incident.overlaps(began, ended)
            for incident in self.incidents
        )
