"""Groups: accounts below others, with limits that count for all that is below.

    company ──< team ──< alice        three levels at most, all of one namespace

The tree is in the rows of the accounts, with the limits and what is counted for them. It is changed
under the locks of the account and those above it, in the order of their ids: another change that
this one depends on needs one of the same locks.
"""

from collections.abc import Iterable
from datetime import datetime

from msgspec.structs import asdict
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, select

from gateway.core.actor import UNKNOWN_ACTOR, Actor
from gateway.core.errors import DatabaseBusy
from gateway.core.groups import LEVELS_MAX
from gateway.core.spec import AccountObject, AccountSpec
from gateway.store.accounts import ensure_account, lock_accounts
from gateway.store.change_log import log_row
from gateway.store.database import Database
from gateway.store.group_rows import (
    AccountResult,
    AccountState,
    account_state,
    decided,
    find_account_state,
    unnamed,
)
from gateway.store.tables import Account

#: a tree that somebody else changes in between is looked at so often
_LOOKS_MAX = 5


def apply_account(
    database: Database,
    installation: str,
    account: AccountObject,
    actor: Actor = UNKNOWN_ACTOR,
) -> AccountResult:
    """Bring an account to what its object states; what is right already is only read.

    Raises `DatabaseUnavailable`.
    """
    result = decided(account, find_account_state(database, installation, account))
    if result is not None:
        return result
    names = [name for name in (account.spec.account, account.spec.parent) if name is not None]
    # Each is made by itself: one that is made is locked, out of the order of the ids.
    ids = [_make(database, installation, account.metadata.namespace, name) for name in names]
    for _ in range(_LOOKS_MAX):
        result = _apply(database, account, ids, actor)
        if result is not None:
            return result
    raise DatabaseBusy("the accounts above are being changed by somebody else; try again")


def release_account(
    database: Database, governed: AccountState, actor: Actor = UNKNOWN_ACTOR
) -> None:
    """Take from an account what its object gave it, for the object is gone.

    One that another object governs by now, also one of the same name, stays as it is. Its counts
    stay: an object that is made again goes on from them. Raises `DatabaseUnavailable`.
    """
    with database.write() as session:
        (row,) = lock_accounts(session, [governed.id])
        if (row.object_name, row.object_uid or "") != (governed.object_name, governed.object_uid):
            return
        spec = AccountSpec(account=row.name)
        _write(session, row, None, spec, actor, database.now(session))
        row.object_name = row.object_uid = None


def release_missing(
    database: Database,
    governed: Iterable[AccountState],
    stated: Iterable[AccountObject],
    actor: Actor = UNKNOWN_ACTOR,
) -> None:
    """Release those of some accounts that none of the objects names any more."""
    for state in unnamed(governed, stated):
        release_account(database, state, actor)


def _read_state(session: Session, row: Account) -> AccountState:
    parent = None if row.parent_id is None else session.get_one(Account, row.parent_id).name
    return account_state(row, parent)


def _make(database: Database, installation: str, namespace: str, name: str) -> int:
    with database.write() as session:
        return ensure_account(session, installation, namespace, name, database.now(session)).id


def _apply(
    database: Database, account: AccountObject, ids: list[int], actor: Actor
) -> AccountResult | None:
    """One attempt; None where the tree has changed between a look at it and the locks."""
    own_id, parent_id = ids[0], ids[1] if len(ids) > 1 else None
    with database.write() as session:
        above = _above(session, parent_id)
        rows = {row.id: row for row in lock_accounts(session, [own_id, *above])}
        if _above(session, parent_id) != above:
            return None
        row = rows[own_id]
        result = decided(account, _read_state(session, row))
        if result is not None:
            return result
        problem = _problem(session, row, above)
        if problem is not None:
            return AccountResult("InvalidParent", problem)
        _write(session, row, parent_id, account.spec, actor, database.now(session))
        row.object_name, row.object_uid = account.metadata.name, account.metadata.uid
        session.flush()
        return decided(account, _read_state(session, row))


def _above(session: Session, parent_id: int | None) -> list[int]:
    """A parent and those above it, as far as they matter."""
    above: list[int] = []
    while parent_id is not None and len(above) < LEVELS_MAX:
        above.append(parent_id)
        parent_id = session.exec(select(Account.parent_id).where(Account.id == parent_id)).one()
    return above


def _problem(session: Session, row: Account, above: list[int]) -> str | None:
    """Why an account may not be below others, if it may not."""
    if row.id in above:
        return f"{row.name} would be above itself"
    levels = len(above) + 1 + (_levels_below(session, row.id) if above else 0)
    if levels > LEVELS_MAX:
        return f"accounts have {LEVELS_MAX} levels at most, and these would have {levels}"
    return None


def _levels_below(session: Session, account_id: int) -> int:
    child, grandchild = aliased(Account), aliased(Account)
    below = select(child.id).where(child.parent_id == account_id)
    beneath = below.join(grandchild, col(grandchild.parent_id) == child.id)
    return sum(session.exec(found.limit(1)).first() is not None for found in (below, beneath))


def _write(
    session: Session,
    row: Account,
    parent_id: int | None,
    spec: AccountSpec,
    actor: Actor,
    now: datetime,
) -> None:
    before = _read_state(session, row)
    row.parent_id = parent_id
    for prefix, limits in (("", spec.limits), ("child_", spec.child_limits)):
        for name, limit in asdict(limits).items():
            setattr(row, prefix + name, limit)
    session.add(row)
    session.flush()
    changed = _changes(before, _read_state(session, row))
    if changed:
        log_row(session, "account.changed", row, actor, now, **changed)


def _changes(before: AccountState, after: AccountState) -> dict[str, object]:
    olds, news = _settings(before), _settings(after)
    return {
        name: {"from": olds[name], "to": news[name]} for name in news if olds[name] != news[name]
    }


def _settings(state: AccountState) -> dict[str, object]:
    of_children = {f"child_{name}": limit for name, limit in asdict(state.child_limits).items()}
    return {"parent": state.parent, **asdict(state.limits), **of_children}
