"""The cost of counting: the very calls that a request makes, and a scrape of many series.

Taken in this process, apart from any request: a gateway cannot be run without its metrics. The
share is of what a request costs the gateway in the same run.
"""

import time
from collections.abc import Callable

from gateway.core.events import Usage
from gateway.telemetry.metrics import SERIES_MAX, Metrics, RequestLabels

_REQUESTS = 20_000
_ROUNDS = 5
_USAGE = Usage(100, 50, 10, 5)
#: series of one key that has asked one model by one route: 4 of tokens, 2 of credits, 1 of requests
_SERIES_A_KEY = 7


def request_us() -> float:
    """Microseconds of CPU for everything that one charged request counts; the best of some."""
    metrics = Metrics()
    labels = RequestLabels("team/key", "team/account", "model")
    metrics.know([labels.key])

    def count_one() -> None:
        series = metrics.series(RequestLabels(labels.key, labels.account, labels.model), "chat")
        upstream = metrics.upstream("main")
        metrics.charged(0.002)
        series.charge.value += 1
        series.in_flight.value += 1
        upstream.in_flight.value += 1
        upstream.answered("200").value += 1
        upstream.first_byte(0.3)
        series.first_byte.add(0.3)
        upstream.in_flight.value -= 1
        series.in_flight.value -= 1
        series.used(_USAGE)
        metrics.answered(labels, "chat", 200).value += 1
        series.duration.add(1.5)

    return min(_cpu_seconds(count_one, _REQUESTS) for _ in range(_ROUNDS)) / _REQUESTS * 1e6


def scrape_ms(series: int) -> float:
    """Milliseconds of CPU for one scrape of about so many series; the best of some."""
    metrics = Metrics()
    for number in range(series // _SERIES_A_KEY):
        labels = RequestLabels(f"team-{number % 50}/key-{number}", f"team/{number}", "model")
        metrics.know([labels.key])
        metrics.series(labels, "chat").charge.value += 1
        metrics.answered(labels, "chat", 200).value += 1
    return min(_cpu_seconds(metrics.exposition, 1) for _ in range(_ROUNDS)) * 1e3


def sentence(request_ms: float | None) -> str:
    """One line for the report; `request_ms` is what a request costs a gateway in this run."""
    counting = request_us()
    share = "" if request_ms is None else f", {counting / request_ms / 10:.1f} % of a request"
    scrapes = ", ".join(f"{scrape_ms(n):.0f} ms of {n:,} series" for n in (1_000, SERIES_MAX))
    return f"metrics: {counting:.1f} µs a request{share}, none a chunk; a scrape: {scrapes}"


def _cpu_seconds(act: Callable[[], object], times: int) -> float:
    began = time.process_time()
    for _ in range(times):
        act()
    return time.process_time() - began
