"""The console's place in a gateway process: loaded late, and kept from taking more than its share.

Owns how many requests to it are worked on at once, how large they are and how long they take, so
that a console under load changes nothing for the gateway's own requests. Pure ASGI; must not import
the framework.
"""

import asyncio
from hashlib import sha256

from gateway.console.client_address import ClientAddresses
from gateway.console.headers import content_policy, security_headers
from gateway.console.services import ConsoleServices
from gateway.console.site import BASE
from gateway.core.concurrency.places import FairSemaphore
from gateway.core.errors import FaregateError
from gateway.core.shares import Holder
from gateway.http.entrance import Application
from gateway.http.routes.free import LazyApplication
from gateway.pipeline.connection import Message, Receive, Scope, Send

#: requests worked on at once, those that may wait for it, and for how long
AT_ONCE = 16
WAITING_MAX = 96
_WAITING_SECONDS_MAX = 10.0
#: a form is small
BODY_BYTES_MAX = 64 * 1024
_SECONDS_MAX = 30.0
#: forms that come in at once, and how long one may take
_FORMS_AT_ONCE = 256
_FORM_SECONDS_MAX = 10.0


class ConsoleMount:
    """An ASGI application that serves `/console…`. Made inside the running loop."""

    def __init__(self, services: ConsoleServices) -> None:
        self._services = services
        self._addresses = ClientAddresses(services.spec.trusted_proxies)
        self._application = LazyApplication(self._make)
        self._places = FairSemaphore(
            "requests to the console", AT_ONCE, WAITING_MAX, _WAITING_SECONDS_MAX
        )
        self._forms = FairSemaphore(
            "forms for the console", _FORMS_AT_ONCE, WAITING_MAX, _WAITING_SECONDS_MAX
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def send_started(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        if not _has_small_body(scope):
            sentence = b"a form has 64 KiB at most, and its length in its head\n"
            await self._refuse(send, 413, sentence)
            return
        # The framework takes the scope for its own; others log the path of this one.
        inner = dict(scope)
        if client := scope.get("client"):
            address = self._addresses.find(client[0], scope["headers"])
            inner["client"] = (address, client[1])
        if scope["path"].startswith(f"{BASE}/start/"):
            scope["path"] = f"{BASE}/start/..."
        try:
            # Read before it has a place: a form that comes slowly keeps nobody else waiting.
            receive = await self._with_form(inner, receive)
            async with self._places.acquire(_holder(inner)), asyncio.timeout(_SECONDS_MAX):
                application = await self._application.load()
                await application(inner, receive, send_started)
        except FaregateError as error:  # no place
            await self._refuse(send, error.status, f"{error.message}\n".encode())
        except TimeoutError:
            if started:
                raise
            await self._refuse(send, 503, b"this took too long; try again\n")

    async def _with_form(self, scope: Scope, receive: Receive) -> Receive:
        """Read a request's body; the way to receive it again. Raises `FaregateError`."""
        if not _body_length(scope):
            return receive
        async with self._forms.acquire(_holder(scope)), asyncio.timeout(_FORM_SECONDS_MAX):
            messages = [await receive()]
            while messages[-1].get("more_body"):
                messages.append(await receive())

        async def receive_again() -> Message:
            return messages.pop(0) if messages else await receive()

        return receive_again

    async def _refuse(self, send: Send, status: int, sentence: bytes) -> None:
        headers = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", b"%d" % len(sentence)),
            (b"connection", b"close"),
            *security_headers(self._services.site, content_policy()),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": sentence})

    def _make(self) -> Application:
        from gateway.console.application import console_app

        return console_app(self._services)


def _has_small_body(scope: Scope) -> bool:
    """True if a request announces a body that is not too long, or none."""
    headers = dict(scope["headers"])
    if b"transfer-encoding" in headers:
        return False
    return _body_length(scope) <= BODY_BYTES_MAX


def _body_length(scope: Scope) -> int:
    """The length of a body as its head has it; too much for what is no number."""
    length = dict(scope["headers"]).get(b"content-length", b"0")
    return int(length) if len(length) < 10 and length.isdigit() else BODY_BYTES_MAX + 1


def _holder(scope: Scope) -> Holder:
    """The browser that asks: by its address, and by its cookies where many share one."""
    client = scope.get("client")
    peer = client[0] if client else ""
    cookies = b"".join(value for name, value in scope["headers"] if name == b"cookie")
    return f"peer {peer}", f"browser {peer} {sha256(cookies).hexdigest()}"
