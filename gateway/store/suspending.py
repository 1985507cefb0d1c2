"""Several keys of one person, suspended one after the other; they may be resumed."""

from collections.abc import Iterable

from sqlalchemy import not_
from sqlmodel import col, select

from gateway.core.actor import Actor
from gateway.core.errors import NotFound, StateConflict
from gateway.core.key_policy import KeyPolicy
from gateway.core.principal import AccountSet
from gateway.store.account_sets import within
from gateway.store.console_tables import PersonRow
from gateway.store.database import Database
from gateway.store.key_list import is_live
from gateway.store.people import Identity
from gateway.store.personal_keys import KeySettings, change_key
from gateway.store.tables import Account, ApiKeyRow

#: who suspends the keys of a person that has lost the role for them, in the log of changes
LOST_ROLE = Actor("console, since the person has lost the role")


def suspend_keys(
    database: Database, installation: str, key_ids: Iterable[str], actor: Actor
) -> int:
    """Suspend keys by their ids, each in its own transaction; how many were suspended.

    A key that has just been revoked or erased does not stop the others. Raises
    `DatabaseUnavailable`.
    """
    suspended = 0
    for key_id in key_ids:
        try:
            change_key(
                database, installation, key_id, KeySettings(suspended=True), KeyPolicy(), actor
            )
        except (NotFound, StateConflict):
            continue
        suspended += 1
    return suspended


def suspend_lost_keys(
    database: Database, installation: str, identity: Identity, reach: AccountSet
) -> int:
    """Suspend a person's keys outside the accounts where it may make some; how many there were.

    Raises `DatabaseUnavailable`; those that are left are found at the next sign-in.
    """
    with database.read() as session:
        asked = (
            select(ApiKeyRow.key_id)
            .join(Account, col(Account.id) == col(ApiKeyRow.account_id))
            .join(PersonRow, col(PersonRow.id) == col(ApiKeyRow.person_id))
            .where(
                PersonRow.installation == installation,
                PersonRow.issuer == identity.issuer,
                PersonRow.subject == identity.subject,
                Account.installation == installation,
                not_(within(reach)),
                is_live(database.now(session)),
                ~col(ApiKeyRow.suspended),
            )
        )
        lost = session.exec(asked.order_by(col(ApiKeyRow.id))).all()
    return suspend_keys(database, installation, lost, LOST_ROLE)
