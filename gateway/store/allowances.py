"""Allowances in the books: the posting of those that are due (`allowance_rows`)."""

from datetime import datetime

from sqlmodel import Field, Session, SQLModel, select

from gateway.core.actor import UNKNOWN_ACTOR, Actor
from gateway.core.spec import CreditAllowance
from gateway.store.accounts import ensure_account
from gateway.store.allowance_rows import DueCredits, allowance_identity
from gateway.store.columns import moment_column
from gateway.store.database import Database
from gateway.store.grant_result import GrantResult
from gateway.store.grants import post_new
from gateway.store.tables import CreditGrantRow


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
        identity = allowance_identity(allowance, due.period, due.account)
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


def _is_posted(session: Session, installation: str, identity: str) -> bool:
    found = select(CreditGrantRow.id).where(
        CreditGrantRow.installation == installation, CreditGrantRow.identity == identity
    )
    return session.exec(found).first() is not None


def _key(installation: str, allowance: CreditAllowance) -> tuple[str, str, str]:
    return installation, allowance.metadata.namespace, allowance.metadata.name
