"""Notices for web hooks: which limits are reached, who sends what, and when it is given up."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from standardwebhooks.webhooks import Webhook

from gateway.core.events import Usage
from gateway.core.spec_fields import SpecError
from gateway.core.webhooks import next_attempt, read_signing_keys, signature
from gateway.store.change_log import read_account_changes
from gateway.store.key_rows import KeyState
from gateway.store.ledger import End, Ledger, MeteredEnd, Refund
from gateway.store.notice_changes import ALL, ChangedAccounts
from gateway.store.notice_statements import ACCOUNTS, KEYS, WAITING_MAX, periods
from gateway.store.notices import (
    TakenNotice,
    end_notice,
    forget_notices,
    forget_receivers,
    take_notices,
    write_notices,
)
from tests.harness.books import INSTALLATION, Books
from tests.store.test_charges import with_ledger
from tests.store.test_groups import state, write

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER_SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="


def spend(
    books: Books, key: KeyState, credits: int, unused: int = 0, account: str = "alice"
) -> None:
    """A request that came to its end, of whose charge so much went back."""
    charge = books.charge(key, credits, account)

    async def act(ledger: Ledger) -> None:
        assert (await ledger.charge(charge)).outcome == "charged"
        end = MeteredEnd(charge.request_id, charge.account_id, unused, Usage(), '{"credits":0}')
        ledger.end_metered(end)

    with_ledger(books.database, act)


def news(
    books: Books, receiver: str = "team/fleet", changed: ChangedAccounts | None = None
) -> list[tuple[Any, ...]]:
    """The news for a receiver: account, key, limit, percent, used, credits."""
    write_notices(books.database, INSTALLATION, receiver, changed)
    found = []
    for notice in list(drained(books, receiver)):
        message = json.loads(notice.body)
        assert message["type"] == "limit.reached"
        data = message["data"]
        names = ("account", "key", "limit", "percent", "used", "credits")
        found.append(tuple(data[name] for name in names))
        assert end_notice(books.database, notice, was_taken=True) is False
    return sorted(found, key=lambda one: (one[1] or "", one[0], one[2]))


def drained(books: Books, receiver: str) -> Iterator[TakenNotice]:
    while taken := take_notices(books.database, receiver):
        yield from taken


def test_each_share_of_a_key_s_limit_has_one_notice(books: Books) -> None:
    books.grant(credits=1000)
    key, _ = books.issue(limits={"creditsPerDay": 20, "credits": 100})
    spend(books, key, 15)
    assert news(books) == []
    spend(books, key, 1)
    of_key = ("team/alice", "team/key", "credits_per_day")
    assert news(books) == [(*of_key, 80, 16, 20)]
    assert news(books) == [], "once"
    assert news(books, "other/fleet") == [(*of_key, 80, 16, 20)], "each receiver"
    spend(books, key, 4)
    assert news(books) == [(*of_key, 100, 20, 20)], "only the highest of two"
    changed, _ = books.issue(limits={"creditsPerDay": 25, "credits": 100})
    assert news(books) == [(*of_key, 80, 20, 25)], "another limit"
    spend(books, changed, 4, unused=4)
    assert news(books) == []


def test_what_open_requests_hold_is_not_used_yet(books: Books) -> None:
    books.grant(credits=10)
    state(books, "alice", limits={"credits": 10})
    key, _ = books.issue(limits={"creditsPerMonth": 10})
    charge = books.charge(key, 9)

    async def act(ledger: Ledger) -> None:
        await ledger.charge(charge)
        assert news(books) == []
        await ledger.refund(Refund(charge.request_id, charge.account_id))

    with_ledger(books.database, act)
    assert news(books) == []
    spend(books, key, 9, unused=1)
    assert news(books) == [
        ("team/alice", None, "credits", 80, 8, 10),
        ("team/alice", None, "granted", 80, 8, 10),
        ("team/alice", "team/key", "credits_per_month", 80, 8, 10),
    ]
    books.grant("second", credits=2)
    spend(books, key, 1)
    assert news(books) == []


def test_a_look_reads_the_granted_credits_of_accounts_that_have_changed(books: Books) -> None:
    for name in ("alice", "bob", *(f"other-{number}" for number in range(20))):
        books.grant(f"grant-{name}", name, credits=10)
    key, _ = books.issue()
    changed = ChangedAccounts()
    for _ in range(3):
        assert news(books, changed=changed) == []
    write(books, "UPDATE account SET balance = 0 WHERE name = 'bob'")
    charge = books.charge(key, 9)

    async def act(ledger: Ledger) -> None:
        await ledger.charge(charge)
        for _ in range(4):
            assert news(books, changed=changed) == [], "it is under way, and bob has not changed"
        ledger.end(End(charge.request_id, None))

    with_ledger(books.database, act)
    of_alice = ("team/alice", None, "granted", 80, 9, 10)
    assert news(books, changed=changed) == [of_alice], "an end has no entry"
    assert len(news(books, "other/fleet")) == 2, "a new receiver reads all"
    write(books, "UPDATE account SET balance = 10 WHERE name = 'bob'")


def test_accounts_above_have_notices_and_so_have_the_credits_of_each_grant(books: Books) -> None:
    state(books, "team", limits={"creditsPerDay": 10}, childLimits={"creditsPerMonth": 20})
    state(books, "alice", parent="team")
    books.grant(credits=10)
    key, _ = books.issue()
    spend(books, key, 10)
    assert news(books) == [
        ("team/alice", None, "granted", 100, 10, 10),
        ("team/team", None, "credits_per_day", 100, 10, 10),
    ]
    state(books, "team", limits={"creditsPerDay": 100}, childLimits={"creditsPerMonth": 20})
    books.grant("second", credits=10)
    spend(books, key, 9)
    assert news(books) == [
        ("team/alice", None, "credits_per_month", 95, 19, 20),
        ("team/alice", None, "granted", 80, 9, 10),
    ]


def test_a_notice_is_sent_by_one_at_a_time_until_it_is_taken(books: Books) -> None:
    books.grant(credits=5)
    key, _ = books.issue()
    spend(books, key, 5)
    assert write_notices(books.database, INSTALLATION, "team/fleet") == 1
    [first] = take_notices(books.database, "team/fleet")
    assert take_notices(books.database, "team/fleet") == [], "another sends it"
    assert end_notice(books.database, first, was_taken=False) is False
    assert take_notices(books.database, "team/fleet") == [], "it waits"
    due_now = "UPDATE notice SET next_attempt_at = created_at"
    write(books, due_now)
    [second] = take_notices(books.database, "team/fleet")
    assert (second.message_id, second.body) == (first.message_id, first.body)
    assert second.attempts == 2
    end_notice(books.database, first, was_taken=True)
    assert books.scalar("SELECT count(*) FROM notice WHERE next_attempt_at IS NULL") == 0
    end_notice(books.database, second, was_taken=True)
    assert books.scalar("SELECT count(*) FROM notice WHERE next_attempt_at IS NULL") == 1
    write(books, due_now)
    [late] = take_notices(books.database, "team/fleet")
    old = TakenNotice(late.id, late.message_id, late.body, late.attempts, books.now() - _DAY)
    assert end_notice(books.database, old, was_taken=False) is True
    [event] = read_account_changes(books.database, books.account_id(), 1)
    assert (event["kind"], event["actor"]) == ("webhook.failed", "gateway")
    assert event["detail"]["percent"] == 100
    assert event["detail"]["message_id"] == first.message_id


_DAY = timedelta(hours=24)


def test_many_keys_of_an_account_keep_no_other_from_having_its_notices(books: Books) -> None:
    books.grant(credits=1000)
    books.grant("bobs", "bob", credits=10)
    limited = {"credits": 1}
    keys = [books.issue(f"key-{number}", limits=limited) for number in range(WAITING_MAX + 5)]
    for key, _ in keys:
        spend(books, key, 1)
    spend(books, books.issue("bobs", "bob", limits=limited)[0], 1, account="bob")
    assert write_notices(books.database, INSTALLATION, "team/fleet") == WAITING_MAX + 1
    assert write_notices(books.database, INSTALLATION, "team/fleet") == 0, "they wait"
    assert "team/bob" in {account for account, *_ in news(books)}
    assert len(news(books)) == 5, "the others follow"


def test_old_notices_go_and_the_newest_of_a_limit_stays(books: Books) -> None:
    books.grant(credits=1000)
    key, _ = books.issue(limits={"credits": 10})
    spend(books, key, 8)
    assert len(news(books)) == 1
    spend(books, key, 2)
    assert len(news(books)) == 1
    old = (datetime.now(UTC) - timedelta(days=63)).replace(tzinfo=None).isoformat(" ")
    write(books, f"UPDATE notice SET created_at = '{old}'")
    write(books, "UPDATE notice SET next_attempt_at = created_at WHERE percent = 80")  # not sent
    forget_notices(books.database)
    assert books.scalar("SELECT percent FROM notice") == 100
    assert news(books) == []


def test_the_notices_of_a_fleet_that_is_gone_go_after_a_day(books: Books) -> None:
    books.grant(credits=1000)
    key, _ = books.issue(limits={"credits": 10})
    spend(books, key, 8)
    for fleet in ("team/fleet", "team/gone"):
        assert write_notices(books.database, INSTALLATION, fleet) == 1

    def left(installation: str = INSTALLATION) -> int:
        forget_receivers(books.database, installation, {"team/fleet"})
        return int(books.scalar("SELECT count(*) FROM notice"))

    assert left() == 2, "it may be made again"
    old = (datetime.now(UTC) - timedelta(hours=25)).replace(tzinfo=None).isoformat(" ")
    write(books, f"UPDATE notice SET created_at = '{old}'")
    assert left("another") == 2
    assert left() == 1
    assert books.scalar("SELECT receiver FROM notice") == "team/fleet"


def test_pauses_grow_to_an_hour_and_end_after_a_day() -> None:
    at = first = datetime(2026, 11, 29, tzinfo=UTC)
    pauses: list[int] = []
    while (due := next_attempt(first, at, len(pauses) + 1)) is not None:
        pauses.append(int((due - at).total_seconds()))
        at = due
    assert pauses[:6] == [5, 20, 80, 320, 1280, 3600]
    assert set(pauses[5:]) == {3600}
    assert timedelta(hours=23) < at - first <= _DAY


def test_a_receiver_s_library_takes_the_signature() -> None:
    example = '{"test": 2432232314}'
    made = signature(read_signing_keys(SECRET), "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, example)
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", "that of the specification"
    seconds = int(datetime.now(UTC).timestamp())
    both = signature(read_signing_keys(f"{SECRET} {OTHER_SECRET}"), "msg_1", seconds, '{"é":1}')
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(seconds),
        "webhook-signature": both,
    }
    for secret in (SECRET, OTHER_SECRET):
        assert Webhook(secret).verify('{"é":1}', headers) == {"é": 1}


@pytest.mark.parametrize(
    "secret",
    ["", "secret", "whsec_", "whsec_c2hvcnQ=", f"{SECRET} x", " ".join([SECRET] * 3), SECRET[6:]],
)
def test_a_secret_that_signs_nothing_is_refused(secret: str) -> None:
    with pytest.raises(SpecError, match="whsec_") as refused:
        read_signing_keys(secret)
    assert not secret or secret[6:] not in str(refused.value) or len(secret) < 8


_MANY = "WITH RECURSIVE many(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM many WHERE n < 2000)"
_OTHERS = f"""
INSERT INTO account (installation, namespace, name, balance, surplus, granted, used_in_day,
  used_in_month, used_ever, created_at)
{_MANY} SELECT installation, namespace, 'other-' || n, 0, 0, 0, 0, 0, 0, created_at
FROM many CROSS JOIN account
"""
_THEIR_KEYS = f"""
INSERT INTO api_key (key_id, installation, namespace, name, uid, account_id, prefix, models,
  used_in_month, used_ever, suspended, generation, version, created_at)
{_MANY} SELECT 'other-' || n, k.installation, k.namespace, 'other-' || n, '', a.id, '', k.models,
  0, 0, k.suspended, 1, 0, k.created_at
