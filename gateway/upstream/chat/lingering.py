"""Connections whose answer is over for us, but not yet for HTTP.

A stream says `[DONE]` a moment before its body ends. Cutting the connection there would cost a new
one, with its TLS handshake, for every stream; waiting would keep the client. So the response is
left here: the pool takes its connection back by itself when the end comes.
"""

import asyncio

import aiohttp

_LINGER_SECONDS = 1.0


class Lingering:
    """Responses that said everything, but whose body has not ended yet."""

    def __init__(self) -> None:
        self._timers: dict[aiohttp.ClientResponse, asyncio.TimerHandle] = {}

    def add(self, response: aiohttp.ClientResponse) -> None:
        """Wait for the end of the body, for a second at most."""
        loop = asyncio.get_running_loop()
        self._timers[response] = loop.call_later(_LINGER_SECONDS, self._cut, response)
        response.content.on_eof(lambda: self._forget(response))

    def close(self) -> None:
        """Cut them all."""
        for response in list(self._timers):
            self._cut(response)

    def _cut(self, response: aiohttp.ClientResponse) -> None:
        self._forget(response)
        response.close()

    def _forget(self, response: aiohttp.ClientResponse) -> None:
        timer = self._timers.pop(response, None)
        if timer is not None:
            timer.cancel()
