"""Answers as real servers of chat send them, whole and streamed: every client gets what they hold,
and pays for what was finished only."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.flow.test_outcomes import PRICE
from tests.harness.dialects import DIALECTS, PATHS, body, ended_cleanly, error_of_stream
from tests.harness.gateway import (
    GatewayProcess,
    api_key,
    credit_grant,
    fleet,
    running_gateway,
    wait_until,
)
from tests.harness.scripted import ScriptedUpstream
from tests.traps.support import function, read

Object = dict[str, Any]

GRANT = 10_000
LENGTH = {"chat": "length", "messages": "max_tokens", "responses": "incomplete"}
STOPPED = {"chat": "stop", "messages": "end_turn", "responses": "completed"}
CALLED = {"chat": "tool_calls", "messages": "tool_use", "responses": "completed"}
FILTERED = {"chat": "content_filter", "messages": "refusal", "responses": "incomplete"}
BERN = '{"city":"Bern"}'


def call(**members: Any) -> Object:
    return {"index": 0, "id": "call_1", "type": "function", **members}


def look(arguments: Any, **members: Any) -> Object:
    return call(function={"name": "look", "arguments": arguments}, **members)


def nameless(arguments: Any) -> Object:
    """A call without an id, at the index that all of them have."""
    return {"index": 0, "type": "function", "function": {"name": "look", "arguments": arguments}}


THINKING = [
    {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]},
    {"type": "text", "text": "Hello"},
]
#: name -> message, what a stream has of it, end, and what a client gets: text, reasoning, arguments
#: of calls and the end
ROWS: dict[str, tuple[Object, list[Object], Any, str, str, list[str], dict[str, str]]] = {
    "window": (
        {"content": "Hello"},
        [{"content": "Hello"}],
        "model_context_window_exceeded",
        "Hello", "", [], LENGTH,
    ),
    "unknown": ({"content": "Hello"}, [{"content": "Hello"}], "eos", "Hello", "", [], STOPPED),
    "number": ({"content": "Hello"}, [{"content": "Hello"}], 1, "Hello", "", [], STOPPED),
    "filtered": (
        {"content": "Hello"}, [{"content": "Hello"}], "sensitive", "Hello", "", [], FILTERED,
    ),
    "no arguments": ({"tool_calls": [look("")]}, [{"tool_calls": [look("")]}], "tool_calls",
        "", "", ["{}"], CALLED),
    "null arguments": ({"tool_calls": [look(None)]}, [{"tool_calls": [look(None)]}], "stop",
        "", "", ["{}"], CALLED),
    "no object": ({"tool_calls": [look("[]")]}, [{"tool_calls": [look("[]")]}], "tool_calls",
        "", "", ["{}"], CALLED),
    "JSON in JSON": (
        {"tool_calls": [look(json.dumps(BERN))]}, [{"tool_calls": [look(json.dumps(BERN))]}],
        "tool_calls", "", "", [BERN], CALLED,
    ),
    "legacy": (
        {"function_call": look(BERN)["function"]}, [{"function_call": look(BERN)["function"]}],
        "function_call", "", "", [BERN], CALLED,
    ),
    "object": (
        {"tool_calls": [look({"city": "Bern"})]},
        [{"tool_calls": [look({"city": "Bern"})]}],
        "tool_calls", "", "", [BERN], CALLED,
    ),
    "one index": (
        {"tool_calls": [nameless(BERN), nameless("{}")]},
        [{"tool_calls": [nameless(BERN), nameless("{}")]}],
        "tool_calls", "", "", [BERN, "{}"], CALLED,
    ),
    "one index, in turn": (
        {"tool_calls": [nameless(BERN), nameless(BERN)]},
        [{"tool_calls": [nameless(BERN)]}, {"tool_calls": [nameless(BERN)]}],
        "tool_calls", "", "", [BERN, BERN], CALLED,
    ),
    "one id": (
        {"tool_calls": [look(BERN), look("{}", index=1)]},
        [{"tool_calls": [look(BERN), look("{}", index=1)]}],
        "tool_calls", "", "", [BERN, "{}"], CALLED,
    ),
    "parts": ({"content": THINKING}, [{"content": [one]} for one in THINKING], "stop",
        "Hello", "Hm.", [], STOPPED),
    "reasoning as a list": (
        {"reasoning_content": ["Hm", "."], "content": "Hello"},
        [{"reasoning_content": ["Hm", "."]}, {"content": "Hello"}],
        "stop", "Hello", "Hm.", [], STOPPED,
    ),
    "calls as an object": (
        {"content": "Hello", "tool_calls": {}}, [{"content": "Hello", "tool_calls": {}}],
        "stop", "Hello", "", [], STOPPED,
    ),
    "index as text": (
        {"tool_calls": [look(BERN, index="0")]}, [{"tool_calls": [look(BERN, index="0")]}],
        "tool_calls", "", "", [BERN], CALLED,
    ),
    "id as a number": (
        {"tool_calls": [look(BERN, id=7)]}, [{"tool_calls": [look(BERN, id=7)]}],
        "tool_calls", "", "", [BERN], CALLED,
    ),
    "no refusal": (
        {"content": "Hello", "refusal": False}, [{"content": "Hello", "refusal": False}],
        "stop", "Hello", "", [], STOPPED,
    ),
    "no UTF-16": (
        {"content": "Hel\ud83dlo"}, [{"content": "Hel\ud83d"}, {"content": "lo"}],
        "stop", "Hel\ufffdlo", "", [], STOPPED,
    ),
    "no number": (
        {"content": "Hello", "odd": float("-inf")}, [{"content": "Hello", "odd": float("nan")}],
        "stop", "Hello", "", [], STOPPED,
    ),
    "content as an object": (
        {"content": {"type": "text", "text": "Hello"}},
        [{"content": {"type": "text", "text": "Hello"}}],
        "stop", "Hello", "", [], STOPPED,
    ),
}  # fmt: skip

either_way = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
every_dialect = pytest.mark.parametrize("dialect", DIALECTS)


@pytest.fixture(scope="module")
def gateway(
    upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    documents = [fleet(upstream.url), api_key("rich"), credit_grant("rich", credits=GRANT)]
    with running_gateway(tmp_path_factory.mktemp("wire"), documents) as process:
        yield process


def ask(gateway: GatewayProcess, dialect: str, *, stream: bool) -> httpx.Response:
    tools = [function(dialect, "look")]
    asked = body(dialect, "Hi", model="open", tools=tools, stream=stream)
    headers = {"x-api-key": gateway.key("rich")}
    return gateway.http.post(PATHS[dialect], json=asked, headers=headers)


@pytest.mark.parametrize("row", ROWS)
@every_dialect
@either_way
def test_an_odd_answer_is_read_for_what_it_holds(
    gateway: GatewayProcess, upstream: ScriptedUpstream, dialect: str, stream: bool, row: str
) -> None:
    message, deltas, finish, text, reasoning, arguments, end = ROWS[row]
    upstream.answer({"role": "assistant", **message}, deltas, finish)
    found = read(dialect, ask(gateway, dialect, stream=stream))
    assert (found.text, found.reasoning) == (text, reasoning)
    assert [json.loads(one.arguments) for one in found.calls] == list(map(json.loads, arguments))
    assert {one.name for one in found.calls} <= {"look"}
    assert len({one.id for one in found.calls}) == len(arguments)
    assert found.finish == end[dialect]


@pytest.mark.parametrize("finish", ["abort", "error", "cancelled", "network_error"])
@every_dialect
@either_way
def test_an_answer_that_broke_off_is_an_error_and_costs_nothing(
    gateway: GatewayProcess, upstream: ScriptedUpstream, dialect: str, stream: bool, finish: str
) -> None:
    before = gateway.balance(gateway.key("rich"))
    upstream.answer({"role": "assistant", "content": "Half"}, [{"content": "Half"}], finish)
    response = ask(gateway, dialect, stream=stream)
    if stream:
        assert error_of_stream(dialect, response.text)
        assert not ended_cleanly(dialect, response.text)
    else:
        assert response.status_code in (500, 502, 529)
        assert response.json()["error"]["message"]
    assert gateway.balance(gateway.key("rich")) == before


@every_dialect
@either_way
def test_a_call_without_a_name_is_an_error_and_costs_nothing(
    gateway: GatewayProcess, upstream: ScriptedUpstream, dialect: str, stream: bool
) -> None:
    before = gateway.balance(gateway.key("rich"))
    nameless = {"tool_calls": [call(function={"arguments": BERN})]}
    upstream.answer({"role": "assistant", **nameless}, [{"content": "Hm."}, nameless], "tool_calls")
    response = ask(gateway, dialect, stream=stream)
    if stream:
        assert "without a name" in str(error_of_stream(dialect, response.text))
        assert not ended_cleanly(dialect, response.text)
    else:
        assert response.status_code == 502
        assert "without a name" in response.json()["error"]["message"]
    assert gateway.balance(gateway.key("rich")) == before


@every_dialect
@either_way
def test_a_choice_that_nobody_asked_for_reaches_nobody_and_costs_nothing(
    gateway: GatewayProcess, upstream: ScriptedUpstream, dialect: str, stream: bool
) -> None:
    texts, end = ("Hello", "Bye"), {"finish_reason": "stop"}
    whole = [{"index": i, "message": {"content": text}, **end} for i, text in enumerate(texts)]
    upstream.send({"choices": whole})
    deltas = [{"index": i, "delta": {"content": text}} for i, text in enumerate(texts)]
    ends: list[Object] = [{"index": i, "delta": {}, **end} for i in (1, 0)]
    upstream.stream([{"choices": [each]} for each in (*deltas, *deltas, *ends)])
    response = ask(gateway, dialect, stream=stream)
    found = read(dialect, response)
    assert (found.text, found.finish) == ("HelloHello" if stream else "Hello", STOPPED[dialect])
    assert response.headers["x-credits-charged"] == str(PRICE)


@every_dialect
@either_way
def test_counts_of_another_type_are_read_for_what_they_hold(
    gateway: GatewayProcess, upstream: ScriptedUpstream, dialect: str, stream: bool
) -> None:
    details = {"cached_tokens": 2.0, "cache_write_tokens": "4"}
    usage = {"prompt_tokens": "9", "completion_tokens": 3.0, "prompt_tokens_details": details}
    upstream.answer({"content": "Hello"}, [{"content": "Hello"}], usage=usage)
    response = ask(gateway, dialect, stream=stream)
    path = f"/api/v1/entries/{response.headers['x-request-id']}"
    headers = {"x-api-key": gateway.key("rich")}

    def tokens() -> Any:
        return gateway.http.get(path, headers=headers).json()["tokens"]

    wait_until(lambda: tokens() is not None, "the end to be written")
    assert tokens() == {"input": 9, "cached": 2, "cache_write": 4, "output": 3, "reasoning": 0}


@every_dialect
@either_way
def test_what_identifies_chunks_is_filled_in_and_a_cost_is_none(
    gateway: GatewayProcess, upstream: ScriptedUpstream, dialect: str, stream: bool
) -> None:
    choice = {"index": 0, "finish_reason": "stop"}
    upstream.send({"choices": [{**choice, "message": {"content": "Hello"}}], "cost": "0"})
    pieces = [{"delta": {"content": "Hel"}}, {"delta": {"content": "lo"}}, {**choice, "delta": {}}]
    upstream.stream([*({"choices": [one]} for one in pieces), {"choices": [], "cost": "0"}])
    response = ask(gateway, dialect, stream=stream)
    found = read(dialect, response)
    assert (found.text, found.model, found.finish) == ("Hello", "open", STOPPED[dialect])
    if dialect == "chat" and not stream:
        whole = response.json()
        assert whole["object"] == "chat.completion"
        assert whole["id"]
        assert whole["created"] > 0
