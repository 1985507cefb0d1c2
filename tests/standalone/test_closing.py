"""`python -m gateway close`: the file, and what is printed."""

import csv
import gzip
import hashlib
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from gateway.core.statement import PeriodError
from gateway.process.closing import close, read_before
from gateway.store.usage_rounds import count_usage
from tests.harness.books import INSTALLATION, Books
from tests.harness.gateway import ROOT
from tests.store.test_closing import entries
from tests.store.test_statements import History


def test_the_file_has_what_has_left_and_a_second_one_has_the_rest(
    books: Books, tmp_path: Path
) -> None:
    folder = tmp_path / "closed"
    with books.database.write() as session:
        before = books.database.now(session) - timedelta(days=60)
    histories = [History(books, Random(seed), f"account-{seed}") for seed in (41, 42)]
    count_usage(books.database, INSTALLATION)
    charged = {
        row.id: row.credits
        for one in histories
        for row in entries(books.database, one.account_id)
        if row.kind in ("charge", "refund")
    }
    lines = []
    for moment in (before, before + timedelta(days=30)):
        printed = list(close(books.database, INSTALLATION, moment, folder))
        assert all(is_whole for _, is_whole in printed)
    files = sorted(folder.glob("entries-before-*.csv.gz"))
    assert len(files) == 2
    for file in files:
        digest, name = file.with_name(f"{file.name}.sha256").read_text().split()
        assert (digest, name) == (hashlib.sha256(file.read_bytes()).hexdigest(), file.name)
        lines += list(csv.DictReader(gzip.decompress(file.read_bytes()).decode().splitlines()))
    assert {line["account"] for line in lines} <= {"team/account-41", "team/account-42"}
    for line in lines:
        assert charged.pop(int(line["id"])) == int(line["credits"])
    kept = [row for one in histories for row in entries(books.database, one.account_id)]
    assert {row.id for row in kept if row.kind in ("charge", "refund")} == charged.keys()
    assert list(close(books.database, INSTALLATION, before, folder)) == [
        (f"0 entries of before {before.isoformat().replace('+00:00', 'Z')} moved", True)
    ]
    assert len(list(folder.iterdir())) == 4, "a closing of nothing leaves no file"


def test_what_is_not_counted_is_reported(books: Books, tmp_path: Path) -> None:
    with books.database.write() as session:
        before = books.database.now(session) - timedelta(days=30)
    History(books, Random(41), "alice")
    printed = list(close(books.database, INSTALLATION, before, tmp_path))
    assert [is_whole for _, is_whole in printed] == [False, True]
    assert "not counted" in printed[0][0]


def test_a_closing_of_the_last_days_is_refused() -> None:
    now = datetime(2026, 11, 2, 12, tzinfo=UTC)
    assert read_before("2026-10", now) == datetime(2026, 10, 1, tzinfo=UTC)
    assert read_before("2026-10-30", now) == datetime(2026, 10, 30, tzinfo=UTC)
    for text in ("2026-11", "2026-11-01T00:00:00Z", "2027-01", "soon", "2026-13"):
        with pytest.raises(PeriodError):
            read_before(text, now)


def test_a_command_closes(books: Books, tmp_path: Path) -> None:
    target = ["--before", "2026-10", "--folder", str(tmp_path / "closed")]
    command = [sys.executable, "-m", "gateway", "close", *target]
    environment = {"PATH": os.environ["PATH"], "FAREGATE_DATABASE_URL": books.database.url}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (
        0,
        "0 entries of before 2026-10-01T00:00:00Z moved\n",
    ), done.stderr
