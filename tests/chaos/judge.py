"""The judge: each client's own record beside the ledger, by the outcome table.

    complete answer                      charged, once, the price, or the price of its tokens
    refused, failed or incomplete        nothing in the end
    left after dispatch                  charged
    left before dispatch                 nothing in the end
    replica died meanwhile               charged or refunded

What a client cannot know is taken from those who can: whether the upstream got something of its
request, and whether the replica's lease was over.
"""

from collections.abc import Callable, Iterable, Iterator

from msgspec import Struct

from tests.chaos.ledger import Booked, Ledger
from tests.chaos.plan import KINDS, NOBODY
from tests.chaos.records import Got, Incident, Restore

#: what an end or a refund may wait for, written behind as it is, with the database away meanwhile
_CALM_SECONDS = 12.0


def _of(*places: str) -> frozenset[str]:
    return frozenset(name for name, kind in KINDS.items() if kind.place in places)


_GATEWAY, _UPSTREAM = _of("gateway"), _of("upstream", "upstream link")
_DATABASE = _of("database", "database link")
_DRAINED = frozenset({"gateway drained"})


class Violation(Struct, frozen=True):
    """A violation; `got` where it is of one request."""

    sentence: str
    got: Got | None = None


class Evidence(Struct, frozen=True, kw_only=True):
    """All that is known."""

    records: list[Got]
    ledger: Ledger
    #: numbers of the requests of which an upstream got something, and that it answered whole
    dispatched: set[int]
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


def judge(evidence: Evidence) -> list[Violation]:
    """Everything that is wrong."""
    found = [Violation(sentence) for sentence in _of_all(evidence)]
    known = {got.asked.number for got in evidence.records}
    for number, booked in evidence.ledger.booked.items():
        if number not in known:
            found.append(Violation(f"{booked.request_id} was charged, but no client sent it"))
    for got in evidence.records:
        if not _was_forgotten(evidence, got):
            found += [Violation(sentence, got) for sentence in _of_one(evidence, got)]
    return found


def _of_all(evidence: Evidence) -> Iterator[str]:
    ledger = evidence.ledger
    yield from ledger.findings
    if ledger.holds:
        yield f"{ledger.holds} requests are still open"
    for key, cap in evidence.caps.items():
        if ledger.most_of_a_day[key] > cap:
            yield f"key {key} was charged {ledger.most_of_a_day[key]} of its {cap} a day"
    for name in sorted(evidence.granted - ledger.granted):
        yield f"grant {name} was confirmed, and is not there"


def _was_forgotten(evidence: Evidence, got: Got) -> bool:
    """True if the database was put back to a state that cannot know how it ended."""
    number = got.asked.number
    return any(
        got.began <= restore.restored
        and (
            number in restore.open
            or got.ended + _CALM_SECONDS >= restore.dumped
            or (
                (booked := evidence.ledger.booked.get(number)) is not None
                and booked.charged_at > restore.restored
            )
        )
        for restore in evidence.restores
    )


def _of_one(evidence: Evidence, got: Got) -> Iterator[str]:
    number = got.asked.number
    booked = evidence.ledger.booked.get(number)
    yield from _of_its_charge(evidence, got, booked)
    if got.complete:
        yield from _of_a_complete_answer(evidence, got, booked)
    elif got.left and got.status in (None, 200) and not got.failed:
        yield from _of_a_client_that_left(evidence, got, booked)
    else:
        yield from _of_a_failure(evidence, got, booked)
    if got.asked.key in evidence.good_keys and not got.complete and not got.left:
        in_quiet = any(a <= got.began and got.ended <= b for a, b in evidence.quiet)
        if in_quiet and got.asked.script.ends == "well":
            yield "failed although nothing was wrong"


def _of_its_charge(evidence: Evidence, got: Got, booked: Booked | None) -> Iterator[str]:
    if booked is None:
        if got.asked.number in evidence.dispatched:
            yield "was sent to an upstream without a charge"
        return
    if got.dead_key:
        yield "was charged by a key that was dead"
    if not got.sent:
        yield "was charged before all of it was there"
    price, used = evidence.price(got), evidence.used(got)
    if price is not None and booked.charged != price:
        yield f"was charged {booked.charged} instead of {price}"
    if price is None and used is not None and booked.charged < used:
        yield f"was charged {booked.charged}, which is not the most: it cost {used}"
    if got.request_id not in (None, booked.request_id):
        yield f"was charged as {booked.request_id}, but answered as {got.request_id}"
    if booked.account != got.asked.account or booked.key != got.asked.key:
        yield f"was charged to {booked.account} by key {booked.key}"


def _of_a_complete_answer(evidence: Evidence, got: Got, booked: Booked | None) -> Iterator[str]:
    if got.asked.script.ends == "badly":
        yield "is no answer, but was shown as a complete one"
    if booked is None:
        yield "got a complete answer without a charge"
        return
    if booked.net == 0 and not evidence.lease_was_over(booked.request_id):
        yield "got a complete answer, was refunded, and its replica lived"
    charged, used = booked.charged, evidence.used(got)
    if evidence.price(got) is None:
        if used is not None and booked.net not in (0, used):
            yield f"cost {used} by its tokens, and {booked.net} was kept"
        if booked.net == charged and used != charged:
            yield f"was charged {charged}, and nothing of it went back"
        if not got.asked.stream:
            charged = booked.net or used or got.charged or 0
    if got.charged != charged:
        yield f"was told that it was charged {got.charged}"


def _of_a_client_that_left(evidence: Evidence, got: Got, booked: Booked | None) -> Iterator[str]:
    asked = got.asked
    net = 0 if booked is None else booked.net
    if _hit(evidence, got, _UPSTREAM):
        return
    if asked.number not in evidence.dispatched:
        if net:
            yield "left before it was sent to an upstream, and was charged"
        return
    may_fail = asked.script.ends != "well" or _hit(evidence, got, _DRAINED)
    if net or booked is None or may_fail:
        return
    if not evidence.lease_was_over(booked.request_id):
        yield "left after it was sent to an upstream, and was refunded"


def _of_a_failure(evidence: Evidence, got: Got, booked: Booked | None) -> Iterator[str]:
    if got.broken is not None and got.sent and not _hit(evidence, got, _GATEWAY):
        yield f"was cut off without an error ({got.broken})"
    if booked is None:
        return
    # A replica that dies after all content went out has charged for it, the rest aside.
    may_have_all = got.finished or got.asked.reads_slowly
    if got.broken is not None and got.asked.number in evidence.answered:
        may_have_all = True
    if booked.net and not may_have_all:
        yield f"got no complete answer, and was charged {booked.net}"
    # A gateway that reaches the database knows its refunds, also one whose confirmation was lost.
    was_back = booked.refunded_at is not None and booked.refunded_at < got.ended
    if got.status != 200 and got.charged and was_back and not _hit(evidence, got, _DATABASE):
        yield f"failed, and was told that it was charged {got.charged}"


def _hit(evidence: Evidence, got: Got, kinds: frozenset[str]) -> bool:
    """True if a fault of these kinds met the request or its replica."""
    return any(
        incident.fault.kind in kinds
        and incident.fault.gateway in (got.asked.gateway, NOBODY)
        and incident.overlaps(got.began, got.ended + 1.0)
        for incident in evidence.incidents
    )
