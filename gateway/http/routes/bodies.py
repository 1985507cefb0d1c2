"""The body of a free route, within the limits that hold for those of the charged ones."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from fastapi import Request

from gateway.core.concurrency.worker_thread import WorkerThread
from gateway.core.spec import FleetLimits
from gateway.dialects.values import COUNTED_BYTES, made_bytes
from gateway.pipeline.connection import Connection
from gateway.pipeline.key_cache import CachedKey


@asynccontextmanager
async def whole_body(request: Request, key: CachedKey) -> AsyncIterator[bytes]:
    """The whole body, held with what it becomes for as long as the block lasts.

    Raises as `Connection.read_body`.
    """
    limits: FleetLimits = request.app.state.limits
    connection = Connection(request.scope, request.app.state.memory)
    try:
        body = await connection.read_body(key.caller.holder, limits)
        if len(body) > COUNTED_BYTES:
            worker_thread: WorkerThread = request.app.state.worker_thread
            made = await worker_thread.run(key.caller.holder, len(body), partial(made_bytes, body))
            connection.hold(made)
        yield body
    finally:
        connection.release_body()
