"""Prometheus metrics of one replica. Labels only ever hold names from known sets.

`key` is an ApiKey's `namespace/name`, `account` is `namespace/account`, `model` a public model's
id, `route` a dialect's name, `code` an HTTP status. A request adds to plain numbers; whoever reads
the metrics pays for their form.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache

from msgspec import Struct
from prometheus_client import Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from gateway.core.events import Usage
from gateway.telemetry.numbers import Numbers, Timings

#: stands for a key, account or model that is not known
NONE = ""


class RequestLabels(Struct, frozen=True):
    """Who asked for what."""

    key: str = NONE
    account: str = NONE
    model: str = NONE


class Metrics(Collector):
    """All metrics."""

    def __init__(self) -> None:
        of_request = ("key", "account", "model")
        self._requests = Numbers(
            "counter",
            "tollgate_requests",
            "Requests answered, by HTTP status.",
            (*of_request, "route", "code"),
        )
        self._duration = Timings(
            "tollgate_request_duration_seconds",
            "Time from a request's head to its answer's last byte.",
            ("model", "route"),
        )
        self._first_byte = Timings(
            "tollgate_time_to_first_byte_seconds",
            "Time from a request's head to the upstream's first byte.",
            ("model", "route"),
        )
        self._tokens = Numbers(
            "counter",
            "tollgate_tokens",
            "Tokens the upstream reported, by direction: input, cached, output or reasoning.",
            (*of_request, "direction"),
        )
        self._credits = Numbers(
            "counter",
            "tollgate_credits",
            "Credits taken (charge) and given back (refund).",
            (*of_request, "kind"),
        )
        self._in_flight = Numbers(
            "gauge",
            "tollgate_in_flight_requests",
            "Requests charged and not ended.",
            ("model", "route"),
        )
        self._upstream = Numbers(
            "counter",
            "tollgate_upstream_requests",
            "Requests sent to an upstream, by HTTP status or by the kind of failure.",
            ("upstream", "code"),
        )
        self.series = lru_cache(maxsize=20_000)(self._series)

    def _series(self, labels: RequestLabels, route: str) -> "Series":
        """What one key, account, model and route count; made once, then cached."""
        names = (labels.key, labels.account, labels.model)
        return Series(
            charge=self._credits.of(*names, "charge").add,
            refund=self._credits.of(*names, "refund").add,
            first_byte=self._first_byte.of(labels.model, route).add,
            duration=self._duration.of(labels.model, route).add,
            in_flight=self._in_flight.of(labels.model, route).add,
            input=self._tokens.of(*names, "input").add,
            cached=self._tokens.of(*names, "cached").add,
            output=self._tokens.of(*names, "output").add,
            reasoning=self._tokens.of(*names, "reasoning").add,
        )

    def answered(self, labels: RequestLabels, route: str, code: str) -> None:
        """A request ended with this status (`499` when the client left)."""
        self._requests.of(labels.key, labels.account, labels.model, route, code).add(1)

    def sent_upstream(self, upstream: str, code: str) -> None:
        """Count a request to an upstream: `200`, or the code of the error it ended with."""
        self._upstream.of(upstream, code).add(1)

    def collect(self) -> Iterable[Metric]:
        """All metrics as they are now."""
        for counted in (
            self._requests,
            self._duration,
            self._first_byte,
            self._tokens,
            self._credits,
            self._in_flight,
            self._upstream,
        ):
            yield counted.metric()

    def exposition(self) -> bytes:
        """The text that Prometheus scrapes."""
        return generate_latest(self)


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
