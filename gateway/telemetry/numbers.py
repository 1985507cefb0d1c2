"""What metrics are made of: numbers and timings, by the values of their labels.

The client library's own counters lock and check with every addition. Here one event loop adds, and
a number is a number; the library only writes the exposition.
"""

from bisect import bisect_left
from collections.abc import Callable
from itertools import accumulate
from typing import Generic, Literal, TypeVar

from prometheus_client import Metric

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
_BOUNDS = (*map(str, _SECONDS), "+Inf")


class Number:
    """A sum."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def add(self, number: float) -> None:
        self.value += number


class Timing:
    """How often something took how long, and how long in all."""

    __slots__ = ("counts", "seconds")

    def __init__(self) -> None:
        self.counts = [0] * len(_BOUNDS)
        self.seconds = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(_SECONDS, seconds)] += 1
        self.seconds += seconds


T = TypeVar("T", Number, Timing)


class _Labelled(Generic[T]):
    """One metric: a `T` for each combination of its labels' values, made when first asked for."""

    def __init__(
        self, make: Callable[[], T], kind: str, name: str, about: str, labels: tuple[str, ...]
    ) -> None:
        self._make: Callable[[], T] = make
        self._description = (name, about, kind)
        self._labels = labels
        self._children: dict[tuple[str, ...], T] = {}

    def of(self, *values: str) -> T:
        """The one with these labels."""
        child = self._children.get(values)
        if child is None:
            child = self._children[values] = self._make()
        return child

    def metric(self) -> Metric:
        """All of them as they are now."""
        metric = Metric(*self._description)
        for values, child in self._children.items():
            self._write(metric, dict(zip(self._labels, values, strict=True)), child)
        return metric

    def _write(self, metric: Metric, labels: dict[str, str], child: T) -> None:
        raise NotImplementedError


class Numbers(_Labelled[Number]):
    """Counters, or gauges."""

    def __init__(
        self, kind: Literal["counter", "gauge"], name: str, about: str, labels: tuple[str, ...]
    ) -> None:
        super().__init__(Number, kind, name, about, labels)
        self._sample = f"{name}_total" if kind == "counter" else name

    def _write(self, metric: Metric, labels: dict[str, str], child: Number) -> None:
        metric.add_sample(self._sample, labels, child.value)


class Timings(_Labelled[Timing]):
    """Histograms, in seconds."""

    def __init__(self, name: str, about: str, labels: tuple[str, ...]) -> None:
        super().__init__(Timing, "histogram", name, about, labels)
        self._name = name

    def _write(self, metric: Metric, labels: dict[str, str], child: Timing) -> None:
        within = list(accumulate(child.counts))
        for bound, count in zip(_BOUNDS, within, strict=True):
            metric.add_sample(f"{self._name}_bucket", {**labels, "le": bound}, count)
        metric.add_sample(f"{self._name}_count", labels, within[-1])
        metric.add_sample(f"{self._name}_sum", labels, child.seconds)
