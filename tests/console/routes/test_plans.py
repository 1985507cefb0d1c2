"""The reads of every page: few, and each finds its rows of the ledger by an index."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event

from tests.console.routes.table import lines
from tests.console.routes.world import World

#: statements of a page, those of its session included
STATEMENTS_MAX = 32
_READ_WHOLE = re.compile(r"Seq Scan on (entry|request_\w+|usage_\w+)\b")
_BY_INDEX = re.compile(r"(?:Index(?: Only)? Scan|Bitmap Index Scan).* on (entry\w*)")


@contextmanager
def noted(world: World) -> Iterator[list[tuple[str, Any]]]:
    """The statements of the console with their values."""
    found: list[tuple[str, Any]] = []

    def note(_: Any, __: Any, statement: str, values: Any, *___: Any) -> None:
        found.append((statement, values))

    engine = world.services._database.engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(engine, "before_cursor_execute", note)


def plan(world: World, statement: str, values: Any) -> list[str]:
    """The steps of a statement where tables are too large to be read whole."""
    run = world._connection.execute
    run("SET enable_seqscan = off")
    try:
        rows = run(f"EXPLAIN (COSTS OFF) {statement}".encode(), values).fetchall()
    finally:
        run("RESET enable_seqscan")
    return [step for (step,) in rows]


def read_whole(steps: list[str]) -> list[str]:
    """The steps that look at every row of a large table."""
    following = [*steps[1:], ""]
    return [
        step.strip()
        for step, next_step in zip(steps, following, strict=True)
        if _READ_WHOLE.search(step) or (_BY_INDEX.search(step) and "Index Cond" not in next_step)
    ]


def test_a_read_of_every_entry_is_seen(world: World) -> None:
    assert read_whole(plan(world, "SELECT sum(credits) FROM entry WHERE model = 'a'", ()))


def test_pages_find_rows_by_indexes_and_ask_seldom(world: World) -> None:
    target = world.make_target("team/plans")
    world.charge(target, 3)
    treasurer = world.sign_in("treasurer", target)
    wrong: list[str] = []
    pages = [line for line in lines() if line.method == "GET"]
    for line in pages:
        path, _ = line.fill(target)
        with noted(world) as statements:
            world.ask("GET", path, treasurer)
        if len(statements) > STATEMENTS_MAX:
            wrong.append(f"{path} has {len(statements)} statements")
        for statement, values in statements:
            if not statement.lstrip().startswith(("SELECT", "WITH")):
                continue
            for step in read_whole(plan(world, statement, values)):
                wrong.append(f"{path}: {step}: {statement[:200]}")
    assert len(pages) > 20
    assert wrong == []
