"""The application: the charged routes in front, everything else behind. Assembly only."""

from collections.abc import Awaitable, Mapping

from gateway.dialects.base import Dialect
from gateway.http.entrance import ANTHROPIC_BASE, OPENAI_BASE
from gateway.http.routes.free import CountedRoutes
from gateway.pipeline.connection import Receive, Scope, Send
from gateway.pipeline.flow import Flow


def charged_paths(dialects: list[Dialect]) -> dict[str, Dialect]:
    """Path to dialect. A second /v1 in a base URL is a frequent slip and served too."""
    bases = {
        "openai": (OPENAI_BASE, f"{OPENAI_BASE}/v1"),
        "anthropic": (ANTHROPIC_BASE, f"{ANTHROPIC_BASE}/v1"),
    }
    return {base + dialect.path: dialect for dialect in dialects for base in bases[dialect.family]}


class Gateway:
    """One raw ASGI callable: a charged request never meets a router or a middleware."""

    def __init__(self, flow: Flow, charged: Mapping[str, Dialect], free: CountedRoutes) -> None:
        self._flow = flow
        self._charged = charged
        self._free = free

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        assert scope["type"] == "http", "the listeners ask for nothing else"
        dialect = self._charged.get(scope["path"])
        if dialect is not None and scope["method"] == "POST":
            return self._flow.serve(dialect, scope)
        if dialect is not None:
            scope["faregate.charged"] = True
        return self._free(scope, receive, send)
