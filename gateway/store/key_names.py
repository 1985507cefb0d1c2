"""Keys as people name them."""

from collections.abc import Iterable

from sqlalchemy import ColumnElement, TextClause
from sqlmodel import Session, col, or_, select

from gateway.core.usage import QueryError
from gateway.store.tables import Account, ApiKeyRow

_NAMES_AT_ONCE = 500


def find_key(session: Session, accounts: ColumnElement[bool] | TextClause, name: str) -> int:
    """The row of a key by its `namespace/name` or its key id; its account is one for which a
    condition holds. Raises `QueryError`."""
    namespace, _, own = name.partition("/")
    named = (col(ApiKeyRow.namespace) == namespace) & (col(ApiKeyRow.name) == own)
    rows = select(ApiKeyRow.id).join(Account, col(Account.id) == ApiKeyRow.account_id)
    wanted = rows.where(accounts, or_(named, col(ApiKeyRow.key_id) == name))
    found = session.exec(wanted).first()
    if found is None:
        raise QueryError("there is no such key in what is asked for", "key")
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
