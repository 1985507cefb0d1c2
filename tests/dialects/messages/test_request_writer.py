"""Bodies for an upstream that speaks Messages."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from gateway.core.errors import InvalidRequest, UnsupportedParameter
from gateway.core.request import (
    AssistantMessage,
    ImagePart,
    OutputFormat,
    Request,
    Sampling,
    SystemMessage,
    TextPart,
    ToolCall,
    ToolChoice,
    ToolMessage,
    UserMessage,
)
from gateway.dialects.endpoint import UpstreamRequest
from gateway.dialects.messages.endpoint import MessagesEndpoint
from gateway.dialects.messages.request_writer import write_request
from tests.dialects.support import LOOK, SEE, request, resolve


def prepare(
    wanted: Request, profile: str = "claude", *settings: Any, **model: Any
) -> UpstreamRequest:
    return write_request(wanted, resolve(profile, *settings, **model))


def render(wanted: Request, profile: str = "claude", *settings: Any, **model: Any) -> Any:
    return json.loads(prepare(wanted, profile, *settings, **model).body)


def user_message(text: str) -> UserMessage:
    return UserMessage((TextPart(text),))


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


def test_instructions_alone_are_the_user_s_turn() -> None:
    body = render(request(SystemMessage("Be kind."), SystemMessage("Greet.")))
    assert body["messages"] == [{"role": "user", "content": [text("Be kind."), text("Greet.")]}]
    assert "system" not in body


def test_turns_alternate_and_instructions_find_their_place() -> None:
    body = render(
        request(
            SystemMessage("Be kind."),
            SystemMessage("Be brief."),
            user_message("One"),
            SystemMessage("Now rhyme."),
            user_message("Two"),
            AssistantMessage("Three "),
        )
    )
    assert body["system"] == "Be kind.\n\nBe brief."
    user = [text("One"), text("<system>\nNow rhyme.\n</system>"), text("Two")]
    assert body["messages"] == [
        {"role": "user", "content": user},
        {"role": "assistant", "content": [text("Three")]},
    ]


def test_a_conversation_that_an_assistant_begins() -> None:
    roles = [
        turn["role"]
        for turn in render(request(AssistantMessage("Hi"), user_message("Yes")))["messages"]
    ]
    assert roles == ["user", "assistant", "user"]


@pytest.mark.parametrize("messages", [(user_message("  "),), (SystemMessage(" "),)])
def test_messages_without_content_are_refused(messages: tuple[Any, ...]) -> None:
    with pytest.raises(InvalidRequest):
        prepare(request(*messages))


@pytest.mark.parametrize(
    ("profile", "thinks"), [("claude", False), ("kimi-k2.6", True), ("generic", True)]
)
def test_a_tool_loop(profile: str, thinks: bool) -> None:
    calls = (ToolCall("functions.look:0", "look", '{"at": "it"}'), ToolCall("b", "see", "not {"))
    history = (
        user_message("Look"),
        AssistantMessage(None, "I must look.", calls),
        ToolMessage("b", (TextPart("seen"), ImagePart("data:image/png;base64,AAAA"))),
        ToolMessage("functions.look:0", ()),
    )
    _, assistant, results = render(request(*history, tools=(LOOK, SEE)), profile, True)["messages"]
    *signed_block, first, second = assistant["content"]
    assert [block["thinking"] for block in signed_block] == (["I must look."] if thinks else [])
    assert first["input"] == {"at": "it"}
    assert second["input"] == {"invalid_arguments": "not {"}
    assert first["id"].startswith("toolu_")
    assert second["id"] == "b"
    one, two, image = results["content"]
    assert (one["tool_use_id"], two["tool_use_id"]) == (first["id"], "b")
    assert one["content"] == [text("(no output)")]
    source = {"type": "base64", "media_type": "image/png", "data": "AAAA"}
    assert image == {"type": "image", "source": source}


def test_kimi_gets_reasoning_for_every_call() -> None:
    call = AssistantMessage(None, None, (ToolCall("a", "look", "{}"),))
    wanted = request(user_message("Look"), call, ToolMessage("a", (TextPart("it"),)))
    assert render(wanted, "kimi-k2.6", True)["messages"][1]["content"][0]["type"] == "thinking"
    assert render(wanted, "kimi-k2.6", False)["messages"][1]["content"][0]["type"] == "tool_use"


@pytest.mark.parametrize(
    ("profile", "reasoning", "effort", "thinking", "given"),
    [
        ("claude", True, None, {"type": "adaptive", "display": "summarized"}, None),
        ("claude", True, "xhigh", {"type": "adaptive", "display": "summarized"}, "max"),
        ("claude", False, "high", {"type": "disabled"}, None),
        ("kimi-k2.6", True, "high", {"type": "enabled", "budget_tokens": 16_000}, None),
        ("kimi-k3", True, "medium", {"type": "enabled", "budget_tokens": 16_000}, "high"),
        ("kimi-k3", True, None, {"type": "enabled", "budget_tokens": 16_000}, "max"),
        ("generic", False, None, {"type": "disabled"}, None),
    ],
)
def test_reasoning_is_always_reported(
    profile: str, reasoning: bool, effort: str | None, thinking: Any, given: str | None
) -> None:
    body = render(request(), profile, reasoning, effort)
    assert body["thinking"] == thinking
    assert body.get("output_config", {}).get("effort") == given


@pytest.mark.parametrize(
    ("profile", "choice", "one_by_one", "expected"),
    [
        ("claude", None, False, None),
        ("claude", None, True, {"type": "auto", "disable_parallel_tool_use": True}),
        ("claude", ToolChoice("auto"), False, {"type": "auto"}),
        ("claude", ToolChoice("none"), True, {"type": "none"}),
        ("claude", ToolChoice("required"), False, {"type": "any"}),
        ("claude", ToolChoice("named", "look"), False, {"type": "tool", "name": "look"}),
        ("kimi-k3", ToolChoice("named", "look"), False, {"type": "any"}),
        ("kimi-k2.7-code", ToolChoice("named", "look"), False, None),
    ],
)
def test_tool_choice(
    profile: str, choice: ToolChoice | None, one_by_one: bool, expected: Any
) -> None:
    wanted = request(
        tools=(LOOK, SEE), tool_choice=choice, parallel_tool_calls=False if one_by_one else None
    )
    body = render(wanted, profile)
    assert body.get("tool_choice") == expected
    assert body["tools"][0] == {
        "name": "look",
        "description": "Looks.",
        "input_schema": {"type": "object", "properties": {"at": {"type": "string"}}},
    }
    if profile == "kimi-k2.7-code":
        assert "`look`" in body["system"]


def test_structured_output() -> None:
    schema = {"type": "object", "properties": {"at": {"type": "string"}}}
    wanted = OutputFormat("json_schema", "place", schema)
    body = render(request(output=wanted), "kimi-k3", True)
    assert body["output_config"] == {
        "format": {"type": "json_schema", "schema": schema},
        "effort": "max",
    }
    free = prepare(request(output=OutputFormat("json_object")))
    assert free.degraded == ("response_format",)
    assert "JSON" in json.loads(free.body)["system"]


def test_parameters_are_sent_or_dropped_and_named() -> None:
    sampling = Sampling(temperature=1.5, top_p=0.5, top_k=3, seed=1, presence_penalty=0.1)
    wanted = request(sampling=sampling, stop=("END",), safety_identifier="someone", stream=True)
    outgoing = prepare(wanted)
    body = json.loads(outgoing.body)
    assert (body["temperature"], body["top_p"], body["top_k"]) == (1.0, 0.5, 3)
    assert body["stop_sequences"] == ["END"]
    assert body["metadata"] == {"user_id": "someone"}
    assert body["stream"] is True
    assert outgoing.stream
    assert set(outgoing.degraded) == {"seed", "presence_penalty"}
    assert prepare(request(tools=(SEE, replace(LOOK, strict=True)))).degraded == ("strict",)
    thinking = prepare(wanted, "claude", True)
    assert {"temperature", "top_p", "top_k"} <= set(thinking.degraded)
    assert json.loads(thinking.body).keys().isdisjoint({"temperature", "top_p", "top_k"})


@pytest.mark.parametrize(
    ("asked", "limit", "sent"),
    [(None, None, 32_000), (None, 500, 500), (900, 500, 500), (9, 500, 9)],
)
def test_a_cap_is_always_sent(asked: int | None, limit: int | None, sent: int) -> None:
    assert render(request(max_tokens=asked), max_output_tokens=limit)["max_tokens"] == sent


def test_what_cannot_be_taken_is_refused() -> None:
    for wanted in (
        request(sampling=Sampling(n=2)),
        request(user_message("Go"), AssistantMessage("on"), prefill=True),
        request(tool_choice=ToolChoice("required")),
    ):
        with pytest.raises(InvalidRequest):
            prepare(wanted)
    with pytest.raises(UnsupportedParameter):
        prepare(request(sampling=Sampling(logprobs=True)))
    with pytest.raises(InvalidRequest):
        prepare(request(stop=("a",) * 6), "kimi-k2.6")


@pytest.mark.parametrize(
    ("url", "is_bearer"),
    [
        ("https://api.anthropic.com/v1", False),
        ("https://api.moonshot.ai/anthropic/v1", True),
        ("https://notanthropic.com/v1", True),
    ],
)
def test_how_the_credential_is_sent(url: str, is_bearer: bool) -> None:
    headers = MessagesEndpoint().headers(url, "secret")
    assert headers["x-api-key"] == "secret"
    assert headers["anthropic-version"] == "2023-06-01"
    assert headers.get("authorization") == ("Bearer secret" if is_bearer else None)
    assert MessagesEndpoint().headers(url, None).keys() == {"anthropic-version"}
