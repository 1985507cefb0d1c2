"""Notices: messages to web hooks, written behind the charge, and taken from here to be sent.

A round looks at the counters that charges keep anyway, and never at the ledger. A notice is unique
by its receiver, limit, period and share, so replicas that look at the same time write it once. A
replica that sends one owns it for `_CLAIM_SECONDS`, longer than an attempt may take. Of several
shares that are reached at once only the highest is written. A limit that was raised is another.
"""

import json
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from secrets import token_hex
from typing import Any

from msgspec import Struct

from gateway.core.webhooks import PATIENCE, ReachedShare, next_attempt, write_message
from gateway.store.database import Database
from gateway.store.moments import read_moment
from gateway.store.notice_changes import ChangedAccounts
from gateway.store.notice_statements import ACCOUNTS, KEYS, periods
from gateway.store.transaction import Transaction

#: notices that one look writes, and that are taken to be sent at once
WRITTEN_AT_ONCE = 500
_TAKEN_AT_ONCE = 10
_CLAIM_SECONDS = 60
#: the newest of a limit stays, so that no notice is written twice; older ones go
_KEPT = timedelta(days=62)
_FORGOTTEN_AT_ONCE = 1_000

_WRITE = """
INSERT INTO notice (receiver, subject, subject_id, account_id, limit_name, period, credits, percent,
  message_id, body, created_at, next_attempt_at)
VALUES (:receiver, :subject, :subject_id, :account_id, :limit_name, :period, :credits, :percent,
  :message_id, :body, :now, :now)
ON CONFLICT DO NOTHING
"""
_IS_DUE = "SELECT 1 FROM notice WHERE receiver = :receiver AND next_attempt_at <= :now LIMIT 1"
_TAKE = """
UPDATE notice SET attempts = attempts + 1, next_attempt_at = :until WHERE id IN (
  SELECT id FROM notice WHERE receiver = :receiver AND next_attempt_at <= :now
  ORDER BY next_attempt_at LIMIT :most {skip_locked})
RETURNING id, message_id, body, attempts, created_at
"""
_END = """
UPDATE notice SET next_attempt_at = :next WHERE id = :id AND attempts = :attempts
RETURNING account_id, limit_name, percent, (SELECT installation FROM account WHERE id = account_id),
  (SELECT namespace || '/' || name FROM account WHERE id = account_id)
"""
_LOG = """
INSERT INTO change_log (installation, account_id, kind, subject, actor, detail, created_at)
VALUES (:installation, :account_id, 'webhook.failed', :subject, 'gateway', :detail, :now)
"""
_END_WAITING = """
UPDATE notice SET next_attempt_at = NULL, attempts = attempts + 1
WHERE receiver = :receiver AND next_attempt_at IS NOT NULL RETURNING id
"""
_FORGET = """
DELETE FROM notice WHERE id IN (
  SELECT n.id FROM notice n WHERE n.created_at < :before
  AND n.id < (SELECT max(m.id) FROM notice m WHERE m.receiver = n.receiver
    AND m.subject = n.subject AND m.subject_id = n.subject_id AND m.limit_name = n.limit_name)
  LIMIT :most)
"""

_NEXT_RECEIVER = "SELECT min(receiver) FROM notice WHERE receiver > :last"
_FORGET_RECEIVER = """
DELETE FROM notice WHERE id IN (
  SELECT id FROM notice WHERE receiver = :receiver AND created_at < :before
  AND account_id IN (SELECT id FROM account WHERE installation = :installation) LIMIT :most)
"""


class TakenNotice(Struct, frozen=True):
    """A notice that is being sent for the `attempts`-th time."""

    id: int
    message_id: str
    body: str
    attempts: int
    created_at: datetime


def write_notices(
    database: Database, installation: str, receiver: str, changed: ChangedAccounts | None = None
) -> int:
    """Write what is new for a receiver; how many. Raises `DatabaseUnavailable`.

    `changed` is what the looks before have seen of the accounts; without it, all are read.
    """
    changed = changed or ChangedAccounts()
    asked = {"installation": installation, "receiver": receiver, "most": WRITTEN_AT_ONCE}
    with database.plain_read() as transaction:
        now = transaction.now()
        accounts, values = changed.begin(transaction)
        of_accounts = ACCOUNTS.format(changed=accounts, **periods(now))
        of_keys = KEYS.format(**periods(now))
        found = [
            *_read(transaction, "account", of_accounts, {**asked, **values}),
            *_read(transaction, "key", of_keys, asked),
        ]
    if found:
        _write(database, receiver, found, now)
    changed.end(is_whole=len(found) < WRITTEN_AT_ONCE)
    return len(found)


