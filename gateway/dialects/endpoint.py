"""A dialect before an upstream: a request is rendered before the charge, an answer read after it.

Nothing here has a connection: bytes in, bytes out. `base` is the upstream as the flow sees it.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec import Struct

from gateway.core.catalog import Resolution
from gateway.core.errors import FaregateError
from gateway.core.events import Usage
from gateway.core.request import Request
from gateway.dialects.base import Chunk, Completion

#: a name in a table, with the one that was sent
_NAME_BYTES = 300


class EmbeddingWanted(Struct, frozen=True):
    """The vectors that a client asks for; `dimensions` is None where any length will do."""

    number: int
    dimensions: int | None
    is_base64: bool


class UpstreamRequest(Struct, frozen=True):
    """A request ready to be sent; everything that can be refused has been.

    `degraded` names the parts of the client's request that the upstream does not get. `choices` is
    the number of finish reasons of a complete answer. `headers` are the client's headers that go
    with it. `path` is joined to the endpoint's, in a dialect where the request decides on it.
    `names` are the client's names of tools by those that the upstream gets in their place.
    `root_path` takes the place of the endpoint's. `wanted` are the vectors that it asks for, if it
    does.
    """

    body: bytes
    stream: bool
    degraded: tuple[str, ...] = ()
    choices: int = 1
    headers: dict[str, str] = {}
    path: str = ""
    names: dict[str, str] = {}
    root_path: str | None = None
    wanted: EmbeddingWanted | None = None

    @property
    def names_bytes(self) -> int:
        """About the memory of the names, which are kept until the answer ends."""
        return sum(map(len, self.names.values())) + _NAME_BYTES * len(self.names)


class CountRoute(Struct, frozen=True):
    """A way to have an upstream count the tokens of a request.

    `write` gives what is joined to the path, and the body, for a request as it would be sent;
    `read` gives the count of an answer, and raises `ValueError` where there is none.
    """

    path: str
    write: Callable[[UpstreamRequest], tuple[str, bytes]]
    read: Callable[[bytes], int]
    counts_tools: bool


class UpstreamChunk(Chunk, Protocol):
    """A part of a stream, for the one who decides whether another upstream may still be asked."""

    def has_content(self) -> bool:
        """True if it holds more than the role."""


#: takes chunks of a stream as they arrive, all or none of them; True if it did
PassOn = Callable[[Sequence[Chunk]], bool]


class AnswerStream(Protocol):
    """The part of reading an answer that needs no connection: bytes in, chunks out.

    `ended`: nothing more is read. `complete`: the upstream stated the end and its reason.
    `failure`: why nothing more can be read; what came before it was returned.
    """

    ended: bool
    failure: FaregateError | None

    @property
    def values_max(self) -> int:
        """The number of JSON values that a whole answer may have."""

    @property
    def unknown_reason(self) -> str | None:
        """The word for why the answer ended, where nobody knows it and it counts as `stop`."""

    @property
    def complete(self) -> bool: ...

    @property
    def needs_no_more(self) -> bool:
        """True if even a connection that breaks now takes nothing from the answer."""

    @property
    def usage(self) -> Usage | None: ...

    def feed(self, data: bytes) -> list[UpstreamChunk]:
        """The chunks that `data` completes; afterwards `ended` or `failure` may be set."""

    def hand_over(self, pass_on: PassOn, data: bytes) -> bool:
        """Offer `pass_on` the chunks of `data`, if it may be done without a look at each."""

    def finish(self) -> list[UpstreamChunk]:
        """The end of the stream: what was left, if it is whole."""

    def answer(self, body: bytes) -> Completion:
        """A whole answer. Raises `UpstreamBroken` and the upstream's own errors."""


class Endpoint(Protocol):
    """A dialect as a client of one upstream speaks it."""

    @property
    def path(self) -> str:
        """The path that is joined to the upstream's base URL."""

    @property
    def count_route(self) -> CountRoute | None:
        """The way to count tokens; None in a dialect that has no word for it."""

    def headers(self, url: str, credential: str | None) -> dict[str, str]:
        """The headers by which the upstream at `url` knows us."""

    def prepare(self, request: Request, resolution: Resolution) -> UpstreamRequest:
        """Write the request. Raises `InvalidRequest` for what the profile cannot take."""

    def reader(
        self, outgoing: UpstreamRequest, upstream: str, credential: str | None
    ) -> AnswerStream:
        """The reader of one answer of the upstream of that name."""


def bearer(credential: str | None) -> dict[str, str]:
    """The header with a credential as a bearer token (RFC 6750, section 2.1)."""
    return {} if credential is None else {"authorization": f"Bearer {credential}"}
