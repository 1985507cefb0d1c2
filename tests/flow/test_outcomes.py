"""The outcome table, row by row: who pays for what, in every dialect, streamed and not."""

import json
import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text as sql

from gateway.store.database import Database
from tests.harness.books import Books
from tests.harness.dialects import (
    DIALECTS,
    PATHS,
    answer_text,
    body,
    ended_cleanly,
    error_of_stream,
    reasoning,
)
from tests.harness.gateway import (
    GatewayProcess,
    Simulated,
    api_key,
    credit_grant,
    fleet,
    running_gateway,
    wait_until,
)
from tests.harness.raw import RawConnection, request_head

PRICE = 2
SURCHARGE = 3

either_way = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
every_dialect = pytest.mark.parametrize("dialect", DIALECTS)


class Client:
    """A client with a key, and a view of what it costs."""

    def __init__(self, gateway: GatewayProcess, key: str) -> None:
        self.gateway = gateway
        self.key = key
        self._headers = {"x-api-key": key}

    def ask(self, dialect: str, text: str, *, stream: bool = False, **more: Any) -> httpx.Response:
        asked = body(dialect, text, **more)
        return self.gateway.http.post(
            PATHS[dialect], json={**asked, "stream": stream}, headers=self._headers
        )

    def stream(self, dialect: str, text: str, **more: Any) -> Any:
        asked = {**body(dialect, text, **more), "stream": True}
        return self.gateway.http.stream("POST", PATHS[dialect], json=asked, headers=self._headers)

    def leave(
        self,
        dialect: str,
        text: str,
        after: Callable[[], None],
        headers: dict[str, str] | None = None,
        **more: Any,
    ) -> None:
        """Ask, and hang up when `after` has returned."""
        asked = json.dumps({**body(dialect, text), **more}).encode()
        head = request_head(
            "POST",
            PATHS[dialect],
            x_api_key=self.key,
            content_length=len(asked),
            **(headers or {}),
        )
        with RawConnection(self.gateway.port) as connection:
            connection.send(head + asked)
            after()

    def post(self, dialect: str, content: bytes) -> httpx.Response:
        return self.gateway.http.post(PATHS[dialect], content=content, headers=self._headers)

    @contextmanager
    def costs(self, credits: int) -> Iterator[None]:
        """The requests inside take exactly so many credits."""
        before = self.gateway.balance(self.key)
        yield
        wait_until(
            lambda: before - self.gateway.balance(self.key) == credits,
            f"{credits} credits to be taken from {before}",
        )


