"""Traps of what comes back: reasoning in tool loops, and state that clients only refer to.

A first turn makes the model reason and call a tool; then each kind of client sends its next turn as
it is known to. The strict upstream refuses a call whose reasoning is missing.
"""

from collections.abc import Callable
from typing import Any

import pytest

from tests.harness.dialects import PATHS, reasoning
from tests.traps.support import Client, Sent, either_way, function, read

THOUGHT = "The sea is where one looks."
ASK = f'!reason {THOUGHT}\n!answer I look.\n!tool look {{"at":"sea"}}'
RESULT = "Water."
Object = dict[str, Any]

#: families that refuse a history without reasoning
REMEMBERING = ("kimi-k2.5", "coder", "thinker")
remembering = pytest.mark.parametrize("model", REMEMBERING)


def first_turn(client: Client, dialect: str, model: str, **more: Any) -> Object:
    """The first answer's object."""
    more = {"tools": [function(dialect, "look")], **reasoning(dialect), **more}
    sent = client.ask(dialect, ASK, model=model, **more)
    answer = read(dialect, sent.response)
    assert (answer.reasoning, len(answer.calls)) == (THOUGHT, 1)
    return answer.whole


def chat_turn(model: str, message: Object) -> Object:
    """The request that brings a call's result."""
    call_id = message["tool_calls"][0]["id"]
    return {
        "model": model,
        "messages": [
            {"role": "user", "content": ASK},
            {"role": "assistant", **message},
            {"role": "tool", "tool_call_id": call_id, "content": RESULT},
        ],
        "tools": [function("chat", "look")],
        **reasoning("chat"),
    }


def messages_turn(model: str, content: list[Object]) -> Object:
    call = next(block for block in content if block["type"] == "tool_use")
    result = {"type": "tool_result", "tool_use_id": call["id"], "content": RESULT}
    return {
        "model": model,
        "max_tokens": 1000,
        "messages": [
            {"role": "user", "content": ASK},
            {"role": "assistant", "content": content},
            {"role": "user", "content": [result]},
        ],
        "tools": [function("messages", "look")],
        **reasoning("messages"),
    }


def responses_turn(model: str, items: list[Object], call_id: str, **more: Any) -> Object:
    output = {"type": "function_call_output", "call_id": call_id, "output": RESULT}
    return {
        "model": model,
        "input": [*items, output],
        "tools": [function("responses", "look")],
        **reasoning("responses"),
        **more,
    }


def check_second_turn(sent: Sent, signed_block: str | None = THOUGHT) -> None:
    """The call is whole upstream: with this reasoning (None: with any), and with its result."""
    user, asked, result = sent.upstream["messages"][-3:]
    assert (user["role"], user["content"]) == ("user", ASK)
    assert asked["content"] == "I look."
    assert asked["reasoning_content"].strip()
    assert signed_block in (None, asked["reasoning_content"])
    assert [call["function"]["name"] for call in asked["tool_calls"]] == ["look"]
    assert asked["tool_calls"][0]["function"]["arguments"] == '{"at":"sea"}'
    assert result["role"] == "tool"
    assert result["tool_call_id"] == asked["tool_calls"][0]["id"]
    assert result["content"] == RESULT
    assert sent.response.status_code == 200


def _without(*names: str) -> Callable[[Object], Object]:
    return lambda message: {key: value for key, value in message.items() if key not in names}


def _renamed(message: Object) -> Object:
    message = dict(message)
    message["reasoning"] = message.pop("reasoning_content")
    return message


def _detailed(message: Object) -> Object:
    message = dict(message)
    text = message.pop("reasoning_content")
    message["reasoning_details"] = [{"type": "reasoning.text", "text": text}]
    return message


def _stripped_ids(message: Object) -> Object:
    """OpenClaw gives ids back without their punctuation."""
    message = _without("reasoning_content")(message)
    calls = [
        {**call, "id": "".join(filter(str.isalnum, call["id"]))} for call in message["tool_calls"]
    ]
    return {**message, "tool_calls": calls}


@remembering
@pytest.mark.parametrize(
    ("bring_back", "kept"),
    [
        (lambda message: message, True),
        (_renamed, True),
        (_detailed, True),
        (_without("reasoning_content"), False),
        (_stripped_ids, False),
    ],
    ids=["OpenCode", "vLLM", "OpenRouter", "openai SDK", "OpenClaw"],
)
def test_trap_02_a_chat_client_may_bring_reasoning_back_or_not(
    client: Client, model: str, bring_back: Callable[[Object], Object], kept: bool
) -> None:
    message = first_turn(client, "chat", model)["choices"][0]["message"]
    sent = client.send("chat", chat_turn(model, bring_back(message)))
    check_second_turn(sent, THOUGHT if kept else None)


def _unsigned(content: list[Object]) -> list[Object]:
    return [_without("signature")(block) for block in content]


def _thoughtless(content: list[Object]) -> list[Object]:
    return [block for block in content if block["type"] != "thinking"]


def _redacted(content: list[Object]) -> list[Object]:
    """Clients that switch providers may hold blocks that only another one can read."""
    return [{"type": "redacted_thinking", "data": "Zm9yZWlnbg=="}, *_thoughtless(content)]


@remembering
@pytest.mark.parametrize(
    ("bring_back", "kept"),
    [(list, True), (_unsigned, True), (_thoughtless, False), (_redacted, False)],
    ids=["Claude Code", "unsigned", "AI SDK without a signature", "foreign"],
)
def test_trap_02_a_messages_client_may_bring_thinking_back_or_not(
    client: Client, model: str, bring_back: Callable[[list[Object]], list[Object]], kept: bool
) -> None:
    content = first_turn(client, "messages", model)["content"]
    sent = client.send("messages", messages_turn(model, bring_back(content)))
    check_second_turn(sent, THOUGHT if kept else None)


