"""The judge finds what it is there for: each record below is laid beside a ledger that is wrong."""

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from tests.chaos.evidence import Evidence
from tests.chaos.judge import judge
from tests.chaos.ledger import Booked, Ledger
from tests.chaos.plan import Plan
from tests.chaos.records import Asked, Fault, Got, Incident, Restore, Script
from tests.chaos.watch import Leases

NOON = 1_000_000.0
WELL, BADLY = Script("well", ""), Script("badly", "", "badly")
CHARGED = Booked("req_1", "rich-0", "rich-0", 2, NOON + 0.1)
REFUNDED = replace(CHARGED, refunded=2, refunded_at=NOON + 9)
MOST = replace(CHARGED, charged=22)
KEPT = replace(MOST, refunded=19, refunded_at=NOON + 1)
STANDS = replace(CHARGED, stands_at=NOON + 2, stands_with=2, stands_for=1)
COVERED = replace(CHARGED, request_id="req_2", charged=0, covered=2, earlier=1)
REFUNDED_SOON = replace(CHARGED, refunded=2, refunded_at=NOON + 0.5)


class _Books(Ledger):
    """A ledger that was never read."""

    def __init__(self, booked: Booked | None) -> None:
        self.findings = []
        self.booked = {} if booked is None else {1: booked}
        self.most_of_a_day = {"capped": 10}
        self.granted = {"gift"}
        self.holds = 0


def got(*, script: Script = WELL, leaves: str = "never", dialect: str = "chat", **seen: Any) -> Got:
    asked = Asked(
        number=1, gateway=0, account="rich-0", key="rich-0", dialect=dialect, model="plain",
        script=script, stream=True, reasons=False, leaves=leaves,
    )  # fmt: skip
    return Got(asked=asked, began=NOON, ended=NOON + 1, **{"sent": True, **seen})


def complete(**seen: Any) -> Got:
    received = {"status": 200, "request_id": "req_1", "charged": 2, "finished": True}
    return got(**{**received, "complete": True, **seen})


def evidence(record: Got, booked: Booked | None, **more: Any) -> Evidence:
    known: dict[str, Any] = {
        "records": [record],
        "ledger": _Books(booked),
        "dispatched": {1},
        "begun": {1},
        "answered": set(),
        "incidents": [],
        "restores": [],
        "quiet": [],
        "lease_was_over": lambda request_id: False,
        "held_by": {},
        "price": lambda got: 2,
        "used": lambda got: None,
        "good_keys": ("rich-0",),
        "caps": {"capped": 10},
        "granted": {"gift"},
    }
    return Evidence(**{**known, **more})


def metered(record: Got, booked: Booked | None, used: int | None = 3, **more: Any) -> Evidence:
    """The same with a price by tokens."""
    return evidence(record, booked, **{"price": lambda _: None, "used": lambda _: used, **more})


def sentences(found: Evidence) -> list[str]:
    return [violation.sentence for violation in judge(found)]


def incident(kind: str, gateway: int = 0) -> Incident:
    fault = Fault(kind, gateway, 0, 1)
    return Incident(fault=fault, began=NOON + 0.5, ended=NOON + 1.5)


def again(
    earlier: Booked, booked: Booked, *, after: float = 9, begun: bool = False, **more: Any
) -> Evidence:
    """A request that was left, and the next one of its name, which got its answer."""
    first, second = got(left=True, **more), complete(request_id="req_2", charged=booked.charged)
    second.asked = replace(second.asked, number=2, attempt=1)
    second.began, second.ended = NOON + after, NOON + after + 1
    found = evidence(first, earlier, dispatched={1, 2}, begun={1, 2} if begun else {2})
    found.records.append(second)
    found.ledger.booked[2] = booked
    return found


RIGHT: list[Callable[[], Evidence]] = [
    lambda: metered(complete(charged=22), KEPT),
    lambda: metered(complete(charged=22), KEPT, used=None),
    lambda: metered(complete(charged=22), MOST, used=22),
    lambda: metered(got(left=True, status=200), KEPT),
    lambda: evidence(
        got(status=502, failed=True, charged=2),
        REFUNDED_SOON,
        incidents=[incident("database refused")],
    ),
    lambda: evidence(got(status=502, failed=True, charged=2), REFUNDED),
    lambda: evidence(
        got(status=200, broken="reset"),
        CHARGED,
        incidents=[incident("gateway killed")],
        answered={1},
    ),
    lambda: evidence(
        got(dialect="responses", status=200, failed=True, content=True),
        CHARGED,
        incidents=[incident("database frozen")],
        answered={1},
    ),
    lambda: evidence(complete(), CHARGED),
    lambda: evidence(complete(), REFUNDED, lease_was_over=lambda request_id: True),
    lambda: evidence(got(status=503, failed=True), None, dispatched=set()),
    lambda: evidence(got(status=502, failed=True), REFUNDED),
    lambda: evidence(got(status=200, failed=True), REFUNDED),
    lambda: again(STANDS, COVERED),
    lambda: again(STANDS, replace(COVERED, charged=2, covered=0, earlier=None), after=2.5),
    lambda: again(CHARGED, replace(COVERED, charged=2, covered=0, earlier=None), begun=True),
    lambda: again(
        replace(STANDS, stands_for=3), replace(COVERED, charged=2, covered=0, earlier=None)
    ),
    lambda: evidence(got(left=True), CHARGED),
    lambda: evidence(got(left=True), None, dispatched=set()),
    lambda: evidence(got(left=True, script=BADLY), REFUNDED),
    lambda: evidence(got(left=True, sent=False), None, dispatched=set()),
    lambda: evidence(got(left=True, status=200, finished=True), CHARGED),
    lambda: evidence(got(broken="reset"), REFUNDED, incidents=[incident("gateway killed")]),
    lambda: evidence(
        complete(), None, restores=[Restore(NOON, NOON + 5, frozenset(), frozenset())]
    ),
]

