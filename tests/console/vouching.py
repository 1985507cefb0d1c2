"""A console in the test's own process, and those who vouch for people there.

An issuer's documents come from a server of the test; a proxy's word is signed with a key of it.
"""

import asyncio
import json
import time
from collections.abc import Callable, Coroutine
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
from joserfc import jwt
from joserfc.jwk import RSAKey

from gateway.console.application import console_app
from gateway.console.services import ConsoleServices, ConsoleSettings
from gateway.console.site import site_at
from gateway.core.keys import InstallationSecret
from gateway.core.spec import GatewayFleet, parse_document
from gateway.http.routes.free import CountedRoutes
from gateway.telemetry.metrics import Metrics
from tests.harness.gateway import fleet

SECRET = InstallationSecret("tests only, " + "x" * 32)
KEY = RSAKey.generate_key(2048, {"kid": "one"})
NEW_KEY = RSAKey.generate_key(2048, {"kid": "two"})
URL = "https://console.example.com"
HEADERS = {"sec-fetch-site": "same-origin", "origin": URL}


class Documents(ThreadingHTTPServer):
    """The documents of an issuer by path, and the paths that were `asked` for."""

    def __init__(self) -> None:
        self.documents: dict[str, Any] = {}
        self.asked: list[str] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:  # the library's name
        assert isinstance(self.server, Documents)
        self.server.asked.append(self.path)
        found = self.server.documents.get(self.path)
        body = found if isinstance(found, bytes) else json.dumps(found).encode()
        self.send_response(200 if found is not None else 500)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


Act = Callable[[httpx.AsyncClient, ConsoleServices], Coroutine[Any, Any, None]]


def with_console(url_of_database: str, act: Act, **console: Any) -> None:
    """Let `act` browse a console with these settings."""

    async def run() -> None:
        document = parse_document(fleet("http://127.0.0.1:1", console={"url": URL, **console}))
        assert isinstance(document, GatewayFleet)
        settings = ConsoleSettings(installation="default", fleet=document.spec, site=site_at(URL))
        services = ConsoleServices(settings, url_of_database, SECRET)
        routes = CountedRoutes(console_app(services), Metrics(), None)
        transport = httpx.ASGITransport(routes.serve)
        async with httpx.AsyncClient(transport=transport, base_url=URL) as client:
            await act(client, services)
        await services.close()

    asyncio.run(run())


def word_of(documents: Documents, key: RSAKey = KEY, **changed: Any) -> dict[str, str]:
    """The header in which a proxy vouches for a person."""
    claims = {
        "iss": documents.url, "aud": "console", "sub": "tina", "name": "Tina",
        "groups": ["staff"], "iat": time.time(), "exp": time.time() + 60, **changed,
    }  # fmt: skip
    token = jwt.encode({"alg": "RS256", "kid": key.kid}, claims, key, algorithms=["RS256"])
    return {"authorization": f"Bearer {token}"}


def proxy(documents: Documents) -> dict[str, Any]:
    documents.documents["/keys"] = {"keys": [KEY.as_dict(private=False)]}
    return {"jwksURL": f"{documents.url}/keys", "issuer": documents.url, "audience": "console"}
