"""A dialect as the rest uses it: a parser from bytes to the internal request, and a renderer back.

    body ── parse ──▶ Call(Request) ── … upstream … ── Chunk* ──▶ Renderer ──▶ frames

A dialect lives in one folder, which names its files as the others do. It reads and writes bytes
only; the flow owns credits, headers and the connection. Every `bytes` object a renderer gives is
one frame and becomes one chunk of the answer.
"""

from collections.abc import Sequence
from typing import Any, Literal, Protocol

from msgspec import Struct
from msgspec.structs import force_setattr

from gateway.core.errors import FaregateError
from gateway.core.events import Event, Usage
from gateway.core.request import Request
from gateway.core.shares import Holder

Family = Literal["openai", "anthropic"]


class Caller(Struct, frozen=True):
    """The account that asks: its row and its shown name (`namespace/account`)."""

    account_id: int
    account: str
    #: the account where something is shared; made of `account`
    holder: Holder = ("", "")

    def __post_init__(self) -> None:
        force_setattr(self, "holder", (self.account.partition("/")[0], self.account))


class ParsedRequest(Struct):
    """A parsed request: the internal one, and what the dialect itself wants to remember of it.

    `inherited` is the size, in bytes, of the stored conversation that was read beside its body.
    """

    request: Request
    source: Any = None
    inherited: int = 0


class Exchange(Struct, frozen=True):
    """The request under way, as a renderer may know it.

    `model` is the public name the client sent, to be echoed; `created` is in Unix seconds.
    """

    request_id: str
    caller: Caller
    model: str
    created: int


class Chunk(Protocol):
    """A part of an upstream's stream.

    `events` must be called for all chunks of a stream in their order, or for none. A chat client
    before a chat upstream gets the bytes themselves: `data` is then one event's JSON, without the
    `data:` of its line. `plain` means that it holds no usage, no error and no finish reason.
    Elsewhere `data` is None.
    """

    @property
    def data(self) -> bytes | None: ...

    @property
    def plain(self) -> bool: ...

    def events(self) -> Sequence[Event]: ...


class Completion(Protocol):
    """A whole answer that was not streamed.

    `data` is the bytes where the upstream speaks chat, else None. `size` is the bytes that came.
    """

    @property
    def size(self) -> int: ...

    @property
    def data(self) -> bytes | None: ...

    @property
    def usage(self) -> Usage | None: ...

    def events(self) -> Sequence[Event]: ...


class Renderer(Protocol):
    """Turns one upstream answer into one client answer; either the stream or `complete` is used.

    `kept_bytes` is about the memory that what it keeps of the request takes until the client has
    the answer; 0 where that is little.
    """

    @property
    def kept_bytes(self) -> int: ...

    def open(self) -> list[bytes]:
        """Frames due as soon as the status was sent."""

    def keep_alive(self) -> bytes:
        """A frame that changes nothing, for silence."""

    def feed(self, chunk: Chunk) -> list[bytes]:
        """Frames for one chunk. Frames that end the stream belong to `close`."""

    async def close(self, usage: Usage | None) -> list[bytes]:
        """Last frames of a complete answer; `usage` is the last that the upstream reported.

        The client has paid by then, so it must not fail: what may is tried when the renderer is
        made, or before content goes out.
        """

    def fail(self, error: FaregateError) -> list[bytes]:
        """Last frames of a stream that broke: the dialect's error event, never a clean end."""

    async def complete(self, answer: Completion) -> bytes:
        """The body of an answer that is not streamed."""


class Dialect(Protocol):
    """A wire protocol. `name` labels metrics, `path` follows the family's base path."""

    @property
    def name(self) -> Literal["chat", "responses", "messages", "embeddings"]: ...

    @property
    def family(self) -> Family: ...

    @property
    def path(self) -> str: ...

    async def parse(self, body: bytes, caller: Caller) -> ParsedRequest:
        """Raises `InvalidRequest` and its kin, with the field's name in `param`."""

    def renderer(self, call: ParsedRequest, exchange: Exchange) -> Renderer:
        """A renderer for one answer; raises `InvalidRequest` for what no answer can repeat."""