@pytest.fixture(scope="module")
def gateway(
    module_database_url: str | None,
    simulated: Simulated,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[GatewayProcess]:
    documents = [
        fleet(simulated.url, limits={"bodyBytes": 100_000}),
        api_key("rich", "rich"),
        api_key("poor", "poor"),
        api_key("narrow", "rich", models=["open"]),
        api_key("slow", "rich", limits={"requestsPerMinute": 1}),
        credit_grant("rich", "rich", credits=1_000_000),
    ]
    with running_gateway(
        tmp_path_factory.mktemp("gateway"), documents, database_url=module_database_url
    ) as process:
        yield process


@pytest.fixture
def client(gateway: GatewayProcess) -> Client:
    return Client(gateway, gateway.key("rich"))


@every_dialect
@either_way
def test_a_complete_answer_is_charged(client: Client, dialect: str, stream: bool) -> None:
    with client.costs(PRICE):
        response = client.ask(dialect, "!answer Hello there", stream=stream)
        assert response.status_code == 200
        assert answer_text(dialect, response, stream=stream) == "Hello there"
        assert response.headers["x-credits-charged"] == str(PRICE)
        assert response.headers["x-request-id"].startswith("req_")
        assert not stream or ended_cleanly(dialect, response.text)


@every_dialect
@either_way
def test_reasoning_costs_its_surcharge(client: Client, dialect: str, stream: bool) -> None:
    with client.costs(PRICE + SURCHARGE):
        response = client.ask(dialect, "Hi", stream=stream, **reasoning(dialect))
        assert response.status_code == 200
        assert response.headers["x-credits-charged"] == str(PRICE + SURCHARGE)


@every_dialect
def test_a_missing_done_is_forgiven(client: Client, dialect: str) -> None:
    with client.costs(PRICE):
        response = client.ask(dialect, "!no-done", stream=True)
        assert ended_cleanly(dialect, response.text)


@every_dialect
@either_way
def test_refused_by_us_costs_nothing(
    gateway: GatewayProcess, client: Client, dialect: str, stream: bool
) -> None:
    def status(who: Client, **more: Any) -> int:
        return who.ask(dialect, "Hi", stream=stream, **more).status_code

    with client.costs(0):
        assert client.post(dialect, b"{").status_code == 400
        assert client.post(dialect, b" " * 200_000).status_code == 413
        assert status(Client(gateway, "sk-nobody")) == 401
        assert status(Client(gateway, gateway.key("poor"))) == 402
        assert status(Client(gateway, gateway.key("narrow"))) == 403
        assert status(client, model="unknown") == 404
    slow = Client(gateway, gateway.key("slow"))
    status(slow)
    assert status(slow) == 429


@every_dialect
@either_way
@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ("!error 400", 400),
        ("!error 401", 502),
        ("!error 429", 503),
        ("!error 429 exceeded_current_quota_error", 502),
        ("!error 500", 502),
        ("!error 503", 503),
        ("!error 504", 504),
        ("!hang-up", 502),
        ("!silence 0.1\n!error 400", 400),
        ("!silence 0.1\n!hang-up", 502),
    ],
)
def test_an_upstream_that_fails_before_its_first_byte_is_refunded(
    client: Client, dialect: str, stream: bool, fault: str, status: int
) -> None:
    if dialect == "messages" and status == 503:
        status = 529
    with client.costs(0):
        response = client.ask(dialect, fault, stream=stream)
        assert response.status_code == status, response.text
        assert response.headers["x-credits-charged"] == "0"
        assert "error" in response.json()


@every_dialect
@pytest.mark.parametrize("fault", ["!cut 3", "!error-event", "!end-early"])
def test_an_upstream_that_breaks_after_its_first_byte_is_refunded(
    client: Client, dialect: str, fault: str
) -> None:
    with client.costs(0):
        response = client.ask(dialect, f"!chunks 10\n{fault}", stream=True)
        assert response.status_code == 200
        assert error_of_stream(dialect, response.text) is not None
        assert not ended_cleanly(dialect, response.text)


@every_dialect
@pytest.mark.parametrize("fault", ["!cut 3", "!error-event"])
def test_a_whole_answer_that_breaks_is_refunded(client: Client, dialect: str, fault: str) -> None:
    with client.costs(0):
        assert client.ask(dialect, fault).status_code == 502


@every_dialect
def test_a_client_that_leaves_a_stream_has_paid_and_the_upstream_is_cut(
    client: Client, simulated: Simulated, dialect: str
) -> None:
    cancelled = simulated.stats()["cancelled"]
    with client.costs(PRICE):
        with client.stream(dialect, "!chunks 2000 20") as response:
            next(response.iter_bytes())
        wait_until(lambda: simulated.stats()["cancelled"] == cancelled + 1, "the upstream call")


@every_dialect
@either_way
def test_a_client_that_leaves_in_silence_has_paid_and_the_upstream_is_cut(
    client: Client, simulated: Simulated, dialect: str, stream: bool
) -> None:
    cancelled = simulated.stats()["cancelled"]
    with client.costs(PRICE):
        client.leave(dialect, "!silence hold", simulated.wait_held, stream=stream)
        wait_until(lambda: simulated.stats()["cancelled"] == cancelled + 1, "the upstream call")


def test_a_client_that_leaves_before_dispatch_is_refunded(
    client: Client, simulated: Simulated
) -> None:
    """The charge waits for a lock that the test holds; the client does not wait for it."""
    received = simulated.stats()["received"]
    database = Database(client.gateway.database_url)
    with client.costs(0), database.write() as session:
        if not database.is_sqlite:
            session.execute(sql("SELECT id FROM account FOR UPDATE"))
        client.leave("chat", "Hi", lambda: time.sleep(0.3))
    database.close()
    assert simulated.stats()["received"] == received


