"""Accounts as Account objects state them: parents and limits, and what is still to be done."""

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any, Literal

from msgspec import Struct

from gateway.core.spec import AccountObject, CreditLimits
from gateway.store.database import Database

_NAMES = (
    "id", "namespace", "name", "credits_per_day", "credits_per_month", "credits",
    "child_credits_per_day", "child_credits_per_month", "child_credits", "object_name",
    "object_uid", "balance", "granted",
)  # fmt: skip
_ACCOUNTS = f"""
SELECT {", ".join(f"a.{name}" for name in _NAMES)}, p.name
FROM account a LEFT JOIN account p ON p.id = a.parent_id WHERE a.installation = :installation
"""
_NAMED = f"{_ACCOUNTS} AND a.namespace = :namespace AND a.name = :name"
_GOVERNED = f"{_ACCOUNTS} AND a.object_name IS NOT NULL"

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


def unnamed(
    governed: Iterable[AccountState], stated: Iterable[AccountObject]
) -> list[AccountState]:
    """Those of some accounts that none of the objects names any more."""
    kept = {(one.metadata.namespace, one.metadata.name, one.spec.account) for one in stated}
    return [
        state for state in governed if (state.namespace, state.object_name, state.name) not in kept
    ]


def find_account_state(
    database: Database, installation: str, account: AccountObject
) -> AccountState | None:
    """The row of the account that an object names. Raises `DatabaseUnavailable`."""
    values = {"namespace": account.metadata.namespace, "name": account.spec.account}
    with database.plain_read() as transaction:
        row = transaction.row(_NAMED, installation=installation, **values)
    return None if row is None else _read_row(row)


def list_governed(database: Database, installation: str) -> list[AccountState]:
    """The accounts that an object governs. Raises `DatabaseUnavailable`."""
    with database.plain_read() as transaction:
        rows = transaction.rows(_GOVERNED, installation=installation)
    return [_read_row(row) for row in rows]


def _read_row(row: tuple[Any, ...]) -> AccountState:
    *columns, parent = row
    return account_state(SimpleNamespace(**dict(zip(_NAMES, columns, strict=True))), parent)


def account_state(row: Any, parent: str | None) -> AccountState:
    """The state of an `Account`, or of the same members elsewhere, below an account's name."""
    return AccountState(
        id=row.id,
        namespace=row.namespace,
        name=row.name,
        parent=parent,
        limits=_limits(row, ""),
        child_limits=_limits(row, "child_"),
        object_name=row.object_name,
        object_uid=row.object_uid or "",
        balance=row.balance,
        granted=row.granted,
    )


def _limits(row: Any, prefix: str) -> CreditLimits:
    names = CreditLimits.__struct_fields__
    return CreditLimits(**{name: getattr(row, prefix + name) for name in names})
