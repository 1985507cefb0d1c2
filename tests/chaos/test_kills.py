"""Gateways and databases that die under load: the books stay right and every hold ends once."""

import signal
from pathlib import Path

from gateway.store.audit import audit
from gateway.store.database import Database
from tests.harness.books import Books
from tests.harness.dialects import PATHS, body
from tests.harness.gateway import (
    GatewayProcess,
    Simulated,
    api_key,
    credit_grant,
    fleet,
    start_behind,
    wait_until,
)
from tests.harness.load import Load
from tests.harness.postgres import PostgresServer
from tests.harness.proxy import Proxy

CREDITS = 1_000_000
PRICE = 2
#: so short that a test need not wait; a replica still beats several times in a lease
FAST = {
    "FAREGATE_LEASE_SECONDS": "2",
    "FAREGATE_HEARTBEAT_SECONDS": "0.3",
    "FAREGATE_UNCONFIRMED_SECONDS": "3",
}


def documents(simulated: Simulated, accounts: int = 1) -> list[dict[str, object]]:
    found = [fleet(simulated.url)]
    for number in range(accounts):
        name = f"account-{number}"
        found += [api_key(name, name), credit_grant(name, name, credits=CREDITS)]
    return found


def wait_and_audit(database: Database, accounts: int = 1) -> None:
    """Wait until nothing is open; then the books must be right to the credit."""
    books = Books(database)
    wait_until(lambda: books.holds() == 0, "all holds to end")
    assert audit(database) == []
    net = books.count("charge") - books.count("refund")
    total = int(books.scalar("SELECT sum(balance) FROM account"))
    taken = int(books.scalar("SELECT coalesce(-sum(credits), 0) FROM entry WHERE kind = 'void'"))
    assert total == accounts * CREDITS - net * PRICE - taken


def test_a_killed_gateway_starts_again_with_its_books_right(
    database: Database, simulated: Simulated, tmp_path: Path
) -> None:
    gateway = GatewayProcess(
        tmp_path, documents(simulated), database_url=database.url, environment=FAST
    ).start()
    books = Books(database)
    with Load([gateway.url], [gateway.key("account-0")]) as load:
        for _ in range(2):
            load.wait_for(40)
            gateway.kill()
            assert books.holds() > 0
            gateway.start()
        load.wait_for(40)
    assert gateway.stop() == 0
    if not database.is_sqlite:  # nobody is left who could reap: a last one comes
        last = GatewayProcess(
            tmp_path, documents(simulated), database_url=database.url, environment=FAST, name="last"
        ).start(apply=False)
        wait_until(lambda: books.holds() == 0, "the dead ones' holds to be reaped")
        last.stop()
    wait_and_audit(database)
    assert books.count("refund") > 0
    assert books.count("charge") - books.count("refund") <= load.complete
    # A hold outlives its answer by the write-behind of a second at the most, so few are given away.
    assert load.complete - (books.count("charge") - books.count("refund")) <= 60


def test_a_gateway_that_stood_still_for_longer_than_its_lease_charges_nothing_twice(
    postgres_server: PostgresServer, simulated: Simulated, tmp_path: Path
) -> None:
    database = Database(postgres_server.create_migrated())
    one, two = (
        GatewayProcess(
            tmp_path,
            documents(simulated),
            database_url=database.url,
            environment=FAST,
            name=name,
        )
        for name in ("one", "two")
    )
    one.start()
    two.start(apply=False)
    books = Books(database)
    with Load([one.url, two.url], [one.key("account-0")]) as load:
        load.wait_for(40)
        one.send(signal.SIGSTOP)
        wait_until(lambda: books.count("refund") > 0, "the still one's requests to be reaped")
        refunds = books.count("refund")
        one.send(signal.SIGCONT)
        load.wait_for(40)
    assert refunds > 0
    assert one.stop() == 0
    assert two.stop() == 0
    wait_and_audit(database)
    database.close()


