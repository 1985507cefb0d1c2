"""The life of one charged request, top to bottom.

    authenticate → limits of the key → read and parse → resolve the model → render for the upstream
        → a place there → charge (durable) → send → first byte → … → end

A refusal before the charge costs nothing. After it there are two ways out, and exactly one is
taken: `end` (the credits stay taken) or `refund` (committed before the failed request's last byte).
A client that leaves after dispatch has paid, and its upstream call is cut at once.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from functools import partial

from gateway.core import tags
from gateway.core.catalog import Catalog, Resolution
from gateway.core.concurrency.worker_thread import LARGE_BYTES, WorkerThread
from gateway.core.contact import name_contact
from gateway.core.degraded import feature_of
from gateway.core.errors import Draining, FaregateError, InternalError
from gateway.core.limits import RefusalThrottle
from gateway.core.pseudonyms import Pseudonyms
from gateway.core.shares import Shares
from gateway.core.spec import FleetLimits
from gateway.dialects.base import Caller, Dialect, Exchange, ParsedRequest, Renderer
from gateway.dialects.endpoint import UpstreamRequest
from gateway.dialects.errors import error_body, error_headers, status_for
from gateway.dialects.values import COUNTED_BYTES, made_bytes
from gateway.dialects.vectors import answer_bytes
from gateway.pipeline.billing import Billing
from gateway.pipeline.connection import ClientGone, Connection, Scope
from gateway.pipeline.documents.reader import DocumentReader
from gateway.pipeline.key_cache import KeyCache
from gateway.pipeline.meter import Metering
from gateway.pipeline.relay import JSON, Relay
from gateway.pipeline.request_state import RequestState
from gateway.telemetry.metrics import Metrics, RequestLabels
from gateway.telemetry.observers import RequestObserver
from gateway.telemetry.trace_context import PARENT, trace_headers
from gateway.upstream.admission import UpstreamAdmission
from gateway.upstream.failover import Failover, Rendering

_log = logging.getLogger(__name__)

#: characters of an upstream's word in the log
_REASON_SHOWN_MAX = 64
_BETA = b"anthropic-beta"
#: shown for a client that left, as the logs of many servers do
_STATUS_CLIENT_GONE = 499


class Flow:
    """Serves the charged routes of one replica."""

    def __init__(
        self,
        *,
        key_cache: KeyCache,
        catalog: Catalog,
        documents: DocumentReader,
        pseudonyms: Pseudonyms,
        admissions: Mapping[str, UpstreamAdmission],
        billing: Billing,
        limits: FleetLimits,
        metrics: Metrics,
        observer: RequestObserver | None,
        memory: Shares,
        worker_thread: WorkerThread,
        metering: Metering,
        contact: str,
    ) -> None:
        self._contact = contact
        self._worker_thread = worker_thread
        self._metering = metering
        self._key_cache = key_cache
        self._catalog = catalog
        self._documents = documents
        self._pseudonyms = pseudonyms
        self._admissions = admissions
        self._billing = billing
        self._relay = Relay(billing, limits)
        self._limits = limits
        self._metrics = metrics
        self._observer = observer
        self._memory = memory
        self._open: dict[str, RequestState] = {}
        #: models that ended an answer in a way that nobody knows
        self._unknown_reasons: set[str] = set()
        self.throttle = RefusalThrottle()

    def open_requests(self) -> set[str]:
        """Ids of the requests under way."""
        return set(self._open)

    def cut_all(self) -> None:
        """The time to drain is over: end every open request with an error, refunded."""
        for state in list(self._open.values()):
            state.cut(Draining("the gateway is shutting down", retry_after_seconds=1.0))

    async def serve(self, dialect: Dialect, scope: Scope) -> None:
        """Answer one request; in every case it is answered in its dialect and booked once."""
        connection = Connection(scope, self._memory)
        state = RequestState(dialect, connection)
        self._open[state.request_id] = state
        if self._observer is not None:
            state.span = self._observer.begin(connection.headers)
        try:
            await self._pass(state, connection)
            if connection.kept:  # for an answer that its client has yet to read
                state.finish()
                await connection.wait_until_read()
        except (FaregateError, ClientGone) as error:
            await self._fail(state, error)
        except asyncio.CancelledError:
            if state.cut_by is None:  # the server itself gives up; nobody can be answered now
                await self._billing.refund(state)
                raise
            state.resume()
            await self._fail(state, state.cut_by)
        except Exception:  # noqa: BLE001  # the edge: a bug is answered and refunded too
            _log.exception("request %s met a bug", state.request_id)
            bug = InternalError(f"internal error (request {state.request_id})")
            await self._fail(state, bug)
        finally:
            self._close(state)

    async def _pass(self, state: RequestState, connection: Connection) -> None:
        key, key_hash = await self._key_cache.authenticate(connection.headers)
        state.key, state.labels = key, key.labels
        key.acquire()
        state.go("admit")
        caller, limits = key.caller, self._limits
        body = await connection.read_body(caller.holder, limits, self._worker_thread)
        size = connection.held
        if size > COUNTED_BYTES:
            connection.hold(
                await self._worker_thread.run(caller.holder, size, partial(made_bytes, body))
            )
        call = await state.dialect.parse(body, caller)
        request = call.request
        state.tags = (
            tags.written(connection.named.get(tags.HEADER, b""), request.tags)
            if request.tags or tags.HEADER in connection.named
            else None
        )
        if request.safety_identifier or request.cache_key:
            self._pseudonyms.hide(request, caller.account)
        if request.raw is not None:
            request.raw.betas = _betas_of(connection)
        resolution = self._catalog.resolve(request)
        model = resolution.model.id
        state.labels = labels = RequestLabels(key.labels.key, key.labels.account, model)
        state.series = self._metrics.series(labels, state.dialect.name)
        if key.live.models:
            key.allow_model(model)
        if request.messages:  # what may go as it was written holds none
            await self._documents.fill(request, caller.holder)
        rendering = Rendering(
            self._worker_thread, caller.holder, size + call.inherited, connection.hold_more
        )
        if resolution.model.price.rates and request.max_tokens is None:
            request.max_tokens = resolution.model.max_output_tokens  # the most has to be the most
        outgoing = await self._render(state, call, caller, resolution, rendering)
        if resolution.model.price.rates:
            state.meter = await self._metering.open(
                state.dialect.name, request, resolution, outgoing.body, caller.holder
            )
        state.failover = failover = Failover(
            self._admissions,
            request,
            resolution,
            rendering,
            outgoing,
            limits.upstream_silence_seconds,
        )
        try:
            if size > COUNTED_BYTES and not failover.has_fallbacks and state.meter is None:
                connection.hold(size + len(outgoing.body))
            # The request is only needed where it may still be rendered for another upstream, and
            # what is held for it is given back before the answer ends.
            del body, call, request, outgoing
            connection.watch(state.leave)
            if failover.permit is None:
                await _queue(state, connection, failover)
            state.degraded = failover.degraded
            state.go("charge")
            await self._billing.charge(state, key, key_hash, resolution)
            state.go("book")
            if connection.gone:
                raise ClientGone
            is_traced = state.span is not None or PARENT in connection.named
            await self._relay.run(state, self._passed_on(state) if is_traced else {})
        finally:
            failover.release()

    async def _render(
        self,
        state: RequestState,
        call: ParsedRequest,
        caller: Caller,
        resolution: Resolution,
        rendering: Rendering,
    ) -> UpstreamRequest:
        """Render the request for its upstream, and have the renderer of its answer made.

        Raises what refuses it, and as `Connection.hold_answer`.
        """
        request = call.request
        exchange = Exchange(state.request_id, caller, request.model, int(time.time()))
        upstream = self._admissions[resolution.model.upstream].upstream

        def render() -> tuple[UpstreamRequest, Renderer]:
            outgoing = upstream.prepare(request, resolution)
            return outgoing, state.dialect.renderer(call, exchange)

        if rendering.size < LARGE_BYTES:
            outgoing, renderer = render()
        else:
            outgoing, renderer = await self._worker_thread.run(
                caller.holder, rendering.size, render
            )
        state.renderer = renderer
        kept = renderer.kept_bytes
        if outgoing.wanted is not None:
            kept = answer_bytes(outgoing.wanted)
        if outgoing.names:
            kept += outgoing.names_bytes
        if kept:
            state.connection.hold_answer(kept)
        return outgoing

    async def _fail(self, state: RequestState, error: FaregateError | ClientGone) -> None:
        state.finish()
        if isinstance(error, ClientGone):
            state.status = _STATUS_CLIENT_GONE
            if state.phase == "dispatched":
                await self._billing.leave(state)
            else:
                await self._billing.refund(state)
            return
        await self._billing.refund(state)
        name_contact(error, self._contact)
        connection, family = state.connection, state.dialect.family
        state.status = status_for(error, family)
        if not connection.started:
            if state.booking == "none":
                await self._pause(state, error)
            body = error_body(error, family, state.request_id)
            lines = [b"%b: %b\r\n" % header for header in error_headers(error, family)]
            await connection.answer(state.status, b"".join([JSON, state.headers(), *lines]), body)
            return
        await connection.finish([] if state.renderer is None else state.renderer.fail(error))

    async def _pause(self, state: RequestState, error: FaregateError) -> None:
        """Delay a client's refusal, where it is refused often."""
        if error.origin == "client":
            seconds = self.throttle.pause(state.labels.account, time.monotonic())
            if seconds:
                await asyncio.sleep(seconds)

    def _close(self, state: RequestState) -> None:
        state.finish()
        state.connection.close()
        if state.phase != "arriving" and state.key is not None:
            state.key.leave()
        del self._open[state.request_id]
        labels, metrics = state.labels, self._metrics
        metrics.answered(labels, state.dialect.name, state.status).value += 1
        if labels.model:
            state.series.duration.add(state.elapsed())
        if state.degraded and state.phase == "dispatched":
            for feature in {feature_of(name) for name in state.degraded}:
                metrics.degraded(labels.model, feature)
        if state.unknown_reason is not None:
            self._note_unknown_reason(labels.model, state.unknown_reason)
        if self._observer is not None:
            self._observer.end(state.span, state.status, state.fields)

    def _note_unknown_reason(self, model: str, reason: str) -> None:
        """Count an answer whose end nobody knows, and log the first one of a model."""
        self._metrics.ended_unknown(model)
        if model not in self._unknown_reasons:
            self._unknown_reasons.add(model)
            _log.warning(
                "model %s: an answer ended with '%s', which is not known and counts as a good end; "
                "faregate_unknown_finish_reasons_total counts further ones",
                model,
                reason[:_REASON_SHOWN_MAX],
            )

    def _passed_on(self, state: RequestState) -> dict[str, str]:
        """The headers by which the upstream goes on with the client's trace, or with ours."""
        if state.span is not None and self._observer is not None:
            return self._observer.carried(state.span)
        return trace_headers(state.connection.headers)


async def _queue(state: RequestState, connection: Connection, failover: Failover) -> None:
    """Wait for a place at an upstream; nothing is charged yet, and the client may leave."""
    if connection.gone:
        raise ClientGone
    state.go("queue")
    await failover.acquire()


def _betas_of(connection: Connection) -> tuple[str, ...]:
    """The betas that a client of Messages asks for."""
    if _BETA not in connection.named:
        return ()
    return tuple(value.decode("latin-1") for name, value in connection.headers if name == _BETA)
