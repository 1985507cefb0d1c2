"""Messages as an upstream speaks it.

Sources: Anthropic API reference, "API overview", "Versions", and "Count tokens in a Message".
"""

from collections.abc import Sequence
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from gateway.core.catalog import Resolution
from gateway.core.request import Request
from gateway.dialects.adapt.names import fit_names
from gateway.dialects.endpoint import AnswerStream, CountRoute, UpstreamRequest, bearer
from gateway.dialects.event_stream import EventStream
from gateway.dialects.json import pick_members
from gateway.dialects.messages.answer_reader import MessagesReader
from gateway.dialects.messages.betas import read_betas
from gateway.dialects.messages.passthrough import pass_through
from gateway.dialects.messages.request_writer import write_request

_VERSION = "2023-06-01"
_ANTHROPIC = "anthropic.com"
_COUNTED_MEMBERS = ("model", "messages", "system", "tools", "tool_choice", "thinking")


class _Counted(Struct):
    input_tokens: int


_read_counted = msgspec.json.Decoder(_Counted).decode

_COUNT_TOKENS = CountRoute(
    "/messages/count_tokens",
    lambda outgoing: ("", pick_members(outgoing.body, _COUNTED_MEMBERS)),
    lambda answer: _read_counted(answer).input_tokens,
    counts_tools=True,
)


class MessagesEndpoint:
    """See `gateway.dialects.endpoint.Endpoint`; the base URL ends in `/v1`.

    `betas` are patterns of those that clients may ask for although they have a price.
    """

    path = "/messages"
    count_route = _COUNT_TOKENS

    def __init__(self, betas: Sequence[str] = ()) -> None:
        self._betas = betas

    def headers(self, url: str, credential: str | None) -> dict[str, str]:
        """The version, and the credential as `x-api-key`.

        Everyone but Anthropic gets it as a bearer token too: engines know nothing else, and at
        Anthropic a bearer token is something else.
        """
        headers = {"anthropic-version": _VERSION}
        if credential is None:
            return headers
        headers["x-api-key"] = credential
        host = urlsplit(url).hostname or ""
        if host == _ANTHROPIC or host.endswith(f".{_ANTHROPIC}"):
            return headers
        return headers | bearer(credential)

    def prepare(self, request: Request, resolution: Resolution) -> UpstreamRequest:
        """The request as this upstream takes it; raises `InvalidRequest` for what it cannot."""
        betas = read_betas(request.raw, self._betas)
        request, names = fit_names(request, resolution.model.profile)
        outgoing = pass_through(request, resolution, betas) or write_request(request, resolution)
        if names:
            outgoing = replace(outgoing, names=names)
        if betas.dropped and resolution.model.profile.takes_whole == "messages":
            named = (f"betas.{beta}" for beta in betas.dropped)
            outgoing = replace(outgoing, degraded=(*outgoing.degraded, *named))
        return outgoing

    def reader(
        self, outgoing: UpstreamRequest, upstream: str, credential: str | None
    ) -> AnswerStream:
        """The reader of one answer."""
        return EventStream(MessagesReader(upstream, credential, outgoing.names))
