"""The keys: some stay, some are rotated and revoked all the time. It knows when each one died.

What it wants of each key it can apply again, as a reconciler does, after a restore.
"""

import asyncio
import math
import random
import threading
import time
from collections.abc import Callable

from msgspec import Struct
from sqlalchemy.exc import SQLAlchemyError

from gateway.core.errors import DatabaseUnavailable
from gateway.core.keys import PEPPER, InstallationSecret, credential_of, generate_key
from gateway.store.database import Database
from gateway.store.key_rows import find_key
from gateway.store.keys import apply_key, revoke_key
from tests.harness.books import INSTALLATION, key_object

CAP = 240
RICH = ("rich-0", "rich-1", "rich-2")
TURNING = ("turning-0", "turning-1", "turning-2")
_OLD_SHARE = 0.3
_OBJECTS_SHARE = 0.2
_DEADLINE_SECONDS = 120.0
#: for clocks that are read one after the other
_MARGIN_SECONDS = 1.0


class Holder(Struct):
    """One key: what it should be, its plaintext, and those that it had, with when they died."""

    account: str
    cap: int | None = None
    plaintext: str = ""
    generation: int = 0
    overlap_seconds: int = 0
    revoked: bool = False
    past: dict[str, float] = {}  # msgspec copies it


class Keys:
    """Issues, rotates and revokes."""

    def __init__(self, database: Database, secret: str, seed: int) -> None:
        self._database = database
        self._pepper = InstallationSecret(secret).pepper(PEPPER)
        self._chance = random.Random(f"keys {seed}")
        #: one writer at a time: what is wanted and what was done must not mix
        self._lock = threading.Lock()
        self.holders = {name: Holder(name) for name in (*RICH, "poor")}
        self.holders["capped"] = Holder("rich-0", CAP)
        self.holders |= {name: Holder("rich-1") for name in TURNING}
        #: made by an operator from objects; whether one is dead is not known
        self.of_objects: dict[str, Holder] = {}
        self.rotated = self.revoked = 0

    def issue(self) -> None:
        for holder in self.holders.values():
            holder.plaintext = generate_key()
        self.reapply()

    def choose(self, chance: random.Random) -> tuple[str, str, bool]:
        """Name and plaintext of a key that a client has, and whether it is dead for certain."""
        if self.of_objects and chance.random() < _OBJECTS_SHARE:
            name = chance.choice(list(self.of_objects))
            return name, self.of_objects[name].plaintext, False
        name = chance.choices(
            ["rich", "poor", "capped", "turning"], [10, 3, 1.5, 3]
        )[0]  # fmt: skip
        if name in ("rich", "turning"):
            name = chance.choice(RICH if name == "rich" else TURNING)
        holder = self.holders[name]
        if holder.past and chance.random() < _OLD_SHARE:
            plaintext = chance.choice(list(holder.past))
            return name, plaintext, self.is_dead(name, plaintext)
        return name, holder.plaintext, False

    def is_dead(self, name: str, plaintext: str) -> bool:
        """True if a key that a client has is dead for certain."""
        holder = self.holders.get(name)
        return holder is not None and holder.past.get(plaintext, math.inf) < time.time()

    def account_of(self, name: str) -> str:
        return (self.holders | self.of_objects)[name].account

    async def play(self, over: asyncio.Event) -> None:
        while not over.is_set():
            await asyncio.sleep(self._chance.uniform(0.3, 1.5))
            holder = self.holders[self._chance.choice(TURNING)]
            if self._chance.random() < 0.4:
                await asyncio.to_thread(self._revoke, holder)
                await asyncio.sleep(self._chance.uniform(0, 0.5))
            overlap = self._chance.choice((0, 0, 2))
            await asyncio.to_thread(self._rotate, holder, overlap)

    def reapply(self) -> None:
        """Make every row what it should be, from any state."""
        with self._lock:
            for name, holder in self.holders.items():
                until_done(lambda n=name, h=holder: self._apply(n, h))  # type: ignore[misc]
                died = time.time() + holder.overlap_seconds + _MARGIN_SECONDS
                for plaintext, moment in list(holder.past.items()):
                    holder.past[plaintext] = max(moment, died)

    def _rotate(self, holder: Holder, overlap_seconds: int) -> None:
        with self._lock:
            old, holder.plaintext = holder.plaintext, generate_key()
            was_revoked, holder.revoked = holder.revoked, False
            holder.generation += 1
            holder.overlap_seconds = overlap_seconds
            holder.past.setdefault(old, float("inf"))
            until_done(lambda: self._apply(self._name(holder), holder))
            if not was_revoked:
                # The one before it may have been in its overlap: there are two at most.
                died = time.time() + overlap_seconds + _MARGIN_SECONDS
                holder.past[old] = min(holder.past[old], died)
            self.rotated += 1

    def _revoke(self, holder: Holder) -> None:
        with self._lock:
            holder.revoked = True
            until_done(lambda: self._apply(self._name(holder), holder))
            now = time.time()
            holder.past[holder.plaintext] = now
            for plaintext, moment in list(holder.past.items()):
                holder.past[plaintext] = min(moment, now)
            self.revoked += 1

    def _name(self, wanted: Holder) -> str:
        return next(name for name, holder in self.holders.items() if holder is wanted)

    def _apply(self, name: str, holder: Holder) -> None:
        if holder.revoked:  # what is applied to a revoked row issues it again
            found = find_key(self._database, INSTALLATION, "team", name)
            assert found is not None, "it was issued once"
            revoke_key(self._database, found.id)
            return
        limits = {"creditsPerDay": holder.cap} if holder.cap else {}
        rotation = {
            "generation": holder.generation,
            "overlap": f"{holder.overlap_seconds}s",
        }
        key = key_object(name, holder.account, limits=limits, rotation=rotation)
        credential = credential_of(self._pepper, holder.plaintext)
        apply_key(self._database, INSTALLATION, key, credential)


def until_done(act: Callable[[], object]) -> None:
    """Do it again until the database has confirmed it; it must do no harm twice."""
    deadline = time.monotonic() + _DEADLINE_SECONDS
    while True:
        try:
            act()
        except (DatabaseUnavailable, SQLAlchemyError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return
