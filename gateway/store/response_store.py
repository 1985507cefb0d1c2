"""Stored responses: the `ResponseState` of the dialect, on SQLite or PostgreSQL.

Owns what is kept of a response, for how long, and how it is sealed. Has a connection (SQLite: a
file) of its own, so that the ledger never waits for it; must never keep the ledger from anything.
Every call ends in time: what cannot be kept is said not to be, what cannot be read is
`DatabaseUnavailable`.
"""

import asyncio
import zlib
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

import msgspec
from msgspec import Raw, Struct

from gateway.core.concurrency.places import Places
from gateway.core.errors import DatabaseUnavailable, Overloaded, RateLimited, RequestTooLarge
from gateway.core.seal import Sealer
from gateway.dialects.base import Caller
from gateway.dialects.responses.stored_responses import StoredResponse, id_of

CALL_TIMEOUT_SECONDS = 5.0
#: calls that may wait for the one under way
WAITING_MAX = 1000
#: rows a purge deletes in one statement
PURGE_ROWS = 500
#: items read in one statement, each as large as a response may be
_ITEMS_AT_ONCE = 50

T = TypeVar("T")


class ResponseRecord(Struct, frozen=True):
    """A sealed response with its sealed output items by id."""

    account_id: int
    id: str
    sealed: str
    items: dict[str, str]


class ResponseStore(ABC):
    """What both databases share. Texts are compressed, then sealed for their account."""

    def __init__(self, sealer: Sealer, *, retention_days: int, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self.retention_days = retention_days
        self._sealer = sealer
        self._places = Places("stored responses", 1, WAITING_MAX, CALL_TIMEOUT_SECONDS)

    async def get(self, caller: Caller, response_id: str) -> StoredResponse | None:
        account_id = caller.account_id
        row = await self._in_turn(caller, lambda: self._read(account_id, response_id))
        if row is None:
            return None
        sealed, expires = row
        content = await asyncio.to_thread(self._open, account_id, sealed)
        if content is None:
            return None
        return msgspec.structs.replace(_RESPONSE.decode(content), expires=expires)

    async def items(
        self, caller: Caller, item_ids: Sequence[str], bytes_max: int
    ) -> dict[str, Raw]:
        account_id, ids = caller.account_id, list(dict.fromkeys(item_ids))
        contents: dict[str, Raw] = {}
        for start in range(0, len(ids), _ITEMS_AT_ONCE):
            some = ids[start : start + _ITEMS_AT_ONCE]
            rows = await self._in_turn(caller, partial(self._read_items, account_id, some))
            opened = await asyncio.to_thread(self._open_items, account_id, rows)
            contents.update(opened)
            bytes_max -= sum(map(len, opened.values()))
            if bytes_max < 0:
                raise RequestTooLarge("The items that 'input' refers to are too large together.")
        return contents

    async def save(self, caller: Caller, stored: StoredResponse) -> bool:
        record = await asyncio.to_thread(self._record, caller.account_id, stored)
        if record is None:
            return False
        try:
            await self._in_turn(caller, lambda: self._write(record))
        except (DatabaseUnavailable, RateLimited, Overloaded):
            return False
        return True

    async def delete(self, caller: Caller, response_id: str) -> bool:
        return await self._in_turn(caller, lambda: self._delete(caller.account_id, response_id))

    async def purge(self) -> int:
        """Delete what has expired; the number of responses. Raises `DatabaseUnavailable`."""
        total = 0
        while True:
            purged = await _in_time(self._purge())
            total += purged
            if purged < PURGE_ROWS:
                return total

    @abstractmethod
    async def close(self) -> None:
        """Give the connection back."""

    @abstractmethod
    async def _read(self, account_id: int, response_id: str) -> tuple[str, int] | None:
        """A sealed response that has not expired, and its expiry in Unix seconds."""

    @abstractmethod
    async def _read_items(self, account_id: int, ids: list[str]) -> list[tuple[str, str]]: ...

    @abstractmethod
    async def _write(self, record: ResponseRecord) -> None: ...

    @abstractmethod
    async def _delete(self, account_id: int, response_id: str) -> bool: ...

    @abstractmethod
    async def _purge(self) -> int: ...

    async def _in_turn(self, caller: Caller, call: Callable[[], Awaitable[T]]) -> T:
        """A call when it is the account's turn; in time, the wait for it among it."""

        async def called() -> T:
            async with self._places.place(caller.holder):
                return await call()

        return await _in_time(called())

    def _open_items(self, account_id: int, rows: list[tuple[str, str]]) -> dict[str, Raw]:
        contents = ((item_id, self._open(account_id, sealed)) for item_id, sealed in rows)
        return {item_id: Raw(content) for item_id, content in contents if content}

    def _record(self, account_id: int, stored: StoredResponse) -> ResponseRecord | None:
        """The rows of a response; None where it is too large."""
        content = msgspec.json.encode(stored)
        if len(content) > self.bytes_max:
            return None
        return ResponseRecord(
            account_id,
            stored.id,
            self._seal(account_id, content),
            {id_of(item): self._seal(account_id, bytes(item)) for item in stored.output},
        )

    def _seal(self, account_id: int, content: bytes) -> str:
        # Each turn of a conversation keeps all turns before it; the fastest level makes them small.
        return self._sealer.seal(account_id, zlib.compress(content, 1))

    def _open(self, account_id: int, sealed: str) -> bytes | None:
        """The content, or None where it was sealed for somebody else or with another key."""
        packed = self._sealer.open(account_id, sealed)
        return None if packed is None else zlib.decompress(packed)


_RESPONSE = msgspec.json.Decoder(StoredResponse)


async def _in_time(call: Awaitable[T]) -> T:
    try:
        async with asyncio.timeout(CALL_TIMEOUT_SECONDS):
            return await call
    except TimeoutError:
        raise DatabaseUnavailable("the database does not answer") from None
