"""The instruments of metrics: values and histograms, by the values of their labels.

The client library's own counters lock and check with every addition. Here one event loop adds, and
a number is a number; the library only writes the exposition.
"""

from bisect import bisect_left
from collections.abc import Callable, Collection
from itertools import accumulate
from typing import Generic, Literal, TypeVar

from prometheus_client import Metric

from gateway.core.shares import Holder, Shares

#: takes the place of a key, account or model for which there is no room
OTHER = "other"
#: the labels that grow with an installation; all others have a few values that are written in code
_GROWING = frozenset(("key", "account", "model"))
#: bounds in seconds: of requests, of what a database does, and of what should take a second at most
OF_REQUESTS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
OF_CHARGES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
OF_CHANGES = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0)


class Value:
    """A sum, or what a gauge shows."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def add(self, number: float) -> None:
        self.value += number

    def set(self, number: float) -> None:
        self.value = number


class Histogram:
    """Counts of durations by their bounds, and their sum."""

    __slots__ = ("_bounds", "counts", "seconds")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.seconds = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(self._bounds, seconds)] += 1
        self.seconds += seconds


class SeriesLimit:
    """The number of series that a replica may still have, shared by all its metrics, and by
    account."""

    def __init__(self, series_max: int) -> None:
        self._shares = Shares(series_max)
        #: the number of times that a combination of labels found no room
        self.folded = 0

    @property
    def taken(self) -> int:
        return self._shares.capacity - self._shares.free

    def take(self, account: str, series: int) -> bool:
        if self._shares.take(_holder_of(account), series):
            return True
        self.folded += 1
        return False

    def give_back(self, account: str, series: int) -> None:
        self._shares.give_back(_holder_of(account), series)


def _holder_of(account: str) -> Holder:
    """The holder of its share; a series without an account has a share of its own."""
    namespace, slash, _ = account.partition("/")
    return namespace, account if slash else f"{account}/"


T = TypeVar("T", Value, Histogram)


class _Family(Generic[T]):
    """One metric: a `T` for each combination of its labels' values, made when first asked for."""

    def __init__(
        self,
        series_limit: SeriesLimit,
        make: Callable[[], T],
        description: tuple[str, str, str],
        labels: tuple[str, ...],
        series_each: int,
    ) -> None:
        self._limit = series_limit
        self._make: Callable[[], T] = make
        self._description = description
        self._labels = labels
        self._account_at = labels.index("account") if "account" in labels else None
        self._series_each = series_each
        self._children: dict[tuple[str, ...], T] = {}

    def of(self, *values: str) -> T:
        """The one with these labels; where there is no room, that of all such `other` ones."""
        return self._children.get(values) or self._new(values)

    def _new(self, values: tuple[str, ...]) -> T:
        grows = not _GROWING.isdisjoint(self._labels)
        if grows and not self._limit.take(self._account(values), self._series_each):
            values = tuple(
                OTHER if value and label in _GROWING else value
                for label, value in zip(self._labels, values, strict=True)
            )
        return self._children.setdefault(values, self._make())

    def forget(self, keys: Collection[str]) -> None:
        """Drop what these API keys counted."""
        if "key" in self._labels:
            gone = [values for values in self._children if values[0] in keys]
            for values in gone:
                del self._children[values]
                self._limit.give_back(self._account(values), self._series_each)

    def _account(self, values: tuple[str, ...]) -> str:
        return "" if self._account_at is None else values[self._account_at]

    def metric(self) -> Metric:
        """All of them as they are now; from any thread."""
        metric = Metric(*self._description)
        for values, child in list(self._children.items()):
            self._write(metric, dict(zip(self._labels, values, strict=True)), child)
        return metric

    def _write(self, metric: Metric, labels: dict[str, str], child: T) -> None:
        raise NotImplementedError


class ValueFamily(_Family[Value]):
    """Counters, or gauges."""

    def __init__(
        self,
        series_limit: SeriesLimit,
        kind: Literal["counter", "gauge"],
        name: str,
        about: str,
        labels: tuple[str, ...],
    ) -> None:
        super().__init__(series_limit, Value, (name, about, kind), labels, 1)
        self._sample = f"{name}_total" if kind == "counter" else name

    def _write(self, metric: Metric, labels: dict[str, str], child: Value) -> None:
        metric.add_sample(self._sample, labels, child.value)


class HistogramFamily(_Family[Histogram]):
    """Histograms, in seconds."""

    def __init__(
        self,
        series_limit: SeriesLimit,
        name: str,
        about: str,
        labels: tuple[str, ...],
        bounds: tuple[float, ...],
    ) -> None:
        series_each = len(bounds) + 3  # the bucket without a bound, the count and the sum
        super().__init__(
            series_limit, lambda: Histogram(bounds), (name, about, "histogram"), labels, series_each
        )
        self._name = name
        self._bounds = (*map(str, bounds), "+Inf")

    def _write(self, metric: Metric, labels: dict[str, str], child: Histogram) -> None:
        within = list(accumulate(child.counts))
        for bound, count in zip(self._bounds, within, strict=True):
            metric.add_sample(f"{self._name}_bucket", {**labels, "le": bound}, count)
        metric.add_sample(f"{self._name}_count", labels, within[-1])
        metric.add_sample(f"{self._name}_sum", labels, child.seconds)
