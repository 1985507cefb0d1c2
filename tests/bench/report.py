"""Turns the samples into the two tables, and into what exceeds its bound."""

from collections.abc import Sequence

from tests.bench.rounds import (
    ALONE,
    CLOSED,
    OTHER_PACED,
    OTHER_WHOLE,
    PACED,
    STORED,
    WHOLE_MESSAGES,
    WHOLE_RESPONSES,
    Sample,
    Samples,
)
from tests.bench.targets import Target

#: bounds of a gateway on SQLite and on PostgreSQL, as ratios to the bare proxy in the same round
RATIOS_MAX = {
    CLOSED: (1.4, 1.75),
    PACED: (1.4, 1.6),
    WHOLE_MESSAGES: (1.9, 2.3),
    WHOLE_RESPONSES: (1.9, 2.3),
    STORED: (3.5, 6.5),
}
IDLE_MIB_MAX = 64
START_SECONDS_MAX = 0.45

_MIB = 1024 * 1024


def main_table(samples: Samples, targets: Sequence[Target]) -> str:
    """One row a target: what chat costs, how long it takes, memory and cold start."""
    heads = ["target", "CPU ms/request", "× Go", "paced µs/chunk", "× Go", "of it PostgreSQL"]
    heads += ["p50 ms, 1 / 32 at once", "first word ms", "idle / now MiB", "cold start s"]
    rows = [heads]
    for target in targets:
        name = target.name
        shares = [
            _number(samples.median(name, window, Sample.database_cost), digits)
            for window, digits in ((CLOSED, 3), (PACED, 1))
        ]
        latencies = [
            _number(samples.median(name, window, lambda sample: sample.result.latency_ms_p50), 2)
            for window in (ALONE, CLOSED)
        ]
        memory = [_number(size / _MIB, 0) for size in (target.idle_bytes, _resident(target))]
        rows.append(
            [
                name,
                _number(samples.median(name, CLOSED, Sample.cost), 3),
                _number(samples.ratio(name, CLOSED), 2),
                _number(samples.median(name, PACED, Sample.cost), 1),
                _number(samples.ratio(name, PACED), 2),
                f"{shares[0]} ms, {shares[1]} µs" if target.database else "",
                " / ".join(latencies),
                _number(samples.median(name, PACED, lambda s: s.result.first_word_ms_p50), 2),
                " / ".join(memory),
                _number(target.cold_start_seconds, 2),
            ]
        )
    return _layout(rows)


def dialect_table(samples: Samples, targets: Sequence[Target]) -> str:
    """One row a gateway and kind of request in the other two dialects; ratios to chat by proxy."""
    rows = [["target and request", "CPU", "unit", "× Go (chat)"]]
    for target in targets:
        for window in [*OTHER_WHOLE, *OTHER_PACED]:
            cost = samples.median(target.name, window, Sample.cost)
            if cost is not None:
                stream = window.work.stream
                ratio = _number(samples.ratio(target.name, window), 2)
                digits, unit = (1, "µs/event, paced") if stream else (3, "ms/request")
                name = f"{target.name}: {window.work.name}"
                rows.append([name, _number(cost, digits), unit, ratio])
    return _layout(rows) if len(rows) > 1 else ""


def cost_of_a_request(samples: Samples, targets: Sequence[Target]) -> float | None:
    """Milliseconds of CPU of a request to the first gateway there is."""
    names = [target.name for target in targets if target.gateway is not None]
    return samples.median(names[0], CLOSED, Sample.cost) if names else None


def exceeded_bounds(samples: Samples, targets: Sequence[Target]) -> list[str]:
    """A sentence for every bound that a gateway exceeds."""
    found = []
    for target in targets:
        if target.gateway is None:
            continue
        for window, most in RATIOS_MAX.items():
            ratio, bound = samples.ratio(target.name, window), most[target.database is not None]
            if ratio is not None and ratio > bound:
                found.append(f"{target.name}: {window} costs {ratio:.2f} × Go, bound {bound} ×")
        idle, start = target.idle_bytes / _MIB, target.cold_start_seconds
        if idle >= IDLE_MIB_MAX:
            found.append(f"{target.name}: {idle:.0f} MiB when idle, bound {IDLE_MIB_MAX} MiB")
        if start > START_SECONDS_MAX:
            found.append(f"{target.name}: starts in {start:.2f} s, bound {START_SECONDS_MAX} s")
    return found


def _resident(target: Target) -> int:
    return target.program.resident_bytes()


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _layout(rows: list[list[str]]) -> str:
    """A Markdown table that is also aligned: words to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
        cells[0] = row[0].ljust(widths[0])
        lines.append("| " + " | ".join(cells) + " |")
    rule = ["-" * width for width in widths]
    lines.insert(
        1, "| " + " | ".join([rule[0], *(f"{dashes[:-1]}:" for dashes in rule[1:])]) + " |"
    )
    return "\n".join(lines)
