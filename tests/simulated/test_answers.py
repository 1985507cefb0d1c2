"""Answers of the simulated upstream without a directive."""

import json
from typing import Any

import pytest

from tests.simulated.talk import Talk, call_message, function_tool, result_message, user

_IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
_OFF = {"type": "disabled"}


def test_it_repeats_what_was_sent(talk: Talk) -> None:
    answer = talk.ask("good morning")
    assert answer["message"] == {"role": "assistant", "content": "You said: good morning"}
    assert answer["finish_reason"] == "stop"


def test_the_same_request_gives_the_same_bytes(talk: Talk) -> None:
    body = {"model": "kimi-k2.6", "messages": [user("again")], "stream": True}
    first, second = (talk.http.post("/chat/completions", json=body) for _ in range(2))
    assert first.content == second.content
    assert b"You " in first.content


def test_a_stream_holds_the_same_as_the_whole_answer(talk: Talk) -> None:
    heard = talk.stream("tell me", model="kimi-k2.6")
    whole = talk.ask("tell me", model="kimi-k2.6")
    assert heard.text == whole["message"]["content"]
    assert heard.reasoning == whole["message"]["reasoning_content"]
    assert heard.chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert heard.finish_reasons == ["stop"]
    assert heard.done
    assert len({(chunk["id"], chunk["created"], chunk["model"]) for chunk in heard.chunks}) == 1


def test_reasoning_comes_before_content(talk: Talk) -> None:
    names = [name for delta in talk.stream("x", model="kimi-k3").deltas[1:] for name in delta]
    assert names == sorted(names, key=["reasoning_content", "content"].index)
    assert set(names) == {"reasoning_content", "content"}


@pytest.mark.parametrize(
    ("model", "members", "thinks"),
    [
        ("kimi-k2.6", {}, True),
        ("kimi-k2.5", {"thinking": _OFF}, False),
        ("kimi-k2.6", {"thinking": {"type": "enabled", "keep": "all"}}, True),
        ("kimi-k2.7-code", {}, True),
        ("kimi-k3", {"reasoning_effort": "low"}, True),
        ("kimi-k3", {"thinking": _OFF}, False),
        ("kimi-k2-thinking", {}, True),
        ("some-engine", {}, False),
        ("some-engine", {"chat_template_kwargs": {"thinking": True}}, True),
        ("some-engine", {"chat_template_kwargs": {"enable_thinking": True}}, True),
        ("some-engine", {"reasoning_effort": "high"}, True),
        (
            "some-engine",
            {"reasoning_effort": "high", "chat_template_kwargs": {"thinking": False}},
            False,
        ),
        ("some-engine", {"reasoning_effort": "none"}, False),
    ],
)
def test_each_family_has_its_own_switch(
    talk: Talk, model: str, members: dict[str, Any], thinks: bool
) -> None:
    answer = talk.ask("x", model=model, **members)
    assert ("reasoning_content" in answer["message"]) is thinks
    assert ("completion_tokens_details" in answer["usage"]) is thinks


def test_images_are_counted(talk: Talk) -> None:
    content = [{"type": "text", "text": "what is it?"}, _IMAGE, _IMAGE]
    answer = talk.ask([{"role": "user", "content": content}], model="kimi-k2.6", thinking=_OFF)
    assert answer["message"]["content"] == "I see 2 images. You said: what is it?"
    assert answer["usage"]["prompt_tokens"] == 3 + 2 * 64


def test_after_a_tool_it_gives_the_tool_s_result(talk: Talk) -> None:
    history = [
        user("weather?"),
        call_message(("a", "look", "{}"), ("b", "feel", "{}")),
        result_message("a", "sunny"),
        result_message("b", "warm"),
    ]
    assert talk.ask(history)["message"]["content"] == "sunny\nwarm"


def test_json_is_given_where_json_is_wanted(talk: Talk) -> None:
    answer = talk.ask("x", response_format={"type": "json_object"})
    assert json.loads(answer["message"]["content"]) == {"answer": "You said: x"}


