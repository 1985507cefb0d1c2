"""A charged request takes so many calls and not more: the path that all of them go is kept short.

Counts hardly move; what a bound leaves free is for the batches of the ledger, which are larger or
smaller from run to run. A change that takes calls away lowers the bound with it.
"""

import json
import subprocess
import sys

import pytest

from tests.bench.history import calls
from tests.harness.gateway import ROOT

#: kind of request -> the most of the gateway's own calls, and of all; on SQLite
BOUNDS = {
    "chat": (149, 240),
    "chat-stream": (262, 525),
    "messages": (217, 350),
    "messages-stream": (324, 611),
    "responses": (225, 364),
    "responses-stream": (340, 672),
}
#: what a batch of charges takes more on PostgreSQL, for each of its requests
ON_POSTGRESQL = (6, 24)


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_request_takes_no_more_calls(database: str) -> None:
    counted = _count() if database == "sqlite" else _count("--postgresql")
    more_own, more = (0, 0) if database == "sqlite" else ON_POSTGRESQL
    bounds = {name: (own + more_own, all + more) for name, (own, all) in BOUNDS.items()}
    exceeded = {
        name: (calls, bounds[name])
        for name, calls in counted.items()
        if calls[0] > bounds[name][0] or calls[1] > bounds[name][1]
    }
    assert counted.keys() == BOUNDS.keys()
    assert exceeded == {}


def test_the_history_of_an_agent_takes_few_calls_a_message() -> None:
    """A hundred messages: they took 2,300 where each is read, repaired and written."""
    assert calls() <= 260


def _count(*options: str) -> dict[str, list[float]]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.calls", "--json", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    counted: dict[str, list[float]] = json.loads(done.stdout)
    return counted
