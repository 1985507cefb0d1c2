"""Keys of people who have lost the role that made them: they stop, and may be resumed."""

from sqlalchemy import not_
from sqlmodel import col, select

from gateway.core.actor import Actor
from gateway.core.principal import AccountSet
from gateway.store.account_sets import within
from gateway.store.console_tables import PersonRow
from gateway.store.database import Database
from gateway.store.key_list import is_live
from gateway.store.people import Identity
from gateway.store.suspending import suspend_keys
from gateway.store.tables import Account, ApiKeyRow

#: who suspends such keys, in the log of changes
LOST_ROLE = Actor("console, since the person has lost the role")


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
