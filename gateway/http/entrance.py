"""Admission to the free routes, and how many at once, before anything expensive is begun.

A request needs a valid key by a fresh view of the keys, room within the key's limits, and a place.
Free requests cost their client nothing, so accounts take turns, and a refusal here costs little
work. A request without a valid key goes on to the route, if there is one, which answers what is
wrong. Pure ASGI; must not import the framework.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

from msgspec import Struct

from gateway.core.concurrency.places import FairSemaphore
from gateway.core.contact import name_contact
from gateway.core.errors import DatabaseUnavailable, FaregateError, InvalidCredential
from gateway.core.keys import INFERENCE
from gateway.core.limits import RefusalThrottle
from gateway.dialects.errors import error_body, error_headers, status_for
from gateway.http.paths import ACCOUNTS, family_of
from gateway.pipeline.connection import Message, Receive, Scope, Send
from gateway.pipeline.key_cache import CachedKey, KeyCache

#: free requests worked on at once, those that may wait for it, and for how long
AT_ONCE = 96
WAITING_MAX = 300
_WAITING_SECONDS_MAX = 60.0
#: the scope's name of its `FreeRequest`
FREE_REQUEST = "faregate.request"

Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class FreeRequest(Struct):
    """A request to a free route, as those around the framework know it."""

    request_id: str
    #: set if its path is a charged one, which takes another method
    is_charged: bool = False
    #: the key that asks, or why there is none; None until it was looked for
    caller: CachedKey | FaregateError | None = None


class Entrance:
    """Around the free routes of one replica."""

    def __init__(
        self,
        app: Application,
        key_cache: KeyCache,
        throttle: RefusalThrottle,
        contact: str = "",
    ) -> None:
        self._app = app
        #: whom callers ask about a refusal
        self._contact = contact
        self._key_cache = key_cache
        self._throttle = throttle
        self._places = FairSemaphore(
            "requests to free routes", AT_ONCE, WAITING_MAX, _WAITING_SECONDS_MAX
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request: FreeRequest = scope[FREE_REQUEST]
        account = ""

        async def send_slowly(message: Message) -> None:
            if message["type"] == "http.response.start" and 400 <= message["status"] < 500:
                seconds = self._throttle.pause(account, time.monotonic())
                if seconds:
                    await asyncio.sleep(seconds)
            await send(message)

        try:
            key = await self._key(scope)
        except (InvalidCredential, DatabaseUnavailable) as error:
            request.caller = error
            await self._app(scope, receive, send_slowly)
            return
        request.caller = key
        account = key.caller.account
        try:
            key.acquire(None if scope["path"].startswith(ACCOUNTS) else INFERENCE)
            try:
                async with self._places.acquire(key.caller.holder):
                    await self._app(scope, receive, send_slowly)
            finally:
                key.leave()
        except FaregateError as error:  # a limit or a place; the framework lets none through
            name_contact(error, self._contact)
            await _refuse(error, scope, send_slowly)

    async def _key(self, scope: Scope) -> CachedKey:
        """Raises what `KeyCache.authenticate` raises, and `DatabaseUnavailable` where this
        replica's view of the keys is too old to be trusted."""
        key, _ = await self._key_cache.authenticate(scope["headers"])
        if not self._key_cache.is_fresh:
            raise DatabaseUnavailable("the keys could not be checked; try again")
        return key


async def _refuse(error: FaregateError, scope: Scope, send: Send) -> None:
    family = family_of(scope["path"])
    body = error_body(error, family, scope[FREE_REQUEST].request_id)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        *error_headers(error, family),
    ]
    status = status_for(error, family)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
