"""How long it took after each fault until a gateway answered again, by what its pulse got.

A fault after which another one came before an answer did says nothing and is left out.
"""

from collections.abc import Iterable, Iterator

from msgspec import Struct

from tests.chaos.records import Got, Incident


class Recovery(Struct, frozen=True):
    """From the end of a fault to the first answer to a question that was asked after it."""

    incident: Incident
    gateway: int
    seconds: float


def recoveries(
    records: Iterable[Got], incidents: list[Incident], gateways: int
) -> Iterator[Recovery]:
    """One for each fault and each gateway that it met."""
    answers = sorted((got for got in records if got.complete), key=lambda got: got.ended)
    for gateway in range(gateways):
        met = [incident for incident in incidents if incident.fault.gateway in (gateway, -1)]
        own = [got for got in answers if got.asked.gateway == gateway]
        for incident in met:
            if incident.fault.kind.startswith("operator"):
                continue
            first = next((got.ended for got in own if got.began >= incident.ended), None)
            if first is None or _is_met_again(incident, met, first):
                continue
            yield Recovery(incident, gateway, first - incident.ended)


def _is_met_again(incident: Incident, met: list[Incident], until: float) -> bool:
    return any(other is not incident and other.overlaps(incident.ended, until) for other in met)
