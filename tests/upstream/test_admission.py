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
from gateway.upstream.admission import WAITING_MAX, Permit, UpstreamAdmission
from gateway.upstream.client import UpstreamClient

LIMITS = FleetLimits()
URL = "http://127.0.0.1:9/v1"


def of(number: int) -> Holder:
    """One of several accounts, each in a namespace of its own."""
    return f"team-{number}", f"team-{number}/alice"


def with_admission(story: Callable[[UpstreamAdmission], Awaitable[None]], **spec: Any) -> None:
    """Act a story of one gate, and see that nothing is left of it."""

    async def run() -> None:
        described = UpstreamSpec(name="main", url=URL, **spec)
        metrics = Metrics()
        upstream = UpstreamClient("main", URL, None, LIMITS, ChatEndpoint())
        admission = UpstreamAdmission(upstream, described, LIMITS, metrics.upstream("main"))
        await story(admission)
        admission.close()
        text = metrics.exposition().decode()
        assert 'faregate_upstream_waiting_requests{upstream="main"} 0.0' in text
        assert 'faregate_upstream_in_flight_requests{upstream="main"} 0.0' in text

    asyncio.run(run())


def entered(admission: UpstreamAdmission, account: int = 1) -> Permit:
    permit = admission.try_acquire(of(account))
    assert permit is not None
    return permit


async def begun(*waits: "asyncio.Task[Any]") -> None:
    """Until all of them had their turn to begin."""
    await asyncio.sleep(0)
    assert not any(wait.done() for wait in waits)


def test_there_are_as_many_places_as_the_spec_states() -> None:
    async def story(admission: UpstreamAdmission) -> None:
        permits = [entered(admission) for _ in range(3)]
        assert admission.try_acquire(of(1)) is None
        permits[1].release()
        permits[1].release()
        entered(admission)
        assert admission.try_acquire(of(1)) is None

    with_admission(story, concurrent_requests=3)


def test_whoever_waits_has_the_place_that_becomes_free() -> None:
    async def story(admission: UpstreamAdmission) -> None:
        first = entered(admission)
        wait = asyncio.create_task(admission.acquire(of(1), 10))
        await begun(wait)
        first.release()
        assert admission.try_acquire(of(1)) is None, "nobody overtakes who waits"
        second = await wait
        assert second is not None
        second.release()
        entered(admission)

    with_admission(story, concurrent_requests=1)


def test_a_wait_ends_in_time() -> None:
    async def story(admission: UpstreamAdmission) -> None:
        first = entered(admission)
        assert await admission.acquire(of(1), 0.01) is None
        assert await admission.acquire(of(1), 0) is None
        first.release()
        entered(admission)

    with_admission(story, concurrent_requests=1)


def test_nobody_has_a_queue_for_itself() -> None:
    """One account's requests leave room for another's, however many they are."""

    async def story(admission: UpstreamAdmission) -> None:
        place = entered(admission)
        greedy = [asyncio.create_task(admission.acquire(of(1), 60)) for _ in range(WAITING_MAX)]
        await asyncio.sleep(0)
        assert sum(not wait.done() for wait in greedy) == largest_share(WAITING_MAX)
        others = [
            asyncio.create_task(admission.acquire(account, 60))
            for account in (("team-1", "team-1/bob"), of(2))
        ]
        await begun(*others)
        for wait in (*greedy, *others):
            wait.cancel()
        await asyncio.gather(*greedy, *others, return_exceptions=True)
        again = asyncio.create_task(admission.acquire(of(1), 60))
        await begun(again)
        place.release()
        assert await again is not None

    with_admission(story, concurrent_requests=1)


def test_a_place_given_to_who_left_in_the_same_moment_is_not_lost() -> None:
    async def story(admission: UpstreamAdmission) -> None:
        first = entered(admission)
        wait = asyncio.create_task(admission.acquire(of(1), 60))
        await begun(wait)
        first.release()
        wait.cancel()
        await asyncio.wait([wait])
        assert wait.cancelled()
        entered(admission)

    with_admission(story, concurrent_requests=1)


def test_accounts_take_turns() -> None:
    async def story(admission: UpstreamAdmission) -> None:
        place = entered(admission)
        turns: list[int] = []

        async def request(account: int) -> None:
            permit = await admission.acquire(of(account), 60)
            assert permit is not None
            turns.append(account)
            permit.release()

        tasks = [asyncio.create_task(request(account)) for account in (1, 1, 1, 1, 2, 2, 3)]
        await begun(*tasks)
        place.release()
        await asyncio.gather(*tasks)
        assert turns == [1, 2, 3, 1, 2, 1, 1]

    with_admission(story, concurrent_requests=1)


