"""The installation: one secret per database, noticed when it is the wrong one."""

from sqlmodel import select

from gateway.core.keys import InstallationSecret
from gateway.store.database import Database
from gateway.store.tables import Installation


class WrongSecret(RuntimeError):
    """The database was made with another installation secret."""


def check_secret(database: Database, installation: str, secret: InstallationSecret) -> None:
    """Remember the secret's fingerprint at first contact; afterwards insist on it.

    Raises `WrongSecret` with a sentence for the administrator.
    """
    with database.write() as session:
        row = session.exec(
            select(Installation).where(Installation.name == installation).with_for_update()
        ).one_or_none()
        if row is None:
            session.add(Installation(name=installation, secret_fingerprint=secret.fingerprint()))
        elif row.secret_fingerprint != secret.fingerprint():
            raise WrongSecret(
                f"this is not the installation secret that the keys of installation"
                f" {installation!r} were made with: give the gateway the old one back"
            )
