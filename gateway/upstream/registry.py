"""The dialects that upstreams speak: a new one is a line here."""

from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from gateway.core.spec import FleetLimits, TokenCounterKind, UpstreamDialect, UpstreamSpec
from gateway.dialects.chat.endpoint import ChatEndpoint
from gateway.dialects.endpoint import Endpoint
from gateway.dialects.gemini.endpoint import GeminiEndpoint
from gateway.dialects.messages.endpoint import MessagesEndpoint
from gateway.dialects.responses.endpoint import ResponsesEndpoint
from gateway.upstream.admission import UpstreamAdmission
from gateway.upstream.base import Upstream
from gateway.upstream.client import UpstreamClient
from gateway.upstream.counter import UpstreamCounter
from gateway.upstream.tunnel import Tunnel

_ENDPOINTS: dict[UpstreamDialect, Callable[[UpstreamSpec], Endpoint]] = {
    "chat": lambda _: ChatEndpoint(),
    "messages": lambda spec: MessagesEndpoint(spec.betas),
    "responses": lambda _: ResponsesEndpoint(),
    "gemini": lambda _: GeminiEndpoint(),
}
#: the dialect in which an upstream is asked for a count
_COUNTERS: dict[TokenCounterKind, UpstreamDialect] = {
    "estimate": "chat",
    "messages": "messages",
    "gemini": "gemini",
}


class Upstreams(Struct, frozen=True):
    """Those of one gateway, by name: each with its admission, and its counter where it has one."""

    all: dict[str, Upstream]
    admissions: dict[str, UpstreamAdmission]
    counters: dict[str, UpstreamCounter]


def endpoint_of(spec: UpstreamSpec) -> Endpoint:
    """The dialect of an upstream, as it is spoken to that one."""
    return _ENDPOINTS[spec.dialect](spec)


def open_upstream(
    spec: UpstreamSpec,
    url: str,
    credential: str | None,
    limits: FleetLimits,
    tunnel: Tunnel | None = None,
) -> UpstreamClient:
    """The upstream at `url`, inside the running loop.

    Raises `ValueError` for a URL that is none.
    """
    if spec.silence_seconds is not None:
        limits = replace(limits, upstream_silence_seconds=spec.silence_seconds)
    return UpstreamClient(spec.name, url, credential, limits, endpoint_of(spec), tunnel)


def open_counter(
    spec: UpstreamSpec,
    url: str,
    credential: str | None,
    limits: FleetLimits,
    tunnel: Tunnel | None = None,
) -> UpstreamCounter | None:
    """The counter of the upstream at `url`, inside the running loop; None where it has none."""
    if spec.token_counter is None:
        return None
    endpoint = _ENDPOINTS[_COUNTERS[spec.token_counter]](spec)
    route = endpoint.count_route
    if route is None:
        return None
    return UpstreamCounter(route, url, endpoint.headers(url, credential), limits, tunnel)
