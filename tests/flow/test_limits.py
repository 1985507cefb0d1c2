"""Limits of a key and its end of life, seen from outside, on both databases."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from gateway.core.spec import API_VERSION
from gateway.store.database import Database
from gateway.store.key_rows import find_key
from gateway.store.keys import revoke_key, suspend_key
from tests.flow.test_outcomes import Client
from tests.harness.books import INSTALLATION
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


@pytest.fixture(scope="module")
def gateway(
    module_database_url: str | None,
    simulated: Simulated,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[GatewayProcess]:
    soon = (datetime.now(UTC) + timedelta(seconds=8)).isoformat()
    documents = [
        fleet(simulated.url),
        api_key("one-at-a-time", limits={"concurrentRequests": 1}),
        api_key("three-a-minute", limits={"requestsPerMinute": 3}),
        api_key("four-a-day", limits={"creditsPerDay": 4}),
        api_key("four-a-month", limits={"creditsPerMonth": 4, "credits": 100}),
        api_key("four-for-good", limits={"creditsPerMonth": 4, "credits": 4}),
        api_key("some-models", models=["kimi-*"]),
        api_key("short-lived", expiresAt=soon),
        api_key("paused", suspended=True),
        api_key("doomed"),
        api_key("halted"),
        api_key("of-a-member", "member"),
        {
            "apiVersion": API_VERSION,
            "kind": "Account",
            "metadata": {"name": "member", "namespace": NAMESPACE},
            "spec": {"account": "member", "parent": "lab"},
        },
        {
            "apiVersion": API_VERSION,
            "kind": "Account",
            "metadata": {"name": "lab", "namespace": NAMESPACE},
            "spec": {"account": "lab", "limits": {"creditsPerDay": 4}},
        },
        credit_grant("of-the-member", "member", credits=100),
        credit_grant("all", credits=1_000_000),
    ]
    with running_gateway(
        tmp_path_factory.mktemp("limits"), documents, database_url=module_database_url
    ) as process:
        yield process


def client(gateway: GatewayProcess, name: str) -> Client:
    return Client(gateway, gateway.key(name))


def test_one_request_at_a_time(gateway: GatewayProcess) -> None:
    asking = client(gateway, "one-at-a-time")
    with asking.stream("chat", "!stall 2 hold") as stream:
        pieces = stream.iter_bytes()  # the response is closed when its iterator is dropped
        next(pieces)
        second = asking.ask("messages", "Hi")
        assert second.status_code == 429
        assert second.headers["retry-after"] == "1"
        free = gateway.http.get("/api/openai/v1/models", headers={"x-api-key": asking.key})
        assert free.status_code == 429
    wait_until(lambda: asking.ask("chat", "Hi").status_code == 200, "the first one to end")


def test_so_many_a_minute(gateway: GatewayProcess) -> None:
    asking = client(gateway, "three-a-minute")
    assert [asking.ask("chat", "Hi").status_code for _ in range(3)] == [200, 200, 200]
    refused = asking.ask("responses", "Hi")
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["retry-after"]) <= 20
    assert refused.json()["error"]["code"] == "rate_limit_exceeded"


def test_so_many_credits_a_day(gateway: GatewayProcess) -> None:
    asking = client(gateway, "four-a-day")
    assert [asking.ask("chat", "Hi").status_code for _ in range(3)] == [200, 200, 429]
    refused = asking.ask("messages", "Hi")
    assert refused.json()["error"]["type"] == "rate_limit_error"
    assert refused.headers["x-should-retry"] == "false"
    account = gateway.account(asking.key)
    assert account["credits_used_today"] == 4
    assert account["limits"]["credits_per_day"] == 4


def test_so_many_credits_a_month(gateway: GatewayProcess) -> None:
    asking = client(gateway, "four-a-month")
    answers = [asking.ask("chat", "Hi") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert [answer.headers["x-credits-limit-remaining"] for answer in answers] == ["2", "0", "0"]
    assert "creditsPerMonth" in answers[-1].json()["error"]["message"]
    account = gateway.account(asking.key)
    assert (account["limits"]["credits_per_month"], account["limits"]["credits"]) == (4, 100)
    assert (account["credits_used_this_month"], account["credits_used_ever"]) == (4, 4)


def test_so_many_credits_for_good(gateway: GatewayProcess) -> None:
    asking = client(gateway, "four-for-good")
    assert asking.ask("chat", "!error 400").headers["x-credits-limit-remaining"] == "4"
    assert [asking.ask("chat", "Hi").status_code for _ in range(3)] == [200, 200, 429]
    refused = asking.ask("messages", "Hi")
    assert "all its credits" in refused.json()["error"]["message"]
    assert refused.headers["x-should-retry"] == "false"


def test_so_many_credits_for_all_below_an_account(gateway: GatewayProcess) -> None:
    asking = client(gateway, "of-a-member")
    answers = [asking.ask("chat", "Hi") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert [answer.headers["x-credits-limit-remaining"] for answer in answers] == ["2", "0", "0"]
    error = answers[-1].json()["error"]
    assert (
        f"the account {NAMESPACE}/lab has not so many left of its creditsPerDay" in error["message"]
    )
    assert error["details"]["account"] == f"{NAMESPACE}/lab"
    assert gateway.account(asking.key)["balance"] == 96


def test_a_key_without_such_limits_has_no_header_of_them(gateway: GatewayProcess) -> None:
    answer = client(gateway, "some-models").ask("chat", "Hi")
    assert "x-credits-limit-remaining" not in answer.headers


def test_models_by_wildcard(gateway: GatewayProcess) -> None:
    asking = client(gateway, "some-models")
    assert asking.ask("chat", "Hi").status_code == 200
    assert asking.ask("chat", "Hi", model="open").status_code == 403
    listed = gateway.http.get("/api/openai/v1/models", headers={"x-api-key": asking.key})
    assert [model["id"] for model in listed.json()["data"]] == ["kimi-k2.5"]
    hidden = gateway.http.get("/api/anthropic/v1/models/open", headers={"x-api-key": asking.key})
    assert hidden.status_code == 404


def test_a_key_ends_when_its_time_is_over(gateway: GatewayProcess) -> None:
    asking = client(gateway, "short-lived")
    wait_until(lambda: asking.ask("chat", "Hi").status_code == 401, "the key to expire")


def test_a_suspended_key_is_refused(gateway: GatewayProcess) -> None:
    assert client(gateway, "paused").ask("chat", "Hi").status_code == 401


@pytest.mark.parametrize("name", ["doomed", "halted"])
def test_a_mark_in_the_database_is_obeyed_at_once(gateway: GatewayProcess, name: str) -> None:
    """The memory of the gateway may be half a second old; the charge itself looks."""
    asking = client(gateway, name)
    assert asking.ask("chat", "Hi").status_code == 200
    database = Database(gateway.database_url)
    state = find_key(database, INSTALLATION, NAMESPACE, name)
    assert state is not None
    (revoke_key if name == "doomed" else suspend_key)(database, state.id)
    database.close()
    for dialect in ("chat", "messages", "responses"):
        assert asking.ask(dialect, "Hi").status_code == 401
    free = "/api/openai/v1/models"
    headers = {"x-api-key": asking.key}
    wait_until(
        lambda: gateway.http.get(free, headers=headers).status_code == 401, "the next poll", 2
    )
