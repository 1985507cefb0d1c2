"""Grants as people look at them: each a lot, with the credits that are left of it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from msgspec import Struct
from sqlmodel import Session, col, select

from gateway.core.credits import reconcile_lots
from gateway.core.principal import AccountSet
from gateway.store.account_sets import named, within
from gateway.store.accounts import read_lots
from gateway.store.database import Database
from gateway.store.grant_rows import reference_of
from gateway.store.tables import Account, CreditGrantRow

LOTS_MAX = 50
LotState = Literal["live", "used", "expired", "voided"]


class GrantLot(Struct, frozen=True):
    """A grant with the credits that are left of it; `name` is its object's."""

    id: int
    name: str
    identity: str
    namespace: str
    account: str
    credits: int
    left: int
    reason: str
    posted_at: datetime
    expires_at: datetime | None
    voided_at: datetime | None
    expired_at: datetime | None

    @property
    def reference(self) -> str | None:
        return reference_of(self.identity)

    @property
    def is_made_here(self) -> bool:
        """True for a grant of the console, which no object declares."""
        return self.reference is not None and self.name.startswith("console-")

    @property
    def is_of_allowance(self) -> bool:
        """True for one period of a CreditAllowance, which no CreditGrant declares."""
        return self.identity.startswith(f"{self.namespace}/allowance:")

    @property
    def state(self) -> LotState:
        """The one word for it."""
        if self.voided_at is not None:
            return "voided"
        if self.expired_at is not None:
            return "expired"
        return "live" if self.left else "used"


def list_lots(
    database: Database,
    installation: str,
    reach: AccountSet,
    *,
    account: str | None = None,
    identity: str | None = None,
    after: int | None = None,
    limit: int = LOTS_MAX,
) -> tuple[list[GrantLot], bool]:
    """Grants of accounts in reach, newest first, those before a row, and whether there are more.

    Only those of one account by its shown name, or the one of an identity, where they are given.
    Raises `DatabaseUnavailable`.
    """
    asked = (
        select(CreditGrantRow, Account)
        .join(Account, col(Account.id) == col(CreditGrantRow.account_id))
        .where(Account.installation == installation, within(reach))
    )
    if account is not None:
        asked = asked.where(named(account))
    if identity is not None:
        asked = asked.where(
            CreditGrantRow.installation == installation, CreditGrantRow.identity == identity
        )
    if after is not None:
        asked = asked.where(col(CreditGrantRow.id) < after)
    with database.read(snapshot=True) as session:
        found = session.exec(asked.order_by(col(CreditGrantRow.id).desc()).limit(limit + 1)).all()
        rows = found[:limit]
        by_account: dict[int, tuple[Account, list[int]]] = {}
        for grant, payer in rows:
            by_account.setdefault(payer.id, (payer, []))[1].append(grant.id)
        left: dict[int, int] = {}
        for payer, ids in by_account.values():
            left |= read_left(session, payer, ids)
        return [_lot(grant, payer, left) for grant, payer in rows], len(found) > limit


def find_lot(
    database: Database, installation: str, reach: AccountSet, grant_id: int
) -> GrantLot | None:
    """One grant of an account in reach. Raises `DatabaseUnavailable`."""
    found, _ = list_lots(database, installation, reach, after=grant_id + 1, limit=1)
    return next((lot for lot in found if lot.id == grant_id), None)


def read_left(session: Session, account: Account, grant_ids: Sequence[int]) -> dict[int, int]:
    """The credits left of some grants, as the ledger would take them."""
    if not grant_ids:
        return {}
    lots = reconcile_lots(read_lots(session, account, grant_ids), account.balance)
    return {grant_id: lots.remaining(grant_id) for grant_id in grant_ids}


def _lot(grant: CreditGrantRow, account: Account, left: dict[int, int]) -> GrantLot:
    return GrantLot(
        grant.id,
        grant.name,
        grant.identity,
        grant.namespace,
        f"{account.namespace}/{account.name}",
        grant.credits,
        left.get(grant.id, 0),
        grant.reason,
        grant.posted_at,
        grant.expires_at,
        grant.voided_at,
        grant.expired_at,
    )
