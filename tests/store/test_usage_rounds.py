"""Usage, counted behind the charge: its sums are the ledger's, no matter what happens beside it."""

import asyncio
import json
import random
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import text

from gateway.core.events import Usage
from gateway.core.request_ids import first_id_of
from gateway.core.usage import HOURS_KEPT
from gateway.store import request_retention, usage_rounds, usage_sums
from gateway.store.account_statement import read_request
from gateway.store.accounts import ensure_account
from gateway.store.database import Database
from gateway.store.ledger import Charge, Claim, End, Ledger, MeteredEnd, Refund, RetryKey
from gateway.store.moments import utc_text
from gateway.store.opening import open_ledger
from gateway.store.usage_rounds import count_usage
from tests.harness.books import INSTALLATION, Books
from tests.store.test_account_statement import with_ledger

#: by account, key, model, route and hour or day
_OF_LEDGER = """
SELECT e.account_id, {span}, e.api_key_id, coalesce(e.model, c.model), coalesce(e.route, c.route),
  sum(CASE WHEN e.kind = 'charge' THEN 1 ELSE 0 END),
  sum(CASE WHEN e.kind = 'refund' AND c.credits = -e.credits THEN 1 ELSE 0 END),
  -sum(CASE WHEN e.kind = 'charge' THEN e.credits ELSE 0 END),
  sum(CASE WHEN e.kind = 'refund' THEN e.credits ELSE 0 END),
  sum(CASE WHEN e.kind = 'charge' AND r.id IS NULL THEN coalesce(u.input_tokens, 0) ELSE 0 END),
  sum(CASE WHEN e.kind = 'charge' AND r.id IS NULL
      THEN coalesce(u.cache_write_tokens, 0) ELSE 0 END)
FROM entry e LEFT JOIN entry c ON c.request_id = e.request_id AND c.kind = 'charge'
LEFT JOIN entry r ON r.request_id = e.request_id AND r.kind = 'refund' AND r.credits = -e.credits
LEFT JOIN request_usage u ON u.request_id = e.request_id
WHERE e.kind IN ('charge', 'refund') GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5
"""
_OF_SUMS = """
SELECT account_id, start, api_key_id, model, route, requests, failed, charged, refunded,
  input_tokens, cache_write_tokens
FROM {table} WHERE requests + failed + charged + refunded > 0 ORDER BY 1, 2, 3, 4, 5
"""
#: the same by tag
_TAGS_OF_LEDGER = (
    _OF_LEDGER.replace(
        "SELECT e.account_id, {span},", "SELECT e.account_id, {span}, j.key, j.value,"
    )
    .replace(
        "WHERE e.kind IN",
        "JOIN request_tags t ON t.request_id = e.request_id CROSS JOIN {pairs} j WHERE e.kind IN",
    )
    .replace("1, 2, 3, 4, 5", "1, 2, 3, 4, 5, 6, 7")
)
_TAGS_OF_SUMS = _OF_SUMS.replace("start, api", "start, name, value, api").replace(
    "1, 2, 3, 4, 5", "1, 2, 3, 4, 5, 6, 7"
)
_PAIRS = {True: "json_each(t.tags)", False: "json_each_text(t.tags::json)"}
_SPANS = {
    True: "CAST(strftime('%s', e.created_at) AS INTEGER) / {seconds}",
    False: "CAST(floor(extract(epoch FROM e.created_at) / {seconds}) AS bigint)",
}


def rows(database: Database, statement: str, **values: Any) -> list[tuple[Any, ...]]:
    with database.read(snapshot=True) as session:
        return [
            tuple(value if isinstance(value, str) else int(value) for value in row)
            for row in session.execute(text(statement), values)
        ]


def assert_counted(books: Books) -> None:
    """The sums of hours and of days are those of the ledger."""
    for table, seconds in (("usage_hour", 3600), ("usage_day", 86_400)):
        span = _SPANS[books.database.is_sqlite].format(seconds=seconds)
        ledger = rows(books.database, _OF_LEDGER.format(span=span))
        assert rows(books.database, _OF_SUMS.format(table=table)) == ledger, table
        pairs = _PAIRS[books.database.is_sqlite]
        ledger = rows(books.database, _TAGS_OF_LEDGER.format(span=span, pairs=pairs))
        of_tags = _TAGS_OF_SUMS.format(table=table.replace("usage", "usage_tag"))
        assert rows(books.database, of_tags) == ledger, table


