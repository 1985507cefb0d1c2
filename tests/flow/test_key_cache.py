"""Credentials that nobody knows: few look-ups, each once, and none for what is known not to be."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from gateway.core.errors import DatabaseUnavailable, InvalidCredential, PermissionDenied
from gateway.core.keys import INFERENCE, MANAGE, PEPPER, generate_key
from gateway.core.limits import RefusalThrottle
from gateway.http.entrance import FREE_REQUEST, Entrance, FreeRequest
from gateway.pipeline.connection import Message, Receive, Scope, Send
from gateway.pipeline.key_cache import (
    CREDENTIALS_MAX,
    LOOKUPS_PER_SECOND_MAX,
    UNKNOWN_MAX,
    CachedKey,
    KeyCache,
)
from gateway.store.cached_keys import KeyChanges, LiveHash, LiveKey
from gateway.telemetry.metrics import Metrics
from tests.harness.books import SECRET, credential

NOW = datetime.now(UTC)


class Rows:
    """The database as a keyring sees it, and how often it was asked for single keys."""

    def __init__(self) -> None:
        self.version = 1
        self.keys: tuple[LiveKey, ...] = ()
        self.is_away = False
        self.lookups = 0
        #: what the next look-ups find, no matter what is there now
        self.answers: list[LiveKey | None] = []

    async def read_changes(self, since: int) -> KeyChanges:
        return KeyChanges(self.version, NOW, self.keys)

    async def read_by_hash(self, hashes: list[bytes]) -> LiveKey | None:
        self.lookups += 1
        await asyncio.sleep(0.001)
        if self.is_away:
            raise DatabaseUnavailable("the database does not answer")
        if self.answers:
            return self.answers.pop(0)
        return next((key for key in self.keys if key.hashes[0].hash in hashes), None)

    def add(self, plaintext: str, scope: str = INFERENCE) -> None:
        self.version += 1
        issued = LiveHash(credential(plaintext).hash, PEPPER, None)
        self.keys += (
            LiveKey(
                id=len(self.keys) + 1,
                key_id="key",
                name=f"team/{len(self.keys)}",
                account_id=1,
                account="team/alice",
                models=(),
                requests_per_minute=None,
                concurrent_requests=None,
                credits_per_day=None,
                credits_per_month=None,
                credits=None,
                suspended=False,
                revoked_at=None,
                expires_at=None,
                hashes=(issued,),
                scope=scope,
            ),
        )


def with_key_cache(story: Callable[[KeyCache, Rows], Awaitable[None]]) -> None:
    async def run() -> None:
        rows = Rows()
        peppers = {PEPPER: SECRET.pepper(PEPPER)}
        key_cache = KeyCache(peppers, rows.read_changes, rows.read_by_hash, Metrics())
        await key_cache.poll()
        await story(key_cache, rows)

    asyncio.run(run())


async def ask(key_cache: KeyCache, *plaintexts: str) -> CachedKey:
    headers = [(b"x-api-key", plaintext.encode()) for plaintext in plaintexts]
    key, _ = await key_cache.authenticate(headers)
    return key


async def refused(key_cache: KeyCache, *plaintexts: str) -> bool:
    try:
        await ask(key_cache, *plaintexts)
    except InvalidCredential:
        return True
    return False


def test_invented_keys_are_looked_up_fifty_in_a_second() -> None:
    async def story(key_cache: KeyCache, rows: Rows) -> None:
        invented = [generate_key() for _ in range(900)]
        assert all(await asyncio.gather(*(refused(key_cache, one) for one in invented)))
        assert rows.lookups == LOOKUPS_PER_SECOND_MAX
        assert all([await refused(key_cache, one) for one in invented])
        assert rows.lookups <= 2 * LOOKUPS_PER_SECOND_MAX, "a second may have passed"

    with_key_cache(story)


def test_what_is_unknown_is_looked_up_once() -> None:
    async def story(key_cache: KeyCache, rows: Rows) -> None:
        nobody = generate_key()
        assert all(await asyncio.gather(*(refused(key_cache, nobody) for _ in range(20))))
        assert await refused(key_cache, nobody)
        assert rows.lookups == 1

    with_key_cache(story)


def test_a_key_that_is_newer_than_the_poll_is_found_and_one_made_later_by_the_next() -> None:
    async def story(key_cache: KeyCache, rows: Rows) -> None:
        new, later = generate_key(), generate_key()
        assert await refused(key_cache, later)
        rows.add(new)
        assert (await ask(key_cache, new)).live.id == 1
        rows.add(later)
        assert await refused(key_cache, later), "it is known to be unknown"
        await key_cache.poll()
        assert (await ask(key_cache, later)).live.id == 2
        assert rows.lookups == 2

    with_key_cache(story)


def test_a_look_up_that_failed_is_made_again() -> None:
    async def story(key_cache: KeyCache, rows: Rows) -> None:
        new = generate_key()
        rows.add(new)
        rows.is_away = True
        with pytest.raises(DatabaseUnavailable):
            await ask(key_cache, new)
        rows.is_away = False
        assert (await ask(key_cache, new)).live.id == 1

    with_key_cache(story)


def test_a_revocation_that_a_poll_brought_is_not_undone_by_a_look_up() -> None:
    async def story(key_cache: KeyCache, rows: Rows) -> None:
        new = generate_key()
        rows.add(new)
        found, rows.keys = rows.keys, ()
        rows.answers = [found[0], None]
        looking_up = asyncio.create_task(refused(key_cache, new))
        while not rows.lookups:
            await asyncio.sleep(0)
        rows.version += 1
        await key_cache.poll()
        assert await looking_up
        assert key_cache.keys() == []

    with_key_cache(story)


def test_which_models_a_key_may_use_is_worked_out_once_for_each() -> None:
    async def story(key_cache: KeyCache, rows: Rows) -> None:
        plaintext = generate_key()
        rows.add(plaintext)
        rows.keys = (replace(rows.keys[0], models=tuple(f"*{n}*x" for n in range(256))),)
        await key_cache.poll()
        key = await ask(key_cache, plaintext)
        assert key.may_see("model-255-x")
        assert not key.may_see("model-y")
        with pytest.raises(PermissionDenied):
            key.allow_model("model-y")
        rows.keys, rows.version = (replace(rows.keys[0], models=("model-y",)),), 9
        await key_cache.poll()
        assert key.may_see("model-y")
        assert not key.may_see("model-255-x")

    with_key_cache(story)


def test_so_many_credentials_are_looked_at_and_so_many_unknown_ones_remembered() -> None:
    async def story(key_cache: KeyCache, rows: Rows) -> None:
        with pytest.raises(InvalidCredential, match="more than 8 API keys were sent; send one"):
            await ask(key_cache, *(generate_key() for _ in range(1000)))
        assert rows.lookups <= CREDENTIALS_MAX
        many = range(UNKNOWN_MAX + 100)
        await asyncio.gather(*(key_cache._fetch([number.to_bytes(32)]) for number in many))
        assert len(key_cache._unknown) == UNKNOWN_MAX

    with_key_cache(story)


def test_who_is_refused_often_is_refused_slowly() -> None:
    class Strict(RefusalThrottle):
        AT_ONCE = 0
        PAUSE_SECONDS = 0.05

    async def story(key_cache: KeyCache, rows: Rows) -> None:
        plaintext = generate_key()
        rows.add(plaintext)
        rows.keys = (replace(rows.keys[0], concurrent_requests=0),)
        await key_cache.poll()
        statuses: list[int] = []

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        async def respond(scope: Scope, receive: Receive, send: Send) -> None:
            assert isinstance(scope[FREE_REQUEST].caller, InvalidCredential)
            await send({"type": "http.response.start", "status": 401})

        async def nothing() -> Message:
            raise AssertionError("nothing is read")

        entrance = Entrance(respond, key_cache, Strict())
        loop = asyncio.get_running_loop()
        for sent, status in ((plaintext, 429), ("sk-nobody", 401)):
            began = loop.time()
            headers = [(b"x-api-key", sent.encode())]
            scope: Scope = {"path": "/", "headers": headers, FREE_REQUEST: FreeRequest("req")}
            await entrance(scope, nothing, send)
            assert statuses.pop() == status
            assert loop.time() - began >= 0.05

    with_key_cache(story)


def test_a_key_that_manages_is_not_counted_in_for_anything_else() -> None:
    async def story(key_cache: KeyCache, rows: Rows) -> None:
        plaintext = generate_key()
        rows.add(plaintext, MANAGE)
        key = await ask(key_cache, plaintext)
        with pytest.raises(PermissionDenied, match="management key"):
            key.acquire()
        assert key.running == 0
        key.acquire(None)
        assert key.running == 1

    with_key_cache(story)
