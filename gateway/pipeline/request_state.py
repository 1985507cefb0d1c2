"""One charged request on its way through: what is known of it so far, and where it stands.

    arriving ─ admit ─▶ admitted ── queue ──▶ queued
                           └─ charge ─┐         │
                                      ▼         │
                                   charging ◀───┘ charge
                                      │ book
                                      ▼
                     ┌─ wait ──▶ waiting ── dispatch ──▶ dispatched ─┐
                     └─────────────▲──────────── wait ───────────────┘

    booking:  none ─ charge ─▶ charged ─┬─ end ─────▶ ended
                                        └─ refund ──▶ refunding ─ confirm ─▶ refunded

The client may leave while it is queued, waiting or dispatched: only a request that an upstream may
have seen is paid for then. A refund that is never confirmed is made by the lease. `finish` ends the
way in any phase, and the phase stays to be read. Plain state: `flow` decides, `billing` books.
"""

import asyncio
import re
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from gateway.core.errors import FaregateError
from gateway.core.events import Usage
from gateway.core.request_ids import new_request_id
from gateway.dialects.base import Dialect, Renderer
from gateway.pipeline.connection import ClientGone, Connection
from gateway.pipeline.key_cache import CachedKey
from gateway.pipeline.meter import Meter
from gateway.pipeline.pacer import Pacer
from gateway.telemetry.metrics import RequestLabels
from gateway.telemetry.series import RequestSeries
from gateway.upstream.failover import Failover

if TYPE_CHECKING:  # loaded only where there is a collector
    from opentelemetry.sdk.trace import Span

_DEGRADED_SHOWN_MAX = 50
_DEGRADED_CHARACTERS_MAX = 3000
_UNPRINTABLE = re.compile(r"[^ -~]")
_NOBODY = RequestLabels()

Phase = Literal["arriving", "admitted", "queued", "charging", "waiting", "dispatched"]
Step = Literal["admit", "queue", "charge", "book", "dispatch", "wait"]
Booking = Literal["none", "charged", "ended", "refunding", "refunded"]
BookingStep = Literal["charge", "end", "refund", "confirm"]

PHASES: Mapping[tuple[Phase, Step], Phase] = MappingProxyType(
    {
        ("arriving", "admit"): "admitted",
        ("admitted", "queue"): "queued",
        ("admitted", "charge"): "charging",
        ("queued", "charge"): "charging",
        ("charging", "book"): "waiting",
        ("waiting", "dispatch"): "dispatched",
        ("waiting", "wait"): "waiting",
        ("dispatched", "wait"): "waiting",
    }
)
BOOKINGS: Mapping[tuple[Booking, BookingStep], Booking] = MappingProxyType(
    {
        ("none", "charge"): "charged",
        ("charged", "end"): "ended",
        ("charged", "refund"): "refunding",
        ("refunding", "confirm"): "refunded",
    }
)


class IllegalStep(RuntimeError):
    """A step that does not lead anywhere from where the request stands: a bug."""


