"""Somebody holds a lock, or an answer is lost: the one is passed by, the other looked up."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import psycopg
import pytest
from sqlalchemy import text

from gateway.core.errors import ChargeUnknown, DatabaseBusy
from gateway.core.events import Usage
from gateway.store.database import Database
from gateway.store.ledger import Charge, ChargeResult, Ledger, MeteredEnd, Refund
from tests.harness.books import Books
from tests.harness.postgres import PostgresServer
from tests.harness.proxy import Proxy
from tests.store.test_charges import with_ledger

OTHERS = [f"other-{number}" for number in range(3)]


@pytest.fixture
def books(postgres_server: PostgresServer) -> Iterator[Books]:
    database = Database(postgres_server.create_migrated())
    made = Books(database)
    for account in ("alice", *OTHERS):
        made.grant(f"grant-{account}", account, credits=100)
    yield made
    database.close()


class Charges:
    """Charges of several accounts at once."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._keys = {name: books.issue(f"key-{name}", name)[0] for name in ("alice", *OTHERS)}

    def of(self, account: str) -> Charge:
        return self._books.charge(self._keys[account], account=account)

    def next_id(self) -> str:
        """The id of the first charge that is made next."""
        return f"req_{self._books._charges + 1:06d}"

    async def make(self, ledger: Ledger) -> list[ChargeResult | BaseException]:
        """One of each account in one batch, alice's first."""
        charges = [self.of(account) for account in ("alice", *OTHERS)]
        return await asyncio.gather(*map(ledger.charge, charges), return_exceptions=True)


def timeouts_of_locks(server: PostgresServer) -> int:
    return server.log_text().count("canceling statement due to lock timeout")


@pytest.mark.parametrize(
    "lock",
    [
        "SELECT 1 FROM account WHERE name = 'alice' FOR UPDATE",
        "SELECT 1 FROM api_key WHERE name = 'key-alice' FOR UPDATE",
        "SELECT 1 FROM api_key_hash h JOIN api_key k ON k.id = h.api_key_id"
        " WHERE k.name = 'key-alice' FOR UPDATE OF h",
    ],
    ids=["account", "key", "hash"],
)
def test_a_lock_that_does_not_come_is_waited_for_once_and_by_nobody_else(
    books: Books, postgres_server: PostgresServer, lock: str
) -> None:
    charges = Charges(books)
    before = timeouts_of_locks(postgres_server)

    async def act(ledger: Ledger) -> None:
        with psycopg.connect(books.database.url) as idle:
            idle.execute(lock.encode())
            for _ in range(20):
                alices, *others = await charges.make(ledger)
                assert isinstance(alices, DatabaseBusy)
                assert [isinstance(one, ChargeResult) and one.outcome for one in others] == [
                    "charged"
                ] * len(OTHERS)
        verdicts = await charges.make(ledger)
        assert all(isinstance(one, ChargeResult) and one.outcome == "charged" for one in verdicts)

    with_ledger(books.database, act)
    assert timeouts_of_locks(postgres_server) - before == 1
    assert books.balance("alice") == 99
    assert [books.balance(account) for account in OTHERS] == [79] * len(OTHERS)


def test_what_a_refund_has_just_made_room_for_is_charged(books: Books) -> None:
    charges = Charges(books)
    with books.database.write() as session:
        session.execute(text("UPDATE account SET balance = 0 WHERE name = 'alice'"))

    async def act(ledger: Ledger) -> None:
        with psycopg.connect(books.database.url) as other:
            other.execute("UPDATE account SET balance = 5 WHERE name = 'alice'")
            charge = asyncio.ensure_future(ledger.charge(charges.of("alice")))
            waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            while not books.scalar(waiting):
                await asyncio.sleep(0.01)
            other.commit()
        assert await charge == ChargeResult("charged", 4)

    with_ledger(books.database, act)


def test_refunds_pass_by_a_locked_account_too(books: Books) -> None:
    charges = Charges(books)

    async def act(ledger: Ledger) -> None:
        made = [charges.of(account) for account in ("alice", *OTHERS)]
        await asyncio.gather(*map(ledger.charge, made))
        refunds = [Refund(charge.request_id, charge.account_id) for charge in made]
        with psycopg.connect(books.database.url) as idle:
            idle.execute("SELECT 1 FROM account WHERE name = 'alice' FOR UPDATE")
            given = await asyncio.gather(*map(ledger.refund, refunds), return_exceptions=True)
        assert isinstance(given[0], DatabaseBusy)
        assert given[1:] == [True] * len(OTHERS)
        assert await ledger.refund(refunds[0])

    with_ledger(books.database, act)
    assert books.holds() == 0