def test_a_schema_gets_an_instance_of_it(talk: Talk) -> None:
    schema = {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "size": {"type": "string", "enum": ["small", "large"]},
            "parts": {"type": "array", "items": {"type": "integer"}},
            "owner": {"anyOf": [{"$ref": "#/$defs/owner"}, {"type": "null"}]},
            "note": {"type": "string"},
        },
        "required": ["name", "size", "parts", "owner"],
        "$defs": {"owner": {"type": "object", "properties": {}}},
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "thing", "schema": schema}}
    answer = talk.ask("x", model="kimi-k2.6", response_format=wanted)
    instance: dict[str, Any] = {"name": "text", "size": "small", "parts": [], "owner": None}
    assert json.loads(answer["message"]["content"]) == instance


_TOOLS = [
    function_tool("first", {"type": "object", "properties": {}}),
    function_tool(
        "second",
        {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    ),
]
_SECOND = {"type": "function", "function": {"name": "second"}}


@pytest.mark.parametrize(
    ("choice", "call"),
    [("required", ("first", {})), (_SECOND, ("second", {"city": "text"}))],
)
def test_a_forced_tool_is_called(talk: Talk, choice: Any, call: tuple[str, dict[str, Any]]) -> None:
    answer = talk.ask("x", model="kimi-k2.6", thinking=_OFF, tools=_TOOLS, tool_choice=choice)
    [made] = answer["message"]["tool_calls"]
    assert made["id"] == f"functions.{call[0]}:0"
    assert (made["function"]["name"], json.loads(made["function"]["arguments"])) == call
    assert answer["message"]["content"] is None
    assert answer["finish_reason"] == "tool_calls"


def test_k3_ignores_a_named_tool_but_not_a_required_one(talk: Talk) -> None:
    named = talk.ask("x", model="kimi-k3", tools=_TOOLS, tool_choice=_SECOND)
    assert named["finish_reason"] == "stop"
    required = talk.ask("x", model="kimi-k3", tools=_TOOLS, tool_choice="required")
    assert required["finish_reason"] == "tool_calls"


def test_calls_are_numbered_through_the_conversation(talk: Talk) -> None:
    history = [user("go"), call_message(("a", "look", "{}")), result_message("a", "x")]
    answer = talk.ask([*history, user("!tool look\n!tool feel")])
    ids = [call["id"] for call in answer["message"]["tool_calls"]]
    assert ids == ["functions.look:1", "functions.feel:2"]


def test_tokens_are_words(talk: Talk) -> None:
    system = {"role": "system", "content": "be kind"}
    usage = talk.ask([system, user("one two three\n!reason a b\n!answer c d e")])["usage"]
    assert usage["prompt_tokens"] == 2 + 3 + 3 + 4
    assert usage["completion_tokens"] == 5
    assert usage["total_tokens"] == 17
    assert usage["completion_tokens_details"] == {"reasoning_tokens": 2}


def test_a_cap_cuts_the_answer_and_reasoning_counts_inside_it(talk: Talk) -> None:
    script = "!reason a b c\n!answer d e f"
    cut = talk.ask(script, max_tokens=4)
    assert (cut["message"]["reasoning_content"], cut["message"]["content"]) == ("a b c", "d")
    assert (cut["finish_reason"], cut["usage"]["completion_tokens"]) == ("length", 4)
    empty = talk.ask(script, max_completion_tokens=2, max_tokens=100)
    assert (empty["message"]["reasoning_content"], empty["message"]["content"]) == ("a b", "")
    whole = talk.ask(script, max_tokens=6)
    assert (whole["finish_reason"], whole["message"]["content"]) == ("stop", "d e f")


def test_several_choices_are_all_finished(talk: Talk) -> None:
    heard = talk.stream("x", n=3)
    finished = [
        choice["index"]
        for chunk in heard.chunks
        for choice in chunk["choices"]
        if choice["finish_reason"]
    ]
    assert finished == [0, 1, 2]
    assert len(talk.post("x", n=3).json()["choices"]) == 3
