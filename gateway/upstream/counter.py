"""An upstream that counts tokens itself, in the way of one of the dialects.

Must never be relied on: the caller has a count of its own for every failure.
"""

import asyncio

from gateway.core.spec import FleetLimits
from gateway.dialects.endpoint import CountRoute, UpstreamRequest
from gateway.upstream.http_client import HttpClient
from gateway.upstream.tunnel import Tunnel

#: the time that a client's count may wait for one; agents ask often, and their own guess is near
SECONDS_MAX = 2.0
_ANSWER_BYTES_MAX = 64 * 1024


class UpstreamCounter:
    """One upstream's counter, which knows us by `headers`.

    Made inside the running loop; `close` cuts its connections.
    """

    def __init__(
        self,
        route: CountRoute,
        url: str,
        headers: dict[str, str],
        limits: FleetLimits,
        tunnel: Tunnel | None = None,
    ) -> None:
        self._route = route
        common = {
            "content-type": "application/json",
            "accept": "application/json",
            "accept-encoding": "identity",
        }
        self._http = HttpClient(
            url.rstrip("/") + route.path,
            common | headers,
            connect_seconds=SECONDS_MAX,
            silence_seconds=SECONDS_MAX,
            connections_max=limits.upstream_connections,
            tunnel=tunnel,
        )

    @property
    def counts_tools(self) -> bool:
        """True if it counts tools too."""
        return self._route.counts_tools

    async def count(self, outgoing: UpstreamRequest) -> int | None:
        """Tokens of a request as the upstream was to get it; None where it does not count."""
        path, body = self._route.write(outgoing)
        try:
            async with asyncio.timeout(SECONDS_MAX):
                return self._route.read(await self._ask(path, body))
        except (TimeoutError, OSError, ValueError):
            return None

    async def close(self) -> None:
        """Cut all connections."""
        self._http.close()

    async def _ask(self, path: str, body: bytes) -> bytes:
        response = await self._http.post(b"", body, path=path)
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
