"""Erasure: an account loses what its clients and people wrote; its money stays to the credit.

    goes    stored responses · tags, in requests and in usage · idempotency keys · labels of keys
            · names and e-mails of people who have a role in no other account
    stays   entries, balances, grants, keys, usage by key and model, events

Each step is a bounded statement in a transaction of its own, beside charges of the account. A step
that was done finds nothing any more, so an erasure that broke off is just made again.
"""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, text
from sqlmodel import Session

from gateway.core.actor import Actor
from gateway.store import entry_ranges
from gateway.store.accounts import lock_accounts
from gateway.store.change_log import log_row
from gateway.store.columns import UtcDateTime
from gateway.store.database import Database
from gateway.store.entry_ranges import ask
from gateway.store.opening import responses_file
from gateway.store.response_store_sqlite import erase_responses

#: rows that one statement deletes, and entries that one looks through
_ROWS = 2_000
_RESPONSES = """
DELETE FROM response WHERE account_id = :account AND id IN (
  SELECT id FROM response WHERE account_id = :account LIMIT :most)
"""
_LAST_SEEN = f"SELECT max(id) FROM ({entry_ranges.SLICE}) AS s"
_TAGS = f"""
DELETE FROM request_tags WHERE request_id IN (
  SELECT request_id FROM ({entry_ranges.SLICE}) AS s WHERE kind = 'charge')
"""
_NAMES = f"""
UPDATE entry SET idempotency_key = NULL WHERE id IN (
  SELECT id FROM ({entry_ranges.SLICE}) AS s WHERE idempotency_key IS NOT NULL)
"""
_PLACE = "account_id, name, start, value, api_key_id, model, route"
_TAG_SUMS = """
DELETE FROM {table} WHERE ({place}) IN (
  SELECT {place} FROM {table} WHERE account_id = :account LIMIT :most)
"""
#: those of the last day are how a retry is recognised
_STANDING = """
UPDATE standing_charge SET idempotency_key = '' WHERE request_id IN (
  SELECT request_id FROM standing_charge
  WHERE account_id = :account AND created_at < :until AND idempotency_key <> '' LIMIT :most)
"""
_LABELS = "UPDATE api_key SET label = '' WHERE account_id = :account AND label <> ''"
_PEOPLE = """
UPDATE person SET name = '', email = ''
WHERE installation = :installation AND (name <> '' OR email <> '') AND id IN (
  SELECT person_id FROM binding WHERE namespace = :namespace AND account = :name)
AND id NOT IN (
  SELECT person_id FROM binding WHERE namespace <> :namespace OR account <> :name)
"""


def erase_account(database: Database, account_id: int, actor: Actor) -> dict[str, int]:
    """Erase, and log it; by kind, how many are gone. Raises `DatabaseUnavailable`."""
    erased = {"responses": _erase_responses(database, account_id)}
    erased |= _erase_of_entries(database, account_id)
    for table in ("usage_tag_day", "usage_tag_hour"):
        _repeat(database, _TAG_SUMS.format(table=table, place=_PLACE), account_id)
    with database.read() as session:
        until = database.now(session) - timedelta(days=1)
    _repeat(database, _STANDING, account_id, until)
    with database.write() as session:
        [account] = lock_accounts(session, [account_id])
        now = database.now(session)
        values = {
            "account": account_id,
            "installation": account.installation,
            "namespace": account.namespace,
            "name": account.name,
        }
        erased["labels"] = _run(session, _LABELS, values)
        erased["people"] = _run(session, _PEOPLE, values)
        log_row(session, "account.erased", account, actor, now, **erased)
    return erased


def _erase_responses(database: Database, account_id: int) -> int:
    if database.is_sqlite:
        return erase_responses(responses_file(database.url), account_id)
    return _repeat(database, _RESPONSES, account_id)


def _erase_of_entries(database: Database, account_id: int) -> dict[str, int]:
    """Erase the tags and idempotency keys of all requests, some entries at a time."""
    tags = names = 0
    with database.read() as session:
        after, newest = session.execute(text(entry_ranges.ENDS), {"account": account_id}).one()
    after -= 1
    while after < newest:
        values = {"account": account_id, "after": after, "last": newest, "most": _ROWS}
        with database.write() as session:
            last = ask(session, _LAST_SEEN, values).scalar()
            tags += ask(session, _TAGS, values).rowcount
            names += ask(session, _NAMES, values).rowcount
        after = newest if last is None else last
    return {"tagged_requests": tags, "idempotency_keys": names}


def _repeat(
    database: Database, statement: str, account_id: int, until: datetime | None = None
) -> int:
    """Run a bounded statement until it finds nothing more; how many rows it has found."""
    total = 0
    while True:
        with database.write() as session:
            values = {"account": account_id, "most": _ROWS, "until": until}
            found = _run(session, statement, values)
        total += found
        if found < _ROWS:
            return total


def _run(session: Session, statement: str, values: dict[str, Any]) -> int:
    asked = text(statement)
    if ":until" in statement:
        asked = asked.bindparams(bindparam("until", type_=UtcDateTime()))
    return int(session.execute(asked, values).rowcount)  # type: ignore[attr-defined]
