"""Bodies for an upstream that speaks Responses."""

import json
from typing import Any

import msgspec
import pytest

from gateway.core.errors import InvalidRequest, UnsupportedParameter
from gateway.core.request import (
    AssistantMessage,
    ImagePart,
    OutputFormat,
    Request,
    Sampling,
    SignedReasoning,
    SystemMessage,
    TextPart,
    ToolCall,
    ToolChoice,
    ToolMessage,
    UserMessage,
)
from gateway.dialects.endpoint import UpstreamRequest
from gateway.dialects.responses.request_writer import write_request
from tests.dialects.support import FAMILIES, LOOK, SEE, request, resolve


def prepare(
    wanted: Request, profile: str = "gpt-5.1", *settings: Any, **model: Any
) -> UpstreamRequest:
    return write_request(wanted, resolve(profile, *settings, **model))


def render(wanted: Request, profile: str = "gpt-5.1", *settings: Any, **model: Any) -> Any:
    return json.loads(prepare(wanted, profile, *settings, **model).body)


def user_message(text: str) -> UserMessage:
    return UserMessage((TextPart(text),))


def message(role: str, text: str) -> dict[str, Any]:
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}


def test_instructions_find_their_place() -> None:
    later = SystemMessage("Now rhyme.")
    body = render(
        request(
            SystemMessage("Be kind."),
            SystemMessage("Be brief."),
            user_message("One"),
            AssistantMessage("Two"),
            later,
            user_message("Three"),
        )
    )
    assert body["instructions"] == "Be kind.\n\nBe brief."
    assert body["input"] == [
        message("user", "One"),
        message("assistant", "Two"),
        message("system", "Now rhyme."),
        message("user", "Three"),
    ]
    led = render(request(SystemMessage("Be kind."), user_message("One"), later), "vllm")
    assert (led["instructions"], led["input"]) == (
        "Be kind.",
        [message("user", "One\n\n<system>\nNow rhyme.\n</system>")],
    )
    alone = render(request(SystemMessage("Only this.")))
    assert alone["input"] == [message("system", "Only this.")]
    assert "instructions" not in alone


def test_nothing_is_stored_and_equal_requests_are_equal_bytes() -> None:
    history = (user_message("Look"), AssistantMessage("Yes.", "Hm."), user_message("And?"))
    for profile in FAMILIES:
        first = prepare(request(*history, stream=True), profile, True)
        body = json.loads(first.body)
        assert body["store"] is False
        assert body["stream"] is True
        assert first.stream
        assert first.body == prepare(request(*history, stream=True), profile, True).body


@pytest.mark.parametrize(("profile", "thinks"), [("gpt-5.1", False), ("generic", True)])
def test_a_tool_loop(profile: str, thinks: bool) -> None:
    long = "functions.look:" + 64 * "9"
    calls = (ToolCall(long, "look", '{"at": "it"}'), ToolCall("b", "see", "not {"))
    history = (
        user_message("Look"),
        AssistantMessage("I look.", "I must look.", calls),
        ToolMessage("b", (TextPart("seen"), ImagePart("data:image/png;base64,AAAA"))),
        ToolMessage(long, ()),
    )
    body = render(request(*history, tools=(LOOK, SEE)), profile, True)
    _, *signed_block, text, first, second, one, two, image = body["input"]
    assert [item["summary"][0]["text"] for item in signed_block] == (
        ["I must look."] if thinks else []
    )
    assert text == message("assistant", "I look.")
    assert first["arguments"] == '{"at": "it"}'
    assert json.loads(second["arguments"]) == {"invalid_arguments": "not {"}
    assert len(first["call_id"]) <= 64
    assert one == {
        "type": "function_call_output",
        "call_id": first["call_id"],
        "output": "(no output)",
    }
    assert two["call_id"] == second["call_id"] == "b"
    assert two["output"].startswith("seen")
    picture = {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "auto"}
    assert image["content"] == [picture]


def test_what_an_upstream_sealed_goes_back_to_that_upstream_only() -> None:
    signed_blocks = (
        SignedReasoning("Look first.", "abc", "main"),
        SignedReasoning("", "xyz", "main", is_redacted=True),
        SignedReasoning("Hm.", "def", "elsewhere"),
    )
    history = (
        user_message("Go"),
        AssistantMessage("Yes.", "Look first.", signed_blocks=signed_blocks),
        user_message("And?"),
    )
    summary = [{"type": "summary_text", "text": "Look first."}]
    for profile in ("gpt-5", "gpt-5.1", "generic"):
        assert render(request(*history), profile, True)["input"][1:-1] == [
            {"type": "reasoning", "summary": summary, "encrypted_content": "abc"},
            {"type": "reasoning", "summary": [], "encrypted_content": "xyz"},
            message("assistant", "Yes."),
        ]
    assert render(request(*history), "gpt-5.1", False)["input"][1] == message("assistant", "Yes.")


def test_kimi_gets_reasoning_for_every_call() -> None:
    call = AssistantMessage(None, None, (ToolCall("a", "look", "{}"),))
    wanted = request(user_message("Look"), call, ToolMessage("a", (TextPart("it"),)))
    assert render(wanted, "kimi-k2.6", True)["input"][1]["type"] == "reasoning"
    assert render(wanted, "kimi-k2.6", False)["input"][1]["type"] == "function_call"


