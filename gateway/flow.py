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

from gateway.aside import Aside
from gateway.connection import (
    ClientGone,
    Connection,
    Headers,
    Receive,
    Scope,
    Send,
)
from gateway.core.catalog import Catalog
from gateway.core.degraded import feature_of
from gateway.core.limits import Brake
from gateway.core.pseudonyms import Pseudonyms
from gateway.core.shares import Shares
from gateway.core.spec import FleetLimits
from gateway.documents.reader import DocumentReader
from gateway.errors import Draining, FaregateError, InternalError
from gateway.keyring import Key, Keyring
from gateway.passage import Passage
from gateway.relay import JSON, Relay
from gateway.telemetry.context import passed_on
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.witness import Witness
from gateway.till import Till
from gateway.upstream.gate import Gate
from gateway.upstream.trip import Rendering, Trip
from gateway.wire.base import Call, Dialect, Exchange, Renderer
from gateway.wire.errors import error_body, error_headers, status_for
from gateway.wire.values import COUNTED_BYTES, made_bytes

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

    async def serve(self, dialect: Dialect, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; whatever happens, it is answered in its dialect and booked once."""
        connection = Connection(scope, receive, send, self._memory)
        passage = Passage(dialect.name)
        self._open[passage.request_id] = passage
        if self._witness is not None:
            passage.span = self._witness.begin(connection.headers)
        try:
            await self._pass(passage, dialect, connection)
        except (FaregateError, ClientGone) as error:
            await self._fail(passage, dialect, connection, error)
        except asyncio.CancelledError:
            if passage.cut_by is None:  # the server itself gives up; nobody can be told any more
                await self._till.refund(passage)
                raise
            passage.take_over()
            await self._fail(passage, dialect, connection, passage.cut_by)
        except Exception:  # noqa: BLE001  # the edge: a bug is answered and refunded too
            _log.exception("request %s met a bug", passage.request_id)
            bug = InternalError(f"internal error (request {passage.request_id})")
            await self._fail(passage, dialect, connection, bug)
        finally:
            self._close(passage, connection)

    async def _pass(self, passage: Passage, dialect: Dialect, connection: Connection) -> None:
        key, key_hash = await self._keyring.authenticate(connection.headers)
        passage.identify(key)
        key.enter()
        passage.entered = True
        limits = self._limits
        holder = key.caller.holder
        body = await connection.read_body(holder, limits)
        size = len(body)
        if size > COUNTED_BYTES:
            connection.hold(await self._aside.run(holder, size, partial(made_bytes, body)))
        call = await dialect.parse(body, key.caller)
        self._pseudonyms.hide(call.request, key.caller.account)
        if call.request.native is not None:
            call.request.native.betas = _betas_of(connection.headers)
        resolution = self._catalog.resolve(call.request)
        passage.resolve(resolution, self._metrics)
        key.allow_model(resolution.model.id)
        await self._documents.fill(call.request, holder)
        request, rendering = call.request, Rendering(self._aside, holder, size + call.inherited)
        upstream = self._gates[resolution.model.upstream].upstream
        outgoing = await rendering.render(upstream, request, resolution)
        renderer = await self._renderer(passage, dialect, call, key, rendering)
        trip = Trip(
            self._gates,
            request,
            resolution,
            rendering,
            outgoing,
            limits.upstream_silence_seconds,
        )
        # What was read is only needed by who may still render it for another upstream.
        del body, call, request
        try:
            if size > COUNTED_BYTES and not trip.has_fallbacks:
                connection.hold(size + len(outgoing.body))
            connection.watch(lambda: passage.cut(ClientGone()) if passage.may_be_left else None)
            if not trip.has_place:
                await _queue(passage, connection, trip)
            passage.degraded = trip.degraded
            await self._till.charge(passage, key, key_hash, resolution, connection.headers)
            if connection.gone:
                raise ClientGone
            relay = Relay(
                passage,
                connection,
                trip,
                renderer,
                till=self._till,
                limits=limits,
                headers=_passed_on(self._witness, passage, connection),
            )
            await relay.run()
        finally:
            trip.leave()

    async def _renderer(
        self, passage: Passage, dialect: Dialect, call: Call, key: Key, rendering: Rendering
    ) -> Renderer:
        exchange = Exchange(
            request_id=passage.request_id,
            caller=key.caller,
            model=call.request.model,
            created=int(time.time()),
        )
        make = partial(dialect.renderer, call, exchange)
        passage.renderer = await self._aside.run(rendering.holder, rendering.size, make)
        return passage.renderer

    async def _fail(
        self,
        passage: Passage,
        dialect: Dialect,
        connection: Connection,
        error: FaregateError | ClientGone,
    ) -> None:
        passage.finished = True  # from here on nothing cuts it
        if passage.pacer is not None:
            passage.pacer.stop()
        if isinstance(error, ClientGone):
            passage.status = _STATUS_CLIENT_GONE
            if passage.dispatched:
                self._till.end(passage)
            else:
                await self._till.refund(passage)
            return
        await self._till.refund(passage)
        passage.status = status_for(error, dialect.family)
        if not connection.started:
            if passage.charged is None:
                await self._pause(passage, error)
            await answer_error(connection, dialect, error, passage)
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

    def _close(self, passage: Passage, connection: Connection) -> None:
        passage.finished = True
        connection.unwatch()
        connection.release_body()
        if passage.pacer is not None:
            passage.pacer.stop()
        if passage.entered and passage.key is not None:
            passage.key.concurrency.leave()
        del self._open[passage.request_id]
        self._metrics.answered(passage.labels, passage.route, str(passage.status))
        if passage.labels.model:
            passage.series.duration(passage.elapsed())
        if passage.dispatched:
            for feature in {feature_of(name) for name in passage.degraded}:
                self._metrics.degraded(passage.labels.model, feature)
        if self._witness is not None:
            self._witness.end(passage.span, passage.status, passage.told)


async def answer_error(
    connection: Connection, dialect: Dialect, error: FaregateError, passage: Passage
) -> None:
    """A whole error answer, in the dialect's envelope."""
    body = error_body(error, dialect.family, passage.request_id)
    headers = [
        JSON,
        (b"content-length", b"%d" % len(body)),
        *passage.headers(),
        *error_headers(error, dialect.family),
    ]
    await connection.start(passage.status, headers)
    await connection.finish(body)


async def _queue(passage: Passage, connection: Connection, trip: Trip) -> None:
    """Wait for a place at an upstream; nothing is charged yet, and the client may leave."""
    if connection.gone:
        raise ClientGone
    passage.wait()
    await trip.enter()
    passage.is_waiting = False  # now it is charged


def _betas_of(headers: Headers) -> tuple[str, ...]:
    """What a client of Messages wants tried out."""
    return tuple(value.decode("latin-1") for name, value in headers if name == b"anthropic-beta")


def _passed_on(witness: Witness | None, passage: Passage, connection: Connection) -> dict[str, str]:
    """The headers by which the upstream goes on with the client's trace, or with ours."""
    if passage.span is not None and witness is not None:
        return witness.carried(passage.span)
    return passed_on(connection.headers)
