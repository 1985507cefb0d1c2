"""The dialects that upstreams speak: a new one is a line here."""

from collections.abc import Callable

from msgspec.structs import replace

from gateway.core.spec import Dialect, FleetLimits, UpstreamSpec
from gateway.upstream.base import Endpoint
from gateway.upstream.chat.endpoint import ChatEndpoint
from gateway.upstream.client import UpstreamClient
from gateway.upstream.messages.endpoint import MessagesEndpoint
from gateway.upstream.responses.endpoint import ResponsesEndpoint

_ENDPOINTS: dict[Dialect, Callable[[UpstreamSpec], Endpoint]] = {
    "chat": lambda _: ChatEndpoint(),
    "messages": lambda spec: MessagesEndpoint(spec.betas),
    "responses": lambda _: ResponsesEndpoint(),
}


def open_upstream(
    spec: UpstreamSpec, url: str, credential: str | None, limits: FleetLimits
) -> UpstreamClient:
    """The upstream at `url`, inside the running loop.

    Raises `ValueError` for a URL that is none.
    """
    if spec.silence_seconds is not None:
        limits = replace(limits, upstream_silence_seconds=spec.silence_seconds)
    endpoint = _ENDPOINTS[spec.dialect](spec)
    return UpstreamClient(spec.name, url, credential, limits, endpoint)