def count(books: Books) -> int:
    found = count_usage(books.database, INSTALLATION)
    assert found.is_complete
    return found.entries


def move(books: Books, request_ids: Iterable[str], kind: str, moment: datetime) -> None:
    """Have entries booked at another time: they are as old as nobody could wait for."""
    at = utc_text(moment) if books.database.is_sqlite else moment
    with books.database.write() as session:
        for request_id in request_ids:
            session.execute(
                text("UPDATE entry SET created_at = :at WHERE request_id = :id AND kind = :kind"),
                {"at": at, "id": request_id, "kind": kind},
            )


def test_a_round_counts_only_what_is_new(books: Books) -> None:
    books.grant(credits=100)
    key, _ = books.issue()
    assert count(books) == 1
    assert count(books) == 0

    async def act(ledger: Ledger) -> None:
        for number in range(6):
            charge = books.charge(key, 2)
            await ledger.charge(charge)
            if number % 3 == 0:
                await ledger.refund(Refund(charge.request_id, charge.account_id))
            else:
                ledger.end(End(charge.request_id, Usage(input=9, cached=4, cache_write=3)))

    with_ledger(books, act)
    assert count(books) == 8
    assert count(books) == 0
    assert_counted(books)
    [sums] = rows(books.database, _OF_SUMS.format(table="usage_day"))
    assert sums[3:] == ("model", "chat", 6, 2, 12, 4, 36, 12)


def test_tokens_of_an_open_request_are_counted_when_it_has_ended(books: Books) -> None:
    books.grant(credits=100)
    key, _ = books.issue()
    charge, failing = books.charge(key), books.charge(key)

    async def act(ledger: Ledger) -> None:
        await ledger.charge(charge)
        await ledger.charge(failing)
        assert count(books) == 3
        assert books.scalar("SELECT count(*) FROM usage_open") == 2
        assert count(books) == 0
        assert books.scalar("SELECT count(*) FROM usage_open") == 2
        await ledger.refund(Refund(failing.request_id, failing.account_id))
        ledger.end(End(charge.request_id, Usage(input=7, output=5)))

    with_ledger(books, act)
    assert count(books) == 1
    assert books.scalar("SELECT count(*) FROM usage_open") == 0
    assert_counted(books)
    assert books.scalar("SELECT sum(input_tokens) FROM usage_hour") == 7


def test_work_that_ends_after_it_was_given_back_counts_nowhere(books: Books) -> None:
    """Its tokens may come before or after it is counted."""
    books.grant(credits=100)
    key, _ = books.issue()
    early, late = books.charge(key), books.charge(key)

    async def act(ledger: Ledger) -> None:
        for charge in (early, late):
            await ledger.charge(charge)
            await ledger.refund(Refund(charge.request_id, charge.account_id))
        ledger.end(End(early.request_id, Usage(input=7, output=5)))

    with_ledger(books, act)
    assert count(books) == 5

    async def end(ledger: Ledger) -> None:
        ledger.end(End(late.request_id, Usage(input=7, output=5)))

    with_ledger(books, end)
    assert count(books) == 0
    assert books.scalar("SELECT count(*) FROM request_usage") == 2
    assert books.scalar("SELECT sum(input_tokens) FROM usage_day") == 0


