"""The judge: each client's own record beside the ledger, by the outcome table.

    complete answer                      charged, once, the price, or the price of its tokens
    refused, failed or incomplete        nothing in the end
    left after dispatch                  charged
    left before dispatch                 nothing in the end
    asked again under one name           what an earlier one has paid less (`retries`)
    replica died meanwhile               charged or refunded

What a client cannot know is taken from those who can: whether the upstream got something of its
request, and whether the replica's lease was over.
"""

from collections.abc import Iterator

from tests.chaos.evidence import DATABASE, DRAINED, GATEWAY, UPSTREAM, Evidence, Violation
from tests.chaos.ledger import Booked
from tests.chaos.records import Got
from tests.chaos.retries import of_its_retries


def judge(evidence: Evidence) -> list[Violation]:
    """Everything that is wrong."""
    found = [Violation(sentence) for sentence in _of_all(evidence)]
    known = {got.asked.number for got in evidence.records}
    for number, booked in evidence.ledger.booked.items():
        if number not in known:
            found.append(Violation(f"{booked.request_id} was charged, but no client sent it"))
    for got in evidence.records:
        if not evidence.forgot(got):
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


def _of_one(evidence: Evidence, got: Got) -> Iterator[str]:
    number = got.asked.number
    booked = evidence.ledger.booked.get(number)
    yield from _of_its_charge(evidence, got, booked)
    if booked is not None:
        yield from of_its_retries(evidence, got, booked)
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
    if price is not None and booked.charged != max(0, price - booked.covered):
        yield f"was charged {booked.charged} and {booked.covered} stand, instead of {price}"
    if price is None and used is not None and booked.charged + booked.covered < used:
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
    charged, due = booked.charged, _due(evidence, got, booked)
    may_be_free = due == 0 or (due is None and booked.covered)
    if booked.net == 0 and not may_be_free and not evidence.lease_was_over(booked.request_id):
        yield "got a complete answer, was refunded, and its replica lived"
    if evidence.price(got) is None:
        if due is not None and booked.net not in (0, due):
            yield f"cost {due} by its tokens, and {booked.net} was kept"
        if charged and booked.net == charged and due != charged:
            yield f"was charged {charged}, and nothing of it went back"
        if not got.asked.stream:
            charged = booked.net or due or got.charged or 0
    if got.charged != charged:
        yield f"was told that it was charged {got.charged}"


def _due(evidence: Evidence, got: Got, booked: Booked) -> int | None:
    """The credits of a complete answer; None where its tokens were not seen."""
    price = evidence.price(got)
    whole = evidence.used(got) if price is None else price
    return None if whole is None else max(0, whole - booked.covered)


def _of_a_client_that_left(evidence: Evidence, got: Got, booked: Booked | None) -> Iterator[str]:
    asked = got.asked
    net = 0 if booked is None else booked.net
    if evidence.hit(got, UPSTREAM):
        return
    if asked.number not in evidence.dispatched:
        if net:
            yield "left before it was sent to an upstream, and was charged"
        return
    may_fail = asked.script.ends != "well" or evidence.hit(got, DRAINED)
    if net or booked is None or may_fail or not booked.charged:
        return
    if booked.covered and evidence.price(got) is None:  # it may have used less than that
        return
    if not evidence.lease_was_over(booked.request_id):
        yield "left after it was sent to an upstream, and was refunded"


def _of_a_failure(evidence: Evidence, got: Got, booked: Booked | None) -> Iterator[str]:
    if got.broken is not None and got.sent and not evidence.hit(got, GATEWAY):
        yield f"was cut off without an error ({got.broken})"
    if booked is None:
        return
    # A replica that dies after all content went out has charged for it, the rest aside.
    may_have_all = got.finished or got.asked.reads_slowly
    if got.asked.number in evidence.answered:
        # The state of a response is kept when all of its content has gone out.
        had_content = got.content and got.asked.dialect == "responses"
        may_have_all |= got.broken is not None or (had_content and evidence.hit(got, DATABASE))
    if booked.net and not may_have_all:
        yield f"got no complete answer, and was charged {booked.net}"
    # A gateway that reaches the database knows its refunds, also one whose confirmation was lost.
    was_back = booked.refunded_at is not None and booked.refunded_at < got.ended
    if got.status != 200 and got.charged and was_back and not evidence.hit(got, DATABASE):
        yield f"failed, and was told that it was charged {got.charged}"
