"""An upstream that counts tokens itself.

Owns the two ways of asking one: Moonshot's estimate of a chat body, and `count_tokens` of a
Messages body. Must never be relied on: whoever asks has a count of its own for every failure.
Sources: Moonshot, "Estimate tokens"; Anthropic API reference, "Count tokens in a Message".
"""

import asyncio
from typing import Literal

import msgspec
from msgspec import Raw, Struct

from gateway.core.spec import FleetLimits
from gateway.upstream.http import HttpClient
from gateway.upstream.tunnel import Tunnel

Kind = Literal["estimate", "messages"]

#: path under the upstream's URL, and the members of a rendered request that it takes
_ROUTES: dict[Kind, tuple[str, frozenset[str]]] = {
    "estimate": ("/tokenizers/estimate-token-count", frozenset({"model", "messages"})),
    "messages": (
        "/messages/count_tokens",
        frozenset({"model", "messages", "system", "tools", "tool_choice", "thinking"}),
    ),
}
#: how long a client's count may wait for one; agents ask often, and their own guess is near
SECONDS_MAX = 2.0
_ANSWER_BYTES_MAX = 64 * 1024


class _Estimated(Struct):
    total_tokens: int


class _Answer(Struct):
    """The answer of either kind."""

    data: _Estimated | None = None
    input_tokens: int | None = None


class UpstreamCounter:
    """One upstream's counter, which knows us by `headers`.

    Made inside the running loop; `close` cuts its connections.
    """

    def __init__(
        self,
        kind: Kind,
        url: str,
        headers: dict[str, str],
        limits: FleetLimits,
        tunnel: Tunnel | None = None,
    ) -> None:
        self.kind = kind
        path, self._members = _ROUTES[kind]
        common = {"content-type": "application/json", "accept-encoding": "identity"}
        self._http = HttpClient(
            url.rstrip("/") + path,
            common | headers,
            connect_seconds=SECONDS_MAX,
            silence_seconds=SECONDS_MAX,
            connections_max=limits.upstream_connections,
            tunnel=tunnel,
        )

    @property
    def counts_tools(self) -> bool:
        """Whether tools are among what it counts."""
        return "tools" in self._members

    async def count(self, rendered: bytes) -> int | None:
        """Tokens of a request as the upstream was to get it; None where it does not say."""
        members = msgspec.json.decode(rendered, type=dict[str, Raw])
        body = msgspec.json.encode({k: v for k, v in members.items() if k in self._members})
        try:
            async with asyncio.timeout(SECONDS_MAX):
                answer = msgspec.json.decode(await self._ask(body), type=_Answer)
        except (TimeoutError, OSError, ValueError):
            return None
        return answer.input_tokens if answer.data is None else answer.data.total_tokens

    async def close(self) -> None:
        """Cut all connections."""
        self._http.close()

    async def _ask(self, body: bytes) -> bytes:
        response = await self._http.post({"accept": "application/json"}, body)
        try:
            answer = bytearray()
            while response.status == 200 and len(answer) <= _ANSWER_BYTES_MAX:
                data = await response.read()
                if not data:
                    return bytes(answer)
                answer += data
        finally:
            response.close()
        raise ValueError("the upstream does not count this")
