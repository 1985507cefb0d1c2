"""One request's trip to the upstreams of its model, the first first.

    plan ──▶ enter ──▶ charge, send ── content ──▶ end
               ▲          └─ failed before content ─┐
               └────────── the next, if any ◀───────┘

An upstream that can take the request now comes before one that must be waited for. Whatever an
upstream says of the client's request is final; only its own failures lead to the next.
"""

from collections.abc import Mapping
from functools import partial

from msgspec import Struct

from gateway.aside import Aside
from gateway.core.catalog import Resolution, fall_back
from gateway.core.request import Request
from gateway.core.shares import Holder
from gateway.errors import FaregateError, RequestError, UpstreamError, UpstreamOverloaded
from gateway.upstream.base import Reply, Upstream
from gateway.upstream.endpoint import Outgoing, UpstreamChunk
from gateway.upstream.gate import Gate, Visit


class _Option(Struct, frozen=True):
    """An upstream that may be asked, and what it would be sent."""

    gate: Gate
    outgoing: Outgoing


class Rendering(Struct, frozen=True):
    """Renders the request of one account, whose body has `size`."""

    aside: Aside
    holder: Holder
    size: int

    async def render(
        self, upstream: Upstream, request: Request, resolution: Resolution
    ) -> Outgoing:
        """Raises `InvalidRequest` for what the upstream cannot take."""
        work = partial(upstream.prepare, request, resolution)
        return await self.aside.run(self.holder, self.size, work)


class Trip:
    """Where one request goes. `leave` must follow, whatever happens."""

    __slots__ = ("_came_from", "_dropped", "_gates", "_limit_seconds", "_loop",
                 "_options", "_request", "_resolution", "_sent_at", "_visit", "has_begun",
                 "outgoing", "rendering")  # fmt: skip

    def __init__(
        self,
        gates: Mapping[str, Gate],
        request: Request,
        resolution: Resolution,
        rendering: Rendering,
        outgoing: Outgoing,
        limit_seconds: float,
    ) -> None:
        """`outgoing` is what `rendering` made for the model's own upstream."""
        gate = gates[resolution.model.upstream]
        #: what is sent
        self.outgoing = outgoing
        #: whether content of the answer is here, so that nobody else is asked any more
        self.has_begun = False
        self._gates = gates
        self._dropped = request.degraded
        self._request: Request | None = request if resolution.model.fallbacks else None
        self._resolution = resolution
        self.rendering = rendering
        self._limit_seconds = limit_seconds
        self._options: list[_Option] | None = None
        self._came_from: Gate | None = None
        self._visit = gate.enter(rendering.holder)
        self._loop = gate.loop
        self._sent_at = 0.0

    @property
    def has_place(self) -> bool:
        """Whether it may be sent at once."""
        return self._visit is not None

    @property
    def degraded(self) -> tuple[str, ...]:
        """What of the client's request the upstream does not see."""
        return (*self._dropped, *self.outgoing.degraded)

    @property
    def has_fallbacks(self) -> bool:
        return bool(self._resolution.model.fallbacks)

    @property
    def visit(self) -> Visit:
        assert self._visit is not None, "a place comes first"
        return self._visit

    async def enter(self) -> None:
        """Have a place, wherever there is one first.

        Raises `UpstreamOverloaded` where there is none in time, and says when there may be.
        """
        if self._visit is None:
            options = await self._open_options()
            if not self._enter_any(options):
                await self._wait(options)

    def sent(self) -> None:
        """It is sent to the upstream where it has a place."""
        self._sent_at = self._sent_at or self._loop.time()
        self.visit.sent()

    def begin(self) -> None:
        """There is content."""
        self.has_begun = True
        self._request = None
        self.visit.answered()

    async def go_on(self, error: FaregateError) -> bool:
        """After a failure: have a place at another upstream. False where the error is the end."""
        self.visit.fail(error)
        if self.has_begun or self._request is None or not isinstance(error, UpstreamError):
            return False
        if self._loop.time() - self._sent_at >= self._limit_seconds:
            return False
        options = await self._open_options()
        gate = self._gates[self.visit.upstream.name]
        options[:] = [option for option in options if option.gate is not gate]
        self._came_from, self._visit = gate, None
        try:
            await self.enter()
        except UpstreamOverloaded:
            return False
        return True

    def leave(self) -> None:
        """Whatever happened."""
        if self._visit is not None:
            self._visit.leave()

    async def _open_options(self) -> list[_Option]:
        """The upstreams that were not asked yet and can take the request."""
        if self._options is None:
            model = self._resolution.model
            self._options = [_Option(self._gates[model.upstream], self.outgoing)]
            for fallback in model.fallbacks:
                assert self._request is not None, "it is kept while there are others to ask"
                resolution = fall_back(self._request, self._resolution, fallback)
                if resolution is None:
                    continue
                gate = self._gates[fallback.upstream]
                try:
                    outgoing = await self.rendering.render(gate.upstream, self._request, resolution)
                except RequestError:  # the model takes it, only not there
                    continue
                self._options.append(_Option(gate, outgoing))
        return self._options

    def _enter_any(self, options: list[_Option]) -> bool:
        for option in options:
            visit = option.gate.enter(self.rendering.holder)
            if visit is not None:
                self._take(option, visit)
                return True
        return False

    async def _wait(self, options: list[_Option]) -> None:
        began = self._loop.time()
        for option in options:
            seconds = began + option.gate.queue_seconds - self._loop.time()
            visit = await option.gate.wait(self.rendering.holder, seconds)
            if visit is not None:
                self._take(option, visit)
                return
            if self._enter_any(options):
                return
        closed = [option.gate.closed_seconds(self.rendering.holder) for option in options]
        raise UpstreamOverloaded(
            "The upstream has no place for this request now; try again later.",
            retry_after_seconds=min(closed, default=0.0) or None,
        )

    def _take(self, option: _Option, visit: Visit) -> None:
        assert self._options is not None, "whoever chose had options"
        passed_over = self._options[: self._options.index(option)]
        for gate in (self._came_from, *(each.gate for each in passed_over)):
            if gate is not None:
                gate.watcher.fell_back(1)
        self._came_from = None
        self._visit, self.outgoing = visit, option.outgoing


async def read_beginning(reply: Reply) -> list[UpstreamChunk]:
    """The chunks up to the first with content, for who may still ask elsewhere if it fails."""
    beginning: list[UpstreamChunk] = []
    while chunks := await reply.read():
        beginning += chunks
        if any(chunk.has_content() for chunk in chunks):
            break
    return beginning
