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

from gateway.core.catalog import Resolution, fall_back
from gateway.core.concurrency.worker_thread import Aside
from gateway.core.errors import FaregateError, RequestError, UpstreamError, UpstreamOverloaded
from gateway.core.request import Request
from gateway.core.shares import Holder
from gateway.dialects.endpoint import Outgoing, UpstreamChunk
from gateway.upstream.admission import Gate, Visit
from gateway.upstream.base import Reply, Upstream


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

    __slots__ = ("_came_from", "_dropped", "_gates", "_limit_seconds", "_loop", "_options",
                 "_request", "_resolution", "_sent_at", "degraded", "has_fallbacks", "outgoing",
                 "rendering", "visit")  # fmt: skip

    def __init__(
        self,
        gates: Mapping[str, Gate],
        request: Request,
        resolution: Resolution,
        rendering: Rendering,
        outgoing: Outgoing,
        limit_seconds: float,
    ) -> None:
        """`outgoing` is what was rendered for the model's own upstream."""
        model = resolution.model
        gate = gates[model.upstream]
        #: what is sent
        self.outgoing = outgoing
        self.rendering = rendering
        self.has_fallbacks = bool(model.fallbacks)
        #: its place at an upstream, if there was one at once or since `enter`
        self.visit = gate.enter(rendering.holder)
        self._gates = gates
        self._dropped = tuple(request.degraded)
        #: what of the client's request the upstream does not see
        self.degraded = (*self._dropped, *outgoing.degraded)
        #: while others may be asked
        self._request = request if self.has_fallbacks else None
        self._resolution = resolution
        self._limit_seconds = limit_seconds
        self._options: list[_Option] | None = None
        self._came_from: Gate | None = None
        self._loop = gate.loop
        #: when the first upstream was asked
        self._sent_at: float | None = None

    async def enter(self) -> None:
        """Have a place, wherever there is one first.

        Raises `UpstreamOverloaded` where there is none in time, and says when there may be.
        """
        if self.visit is None:
            options = await self._open_options()
            if not self._enter_any(options):
                await self._wait(options)

    def begin(self) -> None:
        """There is content: nobody else is asked any more."""
        self._request = None

    async def go_on(self, error: FaregateError) -> bool:
        """After a failure: have a place at another upstream. False where the error is the end."""
        visit = self.visit
        assert visit is not None, "it failed at an upstream"
        visit.fail(error)
        if self._request is None or not isinstance(error, UpstreamError):
            return False
        now = self._loop.time()
        if self._sent_at is None:
            self._sent_at = visit.sent_at or now
        if now - self._sent_at >= self._limit_seconds:
            return False
        options = await self._open_options()
        gate = self._gates[visit.upstream.name]
        options[:] = [option for option in options if option.gate is not gate]
        self._came_from, self.visit = gate, None
        try:
            await self.enter()
        except UpstreamOverloaded:
            return False
        return True

    def leave(self) -> None:
        """Whatever happened."""
        if self.visit is not None and not self.visit.has_left:
            self.visit.leave()

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
                gate.watcher.fell_back.value += 1
        self._came_from = None
        self.visit, self.outgoing = visit, option.outgoing
        self.degraded = (*self._dropped, *option.outgoing.degraded)


async def read_beginning(reply: Reply) -> list[UpstreamChunk]:
    """The chunks up to the first with content, for who may still ask elsewhere if it fails."""
    beginning: list[UpstreamChunk] = []
    while chunks := await reply.read():
        beginning += chunks
        if any(chunk.has_content() for chunk in chunks):
            break
    return beginning
