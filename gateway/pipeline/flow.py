"""The life of one charged request, top to bottom.

    authenticate → limits of the key → read and parse → resolve the model → render for the upstream
        → a place there → charge (durable) → send → first byte → … → end

Whatever is refused before the charge costs nothing. After it there are two ways out, and exactly
one is taken: `end` (the credits stay taken) or `refund` (committed before the failed request's last
byte). A client that leaves after dispatch has paid, and its upstream call is cut at once.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from functools import partial

from gateway.core.catalog import Catalog, Resolution
from gateway.core.concurrency.worker_thread import Aside
from gateway.core.degraded import feature_of
from gateway.core.errors import Draining, FaregateError, InternalError
from gateway.core.limits import Brake
from gateway.core.pseudonyms import Pseudonyms
from gateway.core.shares import Shares
from gateway.core.spec import FleetLimits
from gateway.dialects.base import Call, Caller, Dialect, Exchange, Renderer
from gateway.dialects.endpoint import Outgoing
from gateway.dialects.errors import error_body, error_headers, status_for
from gateway.dialects.values import COUNTED_BYTES, made_bytes
from gateway.pipeline.billing import Till
from gateway.pipeline.connection import ClientGone, Connection, Headers, Scope
from gateway.pipeline.documents.reader import DocumentReader
from gateway.pipeline.key_cache import Keyring
from gateway.pipeline.relay import JSON, Relay
from gateway.pipeline.request_state import Passage
from gateway.telemetry.metrics import Metrics, RequestLabels
from gateway.telemetry.observers import Witness
from gateway.telemetry.trace_context import PARENT, passed_on
from gateway.upstream.admission import Gate
from gateway.upstream.failover import Rendering, Trip

_log = logging.getLogger(__name__)

#: shown for a client that left, as the logs of many servers do
_STATUS_CLIENT_GONE = 499


class Flow:
    """Serves the charged routes of one replica."""

    def __init__(
        self,
        *,
        keyring: Keyring,
        catalog: Catalog,
        documents: DocumentReader,
        pseudonyms: Pseudonyms,
        gates: Mapping[str, Gate],
        till: Till,
        limits: FleetLimits,
        metrics: Metrics,
        witness: Witness | None,
        memory: Shares,
        aside: Aside,
    ) -> None:
        self._aside = aside
        self._keyring = keyring
        self._catalog = catalog
        self._documents = documents
        self._pseudonyms = pseudonyms
        self._gates = gates
        self._till = till
        self._relay = Relay(till, limits)
        self._limits = limits
        self._metrics = metrics
        self._witness = witness
        self._memory = memory
        self._open: dict[str, Passage] = {}
        self.brake = Brake()

    def open_requests(self) -> set[str]:
        """Ids of the requests under way."""
        return set(self._open)

    def cut_all(self) -> None:
        """The time to drain is over: end every open request with an error, refunded."""
        for passage in list(self._open.values()):
            passage.cut(Draining("the gateway is shutting down", retry_after_seconds=1.0))

    async def serve(self, dialect: Dialect, scope: Scope) -> None:
        """Answer one request; whatever happens, it is answered in its dialect and booked once."""
        connection = Connection(scope, self._memory)
        passage = Passage(dialect, connection)
        self._open[passage.request_id] = passage
        if self._witness is not None:
            passage.span = self._witness.begin(connection.headers)
        try:
            await self._pass(passage, connection)
        except (FaregateError, ClientGone) as error:
            await self._fail(passage, error)
        except asyncio.CancelledError:
            if passage.cut_by is None:  # the server itself gives up; nobody can be answered now
                await self._till.refund(passage)
                raise
            passage.take_over()
            await self._fail(passage, passage.cut_by)
        except Exception:  # noqa: BLE001  # the edge: a bug is answered and refunded too
            _log.exception("request %s met a bug", passage.request_id)
            bug = InternalError(f"internal error (request {passage.request_id})")
            await self._fail(passage, bug)
        finally:
            self._close(passage)

    async def _pass(self, passage: Passage, connection: Connection) -> None:
        key, key_hash = await self._keyring.authenticate(connection.headers)
        passage.key, passage.labels = key, key.labels
        key.enter()
        passage.go("admit")
        caller, limits = key.caller, self._limits
        body = await connection.read_body(caller.holder, limits)
        size = len(body)
        if size > COUNTED_BYTES:
            made = await self._aside.run(caller.holder, size, partial(made_bytes, body))
            connection.hold(made)
        call = await passage.dialect.parse(body, caller)
        request = call.request
        self._pseudonyms.hide(request, caller.account)
        if request.native is not None:
            request.native.betas = _betas_of(connection.headers)
        resolution = self._catalog.resolve(request)
        model = resolution.model.id
        passage.labels = labels = RequestLabels(key.labels.key, key.labels.account, model)
        passage.series = self._metrics.series(labels, passage.dialect.name)
        if key.live.models:
            key.allow_model(model)
        await self._documents.fill(request, caller.holder)
        rendering = Rendering(self._aside, caller.holder, size + call.inherited)
        outgoing = await self._render(passage, call, caller, resolution, rendering)
        passage.trip = trip = Trip(
            self._gates, request, resolution, rendering, outgoing, limits.upstream_silence_seconds
        )
        # What was read is only needed where it may still be rendered for another upstream.
        del body, call, request
        try:
            if size > COUNTED_BYTES and not trip.has_fallbacks:
                connection.hold(size + len(outgoing.body))
            connection.watch(passage.leave)
            if trip.visit is None:
                await _queue(passage, connection, trip)
            passage.degraded = trip.degraded
            passage.go("charge")
            await self._till.charge(passage, key, key_hash, resolution)
            passage.go("book")
            if connection.gone:
                raise ClientGone
            is_traced = passage.span is not None or PARENT in connection.named
            await self._relay.run(passage, self._passed_on(passage) if is_traced else {})
        finally:
            trip.leave()

    async def _render(
        self,
        passage: Passage,
        call: Call,
        caller: Caller,
        resolution: Resolution,
        rendering: Rendering,
    ) -> Outgoing:
        """Render the request for its upstream, and have the renderer of its answer made."""
        request = call.request
        exchange = Exchange(passage.request_id, caller, request.model, int(time.time()))
        upstream = self._gates[resolution.model.upstream].upstream

        def render() -> tuple[Outgoing, Renderer]:
            outgoing = upstream.prepare(request, resolution)
            return outgoing, passage.dialect.renderer(call, exchange)

        outgoing, passage.renderer = await self._aside.run(caller.holder, rendering.size, render)
        return outgoing

    async def _fail(self, passage: Passage, error: FaregateError | ClientGone) -> None:
        passage.finish()
        if isinstance(error, ClientGone):
            passage.status = _STATUS_CLIENT_GONE
            if passage.phase == "dispatched":
                self._till.end(passage)
            else:
                await self._till.refund(passage)
            return
        await self._till.refund(passage)
        connection, family = passage.connection, passage.dialect.family
        passage.status = status_for(error, family)
        if not connection.started:
            if passage.booking == "none":
                await self._pause(passage, error)
            body = error_body(error, family, passage.request_id)
            lines = [b"%b: %b\r\n" % header for header in error_headers(error, family)]
            await connection.answer(
                passage.status, b"".join([JSON, passage.headers(), *lines]), body
            )
            return
        if passage.renderer is not None:
            await connection.send_all(passage.renderer.fail(error))
        await connection.finish()

    async def _pause(self, passage: Passage, error: FaregateError) -> None:
        """What a client is refused for may take a moment, where it is refused often."""
        if error.origin == "client":
            seconds = self.brake.pause(passage.labels.account, time.monotonic())
            if seconds:
                await asyncio.sleep(seconds)

    def _close(self, passage: Passage) -> None:
        passage.finish()
        passage.connection.close()
        if passage.phase != "arriving" and passage.key is not None:
            passage.key.leave()
        del self._open[passage.request_id]
        labels, metrics = passage.labels, self._metrics
        metrics.answered(labels, passage.dialect.name, passage.status).value += 1
        if labels.model:
            passage.series.duration.add(passage.elapsed())
        if passage.degraded and passage.phase == "dispatched":
            for feature in {feature_of(name) for name in passage.degraded}:
                metrics.degraded(labels.model, feature)
        if self._witness is not None:
            self._witness.end(passage.span, passage.status, passage.told)

    def _passed_on(self, passage: Passage) -> dict[str, str]:
        """The headers by which the upstream goes on with the client's trace, or with ours."""
        if passage.span is not None and self._witness is not None:
            return self._witness.carried(passage.span)
        return passed_on(passage.connection.headers)


async def _queue(passage: Passage, connection: Connection, trip: Trip) -> None:
    """Wait for a place at an upstream; nothing is charged yet, and the client may leave."""
    if connection.gone:
        raise ClientGone
    passage.go("queue")
    await trip.enter()


def _betas_of(headers: Headers) -> tuple[str, ...]:
    """What a client of Messages wants tried out."""
    return tuple(value.decode("latin-1") for name, value in headers if name == b"anthropic-beta")
