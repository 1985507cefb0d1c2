"""Prometheus metrics of one replica. Labels only ever hold names from known sets.

`key` is an ApiKey's `namespace/name`, `account` is `namespace/account`, `model` a public model's
id, `route` a dialect's name, `code` an HTTP status. Children are cached: a request pays for a
dictionary look-up, not for label handling.
"""

from collections.abc import Callable
from functools import lru_cache

from msgspec import Struct
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
)
from prometheus_client.exposition import generate_latest

from gateway.core.events import Usage

#: stands for a key, account or model that is not known
NONE = ""

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)


class RequestLabels(Struct, frozen=True):
    """Who asked for what."""

    key: str = NONE
    account: str = NONE
    model: str = NONE


class Metrics:
    """All metrics, in a registry of their own."""

    def __init__(self) -> None:
        # A second series for each, which nobody reads; the library gives its function no types.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        of_request = ("key", "account", "model")
        self._requests = Counter(
            "tollgate_requests",
            "Requests answered, by HTTP status.",
            (*of_request, "route", "code"),
            registry=self._registry,
        )
        self._duration = Histogram(
            "tollgate_request_duration_seconds",
            "Time from a request's head to its answer's last byte.",
            ("model", "route"),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._first_byte = Histogram(
            "tollgate_time_to_first_byte_seconds",
            "Time from a request's head to the upstream's first byte.",
            ("model", "route"),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._tokens = Counter(
            "tollgate_tokens",
            "Tokens the upstream reported, by direction: input, cached, output or reasoning.",
            (*of_request, "direction"),
            registry=self._registry,
        )
        self._credits = Counter(
            "tollgate_credits",
            "Credits taken (charge) and given back (refund).",
            (*of_request, "kind"),
            registry=self._registry,
        )
        self._in_flight = Gauge(
            "tollgate_in_flight_requests",
            "Requests charged and not ended.",
            ("model", "route"),
            registry=self._registry,
        )
        self._upstream = Counter(
            "tollgate_upstream_requests",
            "Requests sent to an upstream, by HTTP status or by the kind of failure.",
            ("upstream", "code"),
            registry=self._registry,
        )
        cache = lru_cache(maxsize=20_000)
        self.series = cache(self._series)
        self._request_child = cache(self._requests.labels)
        self._upstream_child = cache(self._upstream.labels)

    def _series(self, labels: RequestLabels, route: str) -> "Series":
        """The children of one key, account, model and route; made once, then cached."""
        names = (labels.key, labels.account, labels.model)
        return Series(
            charge=self._credits.labels(*names, "charge").inc,
            refund=self._credits.labels(*names, "refund").inc,
            first_byte=self._first_byte.labels(labels.model, route).observe,
            duration=self._duration.labels(labels.model, route).observe,
            in_flight=self._in_flight.labels(labels.model, route).inc,
            input=self._tokens.labels(*names, "input").inc,
            cached=self._tokens.labels(*names, "cached").inc,
            output=self._tokens.labels(*names, "output").inc,
            reasoning=self._tokens.labels(*names, "reasoning").inc,
        )

    def answered(self, labels: RequestLabels, route: str, code: str) -> None:
        """A request ended with this status (`499` when the client left)."""
        self._request_child(labels.key, labels.account, labels.model, route, code).inc()

    def sent_upstream(self, upstream: str, code: str) -> None:
        """Count a request to an upstream: `200`, or the code of the error it ended with."""
        self._upstream_child(upstream, code).inc()

    def exposition(self) -> bytes:
        """The text that Prometheus scrapes."""
        return generate_latest(self._registry)


class Series(Struct, frozen=True):
    """What a charged request counts, ready to be called. Seconds, credits and tokens."""

    charge: Callable[[float], None]
    refund: Callable[[float], None]
    first_byte: Callable[[float], None]
    duration: Callable[[float], None]
    in_flight: Callable[[float], None]
    input: Callable[[float], None]
    cached: Callable[[float], None]
    output: Callable[[float], None]
    reasoning: Callable[[float], None]

    def used(self, usage: Usage) -> None:
        """Count the tokens of one answer."""
        self.input(usage.input)
        self.output(usage.output)
        if usage.cached:
            self.cached(usage.cached)
        if usage.reasoning:
            self.reasoning(usage.reasoning)
