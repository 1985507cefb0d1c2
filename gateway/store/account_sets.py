"""The accounts that somebody may see, as a condition of a statement."""

from sqlalchemy import ColumnElement, and_, false, or_, true
from sqlmodel import col

from gateway.core.principal import ALL, AccountSet
from gateway.store.tables import Account


def within(reach: AccountSet) -> ColumnElement[bool]:
    """The condition that an account is in reach."""
    if ALL in reach.namespaces:
        return true()
    named = [tuple(account.split("/", 1)) for account in sorted(reach.accounts)]
    conditions = [
        and_(col(Account.namespace) == namespace, col(Account.name) == name)
        for namespace, name in named
    ]
    if reach.namespaces:
        conditions.append(col(Account.namespace).in_(sorted(reach.namespaces)))
    return or_(*conditions) if conditions else false()
