"""Keys that people and management keys make: shown once, kept as an HMAC, changed here only.

    issue ──▶ rotate, change (rename, limit, expiry, suspend) ──▶ revoke

Each act is a transaction under the account's lock, by the same steps as an object's key, and a row
in the log of changes.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec import UNSET, Struct, UnsetType
from sqlalchemy import ColumnElement, func
from sqlmodel import Session, col, select

from gateway.core.actor import Actor
from gateway.core.errors import NotFound, RateLimited, StateConflict
from gateway.core.key_policy import KeyPolicy
from gateway.core.keys import INFERENCE, MANAGE, Credential
from gateway.core.sentences import Sentence
from gateway.store.accounts import ensure_account, lock_accounts, refuse_too_many_accounts
from gateway.store.change_log import log_key_changes, log_row
from gateway.store.database import Database
from gateway.store.key_list import ShownKey, is_live, no_such_key, read_shown
from gateway.store.key_origins import PERSON, people_of
from gateway.store.key_rows import KeyState
from gateway.store.key_steps import bump_version, issue, read_state
from gateway.store.tables import Account, ApiKeyHash, ApiKeyRow

_HOUR = timedelta(hours=1)


class KeySettings(Struct, frozen=True, kw_only=True):
    """Settings of a key. A setting that is unset stays as it is, or at its default; None is no
    limit."""

    label: str | UnsetType = UNSET
    models: list[str] | UnsetType = UNSET
    credits_per_day: int | UnsetType | None = UNSET
    credits_per_month: int | UnsetType | None = UNSET
    credits: int | UnsetType | None = UNSET
    requests_per_minute: int | UnsetType | None = UNSET
    concurrent_requests: int | UnsetType | None = UNSET
    expires_at: datetime | UnsetType | None = UNSET
    suspended: bool | UnsetType = UNSET


class NewKey(Struct, frozen=True, kw_only=True):
    """A key that is asked for. Its id is chosen by who asks, so that asking again makes no second
    one; `person_id` is the person who asks, if it is one."""

    key_id: str
    namespace: str
    account: str
    settings: KeySettings
    scope: str = INFERENCE
    person_id: int | None = None


def issue_key(
    database: Database,
    installation: str,
    wanted: NewKey,
    credential: Credential,
    policy: KeyPolicy,
    actor: Actor,
) -> ShownKey:
    """Make a key, and its account where it is the first to name it.

    Without an expiry it gets the latest that the policy allows. Raises `StateConflict` where the id
    is taken or the account has as many keys as it may, `RateLimited`, `PermissionDenied` and
    `DatabaseUnavailable`.
    """
    with database.write() as session:
        now = database.now(session)
        _refuse_second(session, wanted.key_id)
        refuse_too_many_accounts(
            session, installation, wanted.namespace, wanted.account, policy.accounts_max
        )
        account = ensure_account(session, installation, wanted.namespace, wanted.account, now)
        _refuse_second(session, wanted.key_id)  # the first one may have held the lock
        _check_number(session, account, policy, now)
        _check_pace(session, account, policy, now)
        row = ApiKeyRow(
            key_id=wanted.key_id,
            installation=people_of(installation),
            namespace=wanted.namespace,
            name=wanted.key_id,
            origin=PERSON,
            scope=wanted.scope,
            person_id=wanted.person_id,
            account_id=account.id,
            prefix=credential.prefix,
            expires_at=policy.latest_expiry(now),
            version=0,
            created_at=now,
        )
        _set(row, wanted.settings)
        policy.check_expiry(row.expires_at, now)
        session.add(row)
        session.flush()
        issue(session, row, credential, now, overlap=0)
        return _finish(session, row, account, None, actor, now)


def rotate_key(
    database: Database,
    installation: str,
    key_id: str,
    credential: Credential,
    overlap: int,
    policy: KeyPolicy,
    actor: Actor,
    expires_at: datetime | UnsetType | None = UNSET,
    *,
    prefix: str | None = None,
    asked: bytes | None = None,
) -> ShownKey:
    """Give a key a new secret; the old one holds for `overlap` seconds more, one before it ends.

    Asking twice rotates once: with a `prefix` only while the newest secret has it, and with a
    digest `asked` only where no secret of the key has it.
    Without a new expiry it keeps its own, or gets the latest that the policy allows if that is
    earlier.
    Raises `NotFound`, `StateConflict`, `RateLimited`, `PermissionDenied` and `DatabaseUnavailable`.
    """
    with database.write() as session:
        row, account, now = _lock(database, session, installation, key_id)
        is_other = prefix is not None and prefix != row.prefix
        if is_other or (asked is not None and _was_asked(session, row, asked)):
            raise StateConflict(
                f"the key {key_id} was rotated before, and its secret was shown then",
                details={"reason": "already_rotated", "key_id": key_id},
            )
        _check_pace(session, account, policy, now)
        before = read_state(session, row, account.name, now)
        row.prefix = credential.prefix
        row.generation += 1
        if expires_at is not UNSET:
            policy.check_expiry(expires_at, now)
            row.expires_at = expires_at
        elif (latest := policy.latest_expiry(now)) is not None:
            row.expires_at = latest if row.expires_at is None else min(row.expires_at, latest)
        issue(session, row, credential, now, overlap)
        session.get_one(ApiKeyHash, credential.hash).asked = asked
        return _finish(session, row, account, before, actor, now)


def change_key(
    database: Database,
    installation: str,
    key_id: str,
    settings: KeySettings,
    policy: KeyPolicy,
    actor: Actor,
) -> ShownKey:
    """Change settings of a key. Raises what `rotate_key` raises."""
    with database.write() as session:
        row, account, now = _lock(database, session, installation, key_id)
        before = read_state(session, row, account.name, now)
        was_over = before.expired
        _set(row, settings)
        if settings.expires_at is not UNSET:
            policy.check_expiry(row.expires_at, _issued_at(session, row))
            if was_over and (row.expires_at is None or row.expires_at > now):
                _check_number(session, account, policy, now)
        return _finish(session, row, account, before, actor, now)


def revoke_personal_key(
    database: Database, installation: str, key_id: str, actor: Actor
) -> ShownKey:
    """Revoke a key for good; when this returns, no charge can be made with it any more.

    One that is revoked stays so. Raises `NotFound`, `StateConflict` and `DatabaseUnavailable`.
    """
    with database.write() as session:
        row, account, now = _lock(database, session, installation, key_id, may_be_revoked=True)
        if row.revoked_at is None:
            row.revoked_at = now
            bump_version(session, row)
            log_row(session, "key.revoked", row, actor, now)
        return read_shown(session, row, account, now)


def _finish(
    session: Session,
    row: ApiKeyRow,
    account: Account,
    before: KeyState | None,
    actor: Actor,
    now: datetime,
) -> ShownKey:
    bump_version(session, row)
    after = read_state(session, row, account.name, now)
    log_key_changes(session, row, before, after, actor, now)
    return read_shown(session, row, account, now)


def _set(row: ApiKeyRow, settings: KeySettings) -> None:
    for name in settings.__struct_fields__:
        value = getattr(settings, name)
        if value is not UNSET:
            setattr(row, name, value)
    if row.scope == MANAGE:
        row.credits_per_day = 0


def _lock(
    database: Database,
    session: Session,
    installation: str,
    key_id: str,
    *,
    may_be_revoked: bool = False,
) -> tuple[ApiKeyRow, Account, datetime]:
    """A person's key, and its account, locked before it."""
    own = (ApiKeyRow.key_id == key_id, ApiKeyRow.installation == people_of(installation))
    held = session.exec(select(ApiKeyRow.account_id).where(*own)).one_or_none()
    if held is None:
        raise _not_there(session, installation, key_id)
    (account,) = lock_accounts(session, [held])
    row = session.exec(select(ApiKeyRow).where(*own).with_for_update()).one()
    if row.revoked_at is not None and not may_be_revoked:
        raise StateConflict(
            Sentence(
                "the key {key} is revoked, and that cannot be undone: make another one",
                {"key": key_id},
            ),
            details={"reason": "revoked"},
        )
    return row, account, database.now(session)


