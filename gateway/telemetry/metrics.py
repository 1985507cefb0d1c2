"""Prometheus metrics of one replica. Labels only ever hold names from known sets.

`key` is an ApiKey's `namespace/name`, `account` is `namespace/account`, `model` a public model's
id, `route` a dialect's name, `code` an HTTP status. Children are cached: a request pays for a
dictionary look-up, not for label handling.
"""

from functools import lru_cache
from typing import Literal

from msgspec import Struct
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
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
        self._request_child = cache(self._requests.labels)
        self._duration_child = cache(self._duration.labels)
        self._first_byte_child = cache(self._first_byte.labels)
        self._tokens_child = cache(self._tokens.labels)
        self._credits_child = cache(self._credits.labels)
        self._in_flight_child = cache(self._in_flight.labels)
        self._upstream_child = cache(self._upstream.labels)

    def answered(self, labels: RequestLabels, route: str, code: str, seconds: float) -> None:
        """A request ended with this status (`499` when the client left)."""
        self._request_child(labels.key, labels.account, labels.model, route, code).inc()
        if labels.model:
            self._duration_child(labels.model, route).observe(seconds)

    def first_byte(self, model: str, route: str, seconds: float) -> None:
        self._first_byte_child(model, route).observe(seconds)

    def used(self, labels: RequestLabels, usage: Usage) -> None:
        """Count the tokens of one answer."""
        names = (labels.key, labels.account, labels.model)
        self._tokens_child(*names, "input").inc(usage.input)
        self._tokens_child(*names, "output").inc(usage.output)
        if usage.cached:
            self._tokens_child(*names, "cached").inc(usage.cached)
        if usage.reasoning:
            self._tokens_child(*names, "reasoning").inc(usage.reasoning)

    def booked(
        self, labels: RequestLabels, kind: Literal["charge", "refund"], credits: int
    ) -> None:
        """Count credits that were booked."""
        self._credits_child(labels.key, labels.account, labels.model, kind).inc(credits)

    def in_flight(self, model: str, route: str, change: Literal[1, -1]) -> None:
        self._in_flight_child(model, route).inc(change)

    def sent_upstream(self, upstream: str, code: str) -> None:
        """Count a request to an upstream: `200`, or the code of the error it ended with."""
        self._upstream_child(upstream, code).inc()

    def exposition(self) -> bytes:
        """The text that Prometheus scrapes."""
        return generate_latest(self._registry)
