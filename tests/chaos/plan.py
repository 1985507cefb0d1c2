"""The plan: rounds of faults, all of them by the seed.

A round's faults may overlap, but no two hit the same place. A long round has one that lasts longer
than a lease, and many short ones beside it. A round is over when everything works again.
"""

import random
from collections.abc import Iterator

from msgspec import Struct

from tests.chaos.records import Fault

NOBODY = -1


class Kind(Struct, frozen=True):
    """A kind of fault. `place` is what it takes for itself; seconds are of a lease where `long`."""

    place: str
    weight: int
    low: float
    high: float
    long: bool = False


#: by the words for them
KINDS: dict[str, Kind] = {
    "gateway killed": Kind("gateway", 6, 0.0, 1.5),
    "gateway drained": Kind("gateway", 5, 0.0, 1.0),
    "gateway frozen": Kind("gateway", 6, 0.2, 2.5),
    "gateway frozen beyond its lease": Kind("gateway", 3, 1.2, 1.5, long=True),
    "database killed": Kind("database", 3, 0.0, 1.5),
    "database restarted": Kind("database", 3, 0.0, 1.0),
    "a database connection's process killed": Kind("database", 3, 0.0, 0.0),
    "database frozen": Kind("database", 3, 0.2, 3.0),
    "database frozen beyond a lease": Kind("database", 2, 1.2, 1.5, long=True),
    "database failed over": Kind("database", 2, 0.0, 1.0),
    "address led to the standby": Kind("database", 3, 0.5, 3.0),
    "database restored from a dump": Kind("database", 1, 1.0, 3.0),
    "database refused": Kind("database link", 3, 0.2, 2.5),
    "database held up": Kind("database link", 3, 0.2, 2.5),
    "database held up beyond a lease": Kind("database link", 1, 1.2, 1.5, long=True),
    "database connections gone silent": Kind("database link", 3, 0.2, 2.5),
    "database answers lost": Kind("database link", 3, 0.2, 2.0),
    "database packets dropped": Kind("database link", 3, 0.2, 2.5),
    "an account's row locked": Kind("account", 2, 0.5, 4.0),
    "upstream killed": Kind("upstream", 3, 0.0, 1.0),
    "upstream frozen": Kind("upstream", 3, 0.2, 3.0),
    "upstream refused": Kind("upstream link", 3, 0.2, 2.5),
    "upstream held up": Kind("upstream link", 3, 0.2, 2.5),
    "upstream connections cut": Kind("upstream link", 4, 0.0, 0.0),
    "upstream packets dropped": Kind("upstream link", 3, 0.2, 2.5),
    "operator killed": Kind("operator", 2, 0.0, 1.0),
    "operator stopped": Kind("operator", 2, 0.0, 1.0),
    "operator frozen": Kind("operator", 2, 0.5, 3.0),
}
#: one of these for each gateway
_OF_A_GATEWAY = frozenset({"gateway", "database link", "upstream link"})
#: what only these can do
NEEDS = {"packets dropped": "firewall", "operator": "operator"}

_LONG_SHARE = 0.25
_AFTER_MAX = 3.0
_PAUSE = 0.3


class Plan:
    """Rounds without end, for so many gateways and with so long a lease."""

    def __init__(
        self,
        seed: int,
        gateways: int,
        lease_seconds: float,
        abilities: frozenset[str],
        *,
        short: bool = False,
        without: tuple[str, ...] = (),
    ) -> None:
        """`short`: no fault lasts longer than a lease. `without`: words of kinds left out."""
        self._chance = random.Random(f"faults {seed}")
        self._gateways = gateways
        self._lease_seconds = lease_seconds
        self._long_share = 0.0 if short else _LONG_SHARE
        self._kinds = {
            name: kind
            for name, kind in KINDS.items()
            if all(need in abilities for words, need in NEEDS.items() if words in name)
            and not any(words in name for words in without)
        }

    def rounds(self) -> Iterator[list[Fault]]:
        while True:
            chance = self._chance
            is_long = chance.random() < self._long_share
            busy_until: dict[tuple[str, int], float] = {}
            faults = [self._long(busy_until)] if is_long else []
            horizon = faults[0].seconds - 2.0 if faults else 0.0
            for _ in range(chance.randint(26, 36) if is_long else chance.randint(8, 16)):
                fault = self._short(busy_until, horizon)
                if fault is not None:
                    faults.append(fault)
            yield sorted(faults, key=lambda fault: fault.after)

    def _long(self, busy_until: dict[tuple[str, int], float]) -> Fault:
        return self._fault(busy_until, long=True, after=self._chance.uniform(0, 0.5))

    def _short(self, busy_until: dict[tuple[str, int], float], horizon: float) -> Fault | None:
        """One more; None where its place is taken until after the round."""
        after = self._chance.uniform(0, max(_AFTER_MAX, horizon))
        fault = self._fault({}, long=False, after=after)
        place = _place(fault)
        after = max(after, busy_until.get(place, 0.0) + _PAUSE)
        if after + fault.seconds > max(_AFTER_MAX + 3.0, horizon + 2.0):
            return None
        busy_until[place] = after + fault.seconds + _slack(fault)
        return Fault(fault.kind, fault.gateway, after, fault.seconds)

    def _fault(
        self, busy_until: dict[tuple[str, int], float], *, long: bool, after: float
    ) -> Fault:
        chance = self._chance
        kinds = {name: kind for name, kind in self._kinds.items() if kind.long == long}
        (name,) = chance.choices(list(kinds), [kind.weight for kind in kinds.values()])
        kind = kinds[name]
        seconds = chance.uniform(kind.low, kind.high) * (self._lease_seconds if long else 1)
        gateway = chance.randrange(self._gateways) if kind.place in _OF_A_GATEWAY else NOBODY
        fault = Fault(name, gateway, round(after, 2), round(seconds, 2))
        busy_until[_place(fault)] = after + seconds + _slack(fault)
        return fault


def _place(fault: Fault) -> tuple[str, int]:
    return KINDS[fault.kind].place, fault.gateway


def _slack(fault: Fault) -> float:
    """Seconds that it takes to put things right again, about; places are locked all the same."""
    return {"gateway": 3.0, "database": 2.0, "operator": 5.0}.get(KINDS[fault.kind].place, 0.0)
