"""The table and the picture of what was measured."""

import math
from collections.abc import Mapping, Sequence

from tests.bench.growth.fit import fit
from tests.bench.growth.machine import Figure

_ESTIMATED = 100_000_000
_WIDTH, _HEIGHT, _LEFT, _TOP = 560, 300, 70, 24
_COLOURS = ("#0969da", "#bc4c00")


def table(sizes: Sequence[int], taken: Sequence[Sequence[Figure]]) -> str:
    """Markdown: each figure at each size, and at a hundred million requests."""
    heads = [*(_millions(size) for size in sizes), "at 100 million"]
    lines = [f"| figure | {' | '.join(heads)} |", "| --- |" + " --- |" * len(heads)]
    for row in zip(*taken, strict=True):
        values = [one.value for one in row]
        cells = [_short(value) for value in values]
        cells.append(_estimate(sizes, values, row[0]))
        lines.append(f"| {row[0].name}, {row[0].unit} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _estimate(sizes: Sequence[int], values: Sequence[float], figure: Figure) -> str:
    if len(sizes) < 3:
        return ""
    value, error = fit(sizes, values).at(_ESTIMATED)
    if not figure.grows:
        value = sum(values) / len(values)
        error = max(abs(each - value) for each in values)
    return f"{_short(value)} ± {math.ceil(100 * error / value) if value else 0} %"


def _millions(size: int) -> str:
    return f"{size / 1e6:g} million"


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def picture(sizes: Sequence[int], measured: Mapping[str, Sequence[Sequence[Figure]]]) -> str:
    """An SVG: GiB of the whole database, as measured and as the line goes on; both axes by tens."""
    base, right = _TOP + _HEIGHT - 74, _WIDTH - 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        'font-family="sans-serif" font-size="12" role="img">',
        "<title>Size of the database by requests</title>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
        '<text x="8" y="14">GiB on disk</text>',
        f'<text x="{_LEFT}" y="{base + 38}">requests</text>',
        f'<path d="M{_LEFT} {_TOP}V{base}H{right}" fill="none" stroke="#57606a"/>',
    ]

    def place(size: float, gib: float) -> tuple[float, float]:
        x = _LEFT + (right - _LEFT) * (math.log10(size) - 5) / 3
        return x, base - (base - _TOP) * (math.log10(gib) + 2) / 4

    for requests, words in ((1e5, "100,000"), (1e6, "1 million"), (1e7, "10 million"),
                            (1e8, "100 million")):  # fmt: skip
        x, _ = place(requests, 1)
        anchor = "end" if requests == _ESTIMATED else "middle"
        parts.append(f'<text x="{x:.0f}" y="{base + 18}" text-anchor="{anchor}">{words}</text>')
    for gib in (0.01, 0.1, 1, 10, 100):
        _, y = place(1e5, gib)
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4:.0f}" text-anchor="end">{gib:g}</text>')
    for place_of_name, (kind, taken) in enumerate(measured.items()):
        whole = [next(f.value for f in one if f.name == "whole database") for one in taken]
        colour = _COLOURS[place_of_name]
        line = fit(sizes, whole)
        (x0, y0), (x, y) = place(sizes[-1], whole[-1]), place(_ESTIMATED, line.at(_ESTIMATED)[0])
        parts.append(
            f'<path d="M{x0:.1f} {y0:.1f}L{x:.1f} {y:.1f}" stroke="{colour}"'
            ' stroke-dasharray="4 3"/>'
        )
        for size, gib in zip(sizes, whole, strict=True):
            a, b = place(size, gib)
            parts.append(f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3" fill="{colour}"/>')
        below = -8 if place_of_name == 0 else 32
        parts.append(
            f'<text x="{x - 6:.0f}" y="{y + below:.0f}" text-anchor="end" fill="{colour}">'
            f"{kind}</text>"
        )
    return "\n".join([*parts, "</svg>", ""])
