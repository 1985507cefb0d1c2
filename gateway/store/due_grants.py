"""The accounts whose grants are due to expire; `grants` posts the expiries."""

from gateway.store.database import Database

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
