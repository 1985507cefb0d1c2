"""API keys as rows: the one step from an ApiKey object to what the gateway may charge.

Every writer takes the account's lock, then marks the key, then raises the key version, in one
transaction: after its commit no replica can charge a key that it marked dead.
"""

from datetime import datetime

from sqlmodel import Session, select

from gateway.core.actor import UNKNOWN_ACTOR, Actor
from gateway.core.keys import Credential, generate_key_id
from gateway.core.spec import ApiKey as ApiKeyObject
from gateway.core.spec import overlap_seconds
from gateway.store.accounts import ensure_account, lock_accounts
from gateway.store.change_log import ChangeKind, log_key_changes, log_row
from gateway.store.database import Database
from gateway.store.key_errors import KeyMoved
from gateway.store.key_rows import KeyState, find_key, stated_columns
from gateway.store.key_steps import bump_version, issue, read_state
from gateway.store.tables import Account, ApiKeyRow


def apply_key(
    database: Database,
    installation: str,
    key: ApiKeyObject,
    credential: Credential | None,
    *,
    seen_version: int | None = None,
    actor: Actor = UNKNOWN_ACTOR,
) -> KeyState:
    """Bring the row to what the object states, with `credential` as its newest hash.

    A credential that is already the newest changes nothing; another one is a rotation: the old one
    lives on for the object's overlap. An object of another UID, and one whose row was revoked, is
    issued again: all old hashes die at once. Without a credential only the rest of the row follows
    the object, and a rotation it asks for stays due. A row that is right already is left alone.

    `seen_version` is the row's version that the caller decided by, 0 for no row. Raises
    `KeyMoved` where it is another by now, `DuplicateCredential` and `DatabaseUnavailable`.
    """
    metadata = key.metadata
    if seen_version is None:
        state = find_key(database, installation, metadata.namespace, metadata.name)
        if state is not None and state.is_applied(key, credential):
            return state
    with database.write() as session:
        now = database.now(session)
        account, row = _lock_account_and_row(session, installation, key, now)
        if seen_version is not None and seen_version != (row.version if row else 0):
            raise KeyMoved(f"the row of {metadata.shown} has changed")
        assert row is not None or credential is not None, "a key begins with a credential"
        before = None if row is None else _read_whole_state(session, row, now)
        if before is not None and before.is_applied(key, credential):
            return before
        if row is None:
            row = _new_row(installation, key, account, now)
        reissued = row.revoked_at is not None or row.uid != metadata.uid
        assert credential is not None or not reissued, "a key is issued again by a credential"
        due = row.generation if credential is None else key.spec.rotation.generation
        _copy_spec(row, key, account)
        row.generation = min(due, key.spec.rotation.generation)
        if credential is not None:
            row.prefix = credential.prefix
        session.add(row)
        session.flush()
        overlap = 0 if reissued else overlap_seconds(key.spec.rotation.overlap)
        issue(session, row, credential, now, overlap)
        bump_version(session, row)
        after = read_state(session, row, account.name, now)
        log_key_changes(session, row, before, after, actor, now)
        return after


def revoke_key(database: Database, key_row_id: int, actor: Actor = UNKNOWN_ACTOR) -> None:
    """Mark a key revoked; when this returns, no charge can be made with it any more.

    Raises `DatabaseUnavailable`.
    """
    with database.write() as session:
        row = session.get(ApiKeyRow, key_row_id)
        if row is None or row.revoked_at is not None:
            return
        lock_accounts(session, [row.account_id])
        row.revoked_at = now = database.now(session)
        session.add(row)
        bump_version(session, row)
        log_row(session, "key.revoked", row, actor, now)


def suspend_key(
    database: Database,
    key_row_id: int,
    *,
    suspended: bool = True,
    actor: Actor = UNKNOWN_ACTOR,
) -> None:
    """Suspend a key, reversibly."""
    with database.write() as session:
        row = session.get_one(ApiKeyRow, key_row_id)
        lock_accounts(session, [row.account_id])
        was_suspended, row.suspended = row.suspended, suspended
        session.add(row)
        bump_version(session, row)
        if was_suspended != suspended:
            kind: ChangeKind = "key.suspended" if suspended else "key.resumed"
            log_row(session, kind, row, actor, database.now(session))


def _lock_account_and_row(
    session: Session, installation: str, key: ApiKeyObject, now: datetime
) -> tuple[Account, ApiKeyRow | None]:
    """The account that is wanted, and the row of the object, if there is one.

    Where the row is another account's, both accounts are locked, like everywhere in the order of
    their ids and before the row. One that is made here is nobody else's to wait for. Raises
    `KeyMoved` where the row has become another account's meanwhile.
    """
    namespace, name = key.metadata.namespace, key.metadata.name
    own = (
        ApiKeyRow.installation == installation,
        ApiKeyRow.namespace == namespace,
        ApiKeyRow.name == name,
    )
    wanted = (
        Account.installation == installation,
        Account.namespace == namespace,
        Account.name == key.spec.account,
    )
    held = session.exec(select(ApiKeyRow.account_id).where(*own)).all()
    lock_accounts(session, [*held, *session.exec(select(Account.id).where(*wanted))])
    account = ensure_account(session, installation, namespace, key.spec.account, now)
    row = session.exec(select(ApiKeyRow).where(*own).with_for_update()).one_or_none()
    if row is not None and row.account_id not in (*held, account.id):
        raise KeyMoved(f"the row of {namespace}/{name} has changed")
    return account, row


def _read_whole_state(session: Session, row: ApiKeyRow, now: datetime) -> KeyState:
    """The state of a row as it is before it is changed."""
    return read_state(session, row, session.get_one(Account, row.account_id).name, now)


def _new_row(installation: str, key: ApiKeyObject, account: Account, now: datetime) -> ApiKeyRow:
    return ApiKeyRow(
        key_id=generate_key_id(),
        installation=installation,
        namespace=key.metadata.namespace,
        name=key.metadata.name,
        uid=key.metadata.uid,
        account_id=account.id,
        prefix="",
        version=0,
        created_at=now,
    )


def _copy_spec(row: ApiKeyRow, key: ApiKeyObject, account: Account) -> None:
    row.uid = key.metadata.uid
    row.account_id = account.id
    row.models = list(key.spec.models)
    for name, value in stated_columns(key.spec).items():
        setattr(row, name, value)
    row.revoked_at = None
