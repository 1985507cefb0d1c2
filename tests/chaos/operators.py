"""The operator's part, where a Kubernetes API is there: keys and grants as objects of a team, and
an operator that is killed, stopped and frozen while it reconciles them.
"""

import asyncio
import random
import signal
import time
from pathlib import Path
from typing import Any

import httpx

from tests.chaos.keys import Holder
from tests.chaos.records import Incident
from tests.harness.apiserver import ApiServer, find_kubernetes
from tests.reconcile.objects import api_key, condition, credit_grant
from tests.reconcile.resources import install_resources
from tests.reconcile.world import World, later

ACCOUNT = "objects"
NAMES = ("object-0", "object-1", "object-2")
_RICHES = 10_000_000
_DEADLINE_SECONDS = 180.0


class _Office:
    """The one database that there is."""

    def __init__(self, url: str) -> None:
        self._url = url

    def create_migrated(self) -> str:
        return self._url


class OperatorPart:
    """An API server, one operator, and somebody who changes objects."""

    def __init__(self, server: ApiServer, url: str, folder: Path, seed: int) -> None:
        self.lock = asyncio.Lock()
        self._chance = random.Random(f"objects {seed}")
        self._server = server
        self._world = World(server, _Office(url), folder)
        #: by name, with the plaintext that is in the Secret
        self.holders = {name: Holder(ACCOUNT) for name in NAMES}
        self._gifts = 0

    def furnish(self) -> str:
        """Start the operator and make the first objects; the installation's secret."""
        self._world.operator()
        self._world.team.apply(credit_grant("object-riches", ACCOUNT, _RICHES))
        for name in NAMES:
            self._apply_key(name)
        self._world.wait_up_to_date()
        self._read_secrets()
        (secret,) = self._world.system.values("faregate-installation").values()
        return secret

    async def play(self, over: asyncio.Event) -> None:
        while not over.is_set():
            await asyncio.sleep(self._chance.uniform(0.5, 2.5))
            await asyncio.to_thread(self._act)

    async def hit(self, incident: Incident) -> None:
        (operator,) = self._world.operators
        kind, seconds = incident.fault.kind, incident.fault.seconds
        if "frozen" in kind:
            operator.send(signal.SIGSTOP)
            await asyncio.sleep(seconds)
            operator.send(signal.SIGCONT)
            return
        await asyncio.to_thread(operator.kill if "killed" in kind else operator.stop)
        await asyncio.sleep(seconds)
        await self._start_again()

    async def is_ready(self) -> bool:
        (operator,) = self._world.operators
        return await asyncio.to_thread(operator.probe, "readyz") == httpx.codes.OK

    def granted(self) -> set[str]:
        """Names of the grants that are reported as posted, once everything is up to date.

        Raises `AssertionError` where an object is not settled, or a key is not what it should be.
        """
        self._world.check()
        return {
            found["metadata"]["name"]
            for found in self._world.team.list("CreditGrant")
            if condition(found, "Ready").get("reason") in ("Posted", "AlreadyPosted")
        }

    def close(self) -> None:
        self._world.close()
        self._server.remove()

    def _act(self) -> None:
        chance = self._chance
        act = chance.random()
        if act < 0.5:
            name = chance.choice(NAMES)
            holder = self.holders[name]
            if chance.random() < 0.25:
                holder.revoked = not holder.revoked
            else:
                holder.generation += 1
                holder.overlap_seconds = chance.choice((0, 5))
            self._apply_key(name)
        elif act < 0.8:
            self._gifts += 1
            self._apply_gift(chance, void=False)
        elif self._gifts:
            self._apply_gift(chance, void=True)
        self._read_secrets()

    def _apply_key(self, name: str) -> None:
        holder = self.holders[name]
        rotation = {"generation": holder.generation, "overlap": f"{holder.overlap_seconds}s"}
        spec: dict[str, Any] = {"rotation": rotation, "suspended": holder.revoked}
        self._world.team.apply(api_key(name, ACCOUNT, **spec))

    def _apply_gift(self, chance: random.Random, *, void: bool) -> None:
        if void:  # of any of them; its spec is immutable except for that
            number = chance.randint(1, self._gifts)
            self._world.team.patch("CreditGrant", f"object-gift-{number}", {"spec": {"void": True}})
            return
        more = {"expiresAt": later(chance.uniform(3, 30))} if chance.random() < 0.5 else {}
        name = f"object-gift-{self._gifts}"
        self._world.team.apply(credit_grant(name, ACCOUNT, chance.randint(1, 50), **more))

    def _read_secrets(self) -> None:
        for name, holder in self.holders.items():
            values = self._world.team.values(f"{name}-key")
            holder.plaintext = values.get("OPENAI_API_KEY", holder.plaintext)

    async def _start_again(self) -> None:
        """Again and again, as a cluster does: its database may be away."""
        (operator,) = self._world.operators
        deadline = time.monotonic() + _DEADLINE_SECONDS
        while True:
            try:
                await asyncio.to_thread(operator.start)
            except AssertionError:
                if time.monotonic() > deadline:
                    raise
                await asyncio.to_thread(operator.kill)
            else:
                return


def open_operator(url: str, folder: Path, seed: int) -> OperatorPart | None:
    """None where there is no Kubernetes API to be had."""
    programs = find_kubernetes()
    if programs is None:
        return None
    server = ApiServer(programs).start()
    try:
        install_resources(server)
        return OperatorPart(server, url, folder, seed)
    except BaseException:
        server.remove()
        raise