FROM many JOIN account a ON a.name = 'other-' || n CROSS JOIN api_key k
"""


def test_a_look_finds_what_is_limited_by_an_index(books: Books) -> None:
    """However many accounts and keys have no limit; balances are read once, if at all."""
    state(books, "alice", limits={"credits": 10})
    books.issue(limits={"creditsPerDay": 5})
    with books.database.write() as session:
        for statement in (_OTHERS, _THEIR_KEYS, "ANALYZE"):
            session.execute(text(statement))
    explain = "EXPLAIN QUERY PLAN" if books.database.is_sqlite else "EXPLAIN"
    values = {"installation": INSTALLATION, "receiver": "team/fleet", "most": 1}
    plans = []
    with books.database.read() as session:
        for statement in (ACCOUNTS, KEYS):
            words = statement.format(changed=ALL, **periods(datetime.now(UTC)))
            asked = f"{explain} {words}"
            plans.append("\n".join(str(row[-1]) for row in session.execute(text(asked), values)))
    of_accounts, of_keys = plans
    by_index = r"USING INDEX account_limited \(installation|using account_limited on account a"
    assert len(re.findall(by_index, of_accounts)) == 3
    assert len(re.findall("(?i)using (?:index )?api_key_limited", of_keys)) == 3
    assert len(re.findall(r"Seq Scan on account|SCAN a$", of_accounts, re.M)) <= 1
    assert re.findall(r"Seq Scan on (?:account|api_key) |SCAN [ak]$", of_keys, re.M) == []
