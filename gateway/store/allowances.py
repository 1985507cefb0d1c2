"""Allowances in the books: what of them is posted, and the posting of what is not.

Each period of an account is one grant, `<namespace>/allowance:<name>:<period>:<account>`, so it is
posted once however often it is asked for. A row an allowance holds the moment from which on its
periods are looked at.
"""

from datetime import datetime

from msgspec import Struct
from sqlalchemy import bindparam, text
from sqlmodel import Field, Session, SQLModel, select

from gateway.core.actor import UNKNOWN_ACTOR, Actor
from gateway.core.allowances import AllowancePeriod, due_periods, period_at
from gateway.core.spec import CreditAllowance
from gateway.store.accounts import ensure_account
from gateway.store.columns import UtcDateTime, moment_column
from gateway.store.database import Database
from gateway.store.grant_result import GrantResult
from gateway.store.grants import post_new
from gateway.store.tables import CreditGrantRow

#: grants that one look finds; there is another look afterwards
DUE_MAX = 200

#: accounts that were there in a period and have no grant of it
_ACCOUNTS = text("""
SELECT a.name FROM account a
WHERE a.installation = :installation AND a.namespace = :namespace AND a.name LIKE :pattern
AND a.created_at < :end AND NOT EXISTS (
  SELECT 1 FROM credit_grant g
  WHERE g.installation = :installation AND g.identity = :prefix || a.name)
ORDER BY a.id LIMIT :most
""").bindparams(bindparam("end", type_=UtcDateTime()))


class AllowanceRow(SQLModel, table=True):
    """An allowance that was seen; `since` is the begin of the oldest period that is looked at.

    `every` is that of `since`: of other periods, time before it may be a part.
    """

    __tablename__ = "allowance"
    installation: str = Field(primary_key=True)
    namespace: str = Field(primary_key=True)
    name: str = Field(primary_key=True)
    uid: str = ""
    every: str = "month"
    since: datetime = moment_column()
    posted_at: datetime | None = moment_column(nullable=True)


class DueCredits(Struct, frozen=True):
    """One grant that is to be posted."""

    account: str
    period: AllowancePeriod


class AllowanceState(Struct, frozen=True):
    """All that the books have of an allowance; `since` is None where it was never seen.

    `due` are some of the grants that are missing, `DUE_MAX` at most.
    """

    since: datetime | None
    posted_at: datetime | None
    due: tuple[DueCredits, ...]

    @property
    def has_all_due(self) -> bool:
        return len(self.due) < DUE_MAX


def find_allowance(
    database: Database, installation: str, allowance: CreditAllowance
) -> tuple[AllowanceState, datetime]:
    """The state of an allowance, and the moment. Raises `DatabaseUnavailable`."""
    with database.read() as session:
        now = database.now(session)
        row = session.get(AllowanceRow, _key(installation, allowance))
        known = (allowance.metadata.uid, allowance.spec.every)
        if row is not None and (row.uid, row.every) != known:
            row = None
        begin = period_at(allowance.spec.every, now).begin
        due: list[DueCredits] = []
        for period in due_periods(allowance.spec, row.since if row else begin, now):
            names = _missing(session, installation, allowance, period, DUE_MAX - len(due))
            due += [DueCredits(name, period) for name in names]
        since, posted_at = (row.since, row.posted_at) if row else (None, None)
        return AllowanceState(since, posted_at, tuple(due)), now


def post_credits(
    database: Database,
    installation: str,
    allowance: CreditAllowance,
    due: DueCredits,
    actor: Actor = UNKNOWN_ACTOR,
) -> GrantResult | None:
    """Post one grant, once; None where it was there, or its period is over by now.

    Raises `DatabaseUnavailable`.
    """
    spec, metadata = allowance.spec, allowance.metadata
    with database.write() as session:
        now = database.now(session)
        account = ensure_account(session, installation, metadata.namespace, due.account, now)
        now = database.now(session)
        identity = _identity(allowance, due.period, due.account)
        expires_at = due.period.end if spec.expires == "period" else None
        is_late = expires_at is not None and expires_at <= now
        if is_late or _is_posted(session, installation, identity):
            return None
        row = CreditGrantRow(
            installation=installation,
            identity=identity,
            namespace=metadata.namespace,
            name=f"{metadata.name}:{due.period.name}",
            uid=metadata.uid,
            account_id=account.id,
            credits=spec.credits,
            remaining=spec.credits,
            reason=spec.reason,
            expires_at=expires_at,
            payload_hash="",
            posted_at=now,
        )
        result = post_new(session, row, account, actor, now)
        seen = session.get(AllowanceRow, _key(installation, allowance))
        if seen is not None and result.posted_at is not None:
            seen.posted_at = now
            session.add(seen)
        return result


def keep_since(
    database: Database, installation: str, allowance: CreditAllowance, since: datetime
) -> None:
    """Look at periods from here on only. Raises `DatabaseUnavailable`."""
    metadata = allowance.metadata
    with database.write() as session:
        row = session.get(AllowanceRow, _key(installation, allowance))
        if row is None:
            row = AllowanceRow(
                installation=installation,
                namespace=metadata.namespace,
                name=metadata.name,
                since=since,
            )
        row.uid, row.every, row.since = metadata.uid, allowance.spec.every, since
        session.add(row)


def forget_allowances(database: Database, installation: str, kept: set[tuple[str, str]]) -> None:
    """Forget the allowances of files that none names any more: one that comes back is new.

    Raises `DatabaseUnavailable`.
    """
    with database.write() as session:
        own = select(AllowanceRow).where(
            AllowanceRow.installation == installation, AllowanceRow.uid == ""
        )
        for row in session.exec(own).all():
            if (row.namespace, row.name) not in kept:
                session.delete(row)


def _missing(
    session: Session,
    installation: str,
    allowance: CreditAllowance,
    period: AllowancePeriod,
    most: int,
) -> list[str]:
    spec = allowance.spec
    if spec.account is not None:
        identity = _identity(allowance, period, spec.account)
        is_posted = most < 1 or _is_posted(session, installation, identity)
        return [] if is_posted else [spec.account]
    assert spec.accounts is not None, "one of account and accounts is given"
    values = {
        "installation": installation,
        "namespace": allowance.metadata.namespace,
        "pattern": spec.accounts.replace("*", "%"),
        "prefix": _identity(allowance, period, ""),
        "end": period.end,
        "most": most,
    }
    return list(session.execute(_ACCOUNTS, values).scalars())


def _is_posted(session: Session, installation: str, identity: str) -> bool:
    found = select(CreditGrantRow.id).where(
        CreditGrantRow.installation == installation, CreditGrantRow.identity == identity
    )
    return session.exec(found).first() is not None


def _identity(allowance: CreditAllowance, period: AllowancePeriod, account: str) -> str:
    metadata = allowance.metadata
    return f"{metadata.namespace}/allowance:{metadata.name}:{period.name}:{account}"


def _key(installation: str, allowance: CreditAllowance) -> tuple[str, str, str]:
    return installation, allowance.metadata.namespace, allowance.metadata.name