@pytest.mark.parametrize(
    ("profile", "reasoning", "effort", "given"),
    [
        ("gpt-4", False, None, None),
        ("gpt-5", True, None, {"effort": "medium", "summary": "auto"}),
        ("gpt-5.1", True, "xhigh", {"effort": "high", "summary": "auto"}),
        ("gpt-5.1", False, "high", {"effort": "none"}),
        ("kimi-k3", True, "medium", {"effort": "high", "summary": "auto"}),
        ("kimi-k3", True, None, {"effort": "max", "summary": "auto"}),
        ("kimi-k3", False, None, {"effort": "none"}),
        ("kimi-k2.6", True, "high", {"summary": "auto"}),
        ("generic", True, "high", {"summary": "auto"}),
        ("generic", False, None, None),
    ],
)
def test_reasoning_is_always_reported(
    profile: str, reasoning: bool, effort: str | None, given: Any
) -> None:
    body = render(request(), profile, reasoning, effort)
    assert body.get("reasoning") == given
    sealed = ["reasoning.encrypted_content"] if reasoning and profile.startswith("gpt") else None
    assert body.get("include") == sealed
    template = {"thinking": reasoning, "enable_thinking": reasoning}
    assert body.get("chat_template_kwargs") == (
        template if (profile, reasoning) == ("generic", True) else None
    )


@pytest.mark.parametrize(
    ("profile", "choice", "expected"),
    [
        ("gpt-5.1", None, None),
        ("gpt-5.1", ToolChoice("auto"), "auto"),
        ("gpt-5.1", ToolChoice("none"), "none"),
        ("gpt-5.1", ToolChoice("required"), "required"),
        ("gpt-5.1", ToolChoice("named", "look"), {"type": "function", "name": "look"}),
        ("kimi-k3", ToolChoice("auto"), "auto"),
        ("kimi-k3", ToolChoice("none"), None),
        ("kimi-k3", ToolChoice("named", "look"), None),
        ("kimi-k3", ToolChoice("required"), None),
        ("kimi-k2.7-code", ToolChoice("named", "look"), None),
    ],
)
def test_tool_choice(profile: str, choice: ToolChoice | None, expected: Any) -> None:
    strict = msgspec.structs.replace(SEE, strict=True)
    body = render(request(tools=(LOOK, strict), tool_choice=choice), profile, True)
    assert body.get("tool_choice") == expected
    assert body["tools"][0] == {
        "type": "function",
        "name": "look",
        "description": "Looks.",
        "parameters": {"type": "object", "properties": {"at": {"type": "string"}}},
        "strict": False,
    }
    if profile == "gpt-5.1":
        assert body["tools"][1]["strict"] is True
    if profile == "kimi-k2.7-code":
        assert "`look`" in body["input"][-1]["content"][0]["text"]


def test_structured_output() -> None:
    schema = {"type": "object", "properties": {"at": {"type": "string"}}}
    wanted = OutputFormat("json_schema", "place", schema, strict=True)
    found = {"type": "json_schema", "name": "place", "schema": schema, "strict": True}
    for profile in ("gpt-5.1", "kimi-k3"):
        assert render(request(output=wanted), profile, True)["text"] == {"format": found}
    free = request(output=OutputFormat("json_object"))
    assert render(free)["text"] == {"format": {"type": "json_object"}}
    asked = prepare(free, "kimi-k3", True)
    assert asked.degraded == ("response_format",)
    assert "JSON" in json.loads(asked.body)["input"][-1]["content"][0]["text"]


@pytest.mark.parametrize(
    ("profile", "asked", "sent"), [("gpt-5.1", 1, 16), ("gpt-4", 17, 17), ("generic", 1, 1)]
)
def test_a_cap_that_is_too_low_there_is_raised_and_named(
    profile: str, asked: int, sent: int
) -> None:
    outgoing = prepare(request(max_tokens=asked), profile)
    assert json.loads(outgoing.body)["max_output_tokens"] == sent
    assert outgoing.degraded == (() if asked == sent else ("max_tokens",))


def test_parameters_are_sent_or_dropped_and_named() -> None:
    sampling = Sampling(temperature=1.5, top_p=0.5, top_k=3, seed=1, presence_penalty=0.1)
    wanted = request(
        sampling=sampling,
        stop=("END",),
        tools=(LOOK,),
        parallel_tool_calls=False,
        cache_key="thread",
        safety_identifier="someone",
        extra={"guided_regex": msgspec.Raw(b'"a"'), "min_p": msgspec.Raw(b"1")},
    )
    outgoing = prepare(wanted, "generic")
    body = json.loads(outgoing.body)
    assert (body["temperature"], body["top_p"]) == (1.5, 0.5)
    assert (body["prompt_cache_key"], body["safety_identifier"]) == ("thread", "someone")
    assert body["parallel_tool_calls"] is False
    dropped = {"top_k", "seed", "presence_penalty", "stop", "guided_regex", "min_p"}
    assert set(outgoing.degraded) == dropped
    assert body.keys().isdisjoint(dropped)
    assert {"temperature", "top_p"} <= set(prepare(wanted).degraded)


@pytest.mark.parametrize(
    ("asked", "limit", "sent"), [(None, None, None), (None, 500, None), (900, 500, 500)]
)
def test_a_cap(asked: int | None, limit: int | None, sent: int | None) -> None:
    body = render(request(max_tokens=asked), max_output_tokens=limit)
    assert body.get("max_output_tokens") == sent


def test_what_cannot_be_taken_is_refused() -> None:
    for wanted in (
        request(user_message("")),
        request(sampling=Sampling(n=2)),
        request(user_message("Go"), AssistantMessage("on"), prefill=True),
        request(tool_choice=ToolChoice("required")),
    ):
        with pytest.raises(InvalidRequest):
            prepare(wanted, "generic")
    with pytest.raises(UnsupportedParameter):
        prepare(request(sampling=Sampling(logprobs=True)), "generic")
