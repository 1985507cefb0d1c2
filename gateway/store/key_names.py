"""Keys and accounts as people name them."""

from collections.abc import Iterable

from sqlmodel import Session, col, or_, select

from gateway.core.usage import QueryError
from gateway.store.tables import Account, ApiKeyRow

_NAMES_AT_ONCE = 500


def find_key(session: Session, account_id: int, name: str) -> int:
    """The row of an account's key by its `namespace/name` or its key id. Raises `QueryError`."""
    namespace, _, own = name.partition("/")
    named = (col(ApiKeyRow.namespace) == namespace) & (col(ApiKeyRow.name) == own)
    rows = select(ApiKeyRow.id).where(ApiKeyRow.account_id == account_id)
    found = session.exec(rows.where(or_(named, col(ApiKeyRow.key_id) == name))).first()
    if found is None:
        raise QueryError("the account has no such key", "key")
    return found


def names_of_keys(session: Session, ids: Iterable[int | None]) -> dict[int, tuple[str, str]]:
    """The shown name and the key id of some keys, by their rows."""
    wanted = sorted(one for one in set(ids) if one is not None)
    names: dict[int, tuple[str, str]] = {}
    for start in range(0, len(wanted), _NAMES_AT_ONCE):
        some = wanted[start : start + _NAMES_AT_ONCE]
        for row in session.exec(select(ApiKeyRow).where(col(ApiKeyRow.id).in_(some))):
            names[row.id] = (f"{row.namespace}/{row.name}", row.key_id)
    return names


def names_of_accounts(session: Session, ids: Iterable[int | None]) -> dict[int, str]:
    """The shown names of some accounts, by their rows."""
    wanted = sorted(one for one in set(ids) if one is not None)
    names: dict[int, str] = {}
    for start in range(0, len(wanted), _NAMES_AT_ONCE):
        some = wanted[start : start + _NAMES_AT_ONCE]
        for row in session.exec(select(Account).where(col(Account.id).in_(some))):
            names[row.id] = f"{row.namespace}/{row.name}"
    return names
