"""The installation: one secret per database, noticed when it is the wrong one."""

from gateway.core.errors import Repairable
from gateway.core.keys import InstallationSecret
from gateway.store.database import Database

_KNOWN = "SELECT secret_fingerprint FROM installation WHERE name = :name"
_REMEMBER = "INSERT INTO installation (name, secret_fingerprint) VALUES (:name, :fingerprint)"


class WrongSecret(Repairable, RuntimeError):
    """The database was made with another installation secret."""


def is_installed(database: Database, installation: str) -> bool:
    """True if the database knows a secret of this installation already."""
    return _fingerprint(database, installation) is not None


def check_secret(database: Database, installation: str, secret: InstallationSecret) -> None:
    """Remember the secret's fingerprint at first contact; afterwards insist on it.

    Raises `WrongSecret` with a sentence for the administrator.
    """
    known = _fingerprint(database, installation)
    if known is None:
        with database.plain_write() as transaction:
            transaction.rows(_REMEMBER, name=installation, fingerprint=secret.fingerprint())
    elif known != secret.fingerprint():
        raise WrongSecret(
            f"this is not the installation secret that the keys of installation"
            f" {installation!r} were made with: give the gateway the old one back"
        )


def _fingerprint(database: Database, installation: str) -> str | None:
    # A lock would be a write, and every start would wait for it.
    with database.plain_read() as transaction:
        row = transaction.row(_KNOWN, name=installation)
        return None if row is None else str(row[0])
