"""The figures of one database: what it takes, and the processor's time of what is asked of it."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import text

from gateway.core.entries import read_entry_query
from gateway.core.request_ids import new_request_id
from gateway.core.statement import Period
from gateway.core.usage import read_query
from gateway.store.audit import audit
from gateway.store.audit_rounds import audit_round
from gateway.store.closing import close_account
from gateway.store.database import Database
from gateway.store.entry_reader import EntryReader
from gateway.store.key_rows import KeyState
from gateway.store.ledger import End, Ledger
from gateway.store.statement_reader import StatementReader
from gateway.store.usage_reader import UsageReader
from gateway.store.usage_rounds import count_usage
from tests.bench.growth.fill import BIG, DAYS
from tests.bench.processes import cpu_seconds
from tests.harness.books import INSTALLATION, Books
from tests.store.test_charges import open_ledger

_CHARGES = 300
_PAGES = 20
_MIB = 2**20
_LOOK_SECONDS = 0.05


class Figure(Struct, frozen=True):
    """One figure; `grows` where it is of all that the database has."""

    name: str
    unit: str
    value: float
    grows: bool


class Machine:
    """The processes at work: this one, and the database's server if it has one."""

    def __init__(self, server: int | None) -> None:
        self._server = server

    def cpu_seconds(self) -> float:
        return time.process_time() + (cpu_seconds(self._server) if self._server else 0.0)

    @contextmanager
    def memory(self) -> Iterator[list[float]]:
        """The most of memory that is nobody else's, in MiB, beyond that at the start."""
        before, most, over = self._anonymous(), [0.0], threading.Event()

        def look() -> None:
            while not over.wait(_LOOK_SECONDS):
                most[0] = max(most[0], (self._anonymous() - before) / _MIB)

        looking = threading.Thread(target=look)
        looking.start()
        try:
            yield most
        finally:
            over.set()
            looking.join()

    def _anonymous(self) -> int:
        pids = ["self"]
        if self._server:
            children = Path(f"/proc/{self._server}/task/{self._server}/children").read_text()
            pids += [str(self._server), *children.split()]
        return sum(_anonymous_bytes(pid) for pid in pids)


def _anonymous_bytes(pid: str) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
    return 0


class Measured:
    """Takes the figures of a database that was filled, one after the other."""

    def __init__(self, books: Books, key: KeyState, machine: Machine, requests: int) -> None:
        self._books = books
        self._database: Database = books.database
        #: as gateways read
        self._reader = Database(books.database.url)
        self._key = key
        self._account = books.account_id(BIG)
        self._machine = machine
        self._requests = requests
        self.figures: list[Figure] = []

    def take(self) -> list[Figure]:
        self._sizes()
        self._audits()
        self._fold()
        self._reports()
        self._charges()
        self._closing()
        self._reader.close()
        return self.figures

    def _note(self, name: str, unit: str, value: float, *, grows: bool = False) -> None:
        self.figures.append(Figure(name, unit, value, grows))

    def _cpu(self, act: Callable[[], object]) -> float:
        began = self._machine.cpu_seconds()
        act()
        return self._machine.cpu_seconds() - began

    def _sizes(self) -> None:
        books = self._books
        if self._database.is_sqlite:
            whole = Path(self._database.path).stat().st_size
        else:
            size = "SELECT pg_{}_size('{}')"
            table = books.scalar(size.format("table", "entry"))
            indexes = books.scalar(size.format("indexes", "entry"))
            usage = books.scalar(size.format("total_relation", "request_usage"))
            self._note("entries", "GiB", table / 2**30, grows=True)
            self._note("indexes of entries", "GiB", indexes / 2**30, grows=True)
            self._note("tokens and prices", "GiB", usage / 2**30, grows=True)
            whole = books.scalar("SELECT pg_database_size(current_database())")
        self._note("whole database", "GiB", whole / 2**30, grows=True)

    def _audits(self) -> None:
        with self._machine.memory() as most:
            self._note("`audit`", "s", self._cpu(self._audit), grows=True)
        self._note("`audit`, memory", "MiB", most[0])
        if not self._database.is_sqlite:
            while self._round():
                pass
            self._note("the operator's audit, nothing new", "ms", 1000 * self._cpu(self._round))

    def _audit(self) -> None:
        assert audit(self._database) == []

    def _round(self) -> int:
        found = audit_round(self._database, INSTALLATION, round_seconds=60, recount_seconds=86_400)
        assert found.drift == 0
        return found.entries

    def _fold(self) -> None:
        entries = 0

        def fold() -> None:
            nonlocal entries
            while not (one := count_usage(self._database, INSTALLATION)).is_complete:
                entries += one.entries
            entries += one.entries

        seconds = self._cpu(fold)
        self._note("counting usage, an entry", "µs", 1e6 * seconds / entries)
        self._note("counting usage, nothing new", "ms", 1000 * self._cpu(fold))

    def _reports(self) -> None:
        now = datetime.now(UTC)
        query = read_query(now, begin=str((now - timedelta(days=DAYS)).date()))
        usage = self._cpu(lambda: _read_all(UsageReader(self._account, query), self._reader))
        self._note(f"usage of {DAYS} days", "ms", 1000 * usage)
        month = Period(now - timedelta(days=60), now - timedelta(days=30))
        reader = StatementReader(self._account, BIG, month)
        statement = self._cpu(lambda: _read_statement(reader, self._reader))
        self._note("statement of a month, a request of the account", "µs",
                   1e6 * statement / (self._requests / 10))  # fmt: skip
        middle = (self._books.newest_entry() + 1) // 2
        for name, after in (("the newest", None), ("from the middle", str(middle))):
            page = read_entry_query(after=after)
            seconds = self._cpu(lambda page=page: self._read_pages(page))  # type: ignore[misc]
            self._note(f"a page of entries, {name}", "ms", 1000 * seconds / _PAGES)

    def _read_pages(self, page: Any) -> None:
        for _ in range(_PAGES):
            assert _read_all(EntryReader(self._account, page), self._reader)

    def _charges(self) -> None:
        async def charge(ledger: Ledger) -> None:
            for _ in range(_CHARGES):
                asked = replace(self._books.charge(self._key, 1, BIG), request_id=new_request_id())
                assert (await ledger.charge(asked)).outcome == "charged"
                ledger.end(End(asked.request_id, None))

        async def run(act: Callable[[Ledger], Any]) -> float:
            async with open_ledger(self._database) as ledger:
                await act(ledger)
                began = self._machine.cpu_seconds()
                await act(ledger)
                return self._machine.cpu_seconds() - began

        self._note("a charge and its end", "ms", 1000 * asyncio.run(run(charge)) / _CHARGES)

    def _closing(self) -> None:
        count_usage(self._database, INSTALLATION)
        before = datetime.now(UTC) - timedelta(days=DAYS / 2)
        moved = 0

        def close() -> None:
            nonlocal moved
            for one in close_account(self._database, self._account, before, lambda rows: None):
                moved += one.entries

        self._note("`close`, an entry", "µs", 1e6 * self._cpu(close) / max(1, moved))
        assert moved


def _read_all(reader: Any, database: Database) -> int:
    read = 0
    while (lines := reader.advance(database)) is not None:
        read += len(lines)
    return read


def _read_statement(reader: StatementReader, database: Database) -> None:
    while reader.advance(database) is None:
        pass


def analyze(database: Database) -> None:
    """Have the database know its tables, as one that runs for months does."""
    if database.is_sqlite:
        with database.write() as session:
            session.execute(text("ANALYZE"))
        return
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))
