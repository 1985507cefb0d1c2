"""The costs of changes in a large database: charges, retention, erasure, and a closing."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from msgspec.structs import replace
from sqlalchemy import text

from gateway.core.actor import Actor
from gateway.core.request_ids import new_request_id
from gateway.store.closing import accounts_to_close, close_account
from gateway.store.erasing import erase_account
from gateway.store.key_rows import KeyState
from gateway.store.ledger import End, Ledger
from gateway.store.request_retention import ROWS_MAX, forget_requests
from gateway.store.usage_rounds import count_usage
from tests.bench.growth.fill import BIG, DAYS, Filling, small_accounts
from tests.bench.growth.machine import Notebook
from tests.harness.books import INSTALLATION, Books
from tests.store.test_charges import open_ledger

_CHARGES = 300
_ROUNDS = 40
#: days of the oldest requests that are closed, and of new ones that come afterwards
_CLOSED_DAYS = 5


class Changes:
    """Takes the figures of changes; the database is another one afterwards."""

    def __init__(self, books: Books, key: KeyState, notebook: Notebook) -> None:
        self._books = books
        self._database = books.database
        self._key = key
        self._notebook = notebook
        self._note, self._cpu = notebook.note, notebook.cpu

    def take(self) -> None:
        self._charges()
        self._retention()
        self._erasure()
        self._closing()

    def _charges(self) -> None:
        async def charge(ledger: Ledger) -> None:
            for _ in range(_CHARGES):
                asked = replace(self._books.charge(self._key, 1, BIG), request_id=new_request_id())
                assert (await ledger.charge(asked)).outcome == "charged"
                ledger.end(End(asked.request_id, None))

        async def run(act: Callable[[Ledger], Any]) -> float:
            async with open_ledger(self._database) as ledger:
                await act(ledger)
                began = self._notebook.machine.cpu_seconds()
                await act(ledger)
                return self._notebook.machine.cpu_seconds() - began

        self._note("a charge and its end", "ms", 1000 * asyncio.run(run(charge)) / _CHARGES)

    def _retention(self) -> None:
        """The first rounds, and later ones, which begin where others have deleted."""

        def forget() -> None:
            forget_requests(self._database, INSTALLATION, DAYS // 2)

        forget()
        for name in ("", f", after {_ROUNDS} more"):
            taken = self._cpu(forget)
            self._note(f"a round of retention{name}, a row", "µs", 1e6 * taken / ROWS_MAX)
            for _ in range(_ROUNDS):
                forget()

    def _erasure(self) -> None:
        account = small_accounts(self._books)[2]
        entries = self._books.scalar(f"SELECT count(*) FROM entry WHERE account_id = {account}")
        taken = self._cpu(lambda: erase_account(self._database, account, Actor("bench")))
        self._note("erasing an account, an entry", "µs", 1e6 * taken / entries)

    def _closing(self) -> None:
        """Close the oldest days of all accounts, then see where entries of as many days go."""
        while not count_usage(self._database, INSTALLATION).is_complete:
            pass
        oldest = self._books.scalar("SELECT min(created_at) FROM entry WHERE kind = 'charge'")
        oldest = datetime.fromisoformat(f"{oldest}")
        before = oldest.astimezone() + timedelta(days=_CLOSED_DAYS)
        moved = 0

        def close() -> None:
            nonlocal moved
            for account_id, _ in accounts_to_close(self._database, INSTALLATION):
                for one in close_account(self._database, account_id, before, lambda rows: None):
                    moved += one.entries

        full = self._bytes()
        self._note("`close`, an entry", "µs", 1e6 * self._cpu(close) / max(1, moved))
        assert moved
        self._tidy()
        closed = self._bytes()
        self._note("the files after a closing", "%", 100 * closed / full)
        Filling(self._books, self._key).add(moved * 2 // 3, days=_CLOSED_DAYS)
        self._tidy()
        self._note("the files after as much again", "%", 100 * self._bytes() / full)

    def _bytes(self) -> int:
        """Bytes of entries, tokens and prices, with their indexes."""
        if self._database.is_sqlite:
            return Path(self._database.path).stat().st_size
        sizes = "SELECT pg_total_relation_size('entry') + pg_total_relation_size('request_usage')"
        return int(self._books.scalar(sizes))

    def _tidy(self) -> None:
        if self._database.is_sqlite:
            with self._database.engine.connect() as connection:
                connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))
            return
        autocommit = {"isolation_level": "AUTOCOMMIT"}
        with self._database.engine.connect().execution_options(**autocommit) as connection:
            connection.execute(text("VACUUM"))
