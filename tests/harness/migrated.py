"""A SQLite database with its tables, made once and copied: to migrate takes half a second each."""

import tempfile
from functools import cache
from pathlib import Path

from gateway.store.database import Database
from gateway.store.migrate import migrate


def write_migrated(path: Path) -> None:
    """A new database with its tables, as a gateway makes it in its folder."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.touch(0o600)
    path.write_bytes(_migrated())


@cache
def _migrated() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "migrated.db")
        database = Database(f"sqlite:///{path}")
        migrate(database)
        database.close()
        return path.read_bytes()
