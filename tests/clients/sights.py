"""The features seen with each client, and the table of them in the docs.

A test states with `@sees` what it shows; the table is made from that, so no line of it is there
without a test that passes. Owns the table between its markers; `python -m tests.clients.sights`
writes it.
"""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import TypeVar

from msgspec import Struct

from tests.clients.installed import HERE, versions

PAGE = HERE.parents[1] / "docs/how-to/connect-an-agent.md"
BEGIN, END = "<!-- seen: begin -->", "<!-- seen: end -->"

_Test = TypeVar("_Test", bound=Callable[..., None])


class Sight(Struct, frozen=True):
    """One line of the table: the client's shown name, its package, and what was seen of it."""

    client: str
    package: str
    seen: str


def sees(client: str, package: str, seen: str) -> Callable[[_Test], _Test]:
    """States of a test what it shows; may stand several times."""

    def mark(test: _Test) -> _Test:
        sights: list[Sight] = getattr(test, "sights", [])
        test.sights = [Sight(client, package, seen), *sights]  # type: ignore[attr-defined]
        return test

    return mark


def collect() -> list[Sight]:
    """All sights, in the order of the files and of the tests in them."""
    found: list[Sight] = []
    for path in sorted(HERE.glob("test_*.py")):
        module = importlib.import_module(f"tests.clients.{path.stem}")
        tests = [each for each in vars(module).values() if isinstance(each, FunctionType)]
        for test in sorted(tests, key=lambda each: each.__code__.co_firstlineno):
            if test.__module__ == module.__name__:
                found += getattr(test, "sights", [])
    return found


def table() -> str:
    """The table as it must stand in the docs."""
    rows: dict[tuple[str, str], list[str]] = {}
    for sight in collect():
        rows.setdefault((sight.client, sight.package), []).append(sight.seen)
    lines = ["| client | version | seen |", "| --- | --- | --- |"]
    for (client, package), seen in rows.items():
        lines.append(f"| {client} | {versions()[package]} | {'; '.join(dict.fromkeys(seen))} |")
    return "\n".join(lines)


def split_page(page: Path = PAGE) -> tuple[str, str, str]:
    """The page before, inside and after the markers."""
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    inside, _, after = rest.partition(END)
    return before, inside.strip(), after


def write() -> None:
    """Put the table into the page."""
    before, _, after = split_page()
    PAGE.write_text(f"{before}{BEGIN}\n{table()}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    write()
    sys.exit(0)
