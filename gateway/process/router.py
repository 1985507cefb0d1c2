"""The application: the charged routes in front, everything else behind. Assembly only."""

from collections.abc import Awaitable, Mapping

from gateway.dialects.base import Dialect
from gateway.http.paths import BASES, is_console, without_slips
from gateway.http.routes.free import CountedRoutes
from gateway.pipeline.connection import Receive, Scope, Send
from gateway.pipeline.flow import Flow


def charged_paths(dialects: list[Dialect]) -> dict[str, Dialect]:
    """Path to dialect."""
    return {base + dialect.path: dialect for dialect in dialects for base in BASES[dialect.family]}


class Gateway:
    """One raw ASGI callable: a charged request never meets a router or a middleware."""

    def __init__(
        self,
        flow: Flow,
        charged: Mapping[str, Dialect],
        free: CountedRoutes,
        console: CountedRoutes | None,
    ) -> None:
        self._flow = flow
        self._charged = charged
        self._free = free
        self._console = console

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        assert scope["type"] == "http", "the listeners ask for nothing else"
        path = scope["path"]
        dialect = self._charged.get(path)
        if dialect is None and (path.endswith("/") or "//" in path):
            scope["path"] = without_slips(path)
            dialect = self._charged.get(scope["path"])
        if dialect is not None and scope["method"] == "POST":
            return self._flow.serve(dialect, scope)
        if self._console is not None and is_console(path):
            return self._console.serve(scope, receive, send)
        return self._free.serve(scope, receive, send, is_charged=dialect is not None)
