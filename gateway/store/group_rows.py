"""Accounts as Account objects state them: parents and limits, and what is still to be done."""

from typing import Literal

from msgspec import Struct
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, select

from gateway.core.spec import AccountObject, CreditLimits
from gateway.store.database import Database
from gateway.store.tables import Account

AccountReason = Literal["Applied", "AccountTaken", "InvalidParent"]


class AccountResult(Struct, frozen=True):
    """The result of reconciling an Account object; all reasons but the first stall it."""

    reason: AccountReason
    message: str

    @property
    def is_stalled(self) -> bool:
        return self.reason != "Applied"


class AccountState(Struct, frozen=True, kw_only=True):
    """An account's row. `object_name` is None where no object governs it."""

    id: int
    namespace: str
    name: str
    parent: str | None
    limits: CreditLimits
    child_limits: CreditLimits
    object_name: str | None
    object_uid: str
    balance: int
    granted: int

    def is_governed_by(self, account: AccountObject) -> bool:
        return self.object_name == account.metadata.name and not self.is_taken_from(account)

    def is_taken_from(self, account: AccountObject) -> bool:
        """True if another object governs it: of another name, or a cluster's and not the file's."""
        metadata = account.metadata
        if self.object_name is None:
            return False
        return self.object_name != metadata.name or (bool(self.object_uid) and not metadata.uid)


def decided(account: AccountObject, state: AccountState | None) -> AccountResult | None:
    """The result for an object, or None where the row is to be changed."""
    if state is None:
        return None
    if state.is_taken_from(account):
        return AccountResult(
            "AccountTaken",
            f"the Account {state.object_name} names {state.namespace}/{state.name} already",
        )
    spec = account.spec
    stated = (spec.parent, spec.limits, spec.child_limits, account.metadata.uid)
    found = (state.parent, state.limits, state.child_limits, state.object_uid)
    if state.object_name is None or stated != found:
        return None
    return AccountResult("Applied", "the limits count")


def find_account_state(
    database: Database, installation: str, account: AccountObject
) -> AccountState | None:
    """The row of the account that an object names. Raises `DatabaseUnavailable`."""
    with database.read() as session:
        found = select(Account).where(
            Account.installation == installation,
            Account.namespace == account.metadata.namespace,
            Account.name == account.spec.account,
        )
        row = session.exec(found).one_or_none()
        return None if row is None else read_account_state(session, row)


def list_governed(database: Database, installation: str) -> list[AccountState]:
    """The accounts that an object governs. Raises `DatabaseUnavailable`."""
    with database.read() as session:
        parent = aliased(Account)
        found = select(Account, parent.name).join(
            parent, col(parent.id) == Account.parent_id, isouter=True
        )
        rows = session.exec(
            found.where(Account.installation == installation, col(Account.object_name).is_not(None))
        )
        return [_state(row, name) for row, name in rows.all()]


def read_account_state(session: Session, row: Account) -> AccountState:
    """One account within a transaction."""
    parent = None if row.parent_id is None else session.get_one(Account, row.parent_id).name
    return _state(row, parent)


def _state(row: Account, parent: str | None) -> AccountState:
    return AccountState(
        id=row.id,
        namespace=row.namespace,
        name=row.name,
        parent=parent,
        limits=CreditLimits(
            credits_per_day=row.credits_per_day,
            credits_per_month=row.credits_per_month,
            credits=row.credits,
        ),
        child_limits=CreditLimits(
            credits_per_day=row.child_credits_per_day,
            credits_per_month=row.child_credits_per_month,
            credits=row.child_credits,
        ),
        object_name=row.object_name,
        object_uid=row.object_uid or "",
        balance=row.balance,
        granted=row.granted,
    )
