"""Upstreams that fail: who answers instead, and that the client pays once, on both databases.

`!only` scripts the two upstreams behind one model apart: each knows the model by another id.
"""

import time
from collections.abc import Iterator

import pytest

from tests.flow.test_outcomes import PRICE, Client, either_way, every_dialect
from tests.harness.dialects import PATHS, answer_text, ended_cleanly, error_of_stream
from tests.harness.gateway import (
    GatewayProcess,
    Simulated,
    api_key,
    credit_grant,
    fleet,
    running_gateway,
    wait_until,
)
from tests.harness.ports import free_port

SECOND = "!answer the second answers"
IMAGE = {
    "type": "image_url",
    "image_url": {"url": "data:image/gif;base64,R0lGODlhAQABAAAAACw="},
}


def first(script: str) -> str:
    """A script for the first upstream alone; the second answers well."""
    return f"!only kimi-k2.6\n{script}\n!only second-model\n{SECOND}"


@pytest.fixture(scope="module")
def gateway(
    module_database_url: str | None,
    simulated: Simulated,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[GatewayProcess]:
    nobody = f"http://127.0.0.1:{free_port()}/v1"
    second = {"upstream": "second", "upstreamModel": "second-model"}
    document = fleet(
        simulated.url,
        upstreams=[
            {"name": "main", "url": simulated.url, "circuitFailures": 0},
            {"name": "second", "url": simulated.url, "circuitFailures": 0},
            {"name": "nobody", "url": nobody, "circuitFailures": 0},
            {"name": "frail", "url": simulated.url, "circuitFailures": 2},
            {"name": "gone", "url": nobody, "circuitFailures": 2},
            {"name": "asking", "url": simulated.url, "queueSeconds": 5},
            {"name": "asking-too", "url": simulated.url},
            {"name": "abroad", "url": simulated.url, "dialect": "messages", "circuitFailures": 0},
        ],
        models=[
            {"id": "kimi-k2.5", "upstream": "main", "upstreamModel": "kimi-k2.6",
             "fallbacks": [second]},
            {"id": "nobody", "upstream": "nobody", "fallbacks": [second]},
            {"id": "nobody-at-all", "upstream": "nobody"},
            {"id": "dead", "upstream": "gone"},
            {"id": "unfit", "upstream": "main", "upstreamModel": "kimi-k2.6",
             "fallbacks": [{"upstream": "nobody", "profile": "kimi-k2-thinking"}, second]},
            {"id": "frail", "upstream": "frail", "upstreamModel": "kimi-k2.6"},
            {"id": "frail-with-another", "upstream": "frail", "upstreamModel": "kimi-k2.6",
             "fallbacks": [second]},
            {"id": "asking", "upstream": "asking", "upstreamModel": "kimi-k2.6"},
            {"id": "asking-too", "upstream": "asking-too", "upstreamModel": "kimi-k2.6"},
            {"id": "to-messages", "upstream": "main", "upstreamModel": "kimi-k2.6",
             "fallbacks": [{**second, "upstream": "abroad"}]},
            {"id": "from-messages", "upstream": "abroad", "upstreamModel": "kimi-k2.6",
             "fallbacks": [second]},
        ],
    )  # fmt: skip
    documents = [document]
    for account in ("rich", "other"):
        documents += [
            api_key(account, account),
            credit_grant(account, account, credits=1_000_000),
        ]
    with running_gateway(
        tmp_path_factory.mktemp("gateway"), documents, database_url=module_database_url
    ) as process:
        yield process


@pytest.fixture
def client(gateway: GatewayProcess) -> Client:
    return Client(gateway, gateway.key("rich"))


@pytest.fixture
def other(gateway: GatewayProcess) -> Client:
    """A client of another account."""
    return Client(gateway, gateway.key("other"))


def metric(gateway: GatewayProcess, name: str, upstream: str, **labels: str) -> float:
    found = {**labels, "upstream": upstream}
    for line in gateway.metrics().splitlines():
        if line.startswith(f"{name}{{") and all(f'{k}="{v}"' in line for k, v in found.items()):
            return float(line.rpartition(" ")[2])
    return 0.0


@every_dialect
@either_way
@pytest.mark.parametrize(
    ("fault", "failure"),
    [
        ("!error 401", "misconfigured"),
        ("!error 429", "overloaded"),
        ("!error 429 exceeded_current_quota_error", "misconfigured"),
        ("!error 500", "failed"),
        ("!error 503", "overloaded"),
        ("!error 504", "timeout"),
        ("!hang-up", "unreachable"),
        ("!cut 0", "broken"),
        ("!cut 1", "broken"),
    ],
)
def test_another_upstream_answers_for_one_that_failed_and_is_charged_once(
    client: Client, dialect: str, stream: bool, fault: str, failure: str
) -> None:
    failures = "faregate_upstream_errors_total"
    before = metric(client.gateway, failures, "main", **{"class": failure})
    fell_back = metric(client.gateway, "faregate_upstream_fallbacks_total", "main")
    with client.costs(PRICE):
        response = client.ask(dialect, first(fault), stream=stream)
        assert response.status_code == 200, response.text
        assert answer_text(dialect, response, stream=stream) == "the second answers"
        assert response.headers["x-faregate-upstream"] == "second"
        assert response.headers["x-credits-charged"] == str(PRICE)
        if stream:
            assert ended_cleanly(dialect, response.text)
        else:
            assert response.json()["model"] == "kimi-k2.5"
    assert metric(client.gateway, failures, "main", **{"class": failure}) == before + 1
    assert metric(client.gateway, "faregate_upstream_fallbacks_total", "main") == fell_back + 1


@every_dialect
@either_way
def test_an_upstream_that_nobody_reaches_is_stood_in_for(
    client: Client, dialect: str, stream: bool
) -> None:
    with client.costs(PRICE):
        response = client.ask(dialect, SECOND, stream=stream, model="nobody")
        assert answer_text(dialect, response, stream=stream) == "the second answers"


@every_dialect
@either_way
@pytest.mark.parametrize("fault", ["!error 500", "!hang-up", "!cut 1"])
@pytest.mark.parametrize(
    ("model", "answers"), [("to-messages", "abroad"), ("from-messages", "second")]
)
def test_one_of_another_dialect_stands_in(
    client: Client, dialect: str, stream: bool, fault: str, model: str, answers: str
) -> None:
    with client.costs(PRICE):
        response = client.ask(dialect, first(fault), stream=stream, model=model)
        assert answer_text(dialect, response, stream=stream) == "the second answers"
        assert response.headers["x-faregate-upstream"] == answers
        assert not stream or ended_cleanly(dialect, response.text)


@every_dialect
@either_way
@pytest.mark.parametrize("fault", ["!error 400", "!error 400 content_filter"])
def test_what_is_the_clients_fault_is_final(
    client: Client, simulated: Simulated, dialect: str, stream: bool, fault: str
) -> None:
    received = simulated.stats()["received"]
    with client.costs(0):
        assert client.ask(dialect, first(fault), stream=stream).status_code == 400
    assert simulated.stats()["received"] == received + 1


@every_dialect
def test_after_the_first_content_nobody_else_is_asked(client: Client, dialect: str) -> None:
    with client.costs(0):
        response = client.ask(dialect, first("!chunks 5\n!cut 3"), stream=True)
        assert response.headers["x-faregate-upstream"] == "main"
        assert error_of_stream(dialect, response.text) is not None
        assert not ended_cleanly(dialect, response.text)


@every_dialect
@either_way
def test_when_all_have_failed_the_last_failure_is_the_answer_and_nothing_is_paid(
    client: Client, dialect: str, stream: bool
) -> None:
    with client.costs(0):
        response = client.ask(
            dialect, "!only kimi-k2.6\n!error 500\n!only second-model\n!error 504", stream=stream
        )
        assert response.status_code == 504
        assert response.headers["x-credits-charged"] == "0"


def test_an_upstream_that_cannot_take_the_request_is_passed_over(client: Client) -> None:
    """The first fallback would reason, which was not paid for, and sees no images."""
    unreachable = metric(client.gateway, "faregate_upstream_requests_total", "nobody")
    messages = [{"role": "user", "content": [{"type": "text", "text": first("!error 500")}, IMAGE]}]
    with client.costs(PRICE):
        response = client.gateway.http.post(
            PATHS["chat"],
            json={"model": "unfit", "messages": messages},
            headers={"x-api-key": client.key},
        )
        assert response.headers["x-faregate-upstream"] == "second"
    assert metric(client.gateway, "faregate_upstream_requests_total", "nobody") == unreachable


@every_dialect
def test_a_client_that_leaves_while_the_second_works_has_paid(
    client: Client, simulated: Simulated, dialect: str
) -> None:
    cancelled = simulated.stats()["cancelled"]
    with client.costs(PRICE):
        client.leave(dialect, first("!error 500") + "\n!silence hold", simulated.wait_held)
        wait_until(lambda: simulated.stats()["cancelled"] == cancelled + 1, "the upstream call")


def is_open(client: Client, upstream: str = "frail") -> bool:
    return metric(client.gateway, "faregate_upstream_circuit_open", upstream) == 1


def try_it(client: Client, text: str, status: int) -> None:
    """Ask until a trial is let through."""
    wait_until(lambda: client.ask("chat", text, model="frail").status_code == status, "a trial")


def test_failures_in_a_row_open_the_circuit_and_a_trial_closes_it(
    client: Client, other: Client, simulated: Simulated
) -> None:
    with client.costs(0):
        for each in (client, other):
            assert each.ask("chat", "!error 500", model="frail").status_code == 502
        assert is_open(client)
        received = simulated.stats()["received"]
        refused = client.ask("chat", "Hi", model="frail")
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "1"
        assert refused.headers["x-credits-charged"] == "0"
        assert "x-credits-remaining" not in refused.headers, "a charge was not even tried"
        assert client.ask("messages", "Hi", model="frail").status_code == 529
        assert simulated.stats()["received"] == received
    with client.costs(PRICE):
        answered = client.ask("chat", SECOND, model="frail-with-another")
        assert answered.headers["x-faregate-upstream"] == "second"
    try_it(client, "Hi", 200)
    assert not is_open(client)


def test_trials_that_fail_make_the_pause_longer(client: Client, other: Client) -> None:
    for each in (client, other):
        each.ask("chat", "!error 500", model="frail")
    for each in (client, other):
        try_it(each, "!error 500", 502)
    assert client.ask("chat", "Hi", model="frail").headers["retry-after"] == "2"
    try_it(client, "Hi", 200)


@every_dialect
@either_way
@pytest.mark.parametrize("fault", ["!error 500", "!error 504", "!hang-up", "!cut 0", "!cut 1"])
def test_one_account_never_closes_the_way_to_another(
    client: Client, other: Client, dialect: str, stream: bool, fault: str
) -> None:
    for _ in range(6):
        client.ask(dialect, fault, stream=stream, model="frail")
    assert not is_open(client)
    assert other.ask(dialect, "Hi", stream=stream, model="frail").status_code == 200


def test_a_dead_upstream_is_found_out_by_one_account(client: Client) -> None:
    with client.costs(0):
        for _ in range(2):
            assert client.ask("chat", "Hi", model="dead").status_code == 502
        assert is_open(client, "gone")
        assert client.ask("chat", "Hi", model="dead").status_code == 503


def test_a_pause_that_the_upstream_asked_for_is_waited_out(client: Client) -> None:
    with client.costs(PRICE):
        began = time.monotonic()
        refused = client.ask("chat", "!error 429 rate_limit_reached_error 1", model="asking")
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "1"
        answered = client.ask("chat", "!answer later", model="asking")
        assert answered.status_code == 200
        assert time.monotonic() - began > 0.9


@every_dialect
def test_a_longer_pause_is_reported_at_once(client: Client, dialect: str) -> None:
    """It is longer than who queues may wait."""
    with client.costs(0):
        client.ask(dialect, "!error 429 rate_limit_reached_error 30", model="asking")
        refused = client.ask(dialect, "Hi", model="asking")
        assert refused.status_code == (529 if dialect == "messages" else 503)
        assert 20 < int(refused.headers["retry-after"]) <= 30
        assert refused.elapsed.total_seconds() < 5, "it did not wait for as long as a queue may"


def test_a_pause_asked_of_one_account_is_waited_out_by_nobody_else(
    client: Client, other: Client
) -> None:
    other.ask("chat", "!error 429 rate_limit_reached_error 30", model="asking-too")
    with client.costs(PRICE):
        assert client.ask("chat", "Hi", model="asking-too").status_code == 200
    assert other.ask("chat", "Hi", model="asking-too").status_code == 503