def test_a_request_that_has_cost_nothing_has_not_failed(books: Books) -> None:
    """Its price was nothing, or the charge that stands for it has paid all of it."""
    books.grant(credits=100)
    key, _ = books.issue()
    free, left, retry = (books.charge(key, 10) for _ in range(3))

    def end(charge: Charge, price: int, unused: int, name: RetryKey | None = None) -> MeteredEnd:
        parts = f'{{"credits":{price}}}'
        used = Usage(input=7)
        return MeteredEnd(charge.request_id, charge.account_id, unused, used, parts, name)

    async def act(ledger: Ledger) -> None:
        await ledger.charge(free)
        ledger.end_metered(end(free, 0, 10))
        await ledger.charge(left)
        await ledger.end_left(end(left, 6, 4, RetryKey("name", "model")))
        claim = Claim(retry.request_id, retry.account_id, "name", "model")
        assert await ledger.claim(claim) == 6
        await ledger.charge(retry)
        count(books)
        ledger.end_metered(end(retry, 5, 10))

    with_ledger(books, act)
    count(books)
    [sums] = rows(books.database, _OF_SUMS.format(table="usage_day"))
    assert sums[3:10] == ("model", "chat", 3, 0, 30, 24, 21)
    for charge in (free, left, retry):
        story = read_request(books.database, charge.account_id, charge.request_id)
        assert story is not None
        assert story["state"] == "ended"


def test_a_refund_counts_when_it_was_given_with_the_model_of_its_charge(books: Books) -> None:
    books.grant(credits=100)
    key, _ = books.issue()
    charge = replace(books.charge(key, 3), model="other", route="messages")
    now = books.now()

    async def act(ledger: Ledger) -> None:
        await ledger.charge(charge)
        await ledger.refund(Refund(charge.request_id, charge.account_id))

    with_ledger(books, act)
    move(books, [charge.request_id], "charge", now - timedelta(days=2))
    count(books)
    assert_counted(books)
    before, after = rows(books.database, _OF_SUMS.format(table="usage_day"))
    assert before[3:9] == ("other", "messages", 1, 0, 3, 0)
    assert after[3:9] == ("other", "messages", 0, 1, 0, 3)
    assert after[1] - before[1] == 2


def test_hours_are_forgotten_and_days_are_not(books: Books) -> None:
    books.grant(credits=100)
    key, _ = books.issue()
    charges = [books.charge(key) for _ in range(3)]

    async def act(ledger: Ledger) -> None:
        for charge in charges:
            await ledger.charge(charge)
            ledger.end(End(charge.request_id, None))

    with_ledger(books, act)
    now = books.now()
    kept = now - timedelta(hours=HOURS_KEPT - 1)
    move(books, [charges[0].request_id], "charge", kept)
    move(books, [charges[1].request_id], "charge", now - timedelta(hours=HOURS_KEPT + 2))
    count(books)
    assert books.scalar("SELECT count(*) FROM usage_hour") == 2, "too old to be kept at all"
    assert books.scalar("SELECT sum(requests) FROM usage_day") == 3
    with books.database.write() as session:
        session.execute(text("UPDATE usage_hour SET start = start - 3"))
    count(books)
    assert books.scalar("SELECT count(*) FROM usage_hour") == 1
    assert books.scalar("SELECT sum(requests) FROM usage_day") == 3


def test_what_old_requests_used_is_forgotten_when_it_is_counted(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_retention, "ROWS_MAX", 2)
    books.grant(credits=100)
    key, _ = books.issue()
    old, now = books.now() - timedelta(days=31), books.now()
    moments = (*[old] * 4, now)
    charges = [
        replace(books.charge(key), request_id=f"{first_id_of(at)}{number:020x}", tags='{"a":"b"}')
        for number, at in enumerate(moments)
    ]

    async def act(ledger: Ledger) -> None:
        for charge in charges:
            await ledger.charge(charge)
        count(books)
        for charge in charges[1:]:
            ledger.end(End(charge.request_id, Usage(input=3)))

    with_ledger(books, act)
    with books.database.write() as session:
        ensure_account(session, "zone-b", "team", "alice", now)
    count_usage(books.database, INSTALLATION, request_days=30)
    count_usage(books.database, "zone-b", request_days=30)
    assert books.scalar("SELECT count(*) FROM request_tags") == 5, "they are of two installations"
    with books.database.write() as session:
        session.execute(text("DELETE FROM account WHERE installation = 'zone-b'"))
    left = []
    for _ in range(3):
        count_usage(books.database, INSTALLATION, request_days=30)
        left.append(
            [books.scalar(f"SELECT count(*) FROM request_{name}") for name in ("usage", "tags")]
        )
    assert left == [[2, 3], [1, 2], [1, 2]], "an open request keeps its tags"
    assert books.scalar("SELECT sum(input_tokens) FROM usage_day") == 12
    assert books.scalar("SELECT sum(input_tokens) FROM usage_tag_day") == 12
    assert books.count("charge") == 5


