"""The chat dialect as the flow sees it."""

from functools import partial
from typing import Literal

from gateway.aside import Aside
from gateway.wire.base import Call, Caller, Exchange, Family
from gateway.wire.chat.parse import parse_body
from gateway.wire.chat.render import ChatRenderer


class ChatDialect:
    """OpenAI Chat Completions; keeps nothing between requests."""

    name: Literal["chat"] = "chat"
    family: Family = "openai"
    path = "/chat/completions"

    def __init__(self, aside: Aside) -> None:
        self._aside = aside

    async def parse(self, body: bytes, caller: Caller) -> Call:
        """Raises `InvalidRequest` and its kin, with the field's path in `param`."""
        return await self._aside.run(caller.holder, len(body), partial(parse_body, body))

    def renderer(self, call: Call, exchange: Exchange) -> ChatRenderer:
        """A renderer for one answer to `call`."""
        return ChatRenderer(call.source, exchange, self._aside)
