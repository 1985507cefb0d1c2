"""The accounts that somebody may see, as a condition of a statement."""

from sqlalchemy import ColumnElement, and_, false, or_, true
from sqlmodel import col

from gateway.core.principal import ALL, AccountSet
from gateway.store.tables import Account


def named(shown: str) -> ColumnElement[bool]:
    """The condition that an account has this shown name."""
    namespace, _, name = shown.partition("/")
    return and_(col(Account.namespace) == namespace, col(Account.name) == name)


def within(reach: AccountSet) -> ColumnElement[bool]:
    """The condition that an account is in reach."""
    if ALL in reach.namespaces:
        return true()
    conditions = [named(account) for account in sorted(reach.accounts)]
    if reach.namespaces:
        conditions.append(col(Account.namespace).in_(sorted(reach.namespaces)))
    return or_(*conditions) if conditions else false()
