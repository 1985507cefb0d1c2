"""Refunds whose answer was lost, and those by a lease: header, counter and ledger agree."""

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.store.database import Database
from tests.flow.test_outcomes import PRICE, Client
from tests.harness.books import Books, check_books
from tests.harness.gateway import (
    GatewayProcess,
    Simulated,
    api_key,
    credit_grant,
    fleet,
    start_behind,
    wait_until,
)
from tests.harness.postgres import PostgresServer
from tests.harness.proxy import Proxy

FAST = {
    "FAREGATE_LEASE_SECONDS": "1",
    "FAREGATE_HEARTBEAT_SECONDS": "0.2",
    "FAREGATE_UNCONFIRMED_SECONDS": "1",
}


def documents(simulated: Simulated) -> list[dict[str, Any]]:
    return [fleet(simulated.url), api_key("rich", "rich"), credit_grant("rich", "rich")]


def counted(process: GatewayProcess, kind: str) -> int:
    """Credits of this kind, of the key, account and model that they belong to."""
    labels = 'account="team/rich",key="team/rich",kind="(\\w+)",model="kimi-k2.5"'
    found = re.findall(rf"faregate_credits_total{{{labels}}} (\S+)", process.metrics())
    return int(sum(float(value) for name, value in found if name == kind))


def test_a_refund_whose_answer_was_lost_is_reported_and_counted(
    postgres_server: PostgresServer, simulated: Simulated, tmp_path: Path
) -> None:
    with Proxy(postgres_server.port) as proxy:
        process, database = start_behind(
            proxy, postgres_server, tmp_path, documents(simulated), environment=FAST
        )
        books = Books(database)
        client = Client(process, process.key("rich"))
        assert client.ask("chat", "!error 500").status_code == 502  # the statement is prepared
        lost = proxy.lost
        with ThreadPoolExecutor(1) as pool:
            asking = pool.submit(client.ask, "chat", "!silence hold\n!error 500")
            simulated.wait_held()
            proxy.lose_the_answer_to(b'{"req_')  # the refund is the next that names a request
            simulated.release()
            response = asking.result()
        assert proxy.lost == lost + 1
        assert response.status_code == 502
        assert response.headers["x-credits-charged"] == "0"
        assert response.headers["x-credits-remaining"] == "1000"
        assert books.count("refund") == 2
        both = (counted(process, "charge"), counted(process, "refund"))
        assert both == (2 * PRICE, 2 * PRICE)
        assert process.stop() == 0
    check_books(database.url)
    database.close()


@pytest.mark.parametrize("way", ["streamed", "whole"])
def test_refunds_by_a_lease_are_counted(
    database: Database, simulated: Simulated, tmp_path: Path, way: str
) -> None:
    """A replica dies with requests under way; on SQLite the same process starts again."""
    written = documents(simulated)
    first = GatewayProcess(
        tmp_path, written, database_url=database.url, environment=FAST, name="first"
    ).start()
    client = Client(first, first.key("rich"))

    def ask() -> None:
        with pytest.raises(httpx.TransportError):
            client.ask("chat", "!silence hold", stream=way == "streamed")

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    simulated.wait_held(3)
    first.kill()
    for thread in threads:
        thread.join(30)
    books = Books(database)
    assert books.holds() == 3
    second = first if database.is_sqlite else GatewayProcess(
        tmp_path, written, database_url=database.url, environment=FAST, name="second"
    )  # fmt: skip
    second.start(apply=False)
    wait_until(lambda: books.holds() == 0, "the lease to be over")
    assert books.count("refund") == 3
    wait_until(lambda: counted(second, "refund") == 3 * PRICE, "the refunds to be counted")
    assert counted(second, "charge") == 0
    assert second.stop() == 0
    check_books(database.url)


def test_a_charge_whose_commit_was_never_confirmed_is_counted_with_its_refund(
    postgres_server: PostgresServer, simulated: Simulated, tmp_path: Path
) -> None:
    with Proxy(postgres_server.port) as proxy:
        process, database = start_behind(
            proxy, postgres_server, tmp_path, documents(simulated), environment=FAST
        )
        books = Books(database)
        client = Client(process, process.key("rich"))
        assert client.ask("chat", "Hi").status_code == 200
        proxy.lose_answers(True)
        assert client.ask("chat", "Hi").status_code == 503
        proxy.lose_answers(False)
        wait_until(lambda: books.holds() == 0, "the unconfirmed charge to be given back")
        charges, refunds = books.count("charge"), books.count("refund")
        wait_until(
            lambda: counted(process, "refund") == refunds * PRICE, "the refunds to be counted", 10
        )
        assert counted(process, "charge") == charges * PRICE
        assert process.stop() == 0
    check_books(database.url)
    database.close()
