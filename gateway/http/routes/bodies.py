"""The body of a free route, within the limits that hold for those of the charged ones."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from fastapi import Request

from gateway.core.shares import Holder
from gateway.dialects.values import COUNTED_BYTES, made_bytes
from gateway.http.routes.account_services import AccountServices
from gateway.pipeline.connection import Connection


@asynccontextmanager
async def whole_body(
    request: Request, services: AccountServices, holder: Holder
) -> AsyncIterator[bytes]:
    """The whole body, held with what it becomes for as long as the block lasts.

    Raises as `Connection.read_body`.
    """
    connection = Connection(request.scope, services.memory)
    try:
        body = await connection.read_body(holder, services.limits, services.worker_thread)
        if len(body) > COUNTED_BYTES:
            made = await services.worker_thread.run(holder, len(body), partial(made_bytes, body))
            connection.hold(made)
        yield body
    finally:
        connection.release_body()