def _not_there(session: Session, installation: str, key_id: str) -> NotFound | StateConflict:
    of_object = (ApiKeyRow.key_id == key_id, ApiKeyRow.installation == installation)
    row = session.exec(select(ApiKeyRow).where(*of_object)).one_or_none()
    if row is None:
        return no_such_key(key_id)
    name = f"{row.namespace}/{row.name}"
    return StateConflict(
        Sentence(
            "the key {key} is an ApiKey object's: change it where that is declared", {"key": name}
        ),
        details={"reason": "managed_by_object", "object": name},
    )


def _refuse_second(session: Session, key_id: str) -> None:
    if session.exec(select(ApiKeyRow.id).where(ApiKeyRow.key_id == key_id)).first() is not None:
        raise StateConflict(
            Sentence(
                "this key was made before, and its secret was shown then: it is {key}; if the"
                " secret is lost, rotate it",
                {"key": key_id},
            ),
            details={"reason": "already_created", "key_id": key_id},
        )


def _was_asked(session: Session, row: ApiKeyRow, asked: bytes) -> bool:
    """True if a request has given the key a secret before."""
    found = select(ApiKeyHash.hash).where(
        ApiKeyHash.api_key_id == row.id, ApiKeyHash.asked == asked
    )
    return session.exec(found).first() is not None