def test_ends_of_a_locked_account_hold_up_nobody_s_refund(
    books: Books, postgres_server: PostgresServer
) -> None:
    """They are tried again and again, and wait for the lock once."""
    charges = Charges(books)
    before = timeouts_of_locks(postgres_server)

    def end(charge: Charge) -> MeteredEnd:
        return MeteredEnd(charge.request_id, charge.account_id, 1, Usage(), "{}")

    async def act(ledger: Ledger) -> None:
        hers = charges.of("alice")
        await ledger.charge(hers)
        with psycopg.connect(books.database.url) as idle:
            idle.execute("SELECT 1 FROM account WHERE name = 'alice' FOR UPDATE")
            ledger.end_metered(end(hers))
            for _ in range(4):
                ended, failed = charges.of(OTHERS[0]), charges.of(OTHERS[1])
                await asyncio.gather(ledger.charge(ended), ledger.charge(failed))
                ledger.end_metered(end(ended))
                while await asyncio.to_thread(_is_held, books, ended):
                    await asyncio.sleep(0.01)
                assert await ledger.refund(Refund(failed.request_id, failed.account_id))
            assert hers.request_id in set(ledger.pending())

    with_ledger(books.database, act)
    assert timeouts_of_locks(postgres_server) - before == 1
    assert books.holds() == 0
    assert books.balance("alice") == books.balance(OTHERS[0]) == 100


def through_proxy(books: Books, act: Callable[[Ledger, Proxy], Awaitable[None]]) -> None:
    """Do something on a ledger whose answers may be lost."""
    server, _, name = books.database.url.rpartition("@")[2].partition("/")
    with Proxy(int(server.rpartition(":")[2])) as proxy:
        through = Database(f"postgresql://postgres@127.0.0.1:{proxy.port}/{name}")

        async def run(ledger: Ledger) -> None:
            await act(ledger, proxy)

        with_ledger(through, run)
        through.close()


def test_a_charge_whose_answer_was_lost_is_asked_again_and_made_once(books: Books) -> None:
    charges = Charges(books)

    async def act(ledger: Ledger, proxy: Proxy) -> None:
        await charges.make(ledger)
        proxy.lose_the_answer_to(charges.next_id().encode())
        verdicts = await charges.make(ledger)
        assert proxy.lost == 1
        assert verdicts == [ChargeResult("charged", 98)] * (1 + len(OTHERS))

    through_proxy(books, act)
    assert books.count("charge") == 2 * (1 + len(OTHERS))


def test_what_was_given_back_meanwhile_is_not_taken_for_charged(books: Books) -> None:
    """The reaper of another replica was faster than we could ask again."""
    charges = Charges(books)

    async def act(ledger: Ledger, proxy: Proxy) -> None:
        await ledger.charge(charges.of("alice"))  # the server knows the statement from now on
        charge = charges.of("alice")
        proxy.lose_answers(True)
        asked = asyncio.create_task(asyncio.wait_for(ledger.charge(charge), 20))
        while not await asyncio.to_thread(_is_held, books, charge):
            assert not asked.done(), await asked
            await asyncio.sleep(0.05)

        async def reap(reaping: Ledger) -> None:
            assert await reaping.refund(Refund(charge.request_id, charge.account_id))

        await asyncio.to_thread(with_ledger, books.database, reap)
        proxy.lose_answers(False)
        with pytest.raises(Exception, match="given back"):
            await asked

    through_proxy(books, act)
    assert books.count("refund") == 1


def test_a_charge_that_nobody_answers_for_is_unknown_in_the_end(books: Books) -> None:
    charges = Charges(books)

    async def act(ledger: Ledger, proxy: Proxy) -> None:
        await charges.make(ledger)
        proxy.lose_answers(True)
        with pytest.raises(ChargeUnknown):
            await ledger.charge(charges.of("alice"))
        proxy.lose_answers(False)
        verdicts = await charges.make(ledger)
        assert all(isinstance(one, ChargeResult) and one.outcome == "charged" for one in verdicts)

    through_proxy(books, act)


def test_a_refund_whose_answer_was_lost_was_given(books: Books) -> None:
    charges = Charges(books)

    async def act(ledger: Ledger, proxy: Proxy) -> None:
        made = [charges.of(account) for account in ("alice", *OTHERS)]
        await asyncio.gather(*map(ledger.charge, made))
        refunds = [Refund(charge.request_id, charge.account_id) for charge in made]
        assert await ledger.refund(refunds[0])
        proxy.lose_the_answer_to(made[-1].request_id.encode())
        given = await asyncio.gather(*map(ledger.refund, refunds))
        assert proxy.lost == 1
        assert given[1:] == [True] * len(OTHERS)

    through_proxy(books, act)
    assert books.count("refund") == 1 + len(OTHERS)


def _is_held(books: Books, charge: Charge) -> bool:
    found = books.scalar("SELECT count(*) FROM hold WHERE request_id = :id", id=charge.request_id)
    return bool(found)
