"""The clients: each asks without end, for anything that comes to its mind, and goes when it likes.

Some ask again under the same name, as the SDKs do, until an answer is whole. Everything that is
chosen is chosen by the seed and the client's number.
"""

import asyncio
import random

from msgspec.structs import replace

from tests.chaos.keys import Keys
from tests.chaos.options import Options
from tests.chaos.records import ATTEMPTS_MAX, Asked, Got
from tests.chaos.scripts import PROBE, choose_script, choose_silent_script
from tests.chaos.talk import Talk
from tests.chaos.town import MODELS, Town
from tests.harness.dialects import DIALECTS

_LEAVES = {
    "never": 14,
    "before": 0.5,
    "in the head": 0.5,
    "in the body": 1,
    "when sent": 1,
    "after a while": 4,
    "at the headers": 1,
    "in the answer": 2,
    "at the last word": 1,
}
#: of those who ask again
_RETRIED_SHARE = 0.25
_LEAVES_RETRIED = {"never": 5, "when sent": 2, "after a while": 10, "at the headers": 1}
#: an attempt may meet the one before it while that is still open
_RETRY_PAUSES = (0.0, 0.1, 0.6, 1.5)
#: every dialect, each by another dialect of upstreams
_PROBES = tuple(zip(DIALECTS, ("plain", "by-messages", "by-responses"), strict=True))
_PROBER = "rich-0"
_PAUSE_SECONDS = 0.7
_PULSES_MAX = 60
_ASTRAY_SHARE = 0.05
#: the longest, by the moment; in the answer: of 200 bytes
_AFTER_MAX = {"after a while": 1.5, "in the answer": 8.0, "in the head": 0.3, "in the body": 0.3}


class Clients:
    """All of them, and their records."""

    def __init__(self, town: Town, keys: Keys, options: Options) -> None:
        self._town = town
        self._keys = keys
        self._seed = options.seed
        self._count = options.clients
        #: some answers outlast a fault that lasts longer than a lease
        self._long_seconds = 0.0 if options.short else 1.8 * options.lease_seconds
        self._number = 0
        self.records: list[Got] = []

    async def play(self, over: asyncio.Event) -> None:
        """Until it is over, and every request has ended."""
        async with asyncio.TaskGroup() as group:
            for client in range(self._count):
                group.create_task(self._ask_on(client, over))

    async def keep_asking(self, over: asyncio.Event) -> None:
        """Ask each gateway again and again, no matter what became of the last question."""
        asked: set[asyncio.Task[Got]] = set()
        turn = 0
        while not over.is_set():
            turn += 1
            if len(asked) < _PULSES_MAX:
                for gateway in self._town.gateways:
                    task = asyncio.create_task(self._probe(gateway.number, turn % len(_PROBES)))
                    asked.add(task)
                    task.add_done_callback(asked.discard)
            await asyncio.sleep(_PAUSE_SECONDS)
        await asyncio.gather(*asked)

    async def probe(self) -> bool:
        """Ask every gateway in every dialect, and for its models; whether all was answered."""
        asked = [
            self._probe(gateway.number, which)
            for gateway in self._town.gateways
            for which in range(len(_PROBES))
        ]
        answered = all(got.complete for got in await asyncio.gather(*asked))
        plaintext = self._keys.holders[_PROBER].plaintext
        return answered and all(
            [await gateway.lists_models(plaintext) for gateway in self._town.gateways]
        )

    async def _probe(self, gateway: int, which: int) -> Got:
        request = self._request(random.Random(which), gateway, _PROBER, probe=_PROBES[which])
        return await self._talk(request, self._keys.holders[_PROBER].plaintext, is_dead=False)

    async def _ask_on(self, client: int, over: asyncio.Event) -> None:
        chance = random.Random(f"client {client} {self._seed}")
        while not over.is_set():
            ask = self._ask_again_and_again if chance.random() < _RETRIED_SHARE else self._ask
            got = await ask(chance)
            pause = chance.uniform(0.02, 0.25)
            await asyncio.sleep(pause if got.complete or got.left else pause + 0.2)

    async def _ask(self, chance: random.Random) -> Got:
        name, plaintext, is_dead = self._keys.choose(chance)
        request = self._request(chance, self._choose_gateway(chance), name)
        return await self._talk(request, plaintext, is_dead=is_dead)

    async def _ask_again_and_again(self, chance: random.Random) -> Got:
        """One name, from any gateway, until an answer is whole or the client has had enough."""
        name, plaintext, is_dead = self._keys.choose(chance)
        first = self._request(chance, self._choose_gateway(chance), name)
        for attempt in range(ATTEMPTS_MAX):
            leaves = chance.choices(list(_LEAVES_RETRIED), list(_LEAVES_RETRIED.values()))[0]
            request = replace(
                first,
                number=first.number + attempt,
                attempt=attempt,
                gateway=self._choose_gateway(chance),
                script=choose_silent_script(chance),
                leaves=leaves,
                leaves_after=chance.uniform(0, _AFTER_MAX.get(leaves, 0.0)),
            )
            got = await self._talk(request, plaintext, is_dead=is_dead)
            if got.complete or (got.status or 500) in range(400, 500):
                break
            await asyncio.sleep(chance.choice(_RETRY_PAUSES))
            is_dead = self._keys.is_dead(name, plaintext)
        return got

    def _choose_gateway(self, chance: random.Random) -> int:
        """One that runs, mostly, as a Service chooses; it may have ended just now."""
        numbers = range(len(self._town.gateways))
        running = [n for n in numbers if self._town.gateways[n].process.is_running]
        return chance.choice(running if running and chance.random() > _ASTRAY_SHARE else numbers)

    async def _talk(self, asked: Asked, plaintext: str, *, is_dead: bool) -> Got:
        process = self._town.gateways[asked.gateway].process
        talk = Talk(asked, process.port, plaintext)
        talk.got.dead_key = is_dead
        self.records.append(talk.got)
        return await talk.run()

    def _request(
        self,
        chance: random.Random,
        gateway: int,
        name: str,
        probe: tuple[str, str] | None = None,
    ) -> Asked:
        self._number += ATTEMPTS_MAX  # so that each attempt has a number of its own
        leaves = chance.choices(list(_LEAVES), list(_LEAVES.values()))[0]
        dialect, model = probe or (chance.choice(DIALECTS), chance.choice(list(MODELS)))
        return Asked(
            number=self._number,
            gateway=gateway,
            account=self._keys.account_of(name),
            key=name,
            dialect=dialect,
            model=model,
            script=PROBE if probe else choose_script(chance, self._long_seconds),
            stream=chance.random() < 0.6,
            reasons=not probe and chance.random() < 0.15,
            leaves="never" if probe else leaves,
            leaves_after=chance.uniform(0, _AFTER_MAX.get(leaves, 0.0)),
            reads_slowly=not probe and chance.random() < 0.03,
            is_probe=probe is not None,
        )
