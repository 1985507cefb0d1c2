"""Embeddings by the rules of a chat: retries, tags, limits, metrics, clients that leave, drains.

Each with an upstream of OpenAI's kind and with Gemini.
"""

import json
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.store.database import Database
from tests.flow.test_outcomes import Client
from tests.flow.test_token_prices import story
from tests.harness.books import Books, check_books
from tests.harness.gateway import (
    NAMESPACE,
    GatewayProcess,
    Simulated,
    api_key,
    credit_grant,
    fleet,
    running_gateway,
    wait_until,
)
from tests.harness.raw import RawConnection, request_head

PATH = "/api/openai/v1/embeddings"
PRICE = 2
GRANT = 10_000
#: a million credits for a million tokens: a credit a token
TOKENS = {"chatCreditsPerMessage": 0, "inputCreditsPerMillionTokens": 1_000_000}
HELD = "!silence hold"

either_upstream = pytest.mark.parametrize("model", ["vectors", "googles"])
either_metered = pytest.mark.parametrize("model", ["metered", "metered-googles"])


def documents(simulated: Simulated, **spec: Any) -> list[dict[str, Any]]:
    """A fleet with a model of each price at either upstream, and a key without limits."""
    document = fleet(simulated.url, **spec)
    upstreams = document["spec"]["upstreams"]
    upstreams.append({**upstreams[0], "name": "google", "dialect": "gemini"})
    document["spec"]["models"] = [
        {"id": "vectors", "upstream": "main", "embeddings": True},
        {"id": "googles", "upstream": "google", "embeddings": True},
        {"id": "metered", "upstream": "main", "embeddings": True, "pricing": TOKENS},
        {"id": "metered-googles", "upstream": "google", "embeddings": True, "pricing": TOKENS},
    ]
    return [document, api_key("mine"), credit_grant("start", credits=GRANT)]


