"""The figures of one database: what it takes, and the processor's time of what is asked of it."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import text

from gateway.core.entries import read_entry_query
from gateway.core.statement import Period
from gateway.core.usage import read_query
from gateway.store.audit import audit
from gateway.store.audit_rounds import audit_round
from gateway.store.database import Database
from gateway.store.entry_reader import EntryReader
from gateway.store.key_rows import KeyState
from gateway.store.statement_reader import StatementReader
from gateway.store.usage_reader import UsageReader
from gateway.store.usage_rounds import count_usage
from tests.bench.growth.changes import Changes
from tests.bench.growth.counted import remember_all
from tests.bench.growth.fill import BIG, DAYS, small_accounts
from tests.bench.growth.machine import Figure, Machine, Notebook, empty_file_cache, seconds
from tests.harness.books import INSTALLATION, Books

_PAGES = 20
#: entries that rounds of the audit and of usage count, of as many as there are
_ROUNDS_ENTRIES = 1_000_000


class Measured:
    """Takes the figures of a database that was filled, one after the other."""

    def __init__(self, books: Books, key: KeyState, machine: Machine, requests: int) -> None:
        self._books = books
        self._database: Database = books.database
        #: as gateways read
        self._reader = Database(books.database.url)
        self._key = key
        self._account = books.account_id(BIG)
        self._small = small_accounts(books)[-_PAGES:]
        self._requests = requests
        self._notebook = Notebook(machine)
        self._note, self._cpu = self._notebook.note, self._notebook.cpu

    def take(self, *, empties_cache: bool) -> list[Figure]:
        """All figures; with `empties_cache`, also those of a file cache that was emptied."""
        self._sizes()
        self._audits()
        self._rounds()
        self._reports()
        if empties_cache:
            self._from_disk()
        self._reader.close()
        Changes(self._books, self._key, self._notebook).take()
        return self._notebook.figures

    def _sizes(self) -> None:
        books = self._books
        if self._database.is_sqlite:
            whole = Path(self._database.path).stat().st_size
        else:
            size = "SELECT pg_{}_size('{}')"
            for name, which, of in (
                ("entries", "table", "entry"),
                ("index of entries by id", "relation", "entry_pkey"),
                ("index of entries by account", "relation", "entry_account"),
                ("index of entries by request", "relation", "entry_request_id_kind_key"),
                ("all indexes of entries", "indexes", "entry"),
                ("tokens and prices", "total_relation", "request_usage"),
            ):
                taken = books.scalar(size.format(which, of))
                self._note(name, "GiB", taken / 2**30, grows=True)
            whole = books.scalar("SELECT pg_database_size(current_database())")
        self._note("whole database", "GiB", whole / 2**30, grows=True)

    def _audits(self) -> None:
        with self._notebook.machine.memory() as most:
            self._note("`audit`", "s", self._cpu(self._audit), grows=True)
        self._note("`audit`, memory", "MiB", most[0])

    def _audit(self) -> None:
        assert audit(self._database) == []

    def _rounds(self) -> None:
        """Rounds over some of the entries, then over what is remembered of all."""
        if not self._database.is_sqlite:
            self._per_entry("the operator's audit", self._audit_some)
        self._per_entry("counting usage", self._count_some)
        remember_all(self._books, self._key, [self._account, *self._small])
        analyze(self._database)
        if not self._database.is_sqlite:
            taken = self._cpu(self._audit_some)
            self._note("the operator's audit, nothing new", "ms", 1000 * taken)
        self._note("counting usage, nothing new", "ms", 1000 * self._cpu(self._count_some))

    def _per_entry(self, name: str, act: Callable[[], int]) -> None:
        """The processor's time of an entry, of rounds that have seen enough of them."""
        entries, taken = 0, 0.0

        def one_round() -> None:
            nonlocal entries
            entries += act()

        while entries < min(_ROUNDS_ENTRIES, self._requests):
            taken += self._cpu(one_round)
        self._note(f"{name}, an entry", "µs", 1e6 * taken / entries)

    def _audit_some(self) -> int:
        found = audit_round(self._database, INSTALLATION, round_seconds=10, recount_seconds=86_400)
        assert found.drift == 0
        return found.entries

    def _count_some(self) -> int:
        return count_usage(self._database, INSTALLATION).entries

    def _reports(self) -> None:
        self._note(f"usage of {DAYS} days", "ms", 1000 * self._cpu(self._read_usage))
        taken = self._cpu(lambda: self._read_statement(self._account))
        name = "statement of a month, a request of the account"
        self._note(name, "µs", 1e6 * taken / (self._requests / 10))
        taken = self._cpu(lambda: self._read_statement(self._small[0]))
        self._note(f"{name}, a small one", "µs", 1e6 * taken / (self._requests / 100))
        for name, after in self._places():
            act = partial(self._read_pages, [self._account] * _PAGES, after)
            self._note(f"a page of entries, {name}", "ms", 1000 * self._cpu(act) / _PAGES)

    def _from_disk(self) -> None:
        """The seconds that somebody waits where nothing is in the file cache.

        Each page is of another account, as the second one of an account would be in memory.
        """
        acts: list[tuple[str, str, float, Callable[[], object]]] = [
            (f"usage of {DAYS} days", "ms", 1000, self._read_usage),
            (
                "statement of a month, a request of a small account",
                "µs",
                1e6 / (self._requests / 100),
                lambda: self._read_statement(self._small[1]),
            ),
        ]
        for name, after in self._places():
            pages = partial(self._read_pages, self._small, after)
            acts.append((f"a page of entries, {name}", "ms", 1000 / _PAGES, pages))
        for name, unit, times, act in acts:
            empty_file_cache()
            self._note(f"{name}, from the disk", unit, times * seconds(act))

    def _places(self) -> list[tuple[str, str | None]]:
        middle = (self._books.newest_entry() + 1) // 2
        return [("the newest", None), ("from the middle", str(middle)), ("the oldest", "2000")]

    def _read_usage(self) -> None:
        now = datetime.now(UTC)
        query = read_query(now, begin=str((now - timedelta(days=DAYS)).date()))
        read_all(UsageReader(self._account, query), self._reader)

    def _read_statement(self, account: int) -> None:
        now = datetime.now(UTC)
        month = Period(now - timedelta(days=60), now - timedelta(days=30))
        reader = StatementReader(account, BIG, month)
        while reader.advance(self._reader) is None:
            pass

    def _read_pages(self, accounts: Sequence[int], after: str | None) -> None:
        page = read_entry_query(after=after)
        for account in accounts:
            assert read_all(EntryReader(account, page), self._reader)


def read_all(reader: Any, database: Database) -> int:
    """The lines of a reader, as many as it has."""
    read = 0
    while (lines := reader.advance(database)) is not None:
        read += len(lines)
    return read


def analyze(database: Database) -> None:
    """Have the database know its tables, as one that runs for months does."""
    if database.is_sqlite:
        with database.write() as session:
            session.execute(text("ANALYZE"))
        return
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))
