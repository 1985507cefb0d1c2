"""Usage as it is asked for: the same sums as the ledger's, in any period, zone and grouping."""

import json
import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import event, text

from gateway.core.principal import AccountSet
from gateway.core.statement import PeriodError
from gateway.core.usage import HOURS_KEPT, QueryError, UsageLine, UsageQuery, read_query
from gateway.store.columns import UtcDateTime
from gateway.store.ledger import Ledger
from gateway.store.usage_accounts import AccountsInReach
from gateway.store.usage_reader import UsageReader
from gateway.store.usage_rounds import count_usage
from tests.harness.books import INSTALLATION, Books
from tests.store.test_charges import with_ledger
from tests.store.test_groups import state, write

NOW = datetime.now(UTC)
_ENTRIES = """
SELECT e.kind, e.credits, e.created_at, k.namespace || '/' || k.name AS key,
  coalesce(e.model, c.model) AS model, coalesce(e.route, c.route) AS route, u.input_tokens,
  t.tags
FROM entry e LEFT JOIN entry c ON c.request_id = e.request_id AND c.kind = 'charge'
JOIN api_key k ON k.id = e.api_key_id LEFT JOIN request_usage u ON u.request_id = e.request_id
LEFT JOIN request_tags t ON t.request_id = e.request_id
WHERE e.account_id = :account
"""


def read(
    books: Books, query: UsageQuery, *, account: str = "alice", rows_at_once: int = 20_000
) -> tuple[list[UsageLine], UsageReader]:
    return drain(books, UsageReader(books.account_id(account), query, rows_at_once))


def drain(books: Books, reader: UsageReader) -> tuple[list[UsageLine], UsageReader]:
    found: list[UsageLine] = []
    while (lines := reader.advance(books.database)) is not None:
        found += lines
    return found, reader


def expected(books: Books, query: UsageQuery, account: str = "alice") -> dict[Any, list[int]]:
    """The ledger's own sums: requests, refunds, charged, refunded, input tokens."""
    where = ZoneInfo(query.zone)
    sums: dict[Any, list[int]] = defaultdict(lambda: [0] * 5)
    with books.database.read() as session:
        asked = text(_ENTRIES).columns(created_at=UtcDateTime())
        for row in session.execute(asked, {"account": books.account_id(account)}):
            if not query.period.begin <= row.created_at < query.period.end:
                continue
            local = row.created_at.astimezone(where)
            hour = local.replace(minute=0, second=0, microsecond=0).isoformat()
            tags = json.loads(row.tags or "{}")
            if query.tag_value is not None and tags.get(query.tag) != query.tag_value:
                continue
            value = {
                "tag": tags.get(query.tag),
                "day": f"{local:%Y-%m-%d}",
                "hour": hour.replace("+00:00", "Z"),
                "key": row.key,
                "model": row.model,
                "route": row.route,
                "account": f"team/{account}",
                "namespace": "team",
            }
            of = sums[tuple(value[name] for name in query.group_by)]
            if row.kind == "charge":
                of[0] += 1
                of[2] -= row.credits
                of[4] += row.input_tokens or 0
            else:
                of[1] += 1
                of[3] += row.credits
    return dict(sums)


def found_sums(query: UsageQuery, lines: list[UsageLine]) -> dict[Any, list[int]]:
    return {
        tuple(
            line.time if name in ("day", "hour") else getattr(line, name) for name in query.group_by
        ): [
            line.sums.requests,
            line.sums.failed,
            line.sums.charged,
            line.sums.refunded,
            line.sums.input_tokens,
        ]
        for line in lines
    }


