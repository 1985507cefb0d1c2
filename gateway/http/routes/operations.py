"""The operations listener: `/healthz`, `/readyz` and `/metrics`, apart from the clients' port.

Raw ASGI, because a probe must be answered before anything heavier is loaded.
"""

import asyncio
from collections.abc import Awaitable, Callable

from gateway.pipeline.connection import Receive, Scope, Send
from gateway.telemetry.metrics import Metrics

_TEXT = "text/plain; charset=utf-8"
_EXPOSITION = "text/plain; version=1.0.0; charset=utf-8"

#: status, media type and body
Answer = tuple[int, str, bytes]


class Operations:
    """An application of its own; `why_not_ready` answers None when the replica is ready."""

    def __init__(self, metrics: Metrics, why_not_ready: Callable[[], str | None]) -> None:
        self._metrics = metrics
        self._why_not_ready = why_not_ready
        self.routes: dict[str, Callable[[], Awaitable[Answer]]] = {
            "/healthz": self._health,
            "/readyz": self._readiness,
            "/metrics": self._exposition,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        status, media_type, body = await self._answer(scope)
        headers = [
            (b"content-type", media_type.encode()),
            (b"content-length", b"%d" % len(body)),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, scope: Scope) -> Answer:
        route = self.routes.get(scope["path"])
        if route is None:
            return 404, _TEXT, b"there is /healthz, /readyz and /metrics\n"
        if scope["method"] != "GET":
            return 405, _TEXT, b"only GET\n"
        return await route()

    async def _health(self) -> Answer:
        return 200, _TEXT, b"ok\n"

    async def _exposition(self) -> Answer:
        # Of thousands of series it takes a while, in which requests must go on.
        return 200, _EXPOSITION, await asyncio.to_thread(self._metrics.exposition)

    async def _readiness(self) -> Answer:
        reason = self._why_not_ready()
        return (200, _TEXT, b"ready\n") if reason is None else (503, _TEXT, f"{reason}\n".encode())