def test_two_gateways_fifty_accounts_and_voids_in_a_loop(
    postgres_server: PostgresServer, simulated: Simulated, tmp_path: Path
) -> None:
    accounts = 50
    database = Database(postgres_server.create_migrated())
    written = documents(simulated, accounts)
    one, two = (
        GatewayProcess(tmp_path, written, database_url=database.url, environment=FAST, name=name)
        for name in ("one", "two")
    )
    one.start()
    two.start(apply=False)
    books = Books(database)
    keys = [one.key(f"account-{number}") for number in range(accounts)]
    with Load([one.url, two.url], keys, clients=16) as load:
        for turn in range(60):
            account = f"account-{turn % accounts}"
            books.grant(f"void-{turn}", account, credits=500)
            result = books.grant(f"void-{turn}", account, credits=500, void=True)
            assert result.reason == "Voided"
        load.wait_for(60)
        two.kill()
        load.wait_for(60)
        wait_until(lambda: books.count("refund") > 0, "the dead one's requests to be reaped")
    wait_until(lambda: books.holds() == 0, "all holds to end")
    assert one.stop() == 0
    assert audit(database) == []
    granted = accounts * CREDITS + 60 * 500
    voided = -int(books.scalar("SELECT sum(credits) FROM entry WHERE kind = 'void'"))
    net = (books.count("charge") - books.count("refund")) * PRICE
    assert int(books.scalar("SELECT sum(balance) FROM account")) == granted - voided - net
    database.close()


def test_postgresql_killed_and_started_under_load(
    own_server: PostgresServer, simulated: Simulated, tmp_path: Path
) -> None:
    database = Database(own_server.create_migrated())
    gateway = GatewayProcess(
        tmp_path, documents(simulated), database_url=database.url, environment=FAST
    ).start()
    key = gateway.key("account-0")
    with Load([gateway.url], [key]) as load:
        load.wait_for(40)
        own_server.kill()
        wait_until(lambda: load.statuses[503] > 10, "503 while the database is away")
        refused = gateway.http.post(PATHS["chat"], json=body("chat", "Hi"), headers=_with(key))
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) >= 1
        wait_until(
            lambda: (
                gateway.http.get("/api/openai/v1/models", headers=_with(key)).status_code == 503
            ),
            "free routes to say that keys cannot be checked",
        )
        own_server.start()
        load.wait_for(40)
    wait_and_audit(database)
    assert gateway.stop() == 0
    assert set(load.statuses) <= {200, 502, 503, 0}
    assert load.statuses[502] == 0
    database.close()


def test_a_connection_cut_during_commit_is_not_dispatched_and_given_back(
    postgres_server: PostgresServer, simulated: Simulated, tmp_path: Path
) -> None:
    with Proxy(postgres_server.port) as proxy:
        gateway, database = start_behind(
            proxy, postgres_server, tmp_path, documents(simulated), environment=FAST
        )
        key = gateway.key("account-0")
        books = Books(database)

        def ask() -> int:
            asked = body("chat", "Hi")
            return gateway.http.post(PATHS["chat"], json=asked, headers=_with(key)).status_code

        assert ask() == 200
        received = simulated.stats()["received"]
        charged = books.count("charge")
        proxy.lose_answers(True)
        assert ask() == 503
        proxy.lose_answers(False)
        assert simulated.stats()["received"] == received, "an unconfirmed charge is not dispatched"
        assert books.count("charge") == charged + 1, "the charge was committed all the same"
        wait_until(lambda: books.holds() == 0, "the unconfirmed charge to be given back")
        assert books.balance("account-0") == CREDITS - PRICE
        assert ask() == 200
        assert gateway.stop() == 0
    wait_and_audit(database)
    database.close()


def test_a_second_process_on_one_folder_states_why_it_cannot(
    simulated: Simulated, tmp_path: Path
) -> None:
    written = documents(simulated)
    gateway = GatewayProcess(tmp_path, written).start()
    other = GatewayProcess(tmp_path, written)
    other.spawn(other._arguments(True), other.environment)
    assert other.wait() == 1
    assert f"process {gateway.pid}" in other.log_text()
    key, balance = gateway.key("account-0"), gateway.balance(gateway.key("account-0"))
    assert gateway.stop() == 0
    gateway.start()
    assert (gateway.key("account-0"), gateway.balance(key)) == (key, balance)
    assert gateway.stop() == 0


def _with(key: str) -> dict[str, str]:
    return {"x-api-key": key}