def book_some(
    books: Books,
    dice: random.Random,
    days: int,
    number: int = 120,
    accounts: tuple[str, ...] = ("alice", "bob"),
) -> None:
    """Charges of accounts at random moments, some with a refund that came hours later."""
    rows = []
    for account in accounts:
        books.grant(f"grant-{account}", account, credits=10_000)
        keys = [books.issue(f"{account}-{n}", account)[0].id for n in range(3)]
        for n in range(number):
            at = NOW - timedelta(hours=1, seconds=dice.random() * days * 86_400)
            rows.append(
                {
                    "account": books.account_id(account),
                    "id": f"req_{account}_{n}",
                    "key": dice.choice(keys),
                    "model": dice.choice(("kimi", "glm")),
                    "route": dice.choice(("chat", "messages")),
                    "credits": dice.randint(0, 9),
                    "tokens": dice.randint(0, 99),
                    "at": at,
                    "later": min(at + timedelta(hours=dice.randint(0, 30)), NOW),
                    "fails": dice.random() < 0.3,
                    "tags": dice.choice(
                        (None, '{"team":"a"}', '{"team":"b","user":"u1"}', '{"user":"u1"}')
                    ),
                }
            )
    insert(books, rows)


def insert(books: Books, rows: list[dict[str, Any]]) -> None:
    entry = (
        "INSERT INTO entry (account_id, kind, credits, request_id, api_key_id, model, route,"
        " created_at) VALUES (:account, '{kind}', {sign}:credits, :id, :key, {named}, {moment})"
    )
    charge = entry.format(kind="charge", sign="-", named=":model, :route", moment=":at")
    refund = entry.format(kind="refund", sign="", named="NULL, NULL", moment=":later")
    usage = (
        "INSERT INTO request_usage (request_id, input_tokens, cached_tokens, output_tokens,"
        " reasoning_tokens) VALUES (:id, :tokens, 0, 0, 0)"
    )
    with books.database.write() as session:
        for row in rows:
            moments = {
                name: UtcDateTime().process_bind_param(row[name], session.get_bind().dialect)
                for name in ("at", "later")
            }
            session.execute(text(charge), {**row, **moments})
            if row.get("tags"):
                session.execute(
                    text("INSERT INTO request_tags (request_id, tags) VALUES (:id, :tags)"), row
                )
            session.execute(text(refund if row["fails"] else usage), {**row, **moments})
        session.execute(
            text(
                "UPDATE account SET balance = (SELECT sum(credits) FROM entry"
                " WHERE account_id = account.id)"
            )
        )
    assert count_usage(books.database, INSTALLATION).is_complete


QUERIES: tuple[dict[str, Any], ...] = (
    {},
    {"group_by": ""},
    {"group_by": "hour"},
    {"group_by": "day,key,model,route"},
    {"group_by": "key,model"},
    {"group_by": "hour,key"},
    {"group_by": "day,model", "zone": "Europe/Berlin"},
    {"group_by": "hour,route", "zone": "America/New_York"},
    {"group_by": "day", "zone": "Asia/Tokyo"},
    {"group_by": "tag:team"},
    {"group_by": "day,key,tag:user"},
    {"group_by": "day,tag:team", "zone": "Europe/Berlin"},
    {"group_by": "tag:none"},
    {"group_by": "day,model", "tags": {"team": "b"}},
    {"group_by": "tag:user", "tags": {"user": "u1"}, "zone": "Asia/Tokyo"},
)


@pytest.mark.parametrize("seed", [1, 2])
def test_sums_are_the_ledger_s_for_any_question(books: Books, seed: int) -> None:
    dice = random.Random(seed)
    book_some(books, dice, 50)
    for asked in QUERIES:
        begin = NOW - timedelta(days=dice.randint(20, 50))
        dates = {"begin": f"{begin:%Y-%m-%d}", "end": f"{NOW - timedelta(days=2):%Y-%m-%d}"}
        for given in (asked, {**asked, **dates}):
            query = read_query(NOW, **given)
            ledger = expected(books, query)
            for rows_at_once in (20_000, 30):
                lines, reader = read(books, query, rows_at_once=rows_at_once)
                assert found_sums(query, lines) == ledger, given
                assert len(lines) == len(ledger), "no group comes twice"
                assert reader.total.charged == sum(sums[2] for sums in ledger.values())
                assert reader.total.refunded == sum(sums[3] for sums in ledger.values())


