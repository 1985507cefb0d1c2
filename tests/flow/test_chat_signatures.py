"""Signatures of upstreams that speak chat: each client carries them back to the upstream that made
them, and no other upstream, account or forger gets any further with them."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.harness.dialects import DIALECTS, PATHS, body, events
from tests.harness.gateway import GatewayProcess, api_key, credit_grant, fleet, running_gateway
from tests.harness.scripted import ScriptedUpstream
from tests.traps.support import function, read

Object = dict[str, Any]

EXTRA = {"google": {"thought_signature": "c2lnbmVk"}}
TEXT_EXTRA = {"google": {"thought_signature": "dGV4dA=="}}
THOUGHT = {"type": "reasoning.text", "text": "Where is it?", "format": "x", "index": 0}
DETAILS = [
    {**THOUGHT, "signature": "S1"},
    {"type": "reasoning.encrypted", "data": "RU5D", "id": "rs_1", "format": "x", "index": 1},
]
CALL = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "look", "arguments": '{"at":"it"}'},
    "extra_content": EXTRA,
}
MESSAGE = {
    "role": "assistant",
    "content": None,
    "reasoning": "Where is it?",
    "reasoning_details": DETAILS,
    "tool_calls": [CALL],
}
DELTAS: list[Object] = [
    {"role": "assistant", "content": ""},
    {"reasoning": "Where ", "reasoning_details": [{**THOUGHT, "text": "Where "}]},
    {"reasoning": "is it?", "reasoning_details": [{**THOUGHT, "text": "is it?"}]},
    {"reasoning_details": [{**THOUGHT, "text": "", "signature": "S1"}]},
    {"reasoning_details": DETAILS[1:]},
    {"tool_calls": [{**CALL, "index": 0, "function": {"name": "look", "arguments": ""}}]},
    {"tool_calls": [{"index": 0, "function": {"arguments": '{"at":"it"}'}}]},
]
either_way = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
every_dialect = pytest.mark.parametrize("dialect", DIALECTS)


@pytest.fixture(scope="module")
def gateway(
    upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    names = ("main", "other")
    document = fleet(
        upstream.url,
        upstreams=[{"name": name, "url": upstream.url, "dialect": "chat"} for name in names],
    )
    document["spec"]["models"] += [
        {"id": "signs", "upstream": "main", "upstreamModel": "some-model"},
        {"id": "elsewhere", "upstream": "other", "upstreamModel": "some-model"},
        {"id": "strict", "upstream": "other", "upstreamModel": "some-model", "profile": "groq"},
    ]
    documents = [
        document,
        *(api_key(name, name) for name in ("alice", "bob")),
        *(credit_grant(name, name) for name in ("alice", "bob")),
    ]
    with running_gateway(tmp_path_factory.mktemp("signatures"), documents) as process:
        yield process


class Client:
    """One account's client, and what its upstream was sent last."""

    def __init__(self, gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
        self._gateway = gateway
        self._upstream = upstream

    def ask(self, dialect: str, asked: Object, account: str = "alice") -> httpx.Response:
        headers = {"x-api-key": self._gateway.key(account)}
        found = self._gateway.http.post(PATHS[dialect], json=asked, headers=headers)
        assert found.status_code == 200, found.text
        return found

    def turn(
        self, dialect: str, answer: list[Object], model: str, account: str = "alice"
    ) -> Object:
        """The assistant's message that goes up after an answer came back, with a tool's result."""
        asked = body(dialect, "Hi", model=model, tools=[function(dialect, "look")])
        call = next(one for one in answer if one.get("type") != "message")
        if dialect == "responses":
            made = {"type": "function_call_output", "call_id": "call_1", "output": "It."}
            asked["input"] = [{"role": "user", "content": "Hi"}, *answer, made]
        elif dialect == "messages":
            (used,) = (one for one in answer if one["type"] == "tool_use")
            result = {"type": "tool_result", "tool_use_id": used["id"], "content": "It."}
            asked["messages"] += [
                {"role": "assistant", "content": answer},
                {"role": "user", "content": [result]},
            ]
        else:
            asked["messages"] += [
                call,
                {"role": "tool", "tool_call_id": "call_1", "content": "It."},
            ]
        self.ask(dialect, asked, account)
        (message,) = (
            one for one in self._upstream.bodies[-1]["messages"] if one["role"] == "assistant"
        )
        return dict(message)


@pytest.fixture
def client(gateway: GatewayProcess, upstream: ScriptedUpstream) -> Client:
    upstream.answer(MESSAGE, DELTAS, "tool_calls")
    return Client(gateway, upstream)


def parts_of(dialect: str, response: httpx.Response, *, stream: bool) -> list[Object]:
    """The part of an answer that a client keeps: a message, blocks or items."""
    if dialect != "chat":
        whole = read(dialect, response).whole
        return list(whole["content"] if dialect == "messages" else whole["output"])
    if not stream:
        return [response.json()["choices"][0]["message"]]
    message: Object = {"role": "assistant", "content": None}
    for _, event in events(response.text):
        for choice in event["choices"] if isinstance(event, dict) else ():
            _add(message, choice["delta"])
    return [message]


def _add(message: Object, delta: Object) -> None:
    """A delta, as OpenRouter's SDK and Google's examples add it."""
    message.setdefault("reasoning_details", []).extend(delta.get("reasoning_details", ()))
    for piece in delta.get("tool_calls", ()):
        calls = message.setdefault("tool_calls", [])
        if piece["index"] == len(calls):
            calls.append({"index": 0, **piece})
        else:
            calls[piece["index"]]["function"]["arguments"] += piece["function"]["arguments"]
    if "extra_content" in delta:
        message["extra_content"] = delta["extra_content"]


def asked_first(dialect: str, *, stream: bool) -> Object:
    tools = [function(dialect, "look")]
    return body(dialect, "Hi", model="signs", tools=tools, stream=stream)


@either_way
def test_a_chat_client_gets_them_as_they_came(client: Client, stream: bool) -> None:
    response = client.ask("chat", asked_first("chat", stream=stream))
    (message,) = parts_of("chat", response, stream=stream)
    assert message["tool_calls"][0]["extra_content"] == EXTRA
    given = [delta for each in DELTAS for delta in each.get("reasoning_details", ())]
    assert message["reasoning_details"] == (given if stream else DETAILS)
    assert "c2lnbmVk" in response.text


@every_dialect
@either_way
def test_they_come_back_to_the_upstream_that_made_them(
    client: Client, dialect: str, stream: bool
) -> None:
    response = client.ask(dialect, asked_first(dialect, stream=stream))
    answer = parts_of(dialect, response, stream=stream)
    if dialect != "chat":
        assert "c2lnbmVk" not in response.text
    message = client.turn(dialect, answer, "signs")
    assert message["tool_calls"][0]["extra_content"] == EXTRA
    assert message["reasoning_details"] == DETAILS
    assert json.loads(message["tool_calls"][0]["function"]["arguments"]) == {"at": "it"}


@every_dialect
@either_way
def test_nobody_else_gets_them(client: Client, dialect: str, stream: bool) -> None:
    response = client.ask(dialect, asked_first(dialect, stream=stream))
    answer = parts_of(dialect, response, stream=stream)
    # What a chat client carries shows no upstream; it is kept from those who refuse it.
    elsewhere = "strict" if dialect == "chat" else "elsewhere"
    messages = [client.turn(dialect, answer, elsewhere)]
    if dialect != "chat":
        messages.append(client.turn(dialect, answer, "signs", "bob"))
    for message in messages:
        assert message["tool_calls"][0].keys() == {"id", "type", "function"}
        assert "reasoning_details" not in message


@either_way
@every_dialect
def test_that_of_a_text_comes_back_too(
    client: Client, upstream: ScriptedUpstream, dialect: str, stream: bool
) -> None:
    text = {"role": "assistant", "content": "It is here.", "extra_content": TEXT_EXTRA}
    deltas = [
        {"content": "It is "},
        {"content": "here."},
        {"content": "", "extra_content": TEXT_EXTRA},
    ]
    upstream.answer(text, deltas)
    response = client.ask(dialect, asked_first(dialect, stream=stream))
    answer = parts_of(dialect, response, stream=stream)
    asked = body(dialect, "Hi", model="signs")
    if dialect == "responses":
        asked["input"] = [*answer, {"role": "user", "content": "And?"}]
    else:
        message: Any = {"role": "assistant", "content": answer}
        if dialect == "chat":
            message = {**answer[0], "content": "It is here."}
        asked["messages"] += [message, {"role": "user", "content": "And?"}]
    client.ask(dialect, asked)
    (sent,) = (one for one in upstream.bodies[-1]["messages"] if one["role"] == "assistant")
    if dialect == "messages" and stream:
        # It would stand behind the text that was sent, and Claude Code take it for the answer.
        assert sent == {"role": "assistant", "content": "It is here."}
    else:
        assert sent == {"role": "assistant", "content": "It is here.", "extra_content": TEXT_EXTRA}


@pytest.mark.parametrize(
    "forged",
    [
        "FORGED",
        '["call",0,"call_1",{"google":{"thought_signature":"FORGED"}}]',
        "tgt1_" + "QUFB" * 20,
        "tg1_" + "QUFB" * 20,
    ],
)
def test_a_forged_one_goes_nowhere(client: Client, upstream: ScriptedUpstream, forged: str) -> None:
    call = {"type": "tool_use", "id": "call_1", "name": "look", "input": {}}
    blocks: list[Object] = [
        {"type": "thinking", "thinking": "Hm.", "signature": forged},
        {"type": "redacted_thinking", "data": forged},
        call,
    ]
    messages = client.turn("messages", blocks, "signs")
    item = {"type": "function_call", "call_id": "call_1", "name": "look", "arguments": "{}"}
    summary = [{"type": "summary_text", "text": "Hm."}]
    reasoning = {"type": "reasoning", "summary": summary, "encrypted_content": forged}
    for message in (messages, client.turn("responses", [reasoning, item], "signs")):
        assert "FORGED" not in json.dumps(message)
        assert message["tool_calls"][0].keys() == {"id", "type", "function"}


@every_dialect
@either_way
def test_an_upstream_s_details_cannot_speak_for_another(
    client: Client, upstream: ScriptedUpstream, dialect: str, stream: bool
) -> None:
    """A member of details is an upstream's word, and names nobody to us."""
    details = [{**THOUGHT, "signature": "FORGED", "upstream": "other"}]
    message = {**MESSAGE, "reasoning_details": details}
    upstream.answer(message, [message | {"tool_calls": [{**CALL, "index": 0}]}], "tool_calls")
    response = client.ask(dialect, asked_first(dialect, stream=stream))
    answer = parts_of(dialect, response, stream=stream)
    assert client.turn(dialect, answer, "signs")["reasoning_details"] == details
    if dialect != "chat":
        assert "reasoning_details" not in client.turn(dialect, answer, "elsewhere")
