"""The way to the free routes: they are counted, and loaded by the first request for one.

Their framework is slow and large, and no charged request needs it. So it is loaded in a thread by
the first free request, and what the pages of accounts need beside it by the first request for one;
such a request waits for it. Nothing here may import either at the top.
"""

import asyncio
import gc
import time
from collections.abc import Callable

from gateway.core.request_ids import new_request_id
from gateway.http.entrance import FREE_REQUEST, Application, FreeRequest
from gateway.http.paths import ACCOUNTS
from gateway.http.routes.services import FreeServices
from gateway.pipeline.connection import Message, Receive, Scope, Send
from gateway.pipeline.key_cache import CachedKey
from gateway.telemetry.metrics import Metrics, RequestLabels
from gateway.telemetry.observers import RequestObserver


class LazyApplication:
    """An application that is made in a thread when it is needed. Made inside the running loop."""

    def __init__(self, make: Callable[[], Application]) -> None:
        self._make = make
        self._loading: asyncio.Task[Application] | None = None

    async def load(self) -> Application:
        """The application, loaded once."""
        if self._loading is None:
            self._loading = asyncio.create_task(asyncio.to_thread(self._make_for_good))
        # A caller that waits may be cancelled; the others still want it.
        return await asyncio.shield(self._loading)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        application = await self.load()
        await application(scope, receive, send)

    def _make_for_good(self) -> Application:
        application = self._make()
        gc.freeze()  # it stays, as all does that a start makes: the collector need not look at it
        return application


class FreeRoutes:
    """The free routes. Made inside the running loop."""

    def __init__(
        self, services: FreeServices, make_accounts: Callable[[FreeServices], Application]
    ) -> None:
        self._services = services
        self._protocols = LazyApplication(self._make_protocols)
        self._accounts = LazyApplication(lambda: make_accounts(services))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_page = scope["path"].startswith(ACCOUNTS)
        await (self._accounts if is_page else self._protocols)(scope, receive, send)

    def _make_protocols(self) -> Application:
        from gateway.http.routes.application import protocol_app

        return protocol_app(self._services)


class CountedRoutes:
    """Around the free routes: every answer gets its ids and is counted. Pure ASGI."""

    def __init__(
        self, app: Application, metrics: Metrics, observer: RequestObserver | None
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._observer = observer

    async def serve(
        self, scope: Scope, receive: Receive, send: Send, *, is_charged: bool = False
    ) -> None:
        """Answer a request; `is_charged` means that its path is one for another method."""
        request = FreeRequest(new_request_id(), is_charged)
        scope[FREE_REQUEST] = request
        status = 500
        began = time.monotonic()

        async def send_named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                name = request.request_id.encode()
                message["headers"] = [
                    *message["headers"],
                    (b"x-request-id", name),
                    (b"request-id", name),
                    (b"x-credits-charged", b"0"),
                ]
            await send(message)

        try:
            await self._app(scope, receive, send_named)
        finally:
            live = request.caller.live if isinstance(request.caller, CachedKey) else None
            labels = RequestLabels(live.name, live.account) if live else RequestLabels()
            self._metrics.answered(labels, "free", status).value += 1
            if self._observer is not None:
                fields = {
                    "request_id": request.request_id,
                    "key_id": live.key_id if live else None,
                    "key": labels.key,
                    "account": labels.account,
                    "route": "free",
                    "path": scope["path"],
                    "status": status,
                    "credits": 0,
                    "duration_seconds": round(time.monotonic() - began, 6),
                }
                self._observer.end(None, status, lambda: fields)
