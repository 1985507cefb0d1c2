"""Failures once all content is with the client: it has paid, and nobody else suffers for it."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.flow.test_outcomes import PRICE, Client, either_way, every_dialect
from tests.harness.dialects import DIALECTS, PATHS, ended_cleanly, error_of_stream
from tests.harness.gateway import (
    GatewayProcess,
    Simulated,
    api_key,
    credit_grant,
    fleet,
    running_gateway,
)

#: around the depth where a decoder's stack just suffices, and well below it
DEPTHS = [10, 400, 700, *range(740, 960, 13), *range(970, 1000)]


@pytest.fixture(scope="module")
def gateway(
    module_database_url: str | None,
    simulated: Simulated,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[GatewayProcess]:
    models = [
        {"id": "kimi-k2.5", "upstream": "main", "upstreamModel": "kimi-k2.6"},
        {"id": "open", "upstream": "main", "upstreamModel": "open-weights"},
    ]
    documents = [fleet("", upstreams=[{"name": "main", "url": simulated.url}], models=models)]
    for account in ("rich", "other"):
        documents += [api_key(account, account), credit_grant(account, account, credits=100_000)]
    with running_gateway(
        tmp_path_factory.mktemp("gateway"), documents, database_url=module_database_url
    ) as process:
        yield process


@pytest.fixture
def client(gateway: GatewayProcess) -> Client:
    return Client(gateway, gateway.key("rich"))


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


def post(client: Client, dialect: str, content: str) -> httpx.Response:
    return client.post(dialect, content.encode())


def others_are_served(client: Client) -> None:
    other = Client(client.gateway, client.gateway.key("other"))
    for dialect in DIALECTS:
        assert other.ask(dialect, "Hi").status_code == 200
    assert 'circuit_open{upstream="main"} 0' in client.gateway.metrics()


@either_way
@pytest.mark.parametrize(("asked", "given"), [(2, 1), (3, 2), (2, 3), (1, 2)])
def test_an_upstream_gives_as_many_choices_as_were_asked_for_or_fewer(
    client: Client, stream: bool, asked: int, given: int
) -> None:
    for _ in range(6):
        with client.costs(asked * PRICE):
            script = f"!choices {given}\n!answer Hello"
            response = client.ask("chat", script, stream=stream, model="open", n=asked)
            assert response.status_code == 200
            assert response.text.count('"finish_reason":"stop"') == min(asked, given)
            assert '"choices":[]' not in response.text
            assert not stream or ended_cleanly("chat", response.text)
    others_are_served(client)


@either_way
def test_no_choice_at_all_is_no_answer(client: Client, stream: bool) -> None:
    with client.costs(0):
        response = client.ask("chat", "!choices 0", stream=stream, model="open", n=2)
        assert "upstream_broken" in response.text


def test_a_choice_that_began_must_be_finished(client: Client) -> None:
    """The second of two choices: role, a word, and then the connection drops before its end."""
    with client.costs(0):
        script = "!answer Hello\n!cut 5"
        response = client.ask("chat", script, stream=True, model="open", n=2)
        assert error_of_stream("chat", response.text) is not None


@pytest.mark.parametrize("choices", [1, 2])
def test_a_connection_that_breaks_behind_the_last_finish_reason_takes_nothing(
    client: Client, choices: int
) -> None:
    with client.costs(choices * PRICE):
        script = f"!answer Hello\n!cut {4 * choices}"
        response = client.ask("chat", script, stream=True, model="open", n=choices)
        assert ended_cleanly("chat", response.text), response.text


@every_dialect
@either_way
@pytest.mark.parametrize("reason", ["error", "abort", "insufficient_system_resource"])
def test_a_finish_reason_that_states_failure_is_no_end(
    client: Client, dialect: str, stream: bool, reason: str
) -> None:
    with client.costs(0):
        response = client.ask(dialect, f"!finish {reason}", stream=stream, model="open")
        if stream:
            assert error_of_stream(dialect, response.text) is not None
            assert not ended_cleanly(dialect, response.text)
        else:
            assert response.status_code == 502


def bodies(depth: int) -> Iterator[str]:
    """Bodies of `POST /responses` in which something that nobody reads nests deeply."""
    item = '{"role":"user","content":"Hi"'
    yield f'{{"model":"open","input":[{item},"new":{nested(depth)}}}]'
    yield f'{{"model":"open","input":[{item}}}],"metadata":{{"a":{nested(depth)}}}'
    yield f'{{"model":"open","input":[{item}}}],"tool_choice":{{"type":"auto","a":{nested(depth)}}}'
    schema = f'{{"type":"object","default":{nested(depth)}}}'
    format = f'{{"type":"json_schema","name":"a","schema":{schema}}}'
    yield f'{{"model":"open","input":[{item}}}],"text":{{"format":{format}}}'
    tool = f'{{"type":"function","name":"f","parameters":{schema}}}'
    yield f'{{"model":"open","input":[{item}}}],"tools":[{tool}]'


@either_way
@pytest.mark.parametrize("kind", range(5))
def test_what_nests_deeply_is_refused_or_answered_and_charged(
    client: Client, stream: bool, kind: int
) -> None:
    for depth in DEPTHS:
        body = list(bodies(depth))[kind] + (',"stream":true}' if stream else "}")
        before = client.gateway.balance(client.key)
        response = post(client, "responses", body)
        if response.status_code == 400:
            assert response.headers["x-credits-charged"] == "0"
            assert "x-credits-remaining" not in response.headers, "it is refused before the charge"
            continue
        assert response.status_code == 200, (depth, response.text)
        assert response.headers["x-credits-charged"] == str(PRICE)
        if stream:
            assert ended_cleanly("responses", response.text), (depth, response.text[-500:])
        assert client.gateway.balance(client.key) == before - PRICE
    others_are_served(client)


def test_what_was_kept_can_be_read_and_followed(client: Client) -> None:
    """Each response that was called stored is: at every depth its input is listed and inherited."""
    kept = 0
    for depth in DEPTHS:
        response = post(client, "responses", next(bodies(depth)) + "}")
        if response.status_code != 200 or not response.json()["store"]:
            continue
        kept += 1
        path = f"{PATHS['responses']}/{response.json()['id']}"
        headers = {"x-api-key": client.key}
        assert client.gateway.http.get(path, headers=headers).status_code == 200
        items = client.gateway.http.get(f"{path}/input_items", headers=headers)
        assert len(items.json()["data"]) == 1
        followed = client.ask(
            "responses", "And?", model="open", previous_response_id=response.json()["id"]
        )
        assert followed.status_code == 200, (depth, followed.text)
    assert kept >= 3


TOOLS: list[dict[str, Any]] = [
    {"type": "local_shell"},
    {"type": "shell"},
    {"type": "apply_patch"},
    {"type": "tool_search", "execution": "client"},
    {"type": "custom", "name": "write"},
    {"type": "function", "name": "f", "parameters": {"type": "object"}},
]


@either_way
@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool["type"])
def test_arguments_that_nest_deeply_do_not_break_an_answer(
    client: Client, stream: bool, tool: dict[str, Any]
) -> None:
    """A call as a model writes it, which its client can ask it for."""
    name = tool.get("name", tool["type"])
    for depth in (10, 700, 900, 985, 2000):
        for member in ("command", "commands", "input", "new"):
            with client.costs(PRICE):
                script = f'!tool {name} {{"{member}":{nested(depth)}}}'
                response = client.ask(
                    "responses", script, stream=stream, model="open", tools=[tool]
                )
                assert response.status_code == 200, response.text
                assert not stream or ended_cleanly("responses", response.text), (depth, member)
    others_are_served(client)


@every_dialect
@either_way
def test_calls_whose_arguments_nest_deeply_are_passed_on(
    client: Client, dialect: str, stream: bool
) -> None:
    schema = {"type": "object"}
    tools: dict[str, Any] = {
        "chat": {"type": "function", "function": {"name": "f", "parameters": schema}},
        "messages": {"name": "f", "input_schema": schema},
        "responses": {"type": "function", "name": "f", "parameters": schema},
    }
    for depth in (10, 700, 900):
        with client.costs(PRICE):
            script = f'!tool f {{"a":{nested(depth)}}}'
            response = client.ask(
                dialect, script, stream=stream, model="open", tools=[tools[dialect]]
            )
            assert response.status_code == 200
            assert not stream or ended_cleanly(dialect, response.text)


def test_items_whose_ids_are_no_ids_are_kept_under_new_ones(client: Client) -> None:
    messages = [{"type": "message", "role": "user", "content": "Hi", "id": {"a": 1}}]
    body = json.dumps({"model": "open", "input": messages})
    answered = post(client, "responses", body)
    assert answered.json()["store"] is True
    items = client.gateway.http.get(
        f"{PATHS['responses']}/{answered.json()['id']}/input_items",
        headers={"x-api-key": client.key},
    )
    assert items.json()["data"][0]["id"].startswith("msg_")