@pytest.fixture(scope="module")
def gateway(
    simulated: Simulated, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    objects = [
        *documents(simulated),
        api_key("a-day", limits={"creditsPerDay": 4}),
        api_key("a-month", limits={"creditsPerMonth": 4}),
        api_key("for-good", limits={"credits": 4}),
        api_key("tokens", limits={"creditsPerMonth": 1_000}),
        api_key("tags", "tagger"),
        credit_grant("tags", "tagger", credits=GRANT),
    ]
    with running_gateway(tmp_path_factory.mktemp("embeddings"), objects) as process:
        yield process


@pytest.fixture
def client(gateway: GatewayProcess) -> Client:
    return Client(gateway, gateway.key("mine"))


def ask(client: Client, model: str, *texts: str, **headers: str) -> httpx.Response:
    """Some headers are named with `_` for `-`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    given = {"model": model, "input": texts or ["one two three"]}
    return client.gateway.http.post(PATH, json=given, headers={"x-api-key": client.key, **named})


def leave(client: Client, simulated: Simulated, model: str, text: str, **headers: str) -> None:
    """Ask, and hang up while the upstream is silent; it is cut off."""
    cancelled = simulated.stats()["cancelled"]
    body = json.dumps({"model": model, "input": [HELD, text]}).encode()
    head = request_head("POST", PATH, x_api_key=client.key, content_length=len(body), **headers)
    with RawConnection(client.gateway.port) as connection:
        connection.send(head + body)
        simulated.wait_held()
    wait_until(lambda: simulated.stats()["cancelled"] == cancelled + 1, "the upstream call")


def charged(response: httpx.Response) -> int:
    assert response.status_code == 200, response.text
    return int(response.headers["x-credits-charged"])


@either_upstream
def test_a_client_that_leaves_has_paid(client: Client, simulated: Simulated, model: str) -> None:
    with client.costs(PRICE):
        leave(client, simulated, model, "one")


@either_metered
def test_a_client_that_leaves_pays_for_its_input(
    client: Client, simulated: Simulated, model: str
) -> None:
    before = client.gateway.balance(client.key)
    leave(client, simulated, model, "one two three")
    wait_until(lambda: 0 < before - client.gateway.balance(client.key) < 20, "the difference")


def test_the_most_of_token_ids_is_their_number(client: Client) -> None:
    answer = client.gateway.http.post(
        PATH,
        json={"model": "metered", "input": [[123_456] * 300, [100_000] * 200]},
        headers={"x-api-key": client.key},
    )
    assert answer.status_code == 200, answer.text
    found = story(client, answer.headers["x-request-id"])
    [most] = [-one["credits"] for one in found["entries"] if one["kind"] == "charge"]
    assert 500 <= most < 600


@either_upstream
def test_retries_of_one_name_are_paid_once_in_four(
    client: Client, simulated: Simulated, model: str
) -> None:
    name = f"flat-{model}"
    with client.costs(2 * PRICE):
        leave(client, simulated, model, "one", idempotency_key=name)
        answers = [ask(client, model, idempotency_key=name) for _ in range(4)]
        assert list(map(charged, answers)) == [0, 0, 0, PRICE]
    found = story(client, answers[0].headers["x-request-id"])
    assert (found["route"], found["standing"]["credits"]) == ("embeddings", PRICE)


@either_metered
def test_a_retry_pays_what_the_attempt_before_has_not(
    client: Client, simulated: Simulated, model: str
) -> None:
    name = f"by-token-{model}"
    before = client.gateway.balance(client.key)
    leave(client, simulated, model, "one two three", idempotency_key=name)
    answer = ask(client, model, "one two three " * 20, idempotency_key=name)
    usage = answer.json()["usage"]
    assert 0 < usage["credits"] < usage["prompt_tokens"]
    assert charged(answer) == usage["credits"]
    cost = usage["prompt_tokens"]
    wait_until(lambda: before - client.gateway.balance(client.key) == cost, f"one price of {cost}")


@pytest.mark.parametrize(
    ("name", "limit"),
    [("a-day", "creditsPerDay"), ("a-month", "creditsPerMonth"), ("for-good", "credits")],
)
def test_a_limit_holds_over_both_upstreams(gateway: GatewayProcess, name: str, limit: str) -> None:
    limited = Client(gateway, gateway.key(name))
    answers = [ask(limited, model) for model in ("vectors", "googles", "vectors", "googles")]
    assert [each.status_code for each in answers] == [200, 200, 429, 429]
    assert [each.headers["x-credits-limit-remaining"] for each in answers[:2]] == ["2", "0"]
    error = answers[-1].json()["error"]
    assert error["code"] == "rate_limit_exceeded"
    assert limit in error["message"] or "all its credits" in error["message"]


def test_of_a_limit_only_the_price_is_used(gateway: GatewayProcess) -> None:
    """The most that a request may cost goes back to it, too."""
    limited = Client(gateway, gateway.key("tokens"))
    paid = sum(charged(ask(limited, model)) for model in ("metered", "metered-googles"))
    assert paid == 2 * 3

    def used() -> int:
        return int(gateway.account(limited.key)["credits_used_this_month"])

    wait_until(lambda: used() == paid, "the difference to go back")


def test_tags_stay_with_their_charges_and_go_nowhere(
    gateway: GatewayProcess, simulated: Simulated
) -> None:
    tagger = Client(gateway, gateway.key("tags"))
    for model, team in (("vectors", "search"), ("googles", "search"), ("vectors", "ads")):
        assert charged(ask(tagger, model, x_faregate_tags=f"team={team}")) == PRICE
        assert "team" not in json.dumps(simulated.requests()[-1])
    wrong = ask(tagger, "vectors", x_faregate_tags="team")
    assert (wrong.status_code, wrong.headers["x-credits-charged"]) == (400, "0")

    def read(what: str, **asked: str) -> list[dict[str, Any]]:
        answer = gateway.http.get(
            f"/api/v1/{what}", params=asked, headers={"x-api-key": tagger.key}
        )
        found: list[dict[str, Any]] = answer.json()["data"]
        return found

    assert [one["tags"] for one in read("entries", kind="charge")] == [
        {"team": "ads"}, {"team": "search"}, {"team": "search"},
    ]  # fmt: skip

    def lines() -> list[tuple[str, str, int]]:
        found = read("usage", group_by="route,tag:team")
        return [(one["route"], one["tag:team"], one["credits"]) for one in found]

    counted = [("embeddings", "ads", PRICE), ("embeddings", "search", 2 * PRICE)]
    wait_until(lambda: lines() == counted, f"{counted} to be counted")


@either_upstream
def test_metrics_have_the_route(gateway: GatewayProcess, client: Client, model: str) -> None:
    of = {"model": model, "route": "embeddings"}
    owner = {"key": f"{NAMESPACE}/mine", "account": f"{NAMESPACE}/alice"}
    upstream = "main" if model == "vectors" else "google"
    series = [
        ("faregate_requests_total", {**owner, **of, "code": "200"}),
        ("faregate_request_duration_seconds_count", of),
        ("faregate_time_to_first_byte_seconds_count", of),
        ("faregate_upstream_requests_total", {"upstream": upstream, "code": "200"}),
        ("faregate_credits_total", {**owner, "model": model, "kind": "charge"}),
        ("faregate_in_flight_requests", of),
    ]

    def values() -> list[float]:
        families = text_string_to_metric_families(gateway.metrics())
        found = [one for family in families for one in family.samples]
        return [
            sum(one.value for one in found if (one.name, one.labels) == each) for each in series
        ]

    before = values()
    assert charged(ask(client, model)) == PRICE
    after = [was + more for was, more in zip(before, (1, 1, 1, 1, PRICE, 0), strict=True)]
    wait_until(lambda: values() == after, f"metrics to be {after}")
    assert after[-1] == 0


def test_a_drain_ends_what_is_answered_and_refunds_what_is_cut(
    simulated: Simulated, tmp_path: Path
) -> None:
    objects = documents(simulated, drain={"seconds": 600})
    process = GatewayProcess(tmp_path, objects).start()
    client = Client(process, process.key("mine"))
    simulated.reset()
    asked = [(model, text) for text in (HELD, "!silence 600") for model in ("vectors", "googles")]
    try:
        with ThreadPoolExecutor(len(asked)) as clients:
            answers = [clients.submit(ask, client, *each) for each in asked]
            wait_until(lambda: sum(simulated.stats()["models"].values()) == 4, "all to be asked")
            simulated.wait_held(2)
            process.send(signal.SIGTERM)
            wait_until(lambda: process.readiness() == 503, "the gateway to drain")
            simulated.release()
            assert [charged(answer.result()) for answer in answers[:2]] == [PRICE, PRICE]
            process.send(signal.SIGTERM)  # a second ends the drain
            cut = [answer.result() for answer in answers[2:]]
        assert [each.status_code for each in cut] == [503, 503]
        assert [each.headers["x-credits-charged"] for each in cut] == ["0", "0"]
        assert process.wait() == 0, process.log_text()
    finally:
        process.kill()
    with closing(Database(process.database_url)) as database:
        assert Books(database).balance() == GRANT - 2 * PRICE
    check_books(process.database_url)
