"""The report: a line for every round, the table at the end, and a violation's whole story."""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from tests.chaos.evidence import Evidence, Violation
from tests.chaos.plan import NOBODY
from tests.chaos.records import Got, Incident
from tests.chaos.recovery import Recovery
from tests.harness.dialects import DIALECTS

_LOG_LINES_MAX = 40
_STORIES_MAX = 10
#: covered: the charge of an earlier attempt stood for it
_BOOKED = ("charged", "covered", "refunded", "free")


def table(rows: list[list[str]]) -> str:
    """Columns as wide as they must be."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  "
        + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def faults_table(incidents: Iterable[Incident]) -> str:
    counted = Counter(incident.fault.kind for incident in incidents)
    return table([[kind, str(count)] for kind, count in sorted(counted.items())])


def requests_table(evidence: Evidence) -> str:
    outcomes = sorted({got.outcome for got in evidence.records})
    rows = [["requests", *outcomes, *_BOOKED]]
    for dialect in DIALECTS:
        records = [got for got in evidence.records if got.asked.dialect == dialect]
        counted = Counter(got.outcome for got in records)
        booked = Counter(_booked(evidence, got) for got in records)
        cells = [*(counted[o] for o in outcomes)]
        cells += [booked[word] for word in _BOOKED]
        rows.append([dialect, *(str(cell) for cell in cells)])
    return table(rows)


def requests_summary(evidence: Evidence) -> str:
    """The number of requests, and of those that were meant to go wrong."""
    records = evidence.records
    failing = sum(got.asked.script.ends == "badly" for got in records)
    left = sum(got.asked.leaves != "never" for got in records)
    dead = sum(got.dead_key for got in records)
    again = sum(got.asked.attempt > 0 for got in records)
    return (
        f"{len(records)} in all: {failing} asked for an answer that fails,"
        f" {left} were to be left, {again} asked again, {dead} had a dead key"
    )


def _booked(evidence: Evidence, got: Got) -> str:
    booked = evidence.ledger.booked.get(got.asked.number)
    if booked is None:
        return "free"
    if booked.earlier is not None:
        return "covered"
    return "charged" if booked.net else "refunded"


def recovery_table(found: list[Recovery]) -> str:
    """By kind of fault, where no other came meanwhile: half, nine of ten, and all of them."""
    alone = [one for one in found if one.alone]
    by_kind: dict[str, list[float]] = {}
    for one in alone:
        by_kind.setdefault(one.incident.fault.kind, []).append(one.seconds)
    rows = [["after", "times", "half", "9 of 10", "at most"]]
    for kind, seconds in [
        *sorted(by_kind.items()),
        ("all of these", [one.seconds for one in alone]),
        ("with other faults meanwhile", [one.seconds for one in found if not one.alone]),
    ]:
        ordered = sorted(seconds) or [0.0]
        shares = (ordered[int(share * (len(ordered) - 1))] for share in (0.5, 0.9, 1.0))
        rows.append([kind, str(len(seconds)), *(f"{share:.1f}" for share in shares)])
    return table(rows)


def stories(
    violations: list[Violation], evidence: Evidence, logs: dict[int, Path]
) -> Iterator[str]:
    """The whole story of the first ones; of the others the sentence."""
    for number, violation in enumerate(violations):
        got = violation.got
        if got is None:
            yield f"VIOLATION: {violation.sentence}"
            continue
        yield f"VIOLATION: request {got.asked.number} {violation.sentence}"
        if number < _STORIES_MAX:
            yield from (f"    {line}" for line in _story(got, evidence, logs[got.asked.gateway]))


def _story(got: Got, evidence: Evidence, log: Path) -> Iterator[str]:
    yield f"client: {msgspec.json.encode(got).decode()}"
    number = got.asked.number
    yield f"upstream got something of it: {number in evidence.dispatched}"
    yield from evidence.ledger.entries(number)
    booked = evidence.ledger.booked.get(number)
    if booked is not None:
        yield f"its hold was seen as that of {evidence.held_by.get(booked.request_id, 'nobody')}"
        yield f"its replica's lease was over: {evidence.lease_was_over(booked.request_id)}"
    settled = max(got.ended + 1, (booked and booked.refunded_at) or 0.0)
    for incident in evidence.incidents:
        met = incident.fault.gateway in (got.asked.gateway, NOBODY)
        if met and incident.overlaps(got.began - 1, settled):
            yield f"fault: {incident.fault}, {incident.began:.3f} to {incident.ended:.3f}"
    for restore in evidence.restores:
        if restore.restored < got.began:
            continue
        yield f"restore: dumped {restore.dumped:.3f}, restored {restore.restored:.3f}"
    ids = {got.request_id, None if booked is None else booked.request_id} - {None}
    yield from _log_lines(log, ids, got)


def _log_lines(log: Path, ids: set[str | None], got: Got) -> Iterator[str]:
    """Lines that name it, and the warnings of its time."""
    shown = 0
    for line in log.read_text(errors="replace").splitlines():
        named = any(str(request_id) in line for request_id in ids)
        around = '"level":"info"' not in line and _is_between(line, got.began, got.ended + 1)
        if (named or around) and shown < _LOG_LINES_MAX:
            shown += 1
            yield f"log: {line[:400]}"


def _is_between(line: str, began: float, ended: float) -> bool:
    """True if a line's moment, which is the first in it, lies between two."""
    return any(
        datetime.fromtimestamp(second, UTC).strftime("%H:%M:%S") in line[:60]
        for second in range(int(began), int(ended) + 1)
    )
