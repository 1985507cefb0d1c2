"""`python -m tests.bench.growth`: databases of several sizes, and what all of it costs in each.

Prints a table for each database, with the estimate for a hundred million requests. Everything is
deleted afterwards.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.store.database import Database
from gateway.store.migrate import migrate
from tests.bench.growth.figures import Measured, analyze
from tests.bench.growth.fill import fill
from tests.bench.growth.machine import Figure, Machine
from tests.bench.growth.report import picture, table
from tests.bench.growth.tree import measure_tree
from tests.harness.postgres import PostgresServer, find_programs


def main() -> int:
    """Measure, and print."""
    options = _parse_arguments()
    programs = find_programs()
    if programs is None:
        print("growth: PostgreSQL is not installed", file=sys.stderr)
        return 2
    measured: dict[str, list[list[Figure]]] = {}
    for kind in options.databases:
        measured[kind] = []
        for requests in options.requests:
            load = os.getloadavg()[0]
            print(f"{kind}, {requests:,} requests, load {load:.1f}", flush=True)
            with _opened(kind, programs) as (database, machine):
                measured[kind].append(_take(database, machine, requests, options.cold))
    for kind, taken_of in measured.items():
        print(f"\n{kind}\n\n{table(options.requests, taken_of)}")
    if options.picture:
        options.picture.write_text(picture(options.requests, measured))
    if options.tree:
        with _server(programs) as server, _database(server.create_migrated()) as database:
            for line in measure_tree(database, Machine(server.pid), options.tree):
                print(line, flush=True)
    return 0


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.growth", description=__doc__)
    parser.add_argument(
        "--requests", type=int, nargs="+", default=[1_000_000, 3_000_000, 10_000_000]
    )
    parser.add_argument("--databases", nargs="*", default=["postgresql", "sqlite"])
    parser.add_argument("--tree", type=int, default=5_000_000, help="rows of usage of one tree")
    parser.add_argument("--cold", action="store_true", help="also with no file in memory; as root")
    parser.add_argument("--picture", type=Path, help="an SVG is written there")
    return parser.parse_args()


@contextmanager
def _opened(kind: str, programs: Path) -> Iterator[tuple[Database, Machine]]:
    if kind == "sqlite":
        with (
            tempfile.TemporaryDirectory(prefix="faregate-growth-") as folder,
            _database(f"sqlite:///{folder}/faregate.db") as database,
        ):
            migrate(database)
            yield database, Machine(None)
        return
    with _server(programs) as server, _database(server.create_migrated()) as database:
        yield database, Machine(server.pid)


def _take(database: Database, machine: Machine, requests: int, empties_cache: bool) -> list[Figure]:
    began = time.monotonic()
    books, key = fill(database, requests)
    analyze(database)
    print(f"  filled in {time.monotonic() - began:.0f} s", flush=True)
    return Measured(books, key, machine, requests).take(empties_cache=empties_cache)


@contextmanager
def _server(programs: Path) -> Iterator[PostgresServer]:
    server = PostgresServer(programs)
    try:
        server.start()
        yield server
    finally:
        server.remove()


@contextmanager
def _database(url: str) -> Iterator[Database]:
    database = Database(url, timeouts=False)
    try:
        yield database
    finally:
        database.close()


if __name__ == "__main__":
    sys.exit(main())
