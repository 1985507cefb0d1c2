"""The connection to one upstream, in any dialect.

Owns the HTTP client. It never retries: a POST that was sent may have been served and billed even
when its connection broke, and the client's SDK asks again by itself. To make a stale connection
unlikely, idle ones are kept for a shorter time than servers keep them. Redirects and cookies
are ignored, so that the credential goes to the configured URL only.
"""

import asyncio
import time
from collections.abc import Callable

from gateway.core.errors import (
    FaregateError,
    Overloaded,
    UpstreamMisconfigured,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from gateway.core.spec import FleetLimits
from gateway.dialects.endpoint import Endpoint, UpstreamRequest
from gateway.dialects.upstream_errors import read_error, read_unstreamed
from gateway.upstream.content import is_compressed, read_content, refused_coding
from gateway.upstream.http_client import Crowded, HttpClient, Unreachable, header_lines
from gateway.upstream.http_connection import HttpResponse, Silent
from gateway.upstream.response import HttpUpstreamResponse
from gateway.upstream.tunnel import ProxyRefused, Tunnel

#: the accepted types, by whether it is a stream
_ACCEPT = (
    header_lines({"accept": "application/json"}),
    header_lines({"accept": "text/event-stream"}),
)
_ERROR_BYTES_MAX = 64 * 1024
#: an answer, whichever of them a server prefers
_GOOD = range(200, 300)
#: for the body of a refusal, without which the status has to do
_ERROR_SECONDS_MAX = 10.0


class UpstreamClient:
    """One provider; `url` is its base URL, to which the endpoint's path is joined.

    Made inside the running loop; `close` cuts its connections.
    """

    def __init__(
        self,
        name: str,
        url: str,
        credential: str | None,
        limits: FleetLimits,
        endpoint: Endpoint,
        tunnel: Tunnel | None = None,
    ) -> None:
        self.name = name
        self._credential = credential
        self._endpoint = endpoint
        self.prepare = endpoint.prepare
        self._error_seconds = min(_ERROR_SECONDS_MAX, limits.upstream_silence_seconds)
        headers = {
            "content-type": "application/json",
            "accept-encoding": "identity",
            "user-agent": "faregate",
        }
        self._http = HttpClient(
            url.rstrip("/"),
            {**headers, **endpoint.headers(url, credential)},
            connect_seconds=limits.upstream_connect_seconds,
            silence_seconds=limits.upstream_silence_seconds,
            connections_max=limits.upstream_connections,
            tunnel=tunnel,
            path=endpoint.path,
        )

    @property
    def idle_connections(self) -> int:
        """The number of connections that wait for a request."""
        return self._http.idle_connections

    async def send(
        self, outgoing: UpstreamRequest, headers: dict[str, str], on_sent: Callable[[], None]
    ) -> HttpUpstreamResponse:
        """Send, and wait for the status; `headers` are added to our own (`traceparent`)."""
        lines = _ACCEPT[outgoing.stream]
        try:
            if headers or outgoing.headers:
                lines += header_lines({**headers, **outgoing.headers})
            response = await self._http.post(
                lines, outgoing.body, on_sent, outgoing.path, outgoing.root_path
            )
        except (OSError, ValueError) as error:
            raise _unsent(error) from None
        reader = self._endpoint.reader(outgoing, self.name, self._credential)
        reply = HttpUpstreamResponse(response, reader)
        if response.status in _GOOD and not (outgoing.stream and _is_no_stream(response)):
            return reply
        raise await self._read_refusal(response, reply)

    async def close(self) -> None:
        """Cut all connections."""
        self._http.close()

    async def _read_refusal(
        self, response: HttpResponse, reply: HttpUpstreamResponse
    ) -> FaregateError:
        """The error for an answer that is none, or is not the stream that was asked for."""
        sent = response.headers
        if response.status in _GOOD and is_compressed(sent):
            reply.close()
            return refused_coding(sent)
        try:
            async with asyncio.timeout(self._error_seconds):
                body = await reply.read_body(_ERROR_BYTES_MAX)
            if is_compressed(sent):
                body = b"".join(read_content(body, sent, _ERROR_BYTES_MAX))
        except (FaregateError, TimeoutError):
            body = b""
        finally:
            reply.close()
        if response.status in _GOOD:
            return read_unstreamed(body, self._credential)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in sent.items()}
        return read_error(response.status, body, headers, self._credential, time.time())


def _is_no_stream(response: HttpResponse) -> bool:
    """True for a whole answer, or a refusal with a good status, and for what cannot be read."""
    headers = response.headers
    is_json = headers.get(b"content-type", b"").startswith(b"application/json")
    return is_json or (b"content-encoding" in headers and is_compressed(headers))


def _unsent(error: OSError | ValueError) -> FaregateError:
    """The error for a request that got no status."""
    if isinstance(error, Crowded):
        return Overloaded("All connections to the upstream are in use; try again.")
    if isinstance(error, ProxyRefused):
        return UpstreamUnreachable(f"No way to the upstream: {error}.", blame="upstream")
    if isinstance(error, Unreachable):
        return UpstreamUnreachable("No connection to the upstream.", blame="upstream")
    if isinstance(error, Silent):
        return UpstreamTimeout("The upstream did not answer in time.")
    if isinstance(error, ValueError):
        return UpstreamMisconfigured("The upstream's URL or credential cannot be used.")
    return UpstreamUnreachable("The upstream closed the connection without an answer.")
