"""An upstream of a company's own certificate authority, by the variable that the pods are given."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha1
from pathlib import Path

import pytest

from gateway.core.concurrency.worker_thread import WorkerThread
from gateway.core.errors import UpstreamUnreachable
from gateway.dialects.chat.endpoint import ChatEndpoint
from gateway.upstream.client import UpstreamClient
from tests.dialects.support import request, resolve
from tests.harness.apiserver import Authority
from tests.upstream.talk import LIMITS

ANSWER = b'{"choices":[{"message":{"content":"Yes"},"finish_reason":"stop"}]}'


@asynccontextmanager
async def server_with_tls(folder: Path) -> AsyncIterator[str]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "server.crt", folder / "server.key")

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n"
        writer.write(head + b"content-length: %d\r\n\r\n" % len(ANSWER) + ANSWER)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context)
    try:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    finally:
        server.close()


async def ask(url: str) -> str:
    upstream = UpstreamClient("main", url, None, LIMITS, ChatEndpoint())
    asked = request()
    try:
        outgoing = upstream.prepare(asked, resolve("generic"))
        reply = await upstream.send(outgoing, {}, lambda: None)
        try:
            return str((await reply.answer(WorkerThread(), ("team-a", "team-a/alice"))).events())
        finally:
            reply.close()
    finally:
        await upstream.close()


def test_it_is_trusted_where_it_is_named_and_not_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Authority(tmp_path).issue("server", "upstream", ())

    async def story() -> None:
        async with server_with_tls(tmp_path) as url:
            with pytest.raises(UpstreamUnreachable):
                await ask(url)
            monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.crt"))
            assert "Yes" in await ask(url)

    asyncio.run(story())


def test_those_of_the_system_are_trusted_besides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are a folder of certificates in Debian's images, named by the hash of who they are."""
    company, system, folder = (tmp_path / name for name in ("company", "system", "folder"))
    for place, name in ((company, "the-company"), (system, "the-system")):
        place.mkdir()
        Authority(place, name).issue("server", "upstream", ())
    folder.mkdir()
    (folder / hashed_name("the-system")).write_bytes((system / "ca.crt").read_bytes())
    monkeypatch.setenv("SSL_CERT_DIR", str(folder))
    monkeypatch.setenv("SSL_CERT_FILE", str(company / "ca.crt"))

    async def story() -> None:
        for place in (company, system):
            async with server_with_tls(place) as url:
                assert "Yes" in await ask(url)

    asyncio.run(story())


def hashed_name(common_name: str) -> str:
    """The file of an authority as OpenSSL looks for it: `X509_NAME_hash`, of a name's DER."""
    text = common_name.encode()
    value = bytes.fromhex("0603550403") + bytes([0x0C, len(text)]) + text
    attribute = bytes([0x30, len(value)]) + value
    digest = sha1(bytes([0x31, len(attribute)]) + attribute).digest()  # a file's name
    return f"{int.from_bytes(digest[:4], 'little'):08x}.0"