def test_a_client_that_leaves_before_there_is_a_connection_is_refunded(
    database: Database, tmp_path: Path
) -> None:
    """Nobody accepts connections there, and no more of them can wait for it."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        address = listener.getsockname()
        with socket.create_connection(address):
            with pytest.raises(TimeoutError):
                socket.create_connection(address, timeout=0.2)
            documents = [
                fleet(f"http://127.0.0.1:{address[1]}/v1"),
                api_key("rich", "rich"),
                credit_grant("rich", "rich", credits=100),
            ]
            process = GatewayProcess(tmp_path, documents, database_url=database.url).start()
            client = Client(process, process.key("rich"))
            with client.costs(0):
                client.leave("chat", "Hi", lambda: time.sleep(0.5))
            assert process.stop() == 0, process.log_text()
    assert Books(database).count("refund") == 1


def test_sixty_four_clients_against_a_balance_for_a_hundred(
    database: Database, simulated: Simulated, tmp_path: Path
) -> None:
    documents = [
        fleet(simulated.url, pricing={"chatCreditsPerMessage": 1}),
        api_key("shared", "hundred"),
        credit_grant("hundred", "hundred", credits=100),
    ]
    process = GatewayProcess(tmp_path, documents, database_url=database.url).start()
    key = process.key("shared")
    statuses: list[int] = []

    def client(number: int) -> None:
        with httpx.Client(base_url=process.url, headers={"x-api-key": key}, timeout=30) as http:
            for turn in range(4):
                dialect = DIALECTS[(number + turn) % 3]
                response = http.post(PATHS[dialect], json=body(dialect, "Hi"))
                statuses.append(response.status_code)

    with ThreadPoolExecutor(64) as pool:
        list(pool.map(client, range(64)))
    assert statuses.count(200) == 100
    assert statuses.count(402) == 156
    assert process.balance(key) == 0
    assert process.stop() == 0


@every_dialect
def test_when_the_time_to_drain_is_over_streams_are_cut_and_refunded(
    database: Database, simulated: Simulated, tmp_path: Path, dialect: str
) -> None:
    documents = [
        fleet(simulated.url, drain={"seconds": 1}),
        api_key("drained", "drained"),
        credit_grant("drained", "drained", credits=10),
    ]
    process = GatewayProcess(tmp_path, documents, database_url=database.url).start()
    client = Client(process, process.key("drained"))
    received: list[str] = []

    def read() -> None:
        with client.stream(dialect, "!chunks 2000 20") as response:
            received.extend(response.iter_text())

    with ThreadPoolExecutor(1) as reader:
        read_all = reader.submit(read)
        wait_until(lambda: bool(received) or read_all.done(), "the first of the stream")
        process.send(signal.SIGTERM)
        read_all.result()
    assert process.wait() == 0
    text = "".join(received)
    assert error_of_stream(dialect, text) is not None
    assert not ended_cleanly(dialect, text)
    assert Books(database).balance("drained") == 10


def test_a_stream_that_ends_within_the_drain_is_complete_and_charged(
    database: Database, simulated: Simulated, tmp_path: Path
) -> None:
    documents = [
        fleet(simulated.url, drain={"seconds": 20}),
        api_key("patient", "patient"),
        credit_grant("patient", "patient", credits=10),
    ]
    process = GatewayProcess(tmp_path, documents, database_url=database.url).start()
    client = Client(process, process.key("patient"))
    with client.stream("chat", "!chunks 4\n!stall 2 hold") as response:
        pieces = response.iter_text()
        received = [next(pieces)]
        process.send(signal.SIGTERM)
        wait_until(lambda: process.readiness() == 503, "the gateway to drain")
        simulated.release()
        received.extend(pieces)
    assert ended_cleanly("chat", "".join(received))
    assert process.wait() == 0
    assert Books(database).balance("patient") == 8