class RequestState:
    """The state of one request; `flow`, `relay` and `billing` write it."""

    __slots__ = (
        "_began",
        "_task",
        "asked_upstream",
        "attempt",
        "balance",
        "booking",
        "connection",
        "covered",
        "credits",
        "cut_by",
        "degraded",
        "dialect",
        "failover",
        "first_byte_seconds",
        "key",
        "labels",
        "limit_left",
        "meter",
        "pacer",
        "phase",
        "renderer",
        "request_id",
        "series",
        "span",
        "status",
        "tags",
        "unknown_reason",
        "upstream",
        "usage",
    )  # fmt: skip

    def __init__(self, dialect: Dialect, connection: Connection) -> None:
        self.request_id = new_request_id()
        self.dialect = dialect
        self.connection = connection
        self.phase: Phase = "arriving"
        self.booking: Booking = "none"
        self.status = 200
        self.labels = _NOBODY
        #: its series, once its model is known
        self.series: RequestSeries
        self.key: CachedKey | None = None
        #: its tags, as they are kept
        self.tags: str | None = None
        #: measures what it uses, where its model has token prices
        self.meter: Meter | None = None
        #: credits taken and not given back
        self.credits = 0
        #: of a retry, the credits of its price that an earlier charge has paid
        self.covered = 0
        #: done at its end, where it has a name by which a retry may come
        self.attempt: asyncio.Future[None] | None = None
        #: its way to an upstream, and the writer of its answer, once it is rendered
        self.failover: Failover
        self.renderer: Renderer | None = None
        #: the upstream that was asked last
        self.asked_upstream: str | None = None
        #: the upstream that answers, for the client where it may be one of several
        self.upstream: str | None = None
        #: the account's balance after the last booking, None before one was tried
        self.balance: int | None = None
        #: of a key with limits in credits, what the least of them left then
        self.limit_left: int | None = None
        self.degraded: tuple[str, ...] = ()
        self.usage: Usage | None = None
        #: its upstream's word for why the answer ended, where nobody knows it
        self.unknown_reason: str | None = None
        #: seconds from the request's head to the first byte of content
        self.first_byte_seconds: float | None = None
        #: its span, where there is a collector
        self.span: Span | None = None
        self.pacer: Pacer | None = None
        #: why it was cut short from outside, if it was
        self.cut_by: FaregateError | ClientGone | None = None
        self._began = time.monotonic()
        #: the task that a cut cancels; None once nothing can cut it any more
        self._task: asyncio.Task[None] | None = connection.task

    def go(self, step: Step) -> None:
        """Take a step of its way. Raises `IllegalStep`."""
        if self._task is None or (self.phase, step) not in PHASES:
            raise IllegalStep(f"a request that is {self._stands()} cannot {step}")
        self.phase = PHASES[self.phase, step]

    def book(self, step: BookingStep) -> None:
        """Take a step of its booking. Raises `IllegalStep`."""
        if (self.booking, step) not in BOOKINGS:
            raise IllegalStep(f"the booking of a request that is {self.booking} cannot {step}")
        self.booking = BOOKINGS[self.booking, step]

    def finish(self) -> None:
        """From here on nothing cuts it, and it goes nowhere."""
        self._task = None
        if self.pacer is not None:
            self.pacer.stop()

    def _stands(self) -> str:
        return self.phase if self._task is not None else f"{self.phase} and finished"

    def elapsed(self) -> float:
        """Seconds since the request's head was read."""
        return time.monotonic() - self._began

    def fields(self) -> dict[str, object]:
        """The fields that may be logged about it, by name; what is not known yet is None."""
        return {
            "request_id": self.request_id,
            "key_id": None if self.key is None else self.key.live.key_id,
            "key": self.labels.key,
            "account": self.labels.account,
            "model": self.labels.model,
            "route": self.dialect.name,
            "upstream": self.asked_upstream,
            "status": self.status,
            "credits": self.credits,
            "input_tokens": None if self.usage is None else self.usage.input,
            "output_tokens": None if self.usage is None else self.usage.output,
            "duration_seconds": round(self.elapsed(), 6),
            "first_byte_seconds": self.first_byte_seconds,
        }

    def leave(self) -> None:
        """Its client has left: nobody waits, except while it is charged."""
        if self.phase in ("queued", "waiting", "dispatched"):
            self.cut(ClientGone())

    def cut(self, reason: FaregateError | ClientGone) -> None:
        """End it from outside; the first reason counts."""
        if self.cut_by is not None or self._task is None:
            return
        self.cut_by = reason
        self._task.cancel()

    def resume(self) -> None:
        """The cancellation of `cut` was caught; the task goes on to answer."""
        if self._task is not None:
            self._task.uncancel()

    def headers(self) -> bytes:
        """The lines of headers that every answer has, of the request and its credits."""
        request_id = self.request_id.encode()
        lines = b"x-request-id: %b\r\nx-credits-charged: %d\r\n" % (request_id, self.credits)
        if self.dialect.name == "messages":  # the name that Anthropic's clients read
            lines += b"request-id: %b\r\n" % request_id
        if self.balance is not None:
            lines += b"x-credits-remaining: %d\r\n" % self.balance
        if self.limit_left is not None:
            lines += b"x-credits-limit-remaining: %d\r\n" % self.limit_left
        if self.upstream is not None:
            lines += b"x-faregate-upstream: %b\r\n" % self.upstream.encode()
        if self.degraded:
            lines += b"x-faregate-degraded: %b\r\n" % _named(self.degraded)
        return lines


def _named(degraded: tuple[str, ...]) -> bytes:
    """The names of the dropped features, as a header can hold them: printable, and bounded."""
    names = degraded[:_DEGRADED_SHOWN_MAX]
    shown = ", ".join(name[:_DEGRADED_CHARACTERS_MAX] for name in names)
    if len(degraded) > _DEGRADED_SHOWN_MAX:
        shown += f", and {len(degraded) - _DEGRADED_SHOWN_MAX} more"
    return _UNPRINTABLE.sub("?", shown)[:_DEGRADED_CHARACTERS_MAX].encode()
