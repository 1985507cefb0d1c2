"""The table and the picture of what was measured."""

import math
from collections.abc import Mapping, Sequence

from tests.bench.growth.figures import Figure
from tests.bench.growth.fit import fit

_ESTIMATED = 100_000_000
_WIDTH, _HEIGHT, _LEFT, _TOP = 560, 300, 70, 24


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
    """An SVG: GiB of the whole database, as measured and as the line goes on."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        'font-family="sans-serif" font-size="12" role="img">',
        "<title>Size of the database by requests</title>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
    ]
    lines = {}
    for kind, taken in measured.items():
        whole = [next(f.value for f in one if f.name == "whole database") for one in taken]
        lines[kind] = (fit(sizes, whole), whole)
    high = max(line.at(_ESTIMATED)[0] for line, _ in lines.values()) * 1.1
    width, height = _WIDTH - _LEFT - 20, _HEIGHT - _TOP - 50

    def place(size: float, value: float) -> tuple[float, float]:
        x = _LEFT + width * size / _ESTIMATED
        return x, _TOP + height * (1 - value / high)

    base = _TOP + height
    parts.append(f'<path d="M{_LEFT} {_TOP}V{base}H{_LEFT + width}" fill="none" stroke="#57606a"/>')
    for share in (0, 0.25, 0.5, 0.75, 1.0):
        x, y = place(_ESTIMATED * share, high * share)
        requests = f"{_ESTIMATED * share / 1e6:.0f}"
        parts.append(f'<text x="{x:.0f}" y="{base + 18}" text-anchor="middle">{requests}</text>')
        gib = f"{high * share:.0f}"
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4:.0f}" text-anchor="end">{gib}</text>')
    parts.append(f'<text x="{_LEFT}" y="{base + 38}">million requests</text>')
    parts.append('<text x="8" y="14">GiB on disk</text>')
    for (kind, (line, whole)), colour in zip(lines.items(), ("#0969da", "#bc4c00"), strict=False):
        x, y = place(_ESTIMATED, line.at(_ESTIMATED)[0])
        x0, y0 = place(0, max(0.0, line.begin))
        parts.append(
            f'<path d="M{x0:.1f} {y0:.1f}L{x:.1f} {y:.1f}" stroke="{colour}"'
            ' stroke-dasharray="4 3"/>'
        )
        for size, value in zip(sizes, whole, strict=True):
            a, b = place(size, value)
            parts.append(f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3" fill="{colour}"/>')
        parts.append(
            f'<text x="{x - 6:.0f}" y="{y - 8:.0f}" text-anchor="end" fill="{colour}">{kind}</text>'
        )
    return "\n".join([*parts, "</svg>", ""])