def test_a_thousand_comings_and_goings_lose_no_place() -> None:
    """Some wait too long, some leave while they wait, some hold their place for a while."""
    chance = random.Random(7)

    async def story(admission: UpstreamAdmission) -> None:
        under_way = 0

        async def request(account: int, seconds: float, stay: float) -> None:
            nonlocal under_way
            permit = admission.try_acquire(of(account)) or await admission.acquire(
                of(account), seconds
            )
            if permit is None:
                return
            under_way += 1
            assert under_way <= 4
            try:
                await asyncio.sleep(stay)
            finally:
                under_way -= 1
                permit.release()

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
        assert len([entered(admission) for _ in range(4)]) == 4
        assert admission.try_acquire(of(1)) is None

    with_admission(story, concurrent_requests=4)


def test_whoever_waits_for_an_upstream_that_fails_is_sent_away() -> None:
    async def story(admission: UpstreamAdmission) -> None:
        permits = [entered(admission) for _ in range(2)]
        wait = asyncio.create_task(admission.acquire(of(1), 60))
        await begun(wait)
        for permit in permits:
            permit.sent()
            permit.fail(UpstreamUnreachable("nobody is there", blame="upstream"))
        assert await wait is None
        assert admission.try_acquire(of(1)) is None
        assert 0 < admission.closed_seconds(of(2)) <= 1
        assert await admission.acquire(of(1), 60) is None

    with_admission(story, concurrent_requests=2, circuit_failures=1)


def test_whoever_waits_out_a_pause_goes_when_it_is_over() -> None:
    async def story(admission: UpstreamAdmission) -> None:
        for account in (1, 2):
            permit = entered(admission, account)
            permit.sent()
            permit.fail(UpstreamOverloaded("later", retry_after_seconds=0.05))
        assert admission.try_acquire(of(3)) is None
        assert await admission.acquire(of(3), 0.01) is None, "the pause is longer"
        began = admission.loop.time()
        permits = await asyncio.gather(*(admission.acquire(of(account), 5) for account in range(3)))
        assert admission.loop.time() - began >= 0.04
        for each in permits:
            assert each is not None
            each.release()

    with_admission(story)


def test_a_pause_of_one_account_holds_up_nobody_else() -> None:
    async def story(admission: UpstreamAdmission) -> None:
        holding, asked = entered(admission, 1), entered(admission, 1)
        early = asyncio.create_task(admission.acquire(of(1), 60))
        await begun(early)
        asked.sent()
        asked.fail(UpstreamOverloaded("later", retry_after_seconds=0.05))
        late = asyncio.create_task(admission.acquire(of(1), 60))
        await begun(early, late)
        other = entered(admission, 2)
        holding.release()
        other.release()
        for wait in (early, late):
            permit = await wait
            assert permit is not None
            permit.release()

    with_admission(story, concurrent_requests=2)


def test_an_account_whose_requests_fail_closes_the_way_to_nobody() -> None:
    async def story(admission: UpstreamAdmission) -> None:
        for _ in range(20):
            permit = entered(admission, 1)
            permit.sent()
            permit.fail(UpstreamError("it broke down"))
        entered(admission, 2)

    with_admission(story)


def test_connections_that_cannot_be_made_need_no_second_account() -> None:
    async def story(admission: UpstreamAdmission) -> None:
        for _ in range(2):
            permit = entered(admission)
            permit.sent()
            permit.fail(UpstreamUnreachable("nobody is there", blame="upstream"))
        assert admission.try_acquire(of(1)) is None
        assert admission.try_acquire(of(2)) is None

    with_admission(story, circuit_failures=2)


def test_what_a_client_brought_about_is_no_failure_of_the_upstream() -> None:
    async def story(admission: UpstreamAdmission) -> None:
        for account in range(20):
            permit = entered(admission, account)
            permit.sent()
            permit.fail(UpstreamBroken("its client did not read", blame="client"))
        entered(admission)

    with_admission(story, circuit_failures=2)


def test_an_upstream_that_refuses_works() -> None:
    async def story(admission: UpstreamAdmission) -> None:
        errors = (UpstreamError("a"), UpstreamMisconfigured("b"), UpstreamError("c"))
        for account, error in enumerate(errors):
            permit = entered(admission, account)
            permit.sent()
            permit.fail(error)
        assert admission.try_acquire(of(1)) is not None

    with_admission(story, circuit_failures=2)
