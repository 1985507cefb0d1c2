"""The body of a free route, within the limits that hold for those of the charged ones."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Request

from gateway.connection import Connection, Message
from gateway.core.spec import FleetLimits
from gateway.keyring import Key


@asynccontextmanager
async def whole_body(request: Request, key: Key) -> AsyncIterator[bytes]:
    """The whole body, held for as long as the block lasts; raises as `Connection.read_body`."""
    limits: FleetLimits = request.app.state.limits
    connection = Connection(request.scope, request.receive, _no_send, request.app.state.memory)
    try:
        yield await connection.read_body(key.caller.holder, limits)
    finally:
        connection.release_body()


async def _no_send(message: Message) -> None:
    raise AssertionError("the body is only read here")