def _write(
    database: Database, receiver: str, found: Sequence[tuple[str, int, ReachedShare]], now: datetime
) -> None:
    with database.plain_write() as transaction:
        transaction.repeat(
            _WRITE,
            [
                {
                    "receiver": receiver,
                    "subject": subject,
                    "subject_id": reached.subject_id,
                    "account_id": account_id,
                    "limit_name": reached.limit,
                    "period": reached.period,
                    "credits": reached.credits,
                    "percent": reached.percent,
                    "message_id": f"msg_{token_hex(16)}",
                    "body": write_message(reached, now),
                    "now": now,
                }
                for subject, account_id, reached in found
            ],
        )


def take_notices(database: Database, receiver: str) -> list[TakenNotice]:
    """Some notices that are due, for this replica alone for a while. Raises the same."""
    with database.plain_read() as transaction:  # to write takes a lock
        if transaction.row(_IS_DUE, receiver=receiver, now=transaction.now()) is None:
            return []
    with database.plain_write() as transaction:
        now = transaction.now()
        skip = "" if transaction.is_sqlite else "FOR UPDATE SKIP LOCKED"
        rows = transaction.rows(
            _TAKE.format(skip_locked=skip),
            receiver=receiver,
            now=now,
            until=now + timedelta(seconds=_CLAIM_SECONDS),
            most=_TAKEN_AT_ONCE,
        )
    return [
        TakenNotice(number, message_id, body, attempts, read_moment(made) or now)
        for number, message_id, body, attempts, made in rows
    ]


def end_notice(database: Database, notice: TakenNotice, *, was_taken: bool) -> bool:
    """Record how an attempt ended; True if the notice is given up. Raises the same.

    An attempt that lasted beyond its claim decides nothing: another one is under way.
    """
    with database.plain_write() as transaction:
        now = transaction.now()
        due = None if was_taken else next_attempt(notice.created_at, now, notice.attempts)
        row = transaction.row(_END, next=due, id=notice.id, attempts=notice.attempts)
        if was_taken or due is not None or row is None:
            return False
        account_id, limit_name, percent, installation, subject = row
        detail = {
            "limit": limit_name,
            "percent": percent,
            "attempts": notice.attempts,
            "message_id": notice.message_id,
        }
        transaction.rows(
            _LOG,
            installation=installation,
            account_id=account_id,
            subject=subject,
            detail=json.dumps(detail),
            now=now,
        )
    return True


def end_waiting(database: Database, receiver: str) -> int:
    """End the notices that wait for a receiver that is no more; how many. Raises the same.

    An attempt that another replica makes meanwhile decides nothing.
    """
    with database.plain_write() as transaction:
        return len(transaction.rows(_END_WAITING, receiver=receiver))


def forget_notices(database: Database) -> None:
    """Forget some that are old, also those that nobody was left to send. Raises the same."""
    with database.plain_write() as transaction:
        before = transaction.now() - _KEPT
        transaction.rows(_FORGET, before=before, most=_FORGOTTEN_AT_ONCE)


def forget_receivers(database: Database, installation: str, fleets: Collection[str]) -> None:
    """Forget some notices for fleets that are no more, when they would be given up in any case.

    A fleet that is made again within that time sends them; later it hears of what is used then, as
    a new one does. Raises the same.
    """
    gone, last = [], ""
    with database.plain_read() as transaction:
        while (found := transaction.row(_NEXT_RECEIVER, last=last)) and found[0] is not None:
            last = found[0]
            if last not in fleets:
                gone.append(last)
    for receiver in gone:
        with database.plain_write() as transaction:
            transaction.rows(
                _FORGET_RECEIVER,
                receiver=receiver,
                installation=installation,
                before=transaction.now() - PATIENCE,
                most=_FORGOTTEN_AT_ONCE,
            )


def _read(
    transaction: Transaction, subject: str, statement: str, values: dict[str, Any]
) -> list[tuple[str, int, ReachedShare]]:
    return [
        (
            subject,
            account_id,
            ReachedShare(
                subject_id=subject_id,
                account=account,
                key=key,
                key_id=key_id,
                limit=limit,
                period=str(period),
                credits=int(credits),
                used=int(used),
                percent=percent,
            ),
        )
        for subject_id, account_id, account, key, key_id, limit, period, credits, used, percent in (
            transaction.rows(statement, **values)
        )
    ]
