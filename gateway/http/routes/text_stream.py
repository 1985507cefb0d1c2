"""A long answer, as CSV or another text, sent as it is read."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TypeVar

from fastapi.responses import StreamingResponse

from gateway.core.errors import DatabaseUnavailable, Overloaded, RateLimited
from gateway.http.routes.parameters import PRIVATE
from gateway.http.spreadsheet import CSV_TYPE

T = TypeVar("T")

#: a slice that cannot be read now is tried again so often: an answer that has begun has its status
_TRIES = 30
_PAUSE_SECONDS = 1.0


def text_stream(
    head: bytes,
    lines: Sequence[T] | None,
    read_next: Callable[[], Awaitable[Sequence[T] | None]],
    write: Callable[[Sequence[T]], bytes],
    media_type: str = CSV_TYPE,
) -> StreamingResponse:
    """An answer of its head, the lines that were read, and all that follow until there are none.

    Where they cannot be read to the end, the connection is cut.
    """
    return StreamingResponse(
        _parts(head, lines, read_next, write), headers=PRIVATE, media_type=media_type
    )


async def _parts(
    head: bytes,
    lines: Sequence[T] | None,
    read_next: Callable[[], Awaitable[Sequence[T] | None]],
    write: Callable[[Sequence[T]], bytes],
    pause_seconds: float = _PAUSE_SECONDS,
) -> AsyncIterator[bytes]:
    yield head
    while lines is not None:
        yield write(lines)
        lines = await _read_patiently(read_next, pause_seconds)


async def _read_patiently(
    read_next: Callable[[], Awaitable[Sequence[T] | None]], pause_seconds: float
) -> Sequence[T] | None:
    for _ in range(_TRIES - 1):
        try:
            return await read_next()
        except (DatabaseUnavailable, RateLimited, Overloaded):
            await asyncio.sleep(pause_seconds)
    return await read_next()
