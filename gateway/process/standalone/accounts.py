"""From the Account documents of a file to the parents and limits in a database."""

import logging
from collections.abc import Sequence

from gateway.core.actor import Actor
from gateway.core.spec import AccountObject
from gateway.store.database import Database
from gateway.store.group_rows import (
    AccountResult,
    decided,
    find_account_state,
    list_governed,
    unnamed,
)

_log = logging.getLogger(__name__)


def apply_accounts(
    database: Database, installation: str, accounts: Sequence[AccountObject], actor: Actor
) -> None:
    """Bring the tree of the database to the file's. Raises `DatabaseUnavailable`."""
    governed = list_governed(database, installation)
    # On PostgreSQL an account with a UID is a cluster's, and not the file's to release.
    own = [state for state in governed if database.is_sqlite or not state.object_uid]
    if unnamed(own, accounts):
        from gateway.store.groups import release_missing

        release_missing(database, own, accounts, actor)
    left = list(accounts)
    while left:
        # What has to wait until another account has moved out of its way comes again.
        results = [(one, _apply(database, installation, one, actor)) for one in left]
        stalled = [one for one, result in results if result.is_stalled]
        if len(stalled) == len(left):
            for one, result in results:
                _log.warning("Account %s: %s", one.metadata.shown, result.message)
            return
        left = stalled


def _apply(
    database: Database, installation: str, account: AccountObject, actor: Actor
) -> AccountResult:
    result = decided(account, find_account_state(database, installation, account))
    if result is not None:
        return result
    from gateway.store.groups import apply_account

    return apply_account(database, installation, account, actor)
