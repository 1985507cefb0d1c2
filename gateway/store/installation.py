"""The installation: one secret per database, noticed when it is the wrong one."""

from sqlmodel import select

from gateway.core.keys import InstallationSecret
from gateway.store.database import Database
from gateway.store.tables import Installation


class WrongSecret(RuntimeError):
    """The database was made with another installation secret."""


def is_installed(database: Database, installation: str) -> bool:
    """True if the database knows a secret of this installation already."""
    with database.read() as session:
        found = session.exec(select(Installation).where(Installation.name == installation))
        return found.one_or_none() is not None


def check_secret(database: Database, installation: str, secret: InstallationSecret) -> None:
    """Remember the secret's fingerprint at first contact; afterwards insist on it.

    Raises `WrongSecret` with a sentence for the administrator.
    """
    with database.read() as session:  # a lock would be a write, and every start would wait for it
        row = session.get(Installation, installation)
    if row is None:
        row = Installation(name=installation, secret_fingerprint=secret.fingerprint())
        with database.write() as session:
            session.add(row)
    elif row.secret_fingerprint != secret.fingerprint():
        raise WrongSecret(
            f"this is not the installation secret that the keys of installation"
            f" {installation!r} were made with: give the gateway the old one back"
        )
