"""The connection to one upstream that speaks chat.

Owns the HTTP client. It never retries: a POST that was sent may have been served and billed even
when its connection broke, and the client's SDK asks again by itself. To make a stale connection
unlikely, idle ones are kept for a shorter time than servers keep them. Redirects, cookies and
proxies of the environment are ignored, so that the credential goes to the configured URL only.
"""

import asyncio
import time
from io import BytesIO

import aiohttp
from yarl import URL

from gateway.core.catalog import Resolution
from gateway.core.request import Request
from gateway.core.spec import FleetLimits
from gateway.errors import (
    TollgateError,
    UpstreamBroken,
    UpstreamMisconfigured,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from gateway.upstream.base import Outgoing
from gateway.upstream.chat.errors import read_error
from gateway.upstream.chat.lingering import Lingering
from gateway.upstream.chat.render import ChatOutgoing, render_request
from gateway.upstream.chat.reply import ChatReply

_IDLE_SECONDS = 15.0
_NAMES_SECONDS = 30
_ERROR_BYTES_MAX = 64 * 1024

#: bodies above this size are handed over as a file, or aiohttp warns
_LARGE_BYTES = 512 * 1024


class ChatUpstream:
    """One provider; `url` is its base URL, to which `/chat/completions` is joined.

    The session is made by the first request, inside the running loop; `close` ends it.
    """

    def __init__(self, name: str, url: str, credential: str | None, limits: FleetLimits) -> None:
        self.name = name
        self._url = URL(url.rstrip("/") + "/chat/completions")
        self._credential = credential
        self._limits = limits
        self._session: aiohttp.ClientSession | None = None
        self._lingering = Lingering()
        self._headers = {
            "content-type": "application/json",
            "accept-encoding": "identity",
            "user-agent": "tollgate",
        }
        if credential is not None:
            self._headers["authorization"] = f"Bearer {credential}"

    def prepare(self, request: Request, resolution: Resolution) -> Outgoing:
        """The request as this upstream takes it; raises `InvalidRequest` for what it cannot."""
        return render_request(request, resolution)

    async def send(self, outgoing: Outgoing, headers: dict[str, str]) -> ChatReply:
        """Send, and wait for the status; `headers` are added to our own (`traceparent`)."""
        body = outgoing.body
        try:
            response = await self._open().post(
                self._url,
                data=body if len(body) < _LARGE_BYTES else BytesIO(body),
                headers={
                    **headers,
                    **self._headers,
                    "accept": "text/event-stream" if outgoing.stream else "application/json",
                },
                allow_redirects=False,
            )
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            raise _unsent(error) from None
        choices = outgoing.choices if isinstance(outgoing, ChatOutgoing) else 1
        reply = ChatReply(response, choices, self._credential, self._lingering)
        if response.status == 200 and not (outgoing.stream and _is_json(response)):
            return reply
        raise await self._read_refusal(response, reply)

    async def close(self) -> None:
        """Cut all connections."""
        self._lingering.close()
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            limits = self._limits
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=limits.upstream_connections,
                    keepalive_timeout=_IDLE_SECONDS,
                    ttl_dns_cache=_NAMES_SECONDS,
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(
                    total=None,
                    connect=limits.upstream_connect_seconds,
                    sock_read=limits.upstream_silence_seconds,
                ),
                skip_auto_headers=("accept",),
                trust_env=False,
            )
        return self._session

    async def _read_refusal(
        self, response: aiohttp.ClientResponse, reply: ChatReply
    ) -> TollgateError:
        """The error for an answer that is none, or is not the stream that was asked for."""
        try:
            body = await reply.read_body(_ERROR_BYTES_MAX)
        except TollgateError:
            body = b""
        finally:
            reply.close()
        if response.status == 200 and b'"error"' not in body:
            return UpstreamBroken("The upstream did not stream although it was asked to.")
        status = 500 if response.status == 200 else response.status
        return read_error(status, body, response.headers, self._credential, time.time())


def _is_json(response: aiohttp.ClientResponse) -> bool:
    return response.content_type == "application/json"


def _unsent(error: Exception) -> TollgateError:
    """The error for a request that got no status."""
    if isinstance(error, aiohttp.ConnectionTimeoutError | aiohttp.ClientConnectorError):
        return UpstreamUnreachable("No connection to the upstream.")
    if isinstance(error, asyncio.TimeoutError):
        return UpstreamTimeout("The upstream did not answer in time.")
    if isinstance(error, aiohttp.InvalidURL | ValueError):
        return UpstreamMisconfigured("The upstream's URL or credential cannot be used.")
    return UpstreamUnreachable("The upstream closed the connection without an answer.")