WRONG: list[tuple[str, Callable[[], Evidence]]] = [
    ("without a charge", lambda: evidence(complete(), None)),
    ("its replica lived", lambda: evidence(complete(), REFUNDED)),
    ("shown as a complete one", lambda: evidence(complete(script=BADLY), CHARGED)),
    ("instead of 2", lambda: evidence(complete(), replace(CHARGED, charged=4))),
    ("was told that it was charged", lambda: evidence(complete(charged=0), CHARGED)),
    ("answered as req_2", lambda: evidence(complete(request_id="req_2"), CHARGED)),
    ("to rich-9", lambda: evidence(complete(), replace(CHARGED, account="rich-9"))),
    ("a key that was dead", lambda: evidence(complete(dead_key=True), CHARGED)),
    ("and was charged 2", lambda: evidence(got(status=502, failed=True), CHARGED)),
    ("and was charged 2", lambda: evidence(got(status=200, failed=True), CHARGED)),
    (
        "failed, and was told",
        lambda: evidence(got(status=502, failed=True, charged=2), REFUNDED_SOON),
    ),
    (
        "and was charged 2",
        lambda: evidence(
            got(status=200, broken="reset"), CHARGED, incidents=[incident("gateway killed")]
        ),
    ),
    ("cut off without an error", lambda: evidence(got(status=200, broken="reset"), REFUNDED)),
    ("before all of it was there", lambda: evidence(got(left=True, sent=False), CHARGED)),
    ("sent to an upstream without", lambda: evidence(got(left=True), None)),
    ("left after it was sent", lambda: evidence(got(left=True), REFUNDED)),
    ("left before it was sent", lambda: evidence(got(left=True), CHARGED, dispatched=set())),
    (
        "nothing was wrong",
        lambda: evidence(
            got(status=503, failed=True), None, dispatched=set(), quiet=[(NOON - 1, NOON + 2)]
        ),
    ),
    ("cost 4 by its tokens, and 3", lambda: metered(complete(charged=22), KEPT, used=4)),
    ("is not the most", lambda: metered(complete(charged=22), KEPT, used=23)),
    (
        "paid all of its price",
        lambda: again(STANDS, replace(COVERED, charged=2, covered=0, earlier=None)),
    ),
    ("stands for no retry", lambda: again(CHARGED, COVERED)),
    ("was not left without content", lambda: again(STANDS, COVERED, content=True)),
    ("stands for 4 retries", lambda: again(replace(STANDS, stands_for=4), COVERED)),
    ("but has cost 0", lambda: again(replace(STANDS, refunded=2, refunded_at=NOON + 2), COVERED)),
    ("has another name", lambda: again(STANDS, replace(COVERED, earlier=900))),
    ("of rich-9", lambda: again(replace(STANDS, account="rich-9"), COVERED)),
    ("stands with other credits", lambda: again(STANDS, replace(COVERED, covered=1))),
    ("and 2 stand, instead of 2", lambda: again(STANDS, replace(COVERED, charged=1))),
    ("nothing of it went back", lambda: metered(complete(charged=22), MOST, used=None)),
    ("got no complete answer", lambda: metered(got(status=502, failed=True), KEPT)),
    (
        "and was charged 2",
        lambda: evidence(
            got(status=200, failed=True, content=True),
            CHARGED,
            incidents=[incident("database frozen")],
            answered={1},
        ),
    ),
    ("of its 9 a day", lambda: evidence(complete(), CHARGED, caps={"capped": 9})),
    ("is not there", lambda: evidence(complete(), CHARGED, granted={"gift", "lost"})),
    (
        "without a charge",
        lambda: evidence(
            complete(), None, restores=[Restore(NOON + 60, NOON + 70, frozenset(), frozenset())]
        ),
    ),
]


@pytest.mark.parametrize("right", RIGHT)
def test_what_the_outcome_table_allows_is_no_violation(right: Callable[[], Evidence]) -> None:
    assert sentences(right()) == []


@pytest.mark.parametrize(("words", "wrong"), WRONG, ids=[words for words, _ in WRONG])
def test_what_it_does_not_allow_is_one(words: str, wrong: Callable[[], Evidence]) -> None:
    assert any(words in sentence for sentence in sentences(wrong()))


def test_a_plan_is_its_seeds() -> None:
    def rounds(seed: int) -> list[list[Fault]]:
        plan = Plan(seed, 3, 15.0, frozenset({"firewall"}))
        return [round_ for _, round_ in zip(range(50), plan.rounds(), strict=False)]

    assert rounds(1) == rounds(1)
    assert rounds(1) != rounds(2)


def test_a_lease_is_over_only_where_it_was_seen_to_stand_still() -> None:
    leases = Leases(4.0)
    for now in range(10):
        leases.look([("dead", "once"), ("living", f"at {now}")], now)
    assert leases.over == {"dead"}


def test_what_nobody_saw_is_no_death() -> None:
    leases = Leases(4.0)
    for now in (0, 1, 100, 101, 102):  # the database hung for longer than a lease
        leases.look([("living", "once")], now)
    assert leases.over == set()