@pytest.mark.parametrize("seed", [5, 6])
def test_a_namespace_s_sums_are_those_of_its_accounts(
    books: Books, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice = random.Random(seed)
    names = ("alice", "bob", "carol", "dave")
    book_some(books, dice, 50, 40, (*names, "eve"))
    write(books, "UPDATE account SET namespace = 'other' WHERE name = 'eve'")
    monkeypatch.setattr("gateway.store.usage_accounts._AT_ONCE", 3)
    reach = AccountsInReach(INSTALLATION, AccountSet(frozenset({"team"})))
    groups = ("", "day", "day,account", "namespace,account,key,model", "hour,model", "key")
    asked: list[dict[str, Any]] = [{"group_by": each} for each in groups]
    asked += [
        {"group_by": "account", "zone": "Asia/Tokyo"},
        {"group_by": "day,tag:team"},
        {"group_by": "account,tag:user"},
        {"group_by": "account", "tags": {"team": "b"}},
    ]
    for given in asked:
        query = read_query(NOW, **given)
        ledger: dict[Any, list[int]] = defaultdict(lambda: [0] * 5)
        for name in names:
            for group, sums in expected(books, query, name).items():
                ledger[group] = [a + b for a, b in zip(ledger[group], sums, strict=True)]
        for rows_at_once in (20_000, 150, 30):
            lines, reader = drain(books, UsageReader(reach, query, rows_at_once))
            assert found_sums(query, lines) == ledger, given
            assert len(lines) == len(ledger), "no group comes twice"
            assert reader.total.charged == sum(sums[2] for sums in ledger.values())
            assert reader.total.refunded == sum(sums[3] for sums in ledger.values())
    with pytest.raises(QueryError, match="no such key"):
        drain(books, UsageReader(reach, read_query(NOW, key="team/eve-1")))
    only, _ = drain(books, UsageReader(reach, read_query(NOW, group_by="", key="team/bob-1")))
    assert [line.sums for line in only] == [
        line.sums for line in read(books, read_query(NOW, group_by="", key="team/bob-1"),
        account="bob")[0]
    ]  # fmt: skip
    # The sums are complete up to where all accounts are counted; others' accounts do not matter.
    write(books, "UPDATE entry SET created_at = '2020-01-01 00:00:00.000000' WHERE kind = 'grant'")
    for name, until in (("eve", None), ("dave", datetime(2020, 1, 1, tzinfo=UTC))):
        write(books, f"DELETE FROM usage_checkpoint WHERE account_id = {books.account_id(name)}")
        _, reader = drain(books, UsageReader(reach, read_query(NOW)))
        assert reader.complete_until is not None
        assert (reader.complete_until == until) == (until is not None)


def test_one_key_one_model_one_route(books: Books) -> None:
    book_some(books, random.Random(3), 20)
    query = read_query(NOW, group_by="key,model,route")
    lines, _ = read(books, query)
    for key in ("team/alice-1", next(line.key_id for line in lines if line.key == "team/alice-1")):
        only, _ = read(books, read_query(NOW, group_by="", key=key, model="glm", route="chat"))
        [expected_line] = [
            line
            for line in lines
            if (line.key, line.model, line.route) == ("team/alice-1", "glm", "chat")
        ]
        assert [line.sums for line in only] == [expected_line.sums]
    for key in ("team/bob-1", "team/none", "none"):
        with pytest.raises(QueryError, match="no such key"):
            read(books, read_query(NOW, key=key))
    assert read(books, read_query(NOW, model="none"))[0] == []


def test_complete_until_is_before_what_is_not_counted(books: Books) -> None:
    books.grant(credits=100)
    key, _ = books.issue()
    count_usage(books.database, INSTALLATION)
    query = read_query(NOW)
    _, reader = read(books, query)
    assert reader.complete_until is not None
    assert timedelta(seconds=9) < books.now() - reader.complete_until < timedelta(seconds=60)
    at = NOW - timedelta(hours=2)
    with books.database.write() as session:
        moment = UtcDateTime().process_bind_param(at, session.get_bind().dialect)
        session.execute(
            text(
                "INSERT INTO entry (account_id, kind, credits, request_id, api_key_id, model,"
                " route, created_at) VALUES (1, 'charge', 0, 'req_1', :key, 'kimi', 'chat', :at)"
            ),
            {"key": key.id, "at": moment},
        )
    lines, reader = read(books, query)
    assert (lines, reader.complete_until) == ([], at)
    count_usage(books.database, INSTALLATION)
    lines, reader = read(books, query)
    assert [line.sums.requests for line in lines] == [1]
    assert reader.complete_until > at  # type: ignore[operator]


def test_more_groups_than_are_held_are_refused(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    book_some(books, random.Random(4), 5, 20)
    monkeypatch.setattr("gateway.store.usage_reader.GROUPS_MAX", 5)
    with pytest.raises(QueryError, match="more than"):
        read(books, read_query(NOW, group_by="key,model,route"))
    assert read(books, read_query(NOW, group_by="day,key,model,route"))[0]


def test_a_read_sees_sums_only_however_many_entries_there_are(
    books: Books, capsys: pytest.CaptureFixture[str]
) -> None:
    """Three statements, by the primary key, for a hundred days of ten groups."""
    import time

    books.grant(credits=10)
    keys = [books.issue(f"key-{n}")[0].id for n in range(5)]
    today = int(NOW.timestamp()) // 86_400
    rows = [
        {"start": today - day, "key": key, "model": model}
        for day in range(100)
        for key in keys
        for model in ("kimi", "glm")
    ]
    count_usage(books.database, INSTALLATION)
    with books.database.write() as session:
        session.execute(
            text(
                "INSERT INTO usage_day (account_id, start, api_key_id, model, route, requests,"
                " charged) VALUES (1, :start, :key, :model, 'chat', 10000, 10000)"
            ),
            rows,
        )
    statements: list[str] = []
    event.listen(
        books.database.engine,
        "before_cursor_execute",
        lambda connection, cursor, statement, *_: statements.append(statement),
    )
    query = read_query(NOW, begin=f"{NOW - timedelta(days=99):%Y-%m-%d}", group_by="day,key,model")
    began = time.process_time()
    lines, reader = read(books, query)
    taken = time.process_time() - began
    assert len(lines) == 1000
    assert reader.total.requests == 10_000_000
    assert sum("usage_day" in statement for statement in statements) == 2
    assert sum("FROM entry" in statement for statement in statements) == 1
    with capsys.disabled():
        print(f"\n100 days × 10 groups of 10,000,000 requests: {1000 * taken:.0f} ms of CPU")


@pytest.mark.parametrize(
    ("given", "parameter", "sentence"),
    [
        ({"begin": "yesterday"}, "from", "from must be a date"),
        ({"begin": "2026-10-01T09:30:00Z"}, "from", "a whole hour with its zone"),
        ({"begin": "2026-10-01T09:00:00"}, "from", "a whole hour with its zone"),
        ({"end": "1970-01-01"}, "to", "later than from"),
        ({"end": "9999-12-31"}, "to", "to must be a date"),
        ({"begin": "0001-01-01"}, "from", "from must be a date"),
        ({"begin": "2026-10-02", "end": "2026-10-02"}, "to", "later than from"),
        ({"begin": "2020-01-01", "end": "2026-01-01"}, "to", "400 days apart"),
        ({"group_by": "day,hour"}, "group_by", "day or hour"),
        ({"group_by": "person"}, "group_by", "day or hour"),
        ({"group_by": "day," * 100}, "group_by", "day or hour"),
        ({"group_by": "tag"}, "group_by", "tag:NAME"),
        ({"group_by": "tag:"}, "group_by", "tag:NAME"),
        ({"group_by": "tag:a,tag:b"}, "group_by", "of one tag at most"),
        ({"group_by": "tag:a", "tags": {"b": "1"}}, "tag:b", "one tag at a time"),
        ({"tags": {"a": "1", "b": "1"}}, "tag:a", "one tag at a time"),
        ({"zone": "Mars/Olympus"}, "timezone", "or a name such as"),
        ({"zone": "../etc/passwd"}, "timezone", "or a name such as"),
        ({"zone": "localtime"}, "timezone", "or a name such as"),
        ({"zone": "+05:30"}, "timezone", "or a name such as"),
        ({"zone": "Asia/Kolkata"}, "timezone", "by whole hours"),
    ],
)
def test_a_question_that_makes_no_sense(
    given: dict[str, Any], parameter: str, sentence: str
) -> None:
    with pytest.raises(PeriodError, match=sentence) as refused:
        read_query(NOW, **given)
    assert refused.value.parameter == parameter


@pytest.mark.parametrize(
    "asked", [{"group_by": "hour"}, {"zone": "Asia/Tokyo"}, {"zone": "-03:00"}]
)
def test_hours_are_asked_for_while_they_are_kept(asked: dict[str, Any]) -> None:
    kept = NOW - timedelta(hours=HOURS_KEPT - 48)
    read_query(NOW, begin=f"{kept:%Y-%m-%d}", **asked)
    with pytest.raises(PeriodError, match="kept for 62 days") as refused:
        read_query(NOW, begin=f"{NOW - timedelta(days=64):%Y-%m-%d}", **asked)
    assert refused.value.parameter == "from"
    read_query(NOW, begin=f"{NOW - timedelta(days=390):%Y-%m-%d}", zone="+00:00")


def test_a_day_may_have_23_or_25_hours() -> None:
    """Berlin's clocks went back on 25 October 2026."""
    now = datetime(2026, 11, 2, tzinfo=UTC)
    query = read_query(now, begin="2026-10-25", end="2026-10-26", zone="Europe/Berlin")
    assert query.period.end - query.period.begin == timedelta(hours=25)
    assert [ahead for _, ahead in query.offsets] == [2, 1]


@pytest.mark.parametrize("rows_at_once", [1, 20_000])
def test_by_account_it_is_of_all_that_is_below(books: Books, rows_at_once: int) -> None:
    for name, parent in (("alice", "team"), ("team", "company"), ("bob", "company"), ("eve", "")):
        state(books, name, **({"parent": parent} if parent else {}))
    names = ("alice", "team", "company", "bob", "eve")
    keys = {}
    for name in names:
        books.grant(f"grant-{name}", name, credits=100)
        keys[name], _ = books.issue(f"key-{name}", name)

    async def act(ledger: Ledger) -> None:
        for price, name in enumerate(names, 1):
            await ledger.charge(books.charge(keys[name], price, name))

    with_ledger(books.database, act)
    count_usage(books.database, INSTALLATION)
    query = read_query(NOW, group_by="day,account")

    def charged(account: str) -> dict[str | None, int]:
        lines, reader = read(books, query, account=account, rows_at_once=rows_at_once)
        assert reader.total.charged == sum(line.sums.charged for line in lines)
        return {line.account: line.sums.charged for line in lines}

    assert charged("company") == {
        "team/alice": 1, "team/team": 2, "team/company": 3, "team/bob": 4,
    }  # fmt: skip
    assert charged("team") == {"team/alice": 1, "team/team": 2}
    assert charged("eve") == {"team/eve": 5}


def test_by_account_it_is_complete_when_all_that_is_below_is_counted(books: Books) -> None:
    """A charge of a child that nobody has counted yet is beyond it."""
    state(books, "alice", parent="team")
    books.grant(credits=5)
    write(books, "UPDATE entry SET created_at = '2020-01-01 00:00:00.000000'")
    _, of_all = read(books, read_query(NOW, group_by="account"), account="team")
    assert of_all.complete_until == datetime(2020, 1, 1, tzinfo=UTC)
    _, of_team = read(books, read_query(NOW, group_by="model"), account="team")
    assert of_team.complete_until != of_all.complete_until
