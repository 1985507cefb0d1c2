"""The data folder of a standalone gateway: one process at a time, one database, one secret."""

import fcntl
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from gateway.core.errors import Repairable
from gateway.core.keys import InstallationSecret
from gateway.process.settings import Settings, SettingsError
from gateway.process.standalone.secret_files import write_private
from gateway.store.database import SHARED_CONNECTIONS, Database
from gateway.store.installation import check_secret
from gateway.store.schema import check_schema, is_current

#: the databases, with the files that SQLite keeps beside one that is open
_DATABASES = ("*.db", "*.db-wal", "*.db-shm", "*.db-journal")
_ADDRESS = "address"
_CONSOLE = "console"

#: the longest wait for another process that applies a file
_APPLY_SECONDS_MAX = 30.0
_APPLY_PAUSE_SECONDS = 0.05


class FolderInUse(Repairable, RuntimeError):
    """Another process works on this data folder."""


class DataFolder:
    """A folder that is this process's own while the context lasts."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptors: list[int] = []

    def __enter__(self) -> "DataFolder":
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._hold(self.path / "lock", f"{self.path}", "another --data folder")
        self._close_to_others()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for descriptor in self._descriptors:
            os.close(descriptor)

    @property
    def is_held(self) -> bool:
        """True if this process has the folder alone; else it works beside one that does."""
        return bool(self._descriptors)

    def hold_database(self, path: Path) -> None:
        """Have a database of SQLite alone, too: settings may name the same to several folders.

        By a lock beside the file, wherever links to it lead. Raises `FolderInUse`.
        """
        file = path.resolve()
        self._hold(file.with_name(f"{file.name}.lock"), f"{file}", "another database")

    def _hold(self, lock: Path, what: str, other: str) -> None:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(descriptor, 32).decode() or "unknown"
            os.close(descriptor)
            raise FolderInUse(
                f"another gateway (process {owner}) is running on {what}: a SQLite database"
                f" serves one process; stop it, or give this one {other}"
            ) from None
        self._descriptors.append(descriptor)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())

    def note_address(self, url: str) -> str:
        """Leave the URL of the gateway that runs here for a process that applies a file beside
        it."""
        write_private(self.path / _ADDRESS, url)
        return url

    def note_console(self, origin: str | None) -> None:
        """Leave the origin of the console that runs here, None for none."""
        write_private(self.path / _CONSOLE, origin or "")

    def _close_to_others(self) -> None:
        """Databases of earlier releases may be readable for all of this machine."""
        for pattern in _DATABASES:
            for file in self.path.glob(pattern):
                file.chmod(0o600)


def address_in(path: Path) -> str | None:
    """The URL of the gateway that runs, or last ran, on a data folder."""
    return _noted(path / _ADDRESS)


def console_in(path: Path) -> str | None:
    """The origin of its console."""
    return _noted(path / _CONSOLE)


def _noted(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip() or None
    except OSError:
        return None


@contextmanager
def one_at_a_time(path: Path) -> Iterator[None]:
    """Nobody else applies a file on this data folder meanwhile. Raises `FolderInUse`."""
    descriptor = os.open(path / "apply.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        deadline = time.monotonic() + _APPLY_SECONDS_MAX
        while not _is_locked(descriptor):
            if time.monotonic() > deadline:
                raise FolderInUse(f"another process applies a file on {path}; try again")
            time.sleep(_APPLY_PAUSE_SECONDS)
        yield
    finally:
        os.close(descriptor)


def _is_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def database_url(settings: Settings, path: Path) -> str:
    """The database that settings and data folder name."""
    return settings.database_url or f"sqlite:///{path / 'faregate.db'}"


@contextmanager
def database_in(path: Path, settings: Settings, *, timeouts: bool = True) -> Iterator[Database]:
    """The same, opened for a command; its schema may be any. Raises `SettingsError`."""
    database = Database(database_url(settings, path), timeouts=timeouts)
    try:
        if database.is_sqlite and not (folder := Path(database.path).parent).is_dir():
            raise SettingsError(f"there is no folder {folder}: give --data the one of a gateway")
        yield database
    finally:
        database.close()


def open_database(settings: Settings, folder: DataFolder) -> tuple[Database, InstallationSecret]:
    """The database, fit for this release and this secret.

    A SQLite database is made and migrated here where the folder is held, PostgreSQL by `migrate`.
    Raises `SettingsError`, `SchemaError`, `WrongSecret`, `FolderInUse` and `DatabaseUnavailable`.
    """
    database = Database(database_url(settings, folder.path), connections=SHARED_CONNECTIONS)
    is_ours = database.is_sqlite and folder.is_held
    if is_ours:
        folder.hold_database(Path(database.path))
    if is_ours and not is_current(database):
        # The migration tool costs a third of a start, and is needed only here.
        from gateway.store.migrate import migrate

        migrate(database)
    check_schema(database)
    secret = _installation_secret(settings, folder, database)
    check_secret(database, settings.installation, secret)
    return database, secret


def _installation_secret(
    settings: Settings, folder: DataFolder, database: Database
) -> InstallationSecret:
    given = settings.installation_secret
    if given is None and not database.is_sqlite:
        raise SettingsError(
            "FAREGATE_INSTALLATION_SECRET is not set: several gateways on one PostgreSQL need"
            " the same secret, 32 characters or more"
        )
    if given is None:
        path = folder.path / "installation.secret"
        if not path.exists():
            write_private(path, secrets.token_urlsafe(48))
        given = path.read_text(encoding="utf-8").strip()
    try:
        return InstallationSecret(given)
    except ValueError as error:
        raise SettingsError(str(error)) from None