def test_what_is_too_much_for_a_round_is_counted_in_slices(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And balances are noted in between."""
    monkeypatch.setattr(usage_rounds, "_ENTRIES_AT_ONCE", 1500)
    many = 6000
    books.grant(credits=2 * many)
    books.grant("other", "bob", credits=5)
    insert = (
        "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < :many)"
        " INSERT INTO entry (account_id, kind, credits, request_id, api_key_id, model, route,"
        " created_at) SELECT 1, 'charge', -1, 'req_' || n, 1, 'kimi', 'chat', {now} FROM n"
    )
    now = "strftime('%Y-%m-%d %H:%M:%f000', 'now')" if books.database.is_sqlite else "now()"
    with books.database.write() as session:
        session.execute(text(insert.format(now=now)), {"many": many})
        session.execute(text("UPDATE account SET balance = :many WHERE id = 1"), {"many": many})
    rounds = [count_usage(books.database, INSTALLATION, seconds=0) for _ in range(8)]
    # A slice of each account first, then the rest of the larger one.
    assert [one.entries for one in rounds] == [751, 1500, 1500, 1500, 751, 0, 0, 0]
    assert [one.is_complete for one in rounds] == [False] * 4 + [True] * 4
    assert_counted(books)
    marks = rows(books.database, "SELECT entry_id, balance FROM usage_mark ORDER BY 1")
    assert len(marks) == 3
    for entry_id, balance in marks:
        spent = "SELECT sum(credits) FROM entry WHERE account_id = 1 AND id <= :id"
        assert balance == books.scalar(spent, id=entry_id)


def test_an_unreadable_moment_holds_nothing_up(books: Books) -> None:
    books.grant(credits=100)
    key, _ = books.issue()
    charge = books.charge(key)

    async def act(ledger: Ledger) -> None:
        await ledger.charge(charge)

    with_ledger(books, act)
    odd = "'yesterday'" if books.database.is_sqlite else "'infinity'"
    with books.database.write() as session:
        session.execute(text(f"UPDATE entry SET created_at = {odd} WHERE kind = 'charge'"))
    assert count(books) == 2
    assert books.scalar("SELECT start FROM usage_day") == 0


@pytest.mark.parametrize("seed", range(4))
def test_sums_are_the_ledger_s_for_any_history(books: Books, seed: int) -> None:
    """Random requests of several keys, models and routes over weeks, counted at random moments."""
    dice = random.Random(seed)
    keys = {}
    for account in ("alice", "bob"):
        books.grant(f"grant-{account}", account, credits=1000)
        for number in range(2):
            keys[account, number] = books.issue(f"key-{account}-{number}", account)[0]
    now = books.now()

    async def act(ledger: Ledger) -> None:
        still_open: list[Charge] = []
        for _ in range(60):
            (account, _), key = dice.choice(list(keys.items()))
            charge = replace(
                books.charge(key, dice.randint(0, 9), account),
                model=dice.choice(("kimi", "glm")),
                route=dice.choice(("chat", "messages")),
                tags=dice.choice((None, '{"team":"a"}', '{"team":"b","user":"u"}')),
            )
            await ledger.charge(charge)
            hours_ago = dice.randint(0, 40 * 24)
            move(books, [charge.request_id], "charge", now - timedelta(hours=hours_ago))
            still_open.append(charge)
            while still_open and dice.random() < 0.45:
                ended = still_open.pop(dice.randrange(len(still_open)))
                await _end(books, ledger, dice, ended, now)
            if dice.random() < 0.2:
                count(books)
        for charge in still_open:
            await _end(books, ledger, dice, charge, now)

    with_ledger(books, act)
    count(books)
    assert_counted(books)
    assert books.scalar("SELECT count(*) FROM usage_open") == 0


def test_values_that_differ_with_each_request_are_counted_together(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside them, other tags are counted as before; nothing is lost, also of what ends later."""
    monkeypatch.setattr(usage_sums, "TAG_VALUES_MAX", 3)
    monkeypatch.setattr(usage_sums, "TAG_NAMES_MAX", 2)
    books.grant(credits=100)
    key, _ = books.issue()

    def tagged(number: int) -> Charge:
        tags = {"team": "a", "trace": f"{number}" + "x" * 500, f"z{number}": "1"}
        return replace(books.charge(key), tags=json.dumps(tags))

    async def act(ledger: Ledger) -> None:
        late = [tagged(number) for number in range(8)]
        for charge in late:
            await ledger.charge(charge)
        assert count(books) == 9
        for charge in late:
            ledger.end(End(charge.request_id, Usage(input=7)))
        another = tagged(9)
        await ledger.charge(another)
        await ledger.refund(Refund(another.request_id, another.account_id))

    with_ledger(books, act)
    count(books)
    for table in ("usage_tag_hour", "usage_tag_day"):
        found = rows(
            books.database,
            "SELECT name, value, sum(requests), sum(failed), sum(input_tokens)"
            f" FROM {table} GROUP BY 1, 2 ORDER BY 1, 2",
        )
        assert found[0] == ("team", "a", 9, 1, 56)
        assert [row[:2] for row in found[1:]] == [
            *(("trace", f"{number}" + "x" * 127) for number in range(3)),
            ("trace", "other"),
        ]
        assert found[-1][2:] == (6, 1, 35)


async def _end(
    books: Books, ledger: Ledger, dice: random.Random, charge: Charge, now: datetime
) -> None:
    how = dice.random()
    if how < 0.3:
        assert await ledger.refund(Refund(charge.request_id, charge.account_id))
        hours_ago = dice.randint(0, 48)
        move(books, [charge.request_id], "refund", now - timedelta(hours=hours_ago))
    else:
        tokens = Usage(input=dice.randint(0, 99), cache_write=dice.randint(0, 9))
        if how > 0.7:  # some of the charge goes back, or all of it
            unused = dice.randint(0, charge.credits)
            end = MeteredEnd(charge.request_id, charge.account_id, unused, tokens, "{}")
            ledger.end_metered(end)
            return
        ledger.end(End(charge.request_id, None if how < 0.4 else tokens))


def test_nothing_counts_twice_while_two_count_and_others_charge(books: Books) -> None:
    """Requests go on until each of the two has counted some, however the threads take turns."""
    turns_min, turns_max, a_turn = 60, 2000, 12
    accounts = ("alice", "bob", "carol")
    for account in accounts:
        books.grant(f"first-{account}", account, credits=turns_max * a_turn)
    charges = [
        books.charge(books.issue(f"key-{account}", account)[0], 1, account) for account in accounts
    ]
    counted = [0, 0]
    enough = threading.Event()

    async def use(ledger: Ledger, charge: Charge, number: int) -> None:
        assert (await ledger.charge(charge)).outcome == "charged"
        if number % 4 == 0:
            await ledger.refund(Refund(charge.request_id, charge.account_id))
        else:
            ledger.end(End(charge.request_id, Usage(input=number % 7)))

    async def serve() -> None:
        ledger = await open_ledger(books.database, "replica_test")
        for turn in range(turns_max):
            some = range(a_turn * turn, a_turn * (turn + 1))
            await asyncio.gather(
                *(use(ledger, replace(charges[n % 3], request_id=f"req_{n}"), n) for n in some)
            )
            if turn >= turns_min and min(counted) > 10:
                break
        await ledger.drain()

    def go_on_counting(who: int) -> None:
        while not enough.is_set():
            counted[who] += count_usage(books.database, INSTALLATION).entries

    with ThreadPoolExecutor(3) as threads:
        counting = [threads.submit(go_on_counting, who) for who in range(2)]
        served = threads.submit(asyncio.run, serve())
        try:
            served.result()
        finally:
            enough.set()
        for each in counting:
            each.result()
    assert min(counted) > 10
    count(books)
    assert_counted(books)
    assert datetime.now(UTC) - books.now() < timedelta(minutes=1)
