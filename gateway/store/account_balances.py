"""The balances of all accounts, for the one who starts a gateway."""

from gateway.store.database import Database

_BALANCES = "SELECT namespace, name, balance FROM account WHERE installation = :installation"


def read_balances(database: Database, installation: str) -> dict[str, int]:
    """Balances by the shown name of the account, `namespace/name`. Raises `DatabaseUnavailable`."""
    with database.plain_read() as transaction:
        rows = transaction.rows(_BALANCES, installation=installation)
    return {f"{namespace}/{name}": int(balance) for namespace, name, balance in rows}
