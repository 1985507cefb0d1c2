"""The geometry of the charts: bars by day, stacked or not, as SVG in units of its own.

A template draws them (`templates/parts/charts.html`), a style sheet colours them by series, and a
table beside each holds the same numbers.
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct

#: the units of a chart's height and of one day's width
HEIGHT = 100
DAY = 10
_GAP = 2
#: series that are drawn apart; the last colour is for all others together
SERIES_MAX = 5


class Bar(Struct, frozen=True):
    """One piece of a day's bar; `series` chooses its colour."""

    x: float
    y: float
    width: float
    height: float
    series: int
    day: str
    name: str
    value: int


class BarChart(Struct, frozen=True):
    """Bars of some days; the highest place of the scale is `top`."""

    bars: list[Bar]
    width: int
    top: int
    days: list[str]
    #: the names of the series, in the order of their colours
    names: list[str]


def bar_chart(days: Sequence[str], series: Mapping[str, Mapping[str, int]]) -> BarChart:
    """Bars of values by series and day; a day without a value has no bar.

    >>> bar_chart(["a", "b"], {"x": {"a": 1, "b": 2}, "y": {"b": 2}}).bars[1:]
    ... # doctest: +NORMALIZE_WHITESPACE
    [Bar(x=11.0, y=50.0, width=8, height=50.0, series=0, day='b', name='x', value=2),
     Bar(x=11.0, y=0.0, width=8, height=50.0, series=1, day='b', name='y', value=2)]
    """
    sums = [sum(max(of.get(day, 0), 0) for of in series.values()) for day in days]
    top = round_up(max(sums, default=0))
    bars = []
    for place, day in enumerate(days):
        bottom = float(HEIGHT)
        for number, (name, of) in enumerate(series.items()):
            value = of.get(day, 0)
            if value > 0:
                height = round(value * HEIGHT / top, 2)
                bottom = round(bottom - height, 2)
                x = place * DAY + _GAP / 2
                bars.append(Bar(x, bottom, DAY - _GAP, height, number, day, name, value))
    return BarChart(bars, len(days) * DAY, top, list(days), list(series))


def largest(
    series: Mapping[str, Mapping[str, int]], others: str, most: int = SERIES_MAX
) -> dict[str, Mapping[str, int]]:
    """The largest series, and all others as one of the name `others`.

    >>> largest({"a": {"d": 1}, "b": {"d": 9}, "c": {"d": 2, "e": 1}}, "others", 1)
    {'b': {'d': 9}, 'others': {'d': 3, 'e': 1}}
    """
    ordered = sorted(series, key=lambda name: -sum(series[name].values()))
    if len(ordered) <= most + 1:
        return {name: series[name] for name in ordered}
    rest: dict[str, int] = {}
    for name in ordered[most:]:
        for day, value in series[name].items():
            rest[day] = rest.get(day, 0) + value
    return {**{name: series[name] for name in ordered[:most]}, others: rest}


def round_up(number: int) -> int:
    """The next even number that reads well on a scale.

    >>> [round_up(each) for each in (0, 1, 3, 10, 11, 41, 601, 2_400_000)]
    [2, 2, 4, 10, 20, 50, 800, 3000000]
    """
    power = 1
    while True:
        for step in (2, 3, 4, 5, 6, 8, 10):
            top = step * power
            if number <= top and top % 2 == 0:
                return top
        power *= 10
