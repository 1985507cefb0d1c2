"""`python -m gateway close`: moves older entries of all accounts into a file.

Owns the file: gzip of CSV (RFC 1952, RFC 4180), one gzip member a slice, so that a file that was
cut short can be read up to its last slice. It is named `.part` until it is whole; its SHA-256
stands in a file beside it, as `sha256sum --check` reads it.
"""

import gzip
import hashlib
import os
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

from gateway.core.statement import PeriodError, read_moment, read_period, stamp
from gateway.http.spreadsheet import csv_lines
from gateway.store.closing import (
    COLUMNS,
    NotCounted,
    accounts_to_close,
    close_account,
)
from gateway.store.database import Database
from gateway.store.schema import check_schema
from gateway.store.statement_reader import is_over

#: a retry of a request may still refer to its charge for a day
AGE_MIN = timedelta(days=2)


class Archive:
    """The file of one closing, being written in `folder`. Raises `OSError`."""

    def __init__(self, folder: Path, before: datetime) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = _free_path(folder, f"entries-before-{before:%Y-%m-%d}")
        self._part = self.path.with_name(f"{self.path.name}.part")
        self._file = self._part.open("xb")
        self._hash = hashlib.sha256()
        self.entries = 0
        self._write(csv_lines([COLUMNS]))

    def keep(self, rows: Sequence[Sequence[Any]]) -> None:
        """Write some entries, and wait until the disk has them."""
        self._write(csv_lines(map(_shown, rows)))
        self.entries += len(rows)

    def finish(self) -> None:
        """Give the file its name; one without entries goes."""
        self._file.close()
        if not self.entries:
            self._part.unlink()
            return
        checksum = f"{self._hash.hexdigest()}  {self.path.name}\n"
        self.path.with_name(f"{self.path.name}.sha256").write_text(checksum)
        self._part.rename(self.path)

    def _write(self, lines: bytes) -> None:
        member = gzip.compress(lines, mtime=0)
        self._hash.update(member)
        self._file.write(member)
        self._file.flush()
        os.fsync(self._file.fileno())


def read_before(month_or_moment: str, now: datetime) -> datetime:
    """The moment of a closing, by a month such as `2026-10` or as everywhere.

    Raises `PeriodError`, also where it is too late for a closing.
    """
    if len(month_or_moment) == len("2026-10"):
        before = read_period(month_or_moment, None, None, now).begin
    else:
        before = read_moment(month_or_moment, "before")
    if before > now - AGE_MIN:
        latest = stamp((now - AGE_MIN).replace(microsecond=0))
        raise PeriodError(
            f"before is {stamp(before)}, and only what is older than two days can be closed: give a"
            f" month that is over, or a moment up to {latest}",
            "before",
        )
    return before


def close(
    database: Database, installation: str, before: datetime, folder: Path
) -> Iterator[tuple[str, bool]]:
    """Move the entries of before a moment, account by account; lines for the administrator.

    With each line, whether all of it was done. Raises `PeriodError`, `SchemaError`, `OSError` and
    `DatabaseUnavailable`; what has left the ledger by then is in the file.
    """
    check_schema(database)
    if not is_over(database, before, AGE_MIN.total_seconds()):
        raise PeriodError(
            f"before is {stamp(before)}, and by the database's clock that is not two days ago:"
            " wait, or correct the clock",
            "before",
        )
    archive = Archive(folder, before)
    for account_id, name in accounts_to_close(database, installation):
        moved = credits = 0
        failure = ""
        try:
            for closed in close_account(database, account_id, before, archive.keep):
                moved, credits = moved + closed.entries, credits + closed.credits
        except NotCounted as error:
            failure = f"; not all of them: {error}"
        if moved or failure:
            yield f"{name}: {moved} entries, {credits} credits{failure}", not failure
    archive.finish()
    where = f" to {archive.path}" if archive.entries else ""
    yield f"{archive.entries} entries of before {stamp(before)} moved{where}", True


def _free_path(folder: Path, name: str) -> Path:
    names = (f"{name}.csv.gz" if number == 1 else f"{name}-{number}.csv.gz" for number in count(1))
    return next(
        path
        for path in (folder / each for each in names)
        if not path.exists() and not path.with_name(f"{path.name}.part").exists()
    )


def _shown(row: Sequence[Any]) -> list[Any]:
    return [stamp(cell) if isinstance(cell, datetime) else cell for cell in row]
