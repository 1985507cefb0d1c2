"""Seconds after each fault until a gateway answered again, by the answers to its pulse."""

from collections.abc import Iterable, Iterator

from msgspec import Struct

from tests.chaos.records import Got, Incident


class Recovery(Struct, frozen=True):
    """From the end of a fault to the first answer to a question that was asked after it."""

    incident: Incident
    gateway: int
    seconds: float
    #: no other fault met the gateway meanwhile
    alone: bool


def recoveries(
    records: Iterable[Got], incidents: list[Incident], gateways: int, limit_seconds: float
) -> Iterator[Recovery]:
    """One for each fault and each gateway that it met.

    An answer that came late because of another fault proves nothing, one in time does all the same.
    """
    answers = sorted((got for got in records if got.complete), key=lambda got: got.ended)
    for gateway in range(gateways):
        met = [
            incident
            for incident in incidents
            if incident.fault.gateway in (gateway, -1) and "operator" not in incident.fault.kind
        ]
        own = [got for got in answers if got.asked.gateway == gateway]
        for incident in met:
            first = next((got.ended for got in own if got.began >= incident.ended), None)
            if first is None:
                continue
            seconds = first - incident.ended
            alone = not _is_met_again(incident, met, first)
            if seconds <= limit_seconds or alone:
                yield Recovery(incident, gateway, seconds, alone)


def _is_met_again(incident: Incident, met: list[Incident], until: float) -> bool:
    return any(other is not incident and other.overlaps(incident.ended, until) for other in met)
