"""The accounts whose grants are due to expire; `grants` posts the expiries."""

import logging
from collections.abc import Awaitable, Callable

from gateway.core.errors import DatabaseBusy, DatabaseUnavailable
from gateway.store.database import Database

_log = logging.getLogger(__name__)
#: accounts that are looked for at once
_ACCOUNTS_AT_ONCE = 500
_DUE = """
SELECT id FROM account WHERE next_expiry <= :now AND id > :after ORDER BY id LIMIT :most
"""


def accounts_with_due_grants(database: Database, after: int = 0) -> list[int]:
    """Some accounts whose next expiry has passed, by their ids, of those `after` an id.

    So that idle ones are brought up to date too.
    """
    with database.plain_read() as transaction:
        found = transaction.rows(_DUE, now=transaction.now(), after=after, most=_ACCOUNTS_AT_ONCE)
        return [account_id for (account_id,) in found]


async def expire_due(
    find: Callable[[int], Awaitable[list[int]]], expire: Callable[[int], Awaitable[int]]
) -> None:
    """Post all that is due; an account where that fails keeps no other waiting.

    `find` returns some accounts after an id, `expire` posts for one. Raises `DatabaseUnavailable`
    where it fails for everybody.
    """
    last = 0
    while due := await find(last):
        for account_id in due:
            try:
                await expire(account_id)
            except DatabaseBusy as error:
                _log.warning("grants of account %d could not expire: %s", account_id, error)
            except DatabaseUnavailable:
                raise
            except Exception:  # noqa: BLE001  # the edge: the next account's turn comes
                _log.exception("grants of account %d cannot expire", account_id)
        last = due[-1]
