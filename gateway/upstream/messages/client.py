"""The connection to one upstream that speaks Messages; only what differs from one of chat.

Source: Anthropic API reference, "API overview", "Versions".
"""

from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from msgspec.structs import replace

from gateway.core.catalog import Resolution
from gateway.core.request import Request
from gateway.core.spec import FleetLimits
from gateway.upstream.base import AnswerStream, Outgoing
from gateway.upstream.chat.client import ChatUpstream
from gateway.upstream.chat.reply import UpstreamReply
from gateway.upstream.event_stream import EventStream
from gateway.upstream.messages.answer_reader import MessagesReader
from gateway.upstream.messages.betas import read_betas
from gateway.upstream.messages.native import render_native
from gateway.upstream.messages.render import render_request

_VERSION = "2023-06-01"
_ANTHROPIC = "anthropic.com"


class MessagesUpstream(ChatUpstream):
    """One provider; `url` is its base URL up to `/v1`, to which `/messages` is joined.

    `betas` are patterns of those that clients may ask for although they have a price.
    """

    path = "/messages"

    def __init__(
        self,
        name: str,
        url: str,
        credential: str | None,
        limits: FleetLimits,
        betas: Sequence[str] = (),
    ) -> None:
        super().__init__(name, url, credential, limits)
        self._betas = betas

    @staticmethod
    def credential_headers(url: str, credential: str | None) -> dict[str, str]:
        """The version, and the credential as `x-api-key`.

        Everyone but Anthropic gets it as a bearer token too: engines know nothing else, and at
        Anthropic a bearer token is something else.
        """
        headers = {"anthropic-version": _VERSION}
        if credential is None:
            return headers
        headers["x-api-key"] = credential
        host = urlsplit(url).hostname or ""
        if host != _ANTHROPIC and not host.endswith(f".{_ANTHROPIC}"):
            headers["authorization"] = f"Bearer {credential}"
        return headers

    def prepare(self, request: Request, resolution: Resolution) -> Outgoing:
        """The request as this upstream takes it; raises `InvalidRequest` for what it cannot."""
        betas = read_betas(request.native, self._betas)
        outgoing = render_native(request, resolution, betas) or render_request(request, resolution)
        if betas.dropped and resolution.model.profile.takes_whole == "messages":
            named = (f"betas.{beta}" for beta in betas.dropped)
            outgoing = replace(outgoing, degraded=(*outgoing.degraded, *named))
        return outgoing

    async def send(
        self, outgoing: Outgoing, headers: dict[str, str], on_sent: Callable[[], None]
    ) -> UpstreamReply:
        """Send, and wait for the status; with the betas of a request that goes as it is."""
        return await super().send(outgoing, {**headers, **outgoing.headers}, on_sent)

    def _reader(self, outgoing: Outgoing) -> AnswerStream:
        return EventStream(MessagesReader(self.name, self._credential))
