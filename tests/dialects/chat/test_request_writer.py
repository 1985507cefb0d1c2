"""The body an upstream gets: the rules of every family, and what cannot be served."""

import json
from typing import Any

import pytest
from msgspec import Raw

from gateway.core.errors import InvalidRequest, UnsupportedParameter
from gateway.core.request import (
    AssistantMessage,
    ImagePart,
    OutputFormat,
    Sampling,
    SystemMessage,
    TextPart,
    Tool,
    ToolCall,
    ToolChoice,
    ToolMessage,
    UserMessage,
)
from tests.dialects.support import FAMILIES, HELLO, LOOK, SEE, prepare, render, request

KIMI = tuple(name for name in FAMILIES if name.startswith("kimi"))
FIXED = ["kimi-k2.5", "kimi-k2.6", "kimi-k2.7-code", "kimi-k3"]
IMAGE = ImagePart("data:image/png;base64,iVBORw0KGgo=", "low")


def refuse(*arguments: Any, **model: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        prepare(*arguments, **model)
    return caught.value


@pytest.mark.parametrize("family", FAMILIES)
def test_the_model_is_the_upstreams_and_streams_always_report_usage(family: str) -> None:
    body = render(request(stream=True), family)
    assert body["model"] == family
    assert body["stream"] is True
    assert body["stream_options"] == {"include_usage": True}
    assert body["messages"] == [{"role": "user", "content": "hello"}]
    assert "stream" not in render(request(), family)
    assert "stream_options" not in render(request(), family)


@pytest.mark.parametrize(
    ("family", "reasoning", "effort", "expected"),
    [
        ("kimi-k2.5", True, None, {"thinking": {"type": "enabled"}}),
        ("kimi-k2.5", False, None, {"thinking": {"type": "disabled"}}),
        ("kimi-k2.6", True, "high", {"thinking": {"type": "enabled"}}),
        ("kimi-k2.7-code", True, None, {"thinking": {"type": "enabled"}}),
        ("kimi-k3", True, None, {"reasoning_effort": "max"}),
        ("kimi-k3", True, "minimal", {"reasoning_effort": "low"}),
        ("kimi-k3", True, "medium", {"reasoning_effort": "high"}),
        ("kimi-k3", True, "xhigh", {"reasoning_effort": "max"}),
        ("kimi-k3", True, "unheard-of", {"reasoning_effort": "max"}),
        ("kimi-k3", False, None, {"thinking": {"type": "disabled"}}),
        ("gpt-4", False, None, {}),
        ("gpt-5.1", True, None, {"reasoning_effort": "medium"}),
        ("gpt-5.1", False, None, {"reasoning_effort": "none"}),
        ("gemini-2.5", True, None, {"reasoning_effort": "high"}),
        ("gemini-2.5", False, None, {"reasoning_effort": "none"}),
        ("gemini-2.5-pro", True, "minimal", {"reasoning_effort": "low"}),
        ("gemini-3", True, "max", {"reasoning_effort": "high"}),
        ("kimi-k2-thinking", True, "high", {}),
        (
            "generic",
            True,
            "high",
            {"chat_template_kwargs": {"thinking": True, "enable_thinking": True}},
        ),
        ("generic", False, None, {}),
    ],
)
def test_reasoning_is_named_in_the_familys_spelling(
    family: str, reasoning: bool, effort: str | None, expected: dict[str, Any]
) -> None:
    body = render(request(), family, reasoning, effort)
    spellings = ("thinking", "reasoning_effort", "chat_template_kwargs", "enable_thinking")
    assert {name: body[name] for name in spellings if name in body} == expected


def test_other_template_arguments_stay_beside_the_switch() -> None:
    wanted = request(extra={"chat_template_kwargs": Raw(b'{"add_vision_id":true}')})
    assert render(wanted)["chat_template_kwargs"] == {
        "add_vision_id": True,
        "thinking": False,
        "enable_thinking": False,
    }
    outgoing = prepare(wanted, "kimi-k2.6")
    assert outgoing.degraded == ("chat_template_kwargs",)
    assert "chat_template_kwargs" not in json.loads(outgoing.body)


def test_a_template_is_given_no_effort_where_none_is_paid_for() -> None:
    wanted = request(extra={"chat_template_kwargs": Raw(b'{"reasoning_effort":"high"}')})
    off, on = (render(wanted, reasoning=on)["chat_template_kwargs"] for on in (False, True))
    assert off == {"thinking": False, "enable_thinking": False}
    assert on == {"reasoning_effort": "high", "thinking": True, "enable_thinking": True}


SAMPLING = Sampling(temperature=0.7, top_p=1.0, presence_penalty=0.0, frequency_penalty=0.1, n=1)


@pytest.mark.parametrize("family", FIXED)
def test_fixed_parameters_are_dropped_and_named(family: str) -> None:
    outgoing = prepare(request(sampling=SAMPLING), family)
    body = json.loads(outgoing.body)
    dropped = {"temperature", "top_p", "presence_penalty", "frequency_penalty"}
    assert not body.keys() & (dropped | {"n"})
    assert set(outgoing.degraded) == dropped


def test_families_that_take_sampling_get_it() -> None:
    expected = {
        "temperature": 0.7,
        "top_p": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.1,
    }
    for family in ("kimi-k2-thinking", "generic"):
        outgoing = prepare(request(sampling=SAMPLING), family)
        body = json.loads(outgoing.body)
        assert {name: body[name] for name in expected} == expected
        assert "n" not in body
        assert outgoing.degraded == ()


@pytest.mark.parametrize("family", KIMI)
def test_parameters_outside_the_schema_are_dropped_and_named(family: str) -> None:
    sampling = Sampling(seed=1, logit_bias={"1": 2.0}, top_k=5, logprobs=False)
    wanted = request(sampling=sampling, tools=(LOOK,), parallel_tool_calls=False)
    outgoing = prepare(wanted, family)
    assert set(outgoing.degraded) == {"seed", "logit_bias", "top_k", "parallel_tool_calls"}
    assert (
        "parallel_tool_calls"
        not in prepare(request(tools=(LOOK,), parallel_tool_calls=True), family).degraded
    )
    body = json.loads(outgoing.body)
    assert not body.keys() & {*outgoing.degraded, "logprobs"}


@pytest.mark.parametrize("family", KIMI)
def test_more_choices_or_log_probabilities_are_refused_where_there_are_none(family: str) -> None:
    assert refuse(request(sampling=Sampling(n=2)), family).param == "n"
    error = refuse(request(sampling=Sampling(logprobs=True)), family)
    assert isinstance(error, UnsupportedParameter)
    assert error.param == "logprobs"


def test_an_engine_takes_them() -> None:
    outgoing = prepare(request(sampling=Sampling(n=3, logprobs=True, top_logprobs=2)))
    body = json.loads(outgoing.body)
    assert (body["n"], body["logprobs"], body["top_logprobs"]) == (3, True, 2)
    assert outgoing.choices == 3


@pytest.mark.parametrize("family", KIMI)
def test_stop_sequences_have_limits_at_moonshot(family: str) -> None:
    assert render(request(stop=("a", "ä" * 16)), family)["stop"] == ["a", "ä" * 16]
    assert refuse(request(stop=tuple("abcdef")), family).param == "stop"
    assert refuse(request(stop=("ä" * 17,)), family).param == "stop"
    assert render(request(stop=tuple("abcdef")), "generic")["stop"] == list("abcdef")


def test_the_cap_on_tokens_is_named_as_the_family_wants_and_clamped() -> None:
    assert render(request(max_tokens=5), "kimi-k2.6")["max_completion_tokens"] == 5
    assert render(request(max_tokens=5), "generic")["max_tokens"] == 5
    assert render(request(max_tokens=5), "generic", max_output_tokens=3)["max_tokens"] == 3
    assert "max_tokens" not in render(request(), "generic", max_output_tokens=3)


def test_cache_key_and_safety_identifier_go_where_they_are_known() -> None:
    wanted = request(cache_key="k", safety_identifier="s")
    body = render(wanted, "kimi-k2.6")
    assert (body["prompt_cache_key"], body["safety_identifier"]) == ("k", "s")
    assert not render(wanted, "generic").keys() & {"prompt_cache_key", "safety_identifier"}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("mode", ["auto", "none"])
def test_a_free_choice_is_passed_on(family: str, mode: Any) -> None:
    body = render(request(tools=(LOOK, SEE), tool_choice=ToolChoice(mode)), family)
    assert body["tool_choice"] == mode
    assert [tool["function"]["name"] for tool in body["tools"]] == ["look", "see"]
    assert "tool_choice" not in render(request(tool_choice=ToolChoice(mode)), family)


NAMED = {"type": "function", "function": {"name": "see"}}


@pytest.mark.parametrize(
    ("family", "choice", "expected", "offered"),
    [
        ("kimi-k2.6", ToolChoice("required"), "required", ["look", "see"]),
        ("kimi-k2.6", ToolChoice("named", "see"), NAMED, ["look", "see"]),
        ("kimi-k3", ToolChoice("required"), "required", ["look", "see"]),
        ("kimi-k3", ToolChoice("named", "see"), "required", ["see"]),
        ("generic", ToolChoice("named", "see"), NAMED, ["look", "see"]),
    ],
)
def test_a_forced_tool_by_family(
    family: str, choice: ToolChoice, expected: Any, offered: list[str]
) -> None:
    outgoing = prepare(request(tools=(LOOK, SEE), tool_choice=choice), family)
    body = json.loads(outgoing.body)
    assert body["tool_choice"] == expected
    assert [tool["function"]["name"] for tool in body["tools"]] == offered
    assert outgoing.degraded == ()


@pytest.mark.parametrize("family", ["kimi-k2.7-code", "kimi-k2-thinking"])
def test_a_family_that_cannot_be_forced_is_asked_in_words(family: str) -> None:
    outgoing = prepare(
        request(tools=(LOOK, SEE), tool_choice=ToolChoice("named", "see")), family, True
    )
    body = json.loads(outgoing.body)
    assert "tool_choice" not in body
    assert outgoing.degraded == ("tool_choice",)
    assert body["messages"][-1]["role"] == "system"
    assert "`see`" in body["messages"][-1]["content"]
    required = request(tools=(LOOK, SEE), tool_choice=ToolChoice("required"))
    assert "one of the tools" in render(required, family, True)["messages"][-1]["content"]


def test_impossible_choices_are_refused() -> None:
    assert refuse(request(tool_choice=ToolChoice("required"))).param == "tool_choice"
    missing = ToolChoice("named", "gone")
    assert refuse(request(tools=(LOOK,), tool_choice=missing)).param == "tool_choice"


@pytest.mark.parametrize("family", FAMILIES)
def test_tool_names_are_checked(family: str) -> None:
    assert refuse(request(tools=(LOOK, LOOK)), family).param == "tools"
    assert refuse(request(tools=(Tool(""),)), family).param == "tools"


def test_a_tool_is_written_as_given() -> None:
    tool = Tool("look", "Looks.", {"type": "object", "properties": {}}, strict=True)
    assert render(request(tools=(tool, SEE)))["tools"] == [
        {
            "type": "function",
            "function": {
                "name": "look",
                "description": "Looks.",
                "parameters": {"type": "object", "properties": {}},
                "strict": True,
            },
        },
        {
            "type": "function",
            "function": {"name": "see", "parameters": {"type": "object", "properties": {}}},
        },
    ]


def test_schemas_are_brought_into_the_subset_for_moonshot_only() -> None:
    schema = {
        "type": "object",
        "properties": {"unit": {"enum": ["c", "f"]}, "at": {"$ref": "#/$defs/At"}},
        "$defs": {"At": {"type": "string"}},
    }
    wanted = request(
        tools=(Tool("look", None, schema),),
        output=OutputFormat("json_schema", "answer", schema, strict=True),
    )
    expected = {
        "type": "object",
        "properties": {"unit": {"enum": ["c", "f"], "type": "string"}, "at": {"type": "string"}},
    }
    for family, shape in (("generic", schema), ("kimi-k2.6", expected), ("kimi-k3", expected)):
        body = render(wanted, family)
        assert body["tools"][0]["function"]["parameters"] == shape
        assert body["response_format"] == {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": shape, "strict": True},
        }
    json_object = request(output=OutputFormat("json_object"))
    assert render(json_object)["response_format"] == {"type": "json_object"}


def test_a_begun_answer_is_continued_in_the_familys_way() -> None:
    begun = AssistantMessage("Once upon")
    wanted = request(HELLO, begun, prefill=True)
    assert render(wanted, "kimi-k2.6")["messages"][-1] == {
        "role": "assistant",
        "content": "Once upon",
        "partial": True,
    }
    body = render(wanted, "generic")
    assert body["continue_final_message"] is True
    assert body["add_generation_prompt"] is False
    assert "partial" not in body["messages"][-1]
    assert "partial" not in render(request(HELLO, begun), "kimi-k2.6")["messages"][-1]


def test_images_are_refused_where_nobody_sees_them() -> None:
    seen = request(UserMessage((TextPart("see"), IMAGE)))
    assert refuse(seen, "kimi-k2-thinking", True).param == "messages.0.content"
    parts = render(seen, "kimi-k2.6")["messages"][0]["content"]
    assert parts[1] == {"type": "image_url", "image_url": {"url": IMAGE.url}}
    detailed = render(seen, "generic")["messages"][0]["content"]
    assert detailed[1]["image_url"] == {"url": IMAGE.url, "detail": "low"}


def test_an_image_in_an_old_tool_result_does_not_poison_the_history() -> None:
    wanted = request(
        HELLO,
        AssistantMessage(calls=(ToolCall("a", "look", "{}"),)),
        ToolMessage("a", (IMAGE,)),
    )
    messages = render(wanted, "kimi-k2-thinking", True)["messages"]
    assert messages[-1]["content"] == "[image omitted: this model sees no images]"


def test_messages_without_any_content_are_refused() -> None:
    empty = request(SystemMessage(""), UserMessage((TextPart(""),)), AssistantMessage("", "hm"))
    assert refuse(empty).param == "messages"


def test_reasoning_of_earlier_turns_is_sent_only_to_a_turn_that_reasons() -> None:
    wanted = request(HELLO, AssistantMessage("ok", "hm"), HELLO)
    assert render(wanted, "generic", True)["messages"][1]["reasoning_content"] == "hm"
    assert "reasoning_content" not in render(wanted, "generic", False)["messages"][1]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ('{"a": 1}', '{"a": 1}'),
        ("", "{}"),
        ("  ", "{}"),
        ('{"a": ', '{"invalid_arguments":"{\\"a\\": "}'),
        ("[1]", '{"invalid_arguments":"[1]"}'),
    ],
)
def test_the_arguments_of_a_call_are_always_a_json_object(arguments: str, expected: str) -> None:
    call = AssistantMessage(calls=(ToolCall("a", "look", arguments),))
    message = render(request(HELLO, call))["messages"][1]
    assert message["content"] is None
    assert message["tool_calls"] == [
        {"id": "a", "type": "function", "function": {"name": "look", "arguments": expected}}
    ]


def test_equal_requests_give_equal_bytes() -> None:
    wanted = request(tools=(SEE, LOOK), stream=True, max_tokens=5, stop=("a",))
    again = request(tools=(SEE, LOOK), stream=True, max_tokens=5, stop=("a",))
    for family in FAMILIES:
        assert prepare(wanted, family).body == prepare(again, family).body
