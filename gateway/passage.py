"""One charged request on its way through: what is known of it so far. Plain state, no rules."""

import asyncio
import random
import re
import secrets
import time
from typing import TYPE_CHECKING

from gateway.connection import ClientGone, Headers, Pacer
from gateway.core.catalog import Resolution
from gateway.core.events import Usage
from gateway.errors import FaregateError
from gateway.keyring import Key
from gateway.telemetry.metrics import Metrics, RequestLabels
from gateway.telemetry.series import RequestSeries
from gateway.wire.base import Renderer

if TYPE_CHECKING:  # loaded only where a collector is told
    from opentelemetry.sdk.trace import Span

_RANDOM_BITS = 80
_DEGRADED_SHOWN_MAX = 50
_DEGRADED_CHARACTERS_MAX = 3000
_UNPRINTABLE = re.compile(r"[^ -~]")
_NOBODY = RequestLabels()
#: seeded by the system once; ids must differ, nobody's secret hangs on them
_random = random.Random(secrets.token_bytes(32))  # noqa: S311


def new_request_id() -> str:
    """The id of a request and of its charge.

    Sortable by time, so that the ledger's index grows at its end.
    """
    return f"req_{time.time_ns() // 1_000_000:012x}{_random.getrandbits(_RANDOM_BITS):020x}"


class Passage:
    """The state of one request; its flow and its till write it."""

    __slots__ = (
        "_began",
        "_task",
        "asked",
        "balance",
        "charged",
        "cut_by",
        "degraded",
        "dispatched",
        "entered",
        "finished",
        "first_byte_seconds",
        "is_waiting",
        "key",
        "labels",
        "pacer",
        "refunded",
        "renderer",
        "request_id",
        "route",
        "series",
        "settled",
        "span",
        "status",
        "upstream",
        "usage",
    )  # fmt: skip

    def __init__(self, route: str) -> None:
        self.request_id = new_request_id()
        self.route = route
        self.status = 200
        self.labels = _NOBODY
        #: what it counts, once its model is known
        self.series: RequestSeries
        self.key: Key | None = None
        #: whether the key counts it among its concurrent requests
        self.entered = False
        #: credits taken, None before the charge
        self.charged: int | None = None
        self.refunded = False
        #: whether end or refund was chosen; it is chosen once
        self.settled = False
        #: whether the upstream may have seen it
        self.dispatched = False
        #: whether it waits for a place at an upstream or for a connection to it
        self.is_waiting = False
        #: the upstream that was asked last
        self.asked: str | None = None
        #: who answers, told to the client where it may be one of several
        self.upstream: str | None = None
        #: the account's balance after the last booking, None before one was tried
        self.balance: int | None = None
        self.degraded: tuple[str, ...] = ()
        self.usage: Usage | None = None
        #: seconds from the request's head to the first byte of content
        self.first_byte_seconds: float | None = None
        #: its span, where a collector is told
        self.span: Span | None = None
        self.renderer: Renderer | None = None
        self.pacer: Pacer | None = None
        #: why it was cut short from outside, if it was
        self.cut_by: FaregateError | ClientGone | None = None
        #: nothing can cut it any more
        self.finished = False
        self._began = time.monotonic()
        self._task = asyncio.current_task()

    def elapsed(self) -> float:
        """Seconds since the request's head was read."""
        return time.monotonic() - self._began

    def identify(self, key: Key) -> None:
        self.key = key
        self.labels = RequestLabels(key.live.name, key.live.account)

    def resolve(self, resolution: Resolution, metrics: Metrics) -> None:
        self.labels = RequestLabels(self.labels.key, self.labels.account, resolution.model.id)
        self.series = metrics.series(self.labels, self.route)

    @property
    def may_be_left(self) -> bool:
        """Whether its client may leave at once; not while it is charged."""
        return self.is_waiting or self.dispatched

    def wait(self) -> None:
        """No upstream has it, or none that will answer."""
        self.is_waiting, self.dispatched = True, False

    def dispatch(self) -> None:
        """From here on the upstream may see it."""
        self.is_waiting, self.dispatched = False, True

    def told(self) -> dict[str, object]:
        """What may be written about it, by name; what is not known yet is None."""
        taken = 0 if self.refunded or self.charged is None else self.charged
        return {
            "request_id": self.request_id,
            "key_id": None if self.key is None else self.key.live.key_id,
            "key": self.labels.key,
            "account": self.labels.account,
            "model": self.labels.model,
            "route": self.route,
            "upstream": self.asked,
            "status": self.status,
            "credits": taken,
            "input_tokens": None if self.usage is None else self.usage.input,
            "output_tokens": None if self.usage is None else self.usage.output,
            "duration_seconds": round(self.elapsed(), 6),
            "first_byte_seconds": self.first_byte_seconds,
        }

    def cut(self, reason: FaregateError | ClientGone) -> None:
        """End it from outside; the first reason counts."""
        if self.finished or self.cut_by is not None or self._task is None:
            return
        self.cut_by = reason
        self._task.cancel()

    def take_over(self) -> None:
        """The cancellation of `cut` was caught; the task goes on to answer."""
        if self._task is not None:
            self._task.uncancel()

    def headers(self) -> Headers:
        """What every answer says of the request and its credits."""
        request_id = self.request_id.encode()
        taken = 0 if self.refunded or self.charged is None else self.charged
        headers = [
            (b"x-request-id", request_id),
            (b"x-credits-charged", b"%d" % taken),
        ]
        if self.route == "messages":  # the name that Anthropic's clients read
            headers.append((b"request-id", request_id))
        if self.balance is not None:
            headers.append((b"x-credits-remaining", b"%d" % self.balance))
        if self.upstream is not None:
            headers.append((b"x-faregate-upstream", self.upstream.encode()))
        if self.degraded:
            headers.append((b"x-faregate-degraded", _named(self.degraded)))
        return headers


def _named(degraded: tuple[str, ...]) -> bytes:
    """What was dropped, as a header may say it: printable, and not longer than clients read."""
    names = degraded[:_DEGRADED_SHOWN_MAX]
    shown = ", ".join(name[:_DEGRADED_CHARACTERS_MAX] for name in names)
    if len(degraded) > _DEGRADED_SHOWN_MAX:
        shown += f", and {len(degraded) - _DEGRADED_SHOWN_MAX} more"
    return _UNPRINTABLE.sub("?", shown)[:_DEGRADED_CHARACTERS_MAX].encode()
