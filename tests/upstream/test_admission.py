"""Places at an upstream: never too many, in turn, and none is lost."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

from gateway.core.errors import (
    UpstreamBroken,
    UpstreamError,
    UpstreamMisconfigured,
    UpstreamOverloaded,
    UpstreamUnreachable,
)
from gateway.core.shares import Holder, largest_share
from gateway.core.spec import FleetLimits, UpstreamSpec
from gateway.dialects.chat.endpoint import ChatEndpoint
from gateway.telemetry.metrics import Metrics
from gateway.upstream.admission import WAITING_MAX, Gate, Visit
from gateway.upstream.client import UpstreamClient

LIMITS = FleetLimits()
URL = "http://127.0.0.1:9/v1"


def of(number: int) -> Holder:
    """One of several accounts, each in a namespace of its own."""
    return f"team-{number}", f"team-{number}/alice"


def with_gate(story: Callable[[Gate], Awaitable[None]], **spec: Any) -> None:
    """Tell a story of one gate, and see that nothing is left of it."""

    async def run() -> None:
        described = UpstreamSpec(name="main", url=URL, **spec)
        metrics = Metrics()
        upstream = UpstreamClient("main", URL, None, LIMITS, ChatEndpoint())
        gate = Gate(upstream, described, LIMITS, metrics.upstream("main"))
        await story(gate)
        gate.close()
        text = metrics.exposition().decode()
        assert 'faregate_upstream_waiting_requests{upstream="main"} 0.0' in text
        assert 'faregate_upstream_in_flight_requests{upstream="main"} 0.0' in text

    asyncio.run(run())


def entered(gate: Gate, account: int = 1) -> Visit:
    visit = gate.enter(of(account))
    assert visit is not None
    return visit


async def begun(*waits: "asyncio.Task[Any]") -> None:
    """Until all of them had their turn to begin."""
    await asyncio.sleep(0)
    assert not any(wait.done() for wait in waits)


def test_there_are_as_many_places_as_the_spec_says() -> None:
    async def story(gate: Gate) -> None:
        visits = [entered(gate) for _ in range(3)]
        assert gate.enter(of(1)) is None
        visits[1].leave()
        visits[1].leave()
        entered(gate)
        assert gate.enter(of(1)) is None

    with_gate(story, concurrent_requests=3)


def test_whoever_waits_has_the_place_that_becomes_free() -> None:
    async def story(gate: Gate) -> None:
        first = entered(gate)
        wait = asyncio.create_task(gate.wait(of(1), 10))
        await begun(wait)
        first.leave()
        assert gate.enter(of(1)) is None, "nobody overtakes who waits"
        second = await wait
        assert second is not None
        second.leave()
        entered(gate)

    with_gate(story, concurrent_requests=1)


def test_a_wait_ends_in_time() -> None:
    async def story(gate: Gate) -> None:
        first = entered(gate)
        assert await gate.wait(of(1), 0.01) is None
        assert await gate.wait(of(1), 0) is None
        first.leave()
        entered(gate)

    with_gate(story, concurrent_requests=1)


def test_nobody_has_a_queue_for_itself() -> None:
    """One account's requests leave room for another's, however many they are."""

    async def story(gate: Gate) -> None:
        place = entered(gate)
        greedy = [asyncio.create_task(gate.wait(of(1), 60)) for _ in range(WAITING_MAX)]
        await asyncio.sleep(0)
        assert sum(not wait.done() for wait in greedy) == largest_share(WAITING_MAX)
        others = [
            asyncio.create_task(gate.wait(account, 60))
            for account in (("team-1", "team-1/bob"), of(2))
        ]
        await begun(*others)
        for wait in (*greedy, *others):
            wait.cancel()
        await asyncio.gather(*greedy, *others, return_exceptions=True)
        again = asyncio.create_task(gate.wait(of(1), 60))
        await begun(again)
        place.leave()
        assert await again is not None

    with_gate(story, concurrent_requests=1)


def test_a_place_given_to_who_left_in_the_same_moment_is_not_lost() -> None:
    async def story(gate: Gate) -> None:
        first = entered(gate)
        wait = asyncio.create_task(gate.wait(of(1), 60))
        await begun(wait)
        first.leave()
        wait.cancel()
        await asyncio.wait([wait])
        assert wait.cancelled()
        entered(gate)

    with_gate(story, concurrent_requests=1)


def test_accounts_take_turns() -> None:
    async def story(gate: Gate) -> None:
        place = entered(gate)
        turns: list[int] = []

        async def request(account: int) -> None:
            visit = await gate.wait(of(account), 60)
            assert visit is not None
            turns.append(account)
            visit.leave()

        tasks = [asyncio.create_task(request(account)) for account in (1, 1, 1, 1, 2, 2, 3)]
        await begun(*tasks)
        place.leave()
        await asyncio.gather(*tasks)
        assert turns == [1, 2, 3, 1, 2, 1, 1]

    with_gate(story, concurrent_requests=1)


def test_a_thousand_comings_and_goings_lose_no_place() -> None:
    """Some wait too long, some leave while they wait, some hold their place for a while."""
    chance = random.Random(7)

    async def story(gate: Gate) -> None:
        under_way = 0

        async def request(account: int, seconds: float, stay: float) -> None:
            nonlocal under_way
            visit = gate.enter(of(account)) or await gate.wait(of(account), seconds)
            if visit is None:
                return
            under_way += 1
            assert under_way <= 4
            try:
                await asyncio.sleep(stay)
            finally:
                under_way -= 1
                visit.leave()

        tasks = [
            asyncio.create_task(
                request(chance.randrange(5), chance.random() / 5, chance.random() / 100)
            )
            for _ in range(1000)
        ]
        for task in tasks:
            if chance.random() < 0.3:
                asyncio.get_running_loop().call_later(chance.random() / 5, task.cancel)
        await asyncio.gather(*tasks, return_exceptions=True)
        assert under_way == 0
        assert len([entered(gate) for _ in range(4)]) == 4
        assert gate.enter(of(1)) is None

    with_gate(story, concurrent_requests=4)


def test_whoever_waits_for_an_upstream_that_fails_is_sent_away() -> None:
    async def story(gate: Gate) -> None:
        visits = [entered(gate) for _ in range(2)]
        wait = asyncio.create_task(gate.wait(of(1), 60))
        await begun(wait)
        for visit in visits:
            visit.sent()
            visit.fail(UpstreamUnreachable("nobody is there", blame="upstream"))
        assert await wait is None
        assert gate.enter(of(1)) is None
        assert 0 < gate.closed_seconds(of(2)) <= 1
        assert await gate.wait(of(1), 60) is None

    with_gate(story, concurrent_requests=2, circuit_failures=1)


def test_whoever_waits_out_a_pause_goes_when_it_is_over() -> None:
    async def story(gate: Gate) -> None:
        for account in (1, 2):
            visit = entered(gate, account)
            visit.sent()
            visit.fail(UpstreamOverloaded("later", retry_after_seconds=0.05))
        assert gate.enter(of(3)) is None
        assert await gate.wait(of(3), 0.01) is None, "the pause is longer"
        began = gate.loop.time()
        visits = await asyncio.gather(*(gate.wait(of(account), 5) for account in range(3)))
        assert gate.loop.time() - began >= 0.04
        for each in visits:
            assert each is not None
            each.leave()

    with_gate(story)


def test_a_pause_of_one_account_holds_up_nobody_else() -> None:
    async def story(gate: Gate) -> None:
        holding, asked = entered(gate, 1), entered(gate, 1)
        early = asyncio.create_task(gate.wait(of(1), 60))
        await begun(early)
        asked.sent()
        asked.fail(UpstreamOverloaded("later", retry_after_seconds=0.05))
        late = asyncio.create_task(gate.wait(of(1), 60))
        await begun(early, late)
        other = entered(gate, 2)
        holding.leave()
        other.leave()
        for wait in (early, late):
            visit = await wait
            assert visit is not None
            visit.leave()

    with_gate(story, concurrent_requests=2)


def test_an_account_whose_requests_fail_closes_the_way_to_nobody() -> None:
    async def story(gate: Gate) -> None:
        for _ in range(20):
            visit = entered(gate, 1)
            visit.sent()
            visit.fail(UpstreamError("it broke down"))
        entered(gate, 2)

    with_gate(story)


def test_connections_that_cannot_be_made_need_no_second_account() -> None:
    async def story(gate: Gate) -> None:
        for _ in range(2):
            visit = entered(gate)
            visit.sent()
            visit.fail(UpstreamUnreachable("nobody is there", blame="upstream"))
        assert gate.enter(of(1)) is None
        assert gate.enter(of(2)) is None

    with_gate(story, circuit_failures=2)


def test_what_a_client_brought_about_is_no_failure_of_the_upstream() -> None:
    async def story(gate: Gate) -> None:
        for account in range(20):
            visit = entered(gate, account)
            visit.sent()
            visit.fail(UpstreamBroken("its client did not read", blame="client"))
        entered(gate)

    with_gate(story, circuit_failures=2)


def test_an_upstream_that_refuses_works() -> None:
    async def story(gate: Gate) -> None:
        errors = (UpstreamError("a"), UpstreamMisconfigured("b"), UpstreamError("c"))
        for account, error in enumerate(errors):
            visit = entered(gate, account)
            visit.sent()
            visit.fail(error)
        assert gate.enter(of(1)) is not None

    with_gate(story, circuit_failures=2)
