"""`python -m tests.bench.growth`: databases of several sizes, and what all of it costs in each.

Prints a table for each database, with the estimate for a hundred million requests. Everything is
deleted afterwards.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.store.database import Database
from gateway.store.migrate import migrate
from tests.bench.growth.figures import Figure, Machine, Measured, analyze
from tests.bench.growth.fill import fill
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
            with _filled(kind, programs, requests) as taken:
                measured[kind].append(taken)
            for one in taken:
                print(f"  {one.name}: {one.value:.3g} {one.unit}", flush=True)
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
    parser.add_argument("--picture", type=Path, help="an SVG is written there")
    return parser.parse_args()


@contextmanager
def _filled(kind: str, programs: Path, requests: int) -> Iterator[list[Figure]]:
    if kind == "sqlite":
        with tempfile.TemporaryDirectory(prefix="faregate-growth-") as folder:
            url = f"sqlite:///{folder}/faregate.db"
            with _database(url) as database:
                migrate(database)
                yield _take(database, Machine(None), requests)
        return
    with _server(programs) as server, _database(server.create_migrated()) as database:
        yield _take(database, Machine(server.pid), requests)


def _take(database: Database, machine: Machine, requests: int) -> list[Figure]:
    books, key = fill(database, requests)
    analyze(database)
    return Measured(books, key, machine, requests).take()


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
