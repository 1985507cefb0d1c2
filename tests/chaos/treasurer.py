"""The treasurer: grants, voids, and lets expire. What was confirmed once must be there for good."""

import asyncio
import random
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import Struct

from gateway.store.database import Database
from gateway.store.grants import apply_grant
from tests.chaos.keys import RICH, until_done
from tests.harness.books import INSTALLATION, grant_object

RICHES = 10_000_000


class Given(Struct):
    """A grant as it should be, and whether its entry was confirmed."""

    account: str
    spec: dict[str, Any]
    posted: bool = False


class Treasurer:
    """Posts grants to the poor, mostly."""

    def __init__(self, database: Database, seed: int) -> None:
        self._database = database
        self._chance = random.Random(f"treasurer {seed}")
        self._lock = threading.Lock()
        self.grants: dict[str, Given] = {}

    def endow(self) -> None:
        for account in RICH:
            self.grants[f"riches-of-{account}"] = Given(account, {"credits": RICHES})
        self.grants["first-of-poor"] = Given("poor", {"credits": 40})
        self.reapply()

    async def play(self, over: asyncio.Event) -> None:
        while not over.is_set():
            await asyncio.sleep(self._chance.uniform(0.2, 1.2))
            await asyncio.to_thread(self._act)

    def reapply(self) -> None:
        """Post what was forgotten, as a sweep does; nothing is posted twice by that."""
        with self._lock:
            for name in self.grants:
                self._apply(name)

    def _act(self) -> None:
        with self._lock:
            name = f"gift-{len(self.grants)}"
            chance = self._chance
            if chance.random() < 0.3:
                name = chance.choice([name for name in self.grants if name.startswith("gift")] or
                                     [name])  # fmt: skip
            if name in self.grants:
                self.grants[name].spec["void"] = True
            else:
                spec: dict[str, Any] = {"credits": chance.randint(4, 30)}
                if chance.random() < 0.5:
                    spec["expiresAt"] = _later(chance.uniform(2, 10))
                self.grants[name] = Given(chance.choice(("poor", "poor", "rich-2")), spec)
            self._apply(name)

    def _apply(self, name: str) -> None:
        given = self.grants[name]
        grant = grant_object(name, given.account, **given.spec)

        def post() -> None:
            result = apply_grant(self._database, INSTALLATION, grant)
            assert result.reason != "IdempotencyConflict", result.message
            given.posted = result.entry_id is not None

        until_done(post)


def _later(seconds: float) -> str:
    moment = datetime.now(UTC) + timedelta(seconds=seconds)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
