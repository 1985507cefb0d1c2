"""The judge of retries: which charges stand for which later attempts of one name.

    left without content    its charge stands for three attempts of its name, account and model
    any other end           its charge stands for none

An attempt pays nothing of what an earlier one has paid for it. It may only pay twice where it came
before the end of the earlier one was written, which a client cannot see.
"""

from collections.abc import Iterator

from tests.chaos.evidence import DATABASE, Evidence
from tests.chaos.ledger import Booked
from tests.chaos.records import ATTEMPTS_MAX, Got

_RETRIES_MAX = 3
#: between the moment that is written into a row and its commit, while nothing is wrong
_COMMIT_SECONDS = 1.0


def of_its_retries(evidence: Evidence, got: Got, booked: Booked) -> Iterator[str]:
    """Errors in the charge that stands for a request, and in its own where that stands."""
    yield from _of_the_earlier(evidence, got, booked)
    if booked.stands_at is None:
        if _must_stand(evidence, got, booked):
            yield "was left before any answer and was charged, but stands for no retry"
        return
    if not got.left or got.content or booked.covered:
        yield "stands for retries, but was not left without content"
    if booked.stands_with != booked.net:
        yield f"stands with {booked.stands_with} credits, but has cost {booked.net}"
    if booked.stands_for > _RETRIES_MAX:
        yield f"stands for {booked.stands_for} retries"


def _of_the_earlier(evidence: Evidence, got: Got, booked: Booked) -> Iterator[str]:
    asked, ledger = got.asked, evidence.ledger
    if booked.earlier is not None:
        earlier = ledger.booked.get(booked.earlier)
        first = asked.number - asked.attempt
        if earlier is None or booked.earlier not in range(first, first + ATTEMPTS_MAX):
            yield f"is covered by {booked.earlier}, which has another name"
        elif earlier.account != booked.account:
            yield f"is covered by {booked.earlier} of {earlier.account}"
        elif booked.covered != earlier.stands_with:
            yield f"costs {booked.covered} less, and {booked.earlier} stands with other credits"
        return
    for number in range(asked.number - asked.attempt, asked.number):
        earlier = ledger.booked.get(number)
        if earlier is not None and _had_a_place(evidence, got, earlier):
            yield f"paid all of its price, although the charge of {number} stands for it"


def _had_a_place(evidence: Evidence, got: Got, earlier: Booked) -> bool:
    """True if an earlier charge stood when an attempt came, and had a place left for it."""
    if earlier.stands_at is None or earlier.stands_for >= _RETRIES_MAX:
        return False
    if got.began < earlier.stands_at + _COMMIT_SECONDS or got.dead_key:
        return False
    return not any(
        incident.fault.kind in DATABASE and incident.overlaps(earlier.stands_at, got.began)
        for incident in evidence.incidents
    )


def _must_stand(evidence: Evidence, got: Got, booked: Booked) -> bool:
    """True if the replica saw the client go before anything came from the upstream."""
    number = got.asked.number
    was_left = got.left and not got.content and number in evidence.dispatched
    return was_left and number not in evidence.begun and booked.net > 0 and not booked.covered
