"""Upstreams behind a company's proxy: who goes through it, and what it learns."""

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from gateway.core.errors import UpstreamUnreachable
from gateway.dialects.chat.endpoint import ChatEndpoint
from gateway.upstream.client import UpstreamClient
from gateway.upstream.tunnel import Tunnel, tunnel_to
from tests.harness.apiserver import Authority
from tests.harness.gateway import GatewayProcess, api_key, credit_grant, fleet
from tests.upstream.talk import LIMITS, send

#: a name that only the proxy can find
HOST = "upstream.example"
URL = f"https://{HOST}/v1"
CREDENTIAL = "the-upstream-credential"
ANSWER = b'{"choices":[{"message":{"content":"Yes"},"finish_reason":"stop"}]}'


class CompanyProxy:
    """A proxy that leads every name to one TLS server, and keeps what it is sent."""

    def __init__(self, answer: bytes = b"HTTP/1.1 200 Connection established\r\n\r\n") -> None:
        self.heads: list[bytes] = []
        #: what went through the tunnels, as the proxy saw it
        self.seen = b""
        self.port = self.target = 0
        self._answer = answer
        self._tasks: list[asyncio.Task[None]] = []

    @asynccontextmanager
    async def running(self, folder: Path) -> AsyncIterator["CompanyProxy"]:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(folder / "server.crt", folder / "server.key")
        upstream = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context)
        proxy = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.target = upstream.sockets[0].getsockname()[1]
        self.port = proxy.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            proxy.close()
            upstream.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._note()
        self.heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(self._answer)
        if b" 200 " not in self._answer:
            writer.close()
            return
        there, to_there = await asyncio.open_connection("127.0.0.1", self.target)
        try:
            await asyncio.gather(self._pump(reader, to_there), self._pump(there, writer))
        finally:
            to_there.transport.abort()
            writer.transport.abort()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(65536):
                self.seen += data
                sink.write(data)
                await sink.drain()
        sink.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._note()
        with suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n"
            writer.write(head + b"content-length: %d\r\n\r\n" % len(ANSWER) + ANSWER)
            await writer.drain()
            writer.close()
            await writer.wait_closed()

    def _note(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.append(task)


async def ask(tunnel: Tunnel | None) -> int:
    upstream = UpstreamClient("main", URL, CREDENTIAL, LIMITS, ChatEndpoint(), tunnel)
    try:
        reply = await send(upstream, "hello")
        reply.close()
        return 200
    finally:
        await upstream.close()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    Authority(tmp_path).issue("server", "upstream", (), HOST)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.crt"))
    return tmp_path


def test_the_proxy_learns_the_upstreams_name_and_nothing_else(folder: Path) -> None:
    async def story() -> None:
        async with CompanyProxy().running(folder) as proxy:
            assert await ask(tunnel_to(URL, f"http://me:p%40ss@127.0.0.1:{proxy.port}", "")) == 200
        (head,) = proxy.heads
        pair = base64.b64encode(b"me:p@ss")
        assert head.startswith(b"CONNECT upstream.example:443 HTTP/1.1\r\n")
        assert b"proxy-authorization: Basic " + pair in head
        assert CREDENTIAL.encode() not in proxy.seen + head
        assert proxy.seen

    asyncio.run(story())


def test_a_proxy_that_refuses_is_named_and_nobody_learns_its_password(folder: Path) -> None:
    async def story() -> None:
        refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"
        async with CompanyProxy(refusal).running(folder) as proxy:
            with pytest.raises(UpstreamUnreachable, match="the proxy answered 407") as raised:
                await ask(tunnel_to(URL, f"me:secret@127.0.0.1:{proxy.port}", ""))
            assert "secret" not in str(raised.value)

    asyncio.run(story())


def test_an_upstream_is_verified_by_its_own_name_inside_the_tunnel(tmp_path: Path) -> None:
    Authority(tmp_path).issue("server", "upstream", (), HOST)  # which nobody here trusts

    async def story() -> None:
        async with CompanyProxy().running(tmp_path) as proxy:
            with pytest.raises(UpstreamUnreachable):
                await ask(tunnel_to(URL, f"http://127.0.0.1:{proxy.port}", ""))
            assert len(proxy.heads) == 1

    asyncio.run(story())


@pytest.mark.parametrize(
    ("url", "exceptions", "is_proxied"),
    [
        ("https://api.example.com/v1", "", True),
        ("https://api.example.com/v1", "other.com, .svc,10.0.0.0/8", True),
        ("https://notexample.com/v1", "example.com", True),
        ("https://api.example.com/v1", "*", False),
        ("https://api.example.com/v1", "example.com", False),
        ("https://api.example.com/v1", ".example.com", False),
        ("https://API.example.com/v1", "api.EXAMPLE.com", False),
        ("https://vllm.models.svc/v1", ".cluster.local,.svc", False),
        ("https://10.1.2.3/v1", "10.0.0.0/8", False),
        ("https://[fd00::5]/v1", "fd00::/8", False),
        ("https://api.example.com/v1", "other.com example.com:443", False),
        ("https://api.example.com:8443/v1", "example.com:443", True),
        ("https://api.example.com./v1", "example.com", False),
        ("https://vllm.models.svc.cluster.local/v1", ".svc.cluster.local.", False),
        ("https://[fd00::5]:8443/v1", "[fd00::5]:8443", False),
        ("https://localhost/v1", "", False),
        ("https://127.0.0.1/v1", "", False),
        # its credential could be read by the proxy
        ("http://api.example.com/v1", "", False),
    ],
)
def test_who_goes_through_the_proxy(url: str, exceptions: str, is_proxied: bool) -> None:
    tunnel = tunnel_to(url, "http://proxy:3128", exceptions)
    assert tunnel == (Tunnel("proxy", 3128) if is_proxied else None)
    assert tunnel_to(url, None, exceptions) is None


@pytest.mark.parametrize(
    "proxy",
    [
        "socks5://proxy:1080",
        "https://proxy",
        "http://",
        "http://proxy:99999",
        "http://me:sesame/1@proxy:3128",
        "http://[fd00::1",
    ],
)
def test_a_proxy_of_another_kind_is_refused(proxy: str) -> None:
    with pytest.raises(ValueError, match="HTTPS_PROXY must be a URL such as") as refused:
        tunnel_to(URL, proxy, "")
    assert "sesame" not in str(refused.value)


def test_a_gateway_takes_the_proxy_from_its_environment(folder: Path) -> None:
    async def story() -> None:
        async with CompanyProxy().running(folder) as proxy:
            gateway = GatewayProcess(
                folder,
                [fleet(URL), api_key("alice"), credit_grant("alice")],
                environment={
                    "HTTPS_PROXY": f"http://127.0.0.1:{proxy.port}",
                    "NO_PROXY": ".svc",
                    "SSL_CERT_FILE": str(folder / "ca.crt"),
                },
            )
            await asyncio.to_thread(gateway.start)
            try:
                answer = await asyncio.to_thread(_chat, gateway)
            finally:
                await asyncio.to_thread(gateway.stop)
            assert answer == "Yes"
            assert b"CONNECT upstream.example:443" in proxy.heads[0]

    asyncio.run(story())


def _chat(gateway: GatewayProcess) -> str:
    body = {"model": "kimi-k2.5", "messages": [{"role": "user", "content": "Hello"}]}
    headers = {"authorization": f"Bearer {gateway.key('alice')}"}
    answer = gateway.http.post("/api/openai/v1/chat/completions", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["choices"][0]["message"]["content"])
