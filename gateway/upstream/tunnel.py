"""A way to an upstream through the HTTP proxy of a company.

Owns who goes through a proxy, and the tunnel itself: CONNECT, then TLS with the upstream inside it,
so the proxy learns the upstream's name and nothing else. An upstream without TLS never goes
through one, as its credential would be read there.
Sources: RFC 9110, section 9.3.6; curl, "Environment" (`HTTPS_PROXY`, `NO_PROXY`).
"""

import asyncio
import re
import ssl
from base64 import b64encode
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from typing import TypeVar, cast
from urllib.parse import unquote, urlsplit

from msgspec import Struct

#: of the answer to CONNECT
_HEAD_BYTES_MAX = 64 * 1024
_PORT, _TLS_PORT = 80, 443
#: an exception for one port; an IPv6 address is in brackets then
_WITH_PORT = re.compile(r"(\[[^\]]+\]|[^:\[\]]+):([0-9]{1,5})")

P = TypeVar("P", bound=asyncio.Protocol)


class ProxyRefused(OSError):
    """The proxy answered, and not with a tunnel."""


class Tunnel(Struct, frozen=True):
    """One proxy; `authorization` is the value of a header, or empty."""

    host: str
    port: int
    authorization: str = ""

    async def connect(self, make: Callable[[], P], host: str, port: int, tls: ssl.SSLContext) -> P:
        """A connection to an upstream, as `create_connection` gives it.

        Raises `ProxyRefused`, and what else keeps a connection from being made.
        """
        loop = asyncio.get_running_loop()
        transport, handshake = await loop.create_connection(
            lambda: _Handshake(loop), self.host, self.port
        )
        try:
            transport.write(self._request(f"[{host}]" if ":" in host else host, port))
            status = _status(await handshake.head)
            if status != b"200":
                raise ProxyRefused(f"the proxy answered {status.decode('latin-1')}")
            protocol = make()
            secured = await loop.start_tls(transport, protocol, tls, server_hostname=host)
        except BaseException:
            transport.abort()
            raise
        protocol.connection_made(cast(asyncio.Transport, secured))
        return protocol

    def _request(self, host: str, port: int) -> bytes:
        lines = [f"CONNECT {host}:{port} HTTP/1.1", f"host: {host}:{port}"]
        if self.authorization:
            lines.append(f"proxy-authorization: {self.authorization}")
        return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("ascii")


class _Handshake(asyncio.Protocol):
    """The proxy's answers before the tunnel is there."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.head: asyncio.Future[bytes] = loop.create_future()
        self._received = b""

    def data_received(self, data: bytes) -> None:
        self._received += data
        is_whole = b"\r\n\r\n" in self._received or len(self._received) > _HEAD_BYTES_MAX
        if is_whole and not self.head.done():
            self.head.set_result(self._received)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.head.done():
            self.head.set_exception(error or ConnectionResetError("the proxy hung up"))


def tunnel_to(url: str, proxy: str | None, exceptions: str) -> Tunnel | None:
    """The tunnel that leads to an upstream, or None where it is reached without one.

    `exceptions` are names, endings of names and addresses, each with a port or without, and
    networks; commas or blanks are between them. Raises `ValueError` for a proxy that is none.
    """
    parts = urlsplit(url)
    if proxy is None or parts.scheme != "https" or not parts.hostname:
        return None
    if _is_excepted(parts.hostname.lower().rstrip("."), parts.port or _TLS_PORT, exceptions):
        return None
    return _read(proxy)


def _read(proxy: str) -> Tunnel:
    """The tunnel through a proxy. A refusal shows nothing of it, as it may hold a password."""
    try:
        given = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        host, port = given.hostname, given.port or _PORT
    except ValueError:
        host = None
    if not host or given.scheme != "http":
        raise ValueError("HTTPS_PROXY must be a URL such as http://proxy.example.com:3128")
    authorization = ""
    if given.username is not None:
        pair = f"{unquote(given.username)}:{unquote(given.password or '')}"
        authorization = f"Basic {b64encode(pair.encode()).decode()}"
    return Tunnel(host, port, authorization)


def _is_excepted(host: str, port: int, exceptions: str) -> bool:
    """True if a host is this machine, or is among the exceptions."""
    if host == "localhost" or _is_within(host, "127.0.0.0/8") or _is_within(host, "::1"):
        return True
    for given in re.split(r"[,\s]+", exceptions.lower()):
        place = _WITH_PORT.fullmatch(given)
        if place is not None and int(place[2]) != port:
            continue
        name = (place[1] if place else given).strip("[]").removeprefix("*").strip(".")
        if given == "*" or (name and (host == name or host.endswith(f".{name}"))):
            return True
        if _is_within(host, name):
            return True
    return False


def _is_within(host: str, network: str) -> bool:
    try:
        return ip_address(host) in ip_network(network, strict=False)
    except ValueError:
        return False


def _status(head: bytes) -> bytes:
    """Of the answer's first line; empty where it is no answer."""
    _, _, rest = head.partition(b"\r\n")[0].partition(b" ")
    return rest.partition(b" ")[0]
