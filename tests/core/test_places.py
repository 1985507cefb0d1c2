"""Places for work: shared by account, in turn, none lost, and nobody waits for ever."""

import asyncio
import random

import pytest

from gateway.core.concurrency.places import FairSemaphore
from gateway.core.concurrency.single_flight import SingleFlight
from gateway.core.errors import Overloaded, RateLimited
from gateway.core.shares import Holder, largest_share

ALICE, BOB = ("team", "team/alice"), ("team", "team/bob")
CAROL = ("other", "other/carol")


def test_one_account_leaves_places_and_turns_for_others() -> None:
    order: list[str] = []

    async def work(places: FairSemaphore, holder: Holder, name: str) -> None:
        async with places.acquire(holder):
            order.append(name)
            await asyncio.sleep(0)

    async def run() -> None:
        places = FairSemaphore("things", 1, 90, 60)
        async with places.acquire(CAROL):
            tasks = [asyncio.create_task(work(places, ALICE, f"a{n}")) for n in range(40)]
            await asyncio.sleep(0)
            tasks += [asyncio.create_task(work(places, BOB, f"b{n}")) for n in range(2)]
            tasks += [asyncio.create_task(work(places, CAROL, f"c{n}")) for n in range(2)]
            await asyncio.sleep(0)
        results = await asyncio.gather(*tasks, return_exceptions=True)
        refused = [result for result in results if isinstance(result, RateLimited)]
        assert len(refused) == 40 - largest_share(90)
        assert all(error.retry_after_seconds for error in refused)

    asyncio.run(run())
    assert order[:6] == ["a0", "c0", "b0", "c1", "a1", "b1"]
    assert len(order) == largest_share(90) + 4


def test_who_comes_first_of_its_account_finds_a_place_while_another_has_its_share() -> None:
    async def run() -> None:
        places = FairSemaphore("things", 3, 9, 60)
        async with places.acquire(ALICE):
            waiting = asyncio.create_task(_hold(places, ALICE))
            await asyncio.sleep(0)
            assert not waiting.done()
            async with places.acquire(CAROL):
                pass
        await waiting

    asyncio.run(run())


def test_a_wait_ends_in_time_and_gives_everything_back() -> None:
    async def run() -> None:
        places = FairSemaphore("things", 1, 1, 0.01)
        async with places.acquire(ALICE):
            for _ in range(3):
                with pytest.raises(Overloaded):
                    await _hold(places, CAROL)
        await _hold(places, CAROL)

    asyncio.run(run())


def test_many_comings_and_goings_lose_no_place() -> None:
    """Some are cancelled while they wait, some while they work, some in the moment between."""
    chance = random.Random(3)

    async def run() -> None:
        places = FairSemaphore("things", 4, 3000, 60)
        under_way = 0

        async def work(holder: Holder) -> None:
            nonlocal under_way
            async with places.acquire(holder):
                under_way += 1
                assert under_way <= 4
                try:
                    await asyncio.sleep(chance.random() / 1000)
                finally:
                    under_way -= 1

        holders = [(f"team-{n % 3}", f"team-{n % 3}/{n % 7}") for n in range(800)]
        tasks = [asyncio.create_task(work(holder)) for holder in holders]
        for task in tasks:
            if chance.random() < 0.4:
                asyncio.get_running_loop().call_later(chance.random() / 5, task.cancel)
        await asyncio.gather(*tasks, return_exceptions=True)
        assert places._places.free == 4
        assert places._room.free == 3000
        assert places._turns.length == 0

    asyncio.run(run())


def test_what_several_ask_for_is_done_once() -> None:
    async def run() -> None:
        once: SingleFlight[str, int] = SingleFlight()
        done = 0

        async def work() -> int:
            nonlocal done
            await asyncio.sleep(0.01)
            done += 1
            return done

        first, *others = (asyncio.create_task(once.run("a", work)) for _ in range(10))
        await asyncio.sleep(0)
        assert len(once) == 1
        first.cancel()
        assert await asyncio.gather(*others) == [1] * 9
        assert len(once) == 0
        assert await once.run("a", work) == 2

    asyncio.run(run())


async def _hold(places: FairSemaphore, holder: Holder) -> None:
    async with places.acquire(holder):
        await asyncio.sleep(0)
