"""A line through what was measured at some sizes, and how far it may be trusted beyond them."""

import math
from collections.abc import Sequence

from msgspec import Struct


class Line(Struct, frozen=True):
    """A line by least squares; `at` a size, its value and its standard error."""

    begin: float
    slope: float
    deviation: float
    sizes: tuple[float, ...]

    def at(self, size: float) -> tuple[float, float]:
        number = len(self.sizes)
        mean = sum(self.sizes) / number
        spread = sum((each - mean) ** 2 for each in self.sizes)
        share = 1 / number + (size - mean) ** 2 / spread
        return self.begin + self.slope * size, self.deviation * math.sqrt(share)


def fit(sizes: Sequence[float], values: Sequence[float]) -> Line:
    """The line through three points or more."""
    number = len(sizes)
    x, y = sum(sizes) / number, sum(values) / number
    spread = sum((each - x) ** 2 for each in sizes)
    slope = sum((a - x) * (b - y) for a, b in zip(sizes, values, strict=True)) / spread
    begin = y - slope * x
    rest = sum((b - begin - slope * a) ** 2 for a, b in zip(sizes, values, strict=True))
    return Line(begin, slope, math.sqrt(rest / max(1, number - 2)), tuple(sizes))
