"""One request's way through the upstreams of its model, the first first.

    plan ──▶ acquire ──▶ charge, send ── content ──▶ end
                ▲           └─ failed before content ─┐
                └─────────── the next, if any ◀───────┘

An upstream that can take the request now comes before one that must be waited for. An upstream's
refusal of the client's request is final; only its own failures lead to the next.
"""

from collections.abc import Callable, Mapping
from functools import partial

from msgspec import Struct

from gateway.core.catalog import Resolution, fall_back
from gateway.core.concurrency.worker_thread import WorkerThread
from gateway.core.errors import (
    FaregateError,
    Overloaded,
    RequestError,
    UpstreamError,
    UpstreamOverloaded,
)
from gateway.core.request import Request
from gateway.core.shares import Holder
from gateway.dialects.endpoint import UpstreamChunk, UpstreamRequest
from gateway.upstream.admission import Permit, UpstreamAdmission
from gateway.upstream.base import Upstream, UpstreamResponse


class _Option(Struct, frozen=True):
    """An upstream that may be asked, and what it would be sent."""

    admission: UpstreamAdmission
    outgoing: UpstreamRequest


class Rendering(Struct, frozen=True):
    """Renders the request of one account, whose body has `size`.

    `hold` counts bytes more that are kept for it, and raises where there is no room for them.
    """

    worker_thread: WorkerThread
    holder: Holder
    size: int
    hold: Callable[[int], None]

    async def render(
        self, upstream: Upstream, request: Request, resolution: Resolution
    ) -> UpstreamRequest:
        """Raises `InvalidRequest` for what the upstream cannot take."""
        work = partial(upstream.prepare, request, resolution)
        return await self.worker_thread.run(self.holder, self.size, work)


class Failover:
    """The way of one request to its upstreams. `release` must follow in every case."""

    __slots__ = (
        "_admissions",
        "_dropped",
        "_limit_seconds",
        "_loop",
        "_options",
        "_previous",
        "_request",
        "_resolution",
        "_sent_at",
        "degraded",
        "has_fallbacks",
        "outgoing",
        "permit",
        "rendering",
    )  # fmt: skip

    def __init__(
        self,
        admissions: Mapping[str, UpstreamAdmission],
        request: Request,
        resolution: Resolution,
        rendering: Rendering,
        outgoing: UpstreamRequest,
        limit_seconds: float,
    ) -> None:
        """`outgoing` is what was rendered for the model's own upstream."""
        model = resolution.model
        admission = admissions[model.upstream]
        #: the request that is sent, until `drop_request`
        self.outgoing = outgoing
        self.rendering = rendering
        self.has_fallbacks = bool(model.fallbacks)
        #: its place at an upstream, if there was one at once or since `acquire`
        self.permit = admission.try_acquire(rendering.holder)
        self._admissions = admissions
        self._dropped = tuple(request.degraded)
        #: the parts of the client's request that the upstream does not see
        self.degraded = (*self._dropped, *outgoing.degraded)
        #: while others may be asked
        self._request = request if self.has_fallbacks else None
        self._resolution = resolution
        self._limit_seconds = limit_seconds
        self._options: list[_Option] | None = None
        self._previous: UpstreamAdmission | None = None
        self._loop = admission.loop
        #: when the first upstream was asked
        self._sent_at: float | None = None

    async def acquire(self) -> None:
        """Have a place, wherever there is one first.

        Raises `UpstreamOverloaded` where there is none in time, with the seconds until there may
        be.
        """
        if self.permit is None:
            options = await self._open_options()
            if not self._try_acquire_any(options):
                await self._wait(options)

    def drop_request(self) -> None:
        """Nobody else will be asked: no request is kept any more."""
        self._request = self._options = None
        del self.outgoing

    async def next_upstream(self, error: FaregateError) -> bool:
        """After a failure: have a place at another upstream. False where the error is the end."""
        permit = self.permit
        assert permit is not None, "it failed at an upstream"
        permit.fail(error)
        if self._request is None or not isinstance(error, UpstreamError):
            return False
        now = self._loop.time()
        if self._sent_at is None:
            self._sent_at = permit.sent_at or now
        if now - self._sent_at >= self._limit_seconds:
            return False
        options = await self._open_options()
        admission = self._admissions[permit.upstream.name]
        options[:] = [option for option in options if option.admission is not admission]
        self._previous, self.permit = admission, None
        try:
            await self.acquire()
        except UpstreamOverloaded:
            return False
        return True

    def release(self) -> None:
        """Give the permit back, in every case."""
        if self.permit is not None and not self.permit.has_left:
            self.permit.release()

    async def _open_options(self) -> list[_Option]:
        """The upstreams that were not asked yet and can take the request."""
        if self._options is None:
            model = self._resolution.model
            self._options = [_Option(self._admissions[model.upstream], self.outgoing)]
            for fallback in model.fallbacks:
                assert self._request is not None, "it is kept while there are others to ask"
                resolution = fall_back(self._request, self._resolution, fallback)
                if resolution is None:
                    continue
                admission = self._admissions[fallback.upstream]
                try:
                    outgoing = await self.rendering.render(
                        admission.upstream, self._request, resolution
                    )
                    self.rendering.hold(len(outgoing.body))
                except (RequestError, Overloaded):
                    # The model takes it, only not there; or there is no room to keep it.
                    continue
                self._options.append(_Option(admission, outgoing))
        return self._options

    def _try_acquire_any(self, options: list[_Option]) -> bool:
        for option in options:
            permit = option.admission.try_acquire(self.rendering.holder)
            if permit is not None:
                self._take(option, permit)
                return True
        return False

    async def _wait(self, options: list[_Option]) -> None:
        began = self._loop.time()
        for option in options:
            seconds = began + option.admission.queue_seconds - self._loop.time()
            permit = await option.admission.acquire(self.rendering.holder, seconds)
            if permit is not None:
                self._take(option, permit)
                return
            if self._try_acquire_any(options):
                return
        closed = [option.admission.closed_seconds(self.rendering.holder) for option in options]
        raise UpstreamOverloaded(
            "The upstream has no place for this request now; try again later.",
            retry_after_seconds=min(closed, default=0.0) or None,
        )

    def _take(self, option: _Option, permit: Permit) -> None:
        assert self._options is not None, "the choice was among options"
        passed_over = self._options[: self._options.index(option)]
        for admission in (self._previous, *(each.admission for each in passed_over)):
            if admission is not None:
                admission.observer.fell_back.value += 1
        self._previous = None
        self.permit, self.outgoing = permit, option.outgoing
        self.degraded = (*self._dropped, *option.outgoing.degraded)


async def read_beginning(reply: UpstreamResponse) -> list[UpstreamChunk]:
    """The chunks up to the first with content, for who may still ask elsewhere if it fails."""
    beginning: list[UpstreamChunk] = []
    while chunks := await reply.read():
        beginning += chunks
        if any(chunk.has_content() for chunk in chunks):
            break
    return beginning
