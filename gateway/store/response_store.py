"""Stored responses: the `ResponseState` of the dialect, on SQLite or PostgreSQL.

Owns what is kept of a response, for how long, and how it is sealed. Has a connection (SQLite: a
file) of its own, so that the ledger never waits for it; must never keep the ledger from anything.
Responses are written in groups, and kept for certain once `save` returns True. Every call ends in
time: `save` returns False for a response that is not kept, a failed read is `DatabaseUnavailable`.
"""

import asyncio
import zlib
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from operator import attrgetter
from typing import TypeVar

import msgspec
from msgspec import Raw, Struct

from gateway.core.concurrency.places import FairSemaphore
from gateway.core.errors import DatabaseUnavailable, DataRefused, RequestTooLarge
from gateway.core.seal import Sealer
from gateway.core.shares import Shares
from gateway.dialects.base import Caller
from gateway.dialects.responses.stored_responses import StoredResponse, id_of
from gateway.store.group_commit import GroupCommit

CALL_TIMEOUT_SECONDS = 5.0
#: calls that may wait for the one under way, and responses that wait to be written
WAITING_MAX = 1000
#: of the largest responses, so many may wait to be written, and so many are one batch
LARGEST_WAITING_MAX = 64
_LARGEST_AT_ONCE = 8
#: rows a purge deletes in one statement
PURGE_ROWS = 500
#: items read in one statement, each as large as a response may be
_ITEMS_AT_ONCE = 50

T = TypeVar("T")


class Unwritten(Struct, frozen=True):
    """A response that waits to be written; `size` is that of its JSON."""

    account_id: int
    stored: StoredResponse
    size: int


class Rows(Struct, frozen=True):
    """The rows of some responses: the columns of theirs, and of their output items'."""

    #: account, id, sealed
    responses: list[tuple[int, str, str]]
    #: account, id, response, sealed
    items: list[tuple[int, str, str, str]]


class ResponseStore(ABC):
    """The part that both databases share. Texts are compressed, then sealed for their account."""

    def __init__(self, sealer: Sealer, *, retention_days: int, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self.retention_days = retention_days
        self._sealer = sealer
        self._places = FairSemaphore("stored responses", 1, WAITING_MAX, CALL_TIMEOUT_SECONDS)
        self._room = Shares(LARGEST_WAITING_MAX * bytes_max)
        self._unwritten = GroupCommit[Unwritten, bool](
            self._write_batch,
            account_of=attrgetter("account_id"),
            size_of=attrgetter("size"),
            batch_bytes_max=_LARGEST_AT_ONCE * bytes_max,
            skips_abandoned=True,
        )

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
        size = len(stored.response) + sum(map(len, stored.input))
        # One capacity bounds the bytes and, as each takes a thousandth at least, the number.
        room = max(size, self._room.capacity // WAITING_MAX)
        if size > self.bytes_max or not self._room.take(caller.holder, room):
            return False
        try:
            kept = self._unwritten.submit(Unwritten(caller.account_id, stored, size))
            # Costs a tenth of `asyncio.timeout`, which is a tenth of all that storing costs.
            timer = kept.get_loop().call_later(CALL_TIMEOUT_SECONDS, _give_up, kept)
            try:
                return await kept
            finally:
                timer.cancel()
        except DatabaseUnavailable:
            return False
        finally:
            self._room.give_back(caller.holder, room)

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

    async def close(self) -> None:
        """Write what waits, and give the connection back."""
        await self._unwritten.drain()
        await self._close()

    @abstractmethod
    async def _close(self) -> None: ...

    @abstractmethod
    async def _read(self, account_id: int, response_id: str) -> tuple[str, int] | None:
        """A sealed response that has not expired, and its expiry in Unix seconds."""

    @abstractmethod
    async def _read_items(self, account_id: int, ids: list[str]) -> list[tuple[str, str]]: ...

    @abstractmethod
    async def _write(self, batch: list[Unwritten]) -> None:
        """Seal and write all of a batch, or nothing; the same response twice counts once.

        Raises `DataRefused`, and `DatabaseUnavailable`.
        """

    @abstractmethod
    async def _delete(self, account_id: int, response_id: str) -> bool: ...

    @abstractmethod
    async def _purge(self) -> int: ...

    async def _write_batch(self, batch: list[Unwritten]) -> list[bool]:
        """All at once; where the data of one is refused, each alone."""
        try:
            await self._write(batch)
        except DataRefused:
            if len(batch) == 1:
                return [False]
            return [kept for each in batch for kept in await self._write_batch([each])]
        return [True] * len(batch)

    async def _in_turn(self, caller: Caller, call: Callable[[], Awaitable[T]]) -> T:
        """A call when it is the account's turn; in time, the wait for it among it."""

        async def called() -> T:
            async with self._places.acquire(caller.holder):
                return await call()

        return await _in_time(called())

    def _open_items(self, account_id: int, rows: list[tuple[str, str]]) -> dict[str, Raw]:
        contents = ((item_id, self._open(account_id, sealed)) for item_id, sealed in rows)
        return {item_id: Raw(content) for item_id, content in contents if content}

    def _rows(self, batch: list[Unwritten]) -> Rows:
        """The sealed rows of a batch, without doubles; takes long, so it is for a thread."""
        rows = Rows([], [])
        unique = {(each.account_id, each.stored.id): each.stored for each in batch}
        for (account_id, response_id), stored in unique.items():
            sealed = self._seal(account_id, msgspec.json.encode(stored))
            rows.responses.append((account_id, response_id, sealed))
            items = {id_of(item): self._seal(account_id, bytes(item)) for item in stored.output}
            rows.items.extend((account_id, id, response_id, item) for id, item in items.items())
        return rows

    def _seal(self, account_id: int, content: bytes) -> str:
        # Each turn of a conversation keeps all turns before it; the fastest level makes them small.
        return self._sealer.seal(account_id, zlib.compress(content, 1))

    def _open(self, account_id: int, sealed: str) -> bytes | None:
        """The content, or None where it was sealed for somebody else or with another key."""
        packed = self._sealer.open(account_id, sealed)
        return None if packed is None else zlib.decompress(packed)


_RESPONSE = msgspec.json.Decoder(StoredResponse)


def _give_up(kept: asyncio.Future[bool]) -> None:
    if not kept.done():
        kept.set_result(False)


async def _in_time(call: Awaitable[T]) -> T:
    try:
        async with asyncio.timeout(CALL_TIMEOUT_SECONDS):
            return await call
    except TimeoutError:
        raise DatabaseUnavailable("the database does not answer") from None
