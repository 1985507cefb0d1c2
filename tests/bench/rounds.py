"""Measures every target in every window, in interleaved rounds, and keeps the samples.

A ratio is only ever taken within one round: on a shared machine the minutes differ more than the
targets do.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.load import (
    CHAT,
    CHAT_STREAM,
    MESSAGES,
    MESSAGES_STREAM,
    RESPONSES,
    RESPONSES_STORED,
    RESPONSES_STREAM,
    LoadResult,
    Plan,
    Work,
    send_load,
)
from tests.bench.targets import PROXY, Target

#: what is written behind an answer (ends, usage) belongs to its cost, so the window stays open
_CALMING_SECONDS = 0.25
_WARMING_SECONDS = 0.3


@dataclass(frozen=True, eq=False)
class Window:
    """One measurement: how many connections send which work, for which part of `--seconds`."""

    work: Work
    connections: int
    part: float = 1.0

    def __str__(self) -> str:
        return f"{self.work.name}, {self.connections} at once"


CLOSED = Window(CHAT, connections=32)
ALONE = Window(CHAT, connections=1, part=1 / 3)
PACED = Window(CHAT_STREAM, connections=40)
WHOLE_MESSAGES = Window(MESSAGES, 32, 1 / 2)
WHOLE_RESPONSES = Window(RESPONSES, 32, 1 / 2)
STORED = Window(RESPONSES_STORED, 32, 1 / 2)
OTHER_WHOLE = [WHOLE_MESSAGES, WHOLE_RESPONSES, STORED]
OTHER_PACED = [Window(work, 40, 1 / 2) for work in (MESSAGES_STREAM, RESPONSES_STREAM)]
WINDOWS = (ALONE, CLOSED, PACED, *OTHER_WHOLE, *OTHER_PACED)


@dataclass(frozen=True)
class Sample:
    """CPU seconds one window cost (PostgreSQL's apart), and what the load generator counted."""

    window: Window
    program_seconds: float
    database_seconds: float
    result: LoadResult

    def cost(self) -> float:
        """Milliseconds of CPU per request, or microseconds per event of a stream."""
        return self._each(self.program_seconds + self.database_seconds)

    def database_cost(self) -> float:
        """PostgreSQL's part of `cost`."""
        return self._each(self.database_seconds)

    def _each(self, seconds: float) -> float:
        if self.window.work.stream:
            return seconds * 1_000_000 / max(self.result.events, 1)
        return seconds * 1000 / max(self.result.requests, 1)


class Samples:
    """The samples of a run, by target's name and window, one per round."""

    def __init__(self) -> None:
        self._rounds: dict[tuple[str, Window], list[Sample]] = {}

    def add(self, target: str, window: Window, sample: Sample) -> None:
        """Keep the sample of one more round."""
        self._rounds.setdefault((target, window), []).append(sample)

    def median(self, target: str, window: Window, value: Callable[[Sample], float]) -> float | None:
        """The median over the rounds, or None if this was not measured."""
        samples = self._rounds.get((target, window))
        return statistics.median(map(value, samples)) if samples else None

    def ratio(self, target: str, window: Window) -> float | None:
        """The median of the ratios to the proxy's chat, whole or streamed, within each round."""
        samples = self._rounds.get((target, window))
        yardstick = self._rounds.get((PROXY, PACED if window.work.stream else CLOSED))
        if not samples or not yardstick:
            return None
        pairs = zip(samples, yardstick, strict=True)
        return statistics.median(sample.cost() / base.cost() for sample, base in pairs)


def warm(targets: Sequence[Target], load: Path, plan: Plan) -> None:
    """Fill pools, caches and plans of all targets."""
    for target in targets if plan.warm else ():
        print(f"warming {target.name} ...", flush=True)
        for window in WINDOWS:
            if window.work.dialect in target.urls:
                _send(target, window, load, _WARMING_SECONDS, plan.chunks)


def measure(targets: Sequence[Target], load: Path, plan: Plan, samples: Samples) -> list[str]:
    """Add the samples of all rounds; returns a sentence per window with wrong answers."""
    complaints = []
    for number in range(1, plan.rounds + 1):
        for window in WINDOWS:
            for target in targets:
                if window.work.dialect not in target.urls:
                    continue
                sample = _take_sample(target, window, load, plan)
                samples.add(target.name, window, sample)
                _report(f"round {number}/{plan.rounds}", target, window, sample)
                if sample.result.errors:
                    complaints.append(_complain(target, window, sample.result))
    return complaints


def _take_sample(target: Target, window: Window, load: Path, plan: Plan) -> Sample:
    seconds = plan.seconds * window.part
    program, database = target.program, target.database
    program_before = program.cpu_seconds()
    database_before = database.cpu_seconds() if database else 0.0
    result = _send(target, window, load, seconds, plan.chunks)
    time.sleep(min(_CALMING_SECONDS, seconds))
    database_seconds = database.cpu_seconds() - database_before if database else 0.0
    program_seconds = program.cpu_seconds() - program_before
    return Sample(window, program_seconds, database_seconds, result)


def _send(target: Target, window: Window, load: Path, seconds: float, chunks: int) -> LoadResult:
    work = window.work
    result = send_load(
        load,
        work,
        url=target.urls[work.dialect],
        model=target.model,
        key=target.key,
        connections=window.connections,
        seconds=seconds,
        chunks=chunks,
    )
    target.answered += result.requests
    target.wrong += result.errors
    return result


def _report(prefix: str, target: Target, window: Window, sample: Sample) -> None:
    unit = "µs/chunk" if window.work.stream else "ms/request"
    counted = f"{sample.result.requests} answers"
    line = f"{prefix}  {target.name:22} {window!s:34} {sample.cost():8.3f} {unit:10}  {counted}"
    print(line, flush=True)


def _complain(target: Target, window: Window, result: LoadResult) -> str:
    return (
        f"{target.name}, {window}: {result.errors} wrong answers, the first: {result.first_error}"
    )