@remembering
def test_trap_02_thinking_that_was_not_shown_comes_back_by_its_signature(
    client: Client, model: str
) -> None:
    hidden = {"type": "enabled", "budget_tokens": 1024, "display": "omitted"}
    tools = [function("messages", "look")]
    sent = client.ask("messages", ASK, model=model, tools=tools, thinking=hidden)
    content = sent.response.json()["content"]
    assert content[0]["thinking"] == ""
    assert THOUGHT not in sent.response.text
    check_second_turn(client.send("messages", messages_turn(model, content)))


def _sealed(items: list[Object]) -> list[Object]:
    return [{**item, "summary": []} if item["type"] == "reasoning" else item for item in items]


def _summarised(items: list[Object]) -> list[Object]:
    return [_without("encrypted_content")(item) for item in items]


def _foreign(items: list[Object]) -> list[Object]:
    return [
        {**item, "encrypted_content": "c2NyaXB0ZWQ="} if item["type"] == "reasoning" else item
        for item in items
    ]


def _unreasoned(items: list[Object]) -> list[Object]:
    return [item for item in items if item["type"] != "reasoning"]


@remembering
@pytest.mark.parametrize(
    ("bring_back", "kept"),
    [
        (list, True),
        (_sealed, True),
        (_summarised, True),
        (_foreign, True),
        (_unreasoned, False),
    ],
    ids=["whole", "Codex", "summary", "foreign seal", "LangChain"],
)
def test_trap_02_a_responses_client_may_bring_reasoning_items_back_or_not(
    client: Client, model: str, bring_back: Callable[[list[Object]], list[Object]], kept: bool
) -> None:
    output = first_turn(client, "responses", model, store=False)["output"]
    items = [{"role": "user", "content": ASK}, *bring_back(output)]
    turn = responses_turn(model, items, output[-1]["call_id"], store=False)
    check_second_turn(client.send("responses", turn), THOUGHT if kept else None)


@either_way
def test_trap_02_without_thinking_no_reasoning_is_sent(client: Client, stream: bool) -> None:
    """The thoughts of an earlier turn are not shown to a turn that shall not think."""
    message = first_turn(client, "chat", "kimi-k2.5")["choices"][0]["message"]
    turn = chat_turn("kimi-k2.5", message) | {"reasoning_effort": "none", "stream": stream}
    assert "reasoning_content" not in client.send("chat", turn).upstream["messages"][1]


def test_trap_02_ids_that_repeat_in_every_turn_are_paired_within_their_turn(
    client: Client,
) -> None:
    def turn(answer: str) -> list[Object]:
        call = {"id": "look:0", "type": "function", "function": {"name": "look", "arguments": "{}"}}
        return [
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "look:0", "content": answer},
        ]

    content = {
        "model": "kimi-k2.5",
        "messages": [{"role": "user", "content": "Look"}, *turn("one"), *turn("two")],
    }
    sent = client.send("chat", content)
    results = [event["content"] for event in sent.upstream["messages"] if event["role"] == "tool"]
    assert results == ["one", "two"]


def test_trap_10_the_ai_sdk_names_what_was_stored_by_references(client: Client) -> None:
    first = first_turn(client, "responses", "kimi-k2.5")
    assert first["store"] is True
    *named, call = first["output"]
    assert [item["type"] for item in named] == ["reasoning", "message"]
    items = [
        {"role": "user", "content": [{"type": "input_text", "text": ASK}]},
        *({"type": "item_reference", "id": item["id"]} for item in named),
        call,
    ]
    check_second_turn(client.send("responses", responses_turn("kimi-k2.5", items, call["call_id"])))


@either_way
def test_trap_10_a_response_continues_an_earlier_one(client: Client, stream: bool) -> None:
    first = first_turn(client, "responses", "kimi-k2.5", instructions="Be brief.")
    call_id = first["output"][-1]["call_id"]
    turn = responses_turn("kimi-k2.5", [], call_id, previous_response_id=first["id"], stream=stream)
    sent = client.send("responses", turn)
    check_second_turn(sent)
    # instructions are of one response and not carried on
    assert [event["role"] for event in sent.upstream["messages"]] == ["user", "assistant", "tool"]
    assert read("responses", sent.response).whole["previous_response_id"] == first["id"]


def test_trap_10_what_is_not_stored_cannot_be_referred_to(client: Client) -> None:
    first = first_turn(client, "responses", "kimi-k2.5", store=False)
    assert first["store"] is False
    call_id = first["output"][-1]["call_id"]
    turn = responses_turn("kimi-k2.5", [], call_id, previous_response_id=first["id"])
    sent = client.send("responses", turn)
    assert sent.response.status_code == 400
    assert sent.response.json()["error"]["code"] == "previous_response_not_found"
    reference = {"type": "item_reference", "id": first["output"][0]["id"]}
    sent = client.send("responses", {"model": "kimi-k2.5", "input": [reference]})
    assert sent.response.status_code == 400
    assert "store: false" in sent.response.json()["error"]["message"]
    assert sent.bodies == []


def test_trap_10_nobody_reads_what_another_account_stored(client: Client, poor: Client) -> None:
    first = first_turn(client, "responses", "kimi-k2.5")
    path = f"{PATHS['responses']}/{first['id']}"
    assert client.gateway.http.get(path, headers=client.headers).json()["id"] == first["id"]
    foreign = poor.gateway.http.get(path, headers=poor.headers)
    unknown = poor.gateway.http.get(path[:-1] + "_", headers=poor.headers)
    assert foreign.status_code == unknown.status_code == 404
    turn = {"model": "kimi-k2.5", "input": "On", "previous_response_id": first["id"]}
    assert poor.send("responses", turn).response.status_code == 400
