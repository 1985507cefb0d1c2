"""A long CSV goes on when the database is back; else it does not end as if it were whole."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from gateway.core.errors import DatabaseUnavailable, RateLimited
from gateway.http.routes.text_stream import _TRIES, _parts

Step = list[str] | Exception | None


def reading(*steps: Step) -> Callable[[], Awaitable[list[str] | None]]:
    """A read whose answers are these, one after the other."""
    left = list(steps)

    async def read_next() -> list[str] | None:
        step = left.pop(0)
        if isinstance(step, Exception):
            raise step
        return step

    return read_next


def write(lines: object) -> bytes:
    return f"{lines}".encode()


def test_a_slice_that_could_not_be_read_is_read_once_more() -> None:
    away, busy = DatabaseUnavailable("away"), RateLimited("too many")

    async def run() -> list[bytes]:
        read_next = reading(away, ["b"], busy, away, [], ["c"], None)
        return [part async for part in _parts(b"head", ["a"], read_next, write, 0)]

    assert asyncio.run(run()) == [b"head", b"['a']", b"['b']", b"[]", b"['c']"]


def test_a_database_that_stays_away_cuts_the_answer() -> None:
    sent: list[bytes] = []

    async def run() -> None:
        read_next = reading(*[DatabaseUnavailable("away") for _ in range(_TRIES)])
        async for part in _parts(b"head", ["a"], read_next, write, 0):
            sent.append(part)

    with pytest.raises(DatabaseUnavailable):
        asyncio.run(run())
    assert sent == [b"head", b"['a']"]
