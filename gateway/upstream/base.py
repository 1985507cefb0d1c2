"""An upstream as the flow uses it: render before the charge, send after it, read to the end."""

from collections.abc import Callable
from typing import Protocol

from gateway.core.catalog import Resolution
from gateway.core.concurrency.worker_thread import WorkerThread
from gateway.core.events import Usage
from gateway.core.request import Request
from gateway.core.shares import Holder
from gateway.dialects.base import Completion
from gateway.dialects.endpoint import AnswerStream, PassOn, UpstreamChunk, UpstreamRequest


class UpstreamResponse(Protocol):
    """An upstream's answer whose status was good."""

    @property
    def reader(self) -> AnswerStream:
        """The part that reads it, and knows how it ended."""

    async def read(self, pass_on: PassOn | None = None) -> list[UpstreamChunk]:
        """The next chunks of a stream, at least one; an empty list at its complete end.

        Ordinary chunks that arrive meanwhile are offered to `pass_on` and, if it takes them, not
        returned: a waiting reader is woken for something else only.

        Raises `UpstreamBroken` when it is cut, holds an error event or ends without a finish reason
        for every choice, and `UpstreamTimeout` on silence. Before its first chunk it may raise
        everything that `Upstream.send` may.
        """

    async def answer(self, worker_thread: WorkerThread, holder: Holder) -> Completion:
        """The whole answer that was not streamed, read for an account; raises as `read` does."""

    @property
    def usage(self) -> Usage | None:
        """The last usage reported so far."""

    def close(self) -> None:
        """Give the connection back, or cut it where the answer was not read to its end."""


class Upstream(Protocol):
    """One provider."""

    name: str

    def prepare(self, request: Request, resolution: Resolution) -> UpstreamRequest:
        """Write the request. Raises `InvalidRequest` for what the profile cannot take."""

    async def send(
        self, outgoing: UpstreamRequest, headers: dict[str, str], on_sent: Callable[[], None]
    ) -> UpstreamResponse:
        """Send, and wait for the status; `on_sent` is called just before the first byte goes.

        Raises `UpstreamUnreachable`, `UpstreamOverloaded`, `UpstreamMisconfigured`,
        `UpstreamTimeout`, or the upstream's refusal of the client's request (`InvalidRequest`,
        `ContextOverflow`, `ContentFiltered`).
        """

    async def close(self) -> None:
        """Cut all connections."""
