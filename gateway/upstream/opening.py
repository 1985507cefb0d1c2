"""Which class speaks to an upstream, by its dialect."""

from typing import Protocol

from msgspec.structs import replace

from gateway.core.spec import FleetLimits, UpstreamSpec
from gateway.upstream.base import Upstream
from gateway.upstream.chat.client import ChatUpstream
from gateway.upstream.messages.client import MessagesUpstream
from gateway.upstream.responses.client import ResponsesUpstream


class _Class(Protocol):
    def __call__(
        self, name: str, url: str, credential: str | None, limits: FleetLimits
    ) -> Upstream: ...


_CLASSES: dict[str, _Class] = {
    "chat": ChatUpstream,
    "responses": ResponsesUpstream,
}


def open_upstream(
    spec: UpstreamSpec, url: str, credential: str | None, limits: FleetLimits
) -> Upstream:
    """The upstream at `url`, inside the running loop.

    Raises `ValueError` for a URL that is none.
    """
    if spec.silence_seconds is not None:
        limits = replace(limits, upstream_silence_seconds=spec.silence_seconds)
    if spec.dialect == "messages":
        return MessagesUpstream(spec.name, url, credential, limits, spec.betas)
    return _CLASSES[spec.dialect](spec.name, url, credential, limits)
