"""Attempts of clients that had no patience: one price, by the header and by the released SDKs."""

from collections.abc import Iterator
from typing import Any

import pytest

from gateway.store.database import Database
from tests.flow.test_outcomes import Client
from tests.flow.test_token_prices import story
from tests.harness.books import Books
from tests.harness.dialects import DIALECTS, PATHS, body
from tests.harness.gateway import (
    GatewayProcess,
    Simulated,
    api_key,
    credit_grant,
    fleet,
    running_gateway,
    wait_until,
)
from tests.harness.scripted import ScriptedUpstream
from tests.sdk.conftest import anthropic_client, openai_client

PRICE, SURCHARGE = 2, 3
INPUT, OUTPUT, CAP = 3, 15, 1_000
#: by the upstream's usage
WHOLE = 9 * INPUT + 3 * OUTPUT
FLAT, METERED, STALLING = "flat", "metered", "stalling"


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as made:
        made.answer({"role": "assistant", "content": "Hello"}, [{"content": "Hello"}])
        yield made


@pytest.fixture(scope="module")
def gateway(
    module_database_url: str | None,
    upstream: ScriptedUpstream,
    simulated: Simulated,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[GatewayProcess]:
    document = fleet(upstream.url)
    tokens = {
        "chatCreditsPerMessage": 0,
        "inputCreditsPerMillionTokens": INPUT * 10**6,
        "outputCreditsPerMillionTokens": OUTPUT * 10**6,
    }
    document["spec"]["models"] = [
        {"id": FLAT, "upstream": "main", "upstreamModel": "kimi-k2.6"},
        {"id": "other", "upstream": "main", "upstreamModel": "kimi-k2.6"},
        {"id": METERED, "upstream": "main", "maxOutputTokens": CAP, "pricing": tokens},
        {"id": STALLING, "upstream": "simulated", "upstreamModel": "open-weights"},
    ]
    document["spec"]["upstreams"].append({"name": "simulated", "url": simulated.url})
    documents = [
        document,
        api_key("rich", "rich"),
        api_key("second", "rich"),
        api_key("stranger", "stranger"),
        credit_grant("rich", "rich", credits=1_000_000),
        credit_grant("stranger", "stranger", credits=1_000_000),
    ]
    folder = tmp_path_factory.mktemp("retries")
    with running_gateway(folder, documents, database_url=module_database_url) as process:
        yield process


@pytest.fixture
def client(gateway: GatewayProcess) -> Client:
    return Client(gateway, gateway.key("rich"))


class Attempts:
    """Attempts of one name."""

    def __init__(self, client: Client, upstream: ScriptedUpstream, name: str) -> None:
        self.client, self._upstream, self.name = client, upstream, name

    def leave(self, dialect: str = "chat", text: str = "Hello", **more: Any) -> None:
        """Hang up before anything has come, once the upstream was asked."""
        self._upstream.silences = 1
        asked = len(self._upstream.bodies)

        def wait_asked() -> None:
            wait_until(lambda: len(self._upstream.bodies) > asked, "the upstream to be asked")

        names = {"idempotency_key": self.name}
        self.client.leave(dialect, text, wait_asked, names, **{"model": FLAT, **more})
        assert len(self._upstream.bodies) == asked + 1

    def ask(self, dialect: str = "chat", text: str = "Hello", *, key: str = "", **more: Any) -> int:
        """Credits that an attempt has cost when its answer is there."""
        response = self.client.gateway.http.post(
            PATHS[dialect],
            json={**body(dialect, text), "model": FLAT, **more},
            headers=self._headers(key or self.client.key),
        )
        assert response.status_code == 200, response.text
        self.last = response
        return int(response.headers["x-credits-charged"])

    def _headers(self, key: str) -> dict[str, str]:
        return {"x-api-key": key, "idempotency-key": self.name}


@pytest.fixture
def attempts(
    client: Client, upstream: ScriptedUpstream, request: pytest.FixtureRequest
) -> Attempts:
    return Attempts(client, upstream, request.node.name)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_retry_costs_nothing_three_times(attempts: Attempts, dialect: str) -> None:
    client = attempts.client
    with client.costs(2 * PRICE):
        attempts.leave(dialect, model=FLAT)
        costs = [attempts.ask(dialect)]
        found = story(client, attempts.last.headers["x-request-id"])
        costs += [attempts.ask(dialect) for _ in range(3)]
    assert costs == [0, 0, 0, PRICE]
    assert found["credits"] == 0
    first = story(client, found["standing"]["request_id"])
    assert (first["credits"], first["idempotency_key"]) == (PRICE, found["idempotency_key"])
    assert first["standing"] is None


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_role_of_an_answer_is_no_content(
    attempts: Attempts, simulated: Simulated, dialect: str
) -> None:
    more: dict[str, Any] = {"model": STALLING, "stream": True}
    names = {"idempotency_key": attempts.name}
    with attempts.client.costs(PRICE):
        attempts.client.leave(dialect, "!stall 1 hold", simulated.wait_held, names, **more)
        assert attempts.ask(dialect, **more) == 0


def test_only_the_same_account_and_model_are_a_retry(attempts: Attempts) -> None:
    gateway = attempts.client.gateway
    attempts.leave(model=FLAT)
    assert attempts.ask(model="other") == PRICE
    assert attempts.ask(key=gateway.key("stranger")) == PRICE
    assert attempts.ask(key=gateway.key("second")) == 0
    assert attempts.ask(reasoning_effort="high") == SURCHARGE


def test_an_answer_that_came_stands_for_nothing(attempts: Attempts) -> None:
    assert [attempts.ask(), attempts.ask()] == [PRICE, PRICE]


def test_attempts_that_all_leave_pay_once_in_four(attempts: Attempts) -> None:
    with attempts.client.costs(2 * PRICE):
        for _ in range(5):
            attempts.leave(model=FLAT)


@pytest.mark.parametrize("larger", [1, 50])
def test_with_token_prices_all_attempts_cost_what_the_last_one_costs(
    attempts: Attempts, larger: int
) -> None:
    """The one that was left has paid for its prompt; the retry, also a longer one, for the rest."""
    client = attempts.client
    before = client.gateway.balance(client.key)
    attempts.leave(model=METERED)
    cost = attempts.ask(text="Hello " * larger, model=METERED)
    found = story(client, attempts.last.headers["x-request-id"])
    paid = found["standing"]["credits"]
    assert 0 < paid < WHOLE
    assert cost == found["credits"] == WHOLE - paid
    assert attempts.last.json()["usage"]["credits"] == cost
    wait_until(lambda: client.gateway.balance(client.key) == before - WHOLE, "one price to be paid")


def test_a_retry_that_fails_gives_nothing_back(
    attempts: Attempts, upstream: ScriptedUpstream, gateway: GatewayProcess
) -> None:
    client = attempts.client
    with client.costs(PRICE):
        attempts.leave(model=FLAT)
        upstream.send({"error": {"message": "no", "type": "server_error"}})
        response = client.gateway.http.post(
            PATHS["chat"],
            json={**body("chat", "Hello"), "model": FLAT},
            headers=attempts._headers(client.key),
        )
        upstream.answer({"role": "assistant", "content": "Hello"}, [{"content": "Hello"}])
        assert response.status_code == 502
        assert attempts.ask() == 0
    database = Database(gateway.database_url)
    refunds = Books(database).scalar(
        "SELECT credits FROM entry WHERE kind = 'refund' AND request_id = :id",
        id=response.headers["x-request-id"],
    )
    database.close()
    assert refunds == 0


@pytest.mark.parametrize("family", ["openai", "anthropic"])
def test_the_sdks_retry_for_one_price(
    client: Client, upstream: ScriptedUpstream, family: str
) -> None:
    """They send `x-stainless-retry-count` by themselves, and a name where they are given one."""
    asked: dict[str, Any] = {
        "model": FLAT,
        "messages": [{"role": "user", "content": "Hello"}],
        "extra_headers": {"idempotency-key": f"sdk-{family}"},
    }
    make = openai_client if family == "openai" else anthropic_client
    upstream.silences = 1
    with (
        client.costs(PRICE),
        make("sync", client.gateway, client.key, timeout=1.5, max_retries=1) as sdk,
    ):
        if family == "openai":
            answer = sdk.chat.completions.with_raw_response.create(**asked)
        else:
            answer = sdk.messages.with_raw_response.create(**asked, max_tokens=100)
    assert answer.headers["x-credits-charged"] == "0"
    found = story(client, answer.headers["x-request-id"])
    assert (found["retry_count"], found["standing"]["credits"]) == (1, PRICE)
    first = story(client, found["standing"]["request_id"])
    assert (first["retry_count"], first["credits"]) == (0, PRICE)
