"""Prometheus metrics of one replica. Labels only ever hold names from known sets.

`key` is an ApiKey's `namespace/name`, `account` is `namespace/account`, `model` a public model's
id, `route` a dialect's name, `code` an HTTP status. A request adds to plain numbers; a scrape pays
for their form.
"""

from collections.abc import Callable, Collection, Iterable
from functools import lru_cache, partial
from time import time
from typing import Literal, get_args

from msgspec import Struct
from prometheus_client import Metric, ProcessCollector
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from gateway import __version__
from gateway.telemetry.instruments import OTHER, HistogramFamily, SeriesLimit, Value, ValueFamily
from gateway.telemetry.metric_families import COUNTERS, GAUGES, HISTOGRAMS
from gateway.telemetry.series import RequestSeries, UpstreamSeries

#: stands for a key, account or model that is not known
NONE = ""
SERIES_MAX = 20_000
WebhookResult = Literal["delivered", "failed", "given_up"]


class RequestLabels(Struct, frozen=True):
    """The key, account and model of a request."""

    key: str = NONE
    account: str = NONE
    model: str = NONE


class Metrics(Collector):
    """All metrics. A metric without labels of requests is there from the start, at 0."""

    def __init__(self, series_max: int = SERIES_MAX) -> None:
        self._limit = series_limit = SeriesLimit(series_max)
        #: the names of the keys that there are; what others count is `other`'s
        self._keys: set[str] = set()
        #: seconds since the last good poll of the keys
        self.key_poll_age: Callable[[], float] = lambda: 0.0
        #: connections of clients that are open
        self.client_connections: Callable[[], int] = lambda: 0
        self._counters = {
            name: ValueFamily(series_limit, "counter", f"faregate_{name}", *of)
            for name, of in COUNTERS.items()
        }
        self._gauges = {
            name: ValueFamily(series_limit, "gauge", f"faregate_{name}", *of)
            for name, of in GAUGES.items()
        }
        self._timings = {
            name: HistogramFamily(series_limit, f"faregate_{name}_seconds", *of)
            for name, of in HISTOGRAMS.items()
        }
        self._requests = self._counters["requests"]
        self.charged = self._timings["charge_duration"].of().add
        self.revoked = self._timings["revocation_propagation"].of("known").add
        self.database_failed = self._counters["database_errors"].of().add
        for result in get_args(WebhookResult):
            self._counters["webhook_messages"].of(result)
        self._usage_counted = self._gauges["usage_counted_timestamp_seconds"].of()
        self.loop_delayed = self._gauges["event_loop_delay_seconds"].of().set
        self._gauges["build_info"].of(__version__).set(1)
        self._process = ProcessCollector(registry=None)
        self.series = lru_cache(maxsize=SERIES_MAX)(self._series)
        #: requests that ended with a status (499 when the client left)
        self.answered = lru_cache(maxsize=SERIES_MAX)(self._answered)
        self.upstream = lru_cache(maxsize=None)(self._of_upstream)

    def know(self, keys: Iterable[str]) -> None:
        """These API keys are there; a key's series are made when it is first used."""
        known = len(self._keys)
        self._keys.update(keys)
        if len(self._keys) != known:  # one that comes back was counted as another's meanwhile
            self._forget_owners()

    def forget(self, keys: Collection[str]) -> None:
        """These API keys are gone, and their series with them."""
        self._keys.difference_update(keys)
        for counter in self._counters.values():
            counter.forget(keys)
        self._forget_owners()

    def _forget_owners(self) -> None:
        self.series.cache_clear()
        self.answered.cache_clear()

    def booked(
        self, labels: RequestLabels, kind: Literal["charge", "refund"], credits: int
    ) -> None:
        """Credits of a request that is none of this replica's any more."""
        self._counters["credits"].of(*self._owner(labels), labels.model, kind).add(credits)

    def metered(self, labels: RequestLabels, unused: int, uncollected: int) -> None:
        """Count by how much a charge was above its price, or the price above it."""
        for kind, credits in (("refund_unused", unused), ("uncollected", uncollected)):
            if credits:
                self._counters["credits"].of(*self._owner(labels), labels.model, kind).add(credits)

    def degraded(self, model: str, feature: str) -> None:
        """A feature of a request was dropped."""
        self._counters["degraded_requests"].of(model, feature).add(1)

    def usage_counted(self) -> None:
        """All usage that there was is counted."""
        self._usage_counted.set(time())

    def sent_to_webhook(self, result: WebhookResult) -> None:
        """A message was sent to the web hook."""
        self._counters["webhook_messages"].of(result).add(1)

    def ended_unknown(self, model: str) -> None:
        """An answer ended for a reason that nobody knows."""
        self._counters["unknown_finish_reasons"].of(model).add(1)

    def cut(self, reason: str) -> None:
        """A connection of a client was cut, or not taken."""
        self._counters["cut_connections"].of(reason).add(1)

    def may_cut(self, reasons: Iterable[str]) -> None:
        """Show these reasons from the start: the first cut is seen by what it rises from."""
        for reason in reasons:
            self._counters["cut_connections"].of(reason)

    def collect(self) -> Iterable[Metric]:
        """All metrics as they are now; from any thread."""
        self._gauges["key_poll_age_seconds"].of().set(self.key_poll_age())
        self._gauges["client_connections"].of().set(self.client_connections())
        self._gauges["series"].of().set(self._limit.taken)
        self._counters["folded"].of().set(self._limit.folded)
        for families in (self._counters, self._gauges, self._timings):
            for labelled in families.values():
                yield labelled.metric()
        yield from self._process.collect()

    def exposition(self) -> bytes:
        """The text that Prometheus scrapes."""
        return generate_latest(self)

    def _owner(self, labels: RequestLabels) -> tuple[str, str]:
        """Key and account; a request that outlives its key must not bring its series back."""
        if labels.key in self._keys or not labels.key:
            return labels.key, labels.account
        return OTHER, OTHER

    def _answered(self, labels: RequestLabels, route: str, status: int) -> Value:
        return self._requests.of(*self._owner(labels), labels.model, route, str(status))

    def _series(self, labels: RequestLabels, route: str) -> RequestSeries:
        """The series of one key, account, model and route; made once, then cached."""
        names = (*self._owner(labels), labels.model)
        at = (labels.model, route)
        credits, tokens = self._counters["credits"], self._counters["tokens"]
        return RequestSeries(
            charge=credits.of(*names, "charge"),
            refund=credits.of(*names, "refund"),
            first_byte=self._timings["time_to_first_byte"].of(*at),
            duration=self._timings["request_duration"].of(*at),
            in_flight=self._gauges["in_flight_requests"].of(*at),
            input=tokens.of(*names, "input"),
            cached=tokens.of(*names, "cached"),
            cache_write=tokens.of(*names, "cache_write"),
            output=tokens.of(*names, "output"),
            reasoning=tokens.of(*names, "reasoning"),
        )

    def _of_upstream(self, upstream: str) -> UpstreamSeries:
        """The series of one upstream; asked for at the start, so that they are there at 0."""
        requests, errors = self._counters["upstream_requests"], self._counters["upstream_errors"]
        return UpstreamSeries(
            in_flight=self._gauges["upstream_in_flight_requests"].of(upstream),
            waiting=self._gauges["upstream_waiting_requests"].of(upstream),
            circuit_open=self._gauges["upstream_circuit_open"].of(upstream),
            first_byte=self._timings["upstream_time_to_first_byte"].of(upstream).add,
            fell_back=self._counters["upstream_fallbacks"].of(upstream),
            answered=lru_cache(maxsize=None)(partial(requests.of, upstream)),
            failed=partial(errors.of, upstream),
        )