def _check_number(session: Session, account: Account, policy: KeyPolicy, now: datetime) -> None:
    living = session.exec(
        select(func.count()).select_from(ApiKeyRow).where(*_of_people(account), is_live(now))
    ).one()
    if living >= policy.live_max:
        raise StateConflict(
            Sentence(
                "{account} has {number} keys, and no account may have above {most}: revoke one"
                " that is not used",
                {"account": _shown(account), "number": living, "most": policy.live_max},
            ),
            details={"reason": "too_many_keys", "limit": "live_max", "level": "account"},
        )


def _check_pace(session: Session, account: Account, policy: KeyPolicy, now: datetime) -> None:
    """Count the secrets of the last hour, those of rotations too."""
    issued_at = col(ApiKeyHash.created_at)
    issued: Sequence[datetime] = session.exec(
        select(ApiKeyHash.created_at)
        .join(ApiKeyRow, col(ApiKeyRow.id) == col(ApiKeyHash.api_key_id))
        .where(*_of_people(account), issued_at > now - _HOUR)
        .order_by(issued_at.desc())
        .limit(policy.hourly_max)
    ).all()
    if len(issued) == policy.hourly_max:
        raise RateLimited(
            Sentence(
                "{account} got {number} keys within an hour, and no account may get more",
                {"account": _shown(account), "number": policy.hourly_max},
            ),
            retry_after_seconds=max(1.0, (issued[-1] + _HOUR - now).total_seconds()),
            details={"limit": "hourly_max", "level": "account"},
        )


def _shown(account: Account) -> str:
    return f"{account.namespace}/{account.name}"


def _of_people(account: Account) -> tuple[ColumnElement[bool] | bool, ...]:
    return (ApiKeyRow.account_id == account.id, ApiKeyRow.origin == PERSON)


def _issued_at(session: Session, row: ApiKeyRow) -> datetime:
    """The moment at which the newest secret was issued."""
    issued_at = col(ApiKeyHash.created_at)
    newest = select(ApiKeyHash.created_at).where(ApiKeyHash.api_key_id == row.id)
    return session.exec(newest.order_by(issued_at.desc()).limit(1)).one()
