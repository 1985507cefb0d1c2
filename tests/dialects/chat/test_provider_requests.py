"""Bodies for providers with a strict schema: no member that its reference does not have."""

import json
from typing import Any

import pytest
from msgspec import Raw

from gateway.core.request import (
    AssistantMessage,
    OutputFormat,
    ReasoningChoice,
    Sampling,
    TextPart,
    Tool,
    ToolChoice,
    UserMessage,
)
from gateway.core.upstream_profiles import UPSTREAM_PROFILES
from gateway.dialects.chat.request_reader import parse_body
from tests.dialects.support import HELLO, LOOK, prepare, render, request

_ALL = {"model", "messages", "stream", "stream_options", "tools", "tool_choice", "response_format",
        "temperature", "top_p"}  # fmt: skip
_PENALTIES = {"presence_penalty", "frequency_penalty"}
_LOGPROBS = {"logprobs", "top_logprobs"}
#: members of each reference's "Chat completions", of those that we could send
REFERENCES = {
    "groq": _ALL | {"max_completion_tokens", "stop", "seed", "parallel_tool_calls",
                    "reasoning_effort"},
    "fireworks": _ALL | _PENALTIES | _LOGPROBS | {"max_tokens", "stop", "seed", "top_k", "n",
                                                  "logit_bias", "parallel_tool_calls",
                                                  "reasoning_effort"},
    "mistral": _ALL - {"stream_options"} | _PENALTIES | {"max_tokens", "stop", "n",
                                                         "parallel_tool_calls"},
    "together": _ALL | _PENALTIES | {"max_tokens", "stop", "seed", "top_k", "n", "logit_bias",
                                     "parallel_tool_calls", "reasoning_effort"},
    "deepseek": _ALL | _PENALTIES | _LOGPROBS | {"max_tokens", "stop", "thinking"},
    "xai": _ALL | _LOGPROBS | {"max_completion_tokens", "n", "seed", "parallel_tool_calls",
                               "reasoning_effort"},
    "cerebras": _ALL | _LOGPROBS | {"max_completion_tokens", "stop", "seed",
                                    "parallel_tool_calls", "reasoning_effort"},
    "openrouter": _ALL | _PENALTIES | _LOGPROBS | {"max_tokens", "stop", "seed", "top_k",
                                                   "logit_bias", "min_p", "repetition_penalty",
                                                   "parallel_tool_calls", "reasoning_effort"},
}  # fmt: skip
EVERYTHING: dict[str, Any] = {
    "stream": True,
    "tools": (LOOK,),
    "tool_choice": ToolChoice("required"),
    "parallel_tool_calls": False,
    "output": OutputFormat("json_schema", schema={"type": "object", "properties": {}}),
    "max_tokens": 100,
    "stop": ("END",),
    "sampling": Sampling(0.5, 0.5, 5, None, 0.5, 0.5, 5, {"1": 1.0}),
    "cache_key": "key",
    "safety_identifier": "person",
    "extra": {
        name: Raw(b"1")
        for name in ("chat_template_kwargs", "guided_json", "min_p", "min_tokens",
                     "repetition_penalty", "structured_outputs")
    },
}  # fmt: skip


@pytest.mark.parametrize("wish", [None, True, False])
@pytest.mark.parametrize("provider", REFERENCES)
def test_a_strict_provider_gets_nothing_that_it_does_not_know(
    provider: str, wish: bool | None
) -> None:
    on = bool(wish) and provider != "mistral"
    wanted = request(**EVERYTHING, reasoning=ReasoningChoice(on=wish))
    outgoing = prepare(wanted, provider, on, "high")
    body = render(wanted, provider, on, "high")
    assert set(body) <= REFERENCES[provider]
    assert {"chat_template_kwargs", "guided_json", "safety_identifier"} & set(body) == set()
    left_out = {"chat_template_kwargs", "guided_json"}
    assert left_out <= set(outgoing.degraded)


@pytest.mark.parametrize("provider", [*REFERENCES, "lm-studio", "ollama"])
def test_reasoning_is_named_where_a_client_asks_for_it(provider: str) -> None:
    spelling = UPSTREAM_PROFILES[provider].spelling
    asked = render(request(reasoning=ReasoningChoice(on=True)), provider, True, "low")
    silent = render(request(), provider)
    if spelling == "reasoning_effort":
        assert asked["reasoning_effort"] == "low"
    assert "reasoning_effort" not in silent
    assert ("thinking" in silent) == (spelling == "thinking")


@pytest.mark.parametrize("engine", ["generic", "vllm", "sglang", "llama.cpp"])
def test_an_engine_hears_of_reasoning_only_where_somebody_asks(engine: str) -> None:
    assert "chat_template_kwargs" not in render(request(), engine)
    off = render(request(reasoning=ReasoningChoice(on=False)), engine)
    assert off["chat_template_kwargs"] == {"thinking": False, "enable_thinking": False}
    on = render(request(reasoning=ReasoningChoice(on=True)), engine, True)
    assert on["chat_template_kwargs"] == {"thinking": True, "enable_thinking": True}


@pytest.mark.parametrize("provider", REFERENCES)
def test_mistral_gets_no_names_of_speakers(provider: str) -> None:
    named = (UserMessage((TextPart("hi"),), "ann"), AssistantMessage("Hm", name="bob"), HELLO)
    body = render(request(*named), provider)
    names = [message.get("name") for message in body["messages"]]
    assert names == ([None] * 3 if provider == "mistral" else ["ann", "bob", None])


def test_a_named_message_goes_the_long_way_to_mistral_and_others_the_short_one() -> None:
    def sent(**member: str) -> Any:
        message = {"role": "user", "content": "hi", **member}
        body = {"model": "public", "messages": [message], "stream": True}
        parsed = parse_body(json.dumps(body).encode()).request
        assert parsed.written is not None
        return render(parsed, "mistral")["messages"]

    assert sent(name="ann") == sent() == [{"role": "user", "content": "hi"}]


SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
FORMATS = [
    (OutputFormat("json_schema", schema=SCHEMA), '"properties":{"a"'),
    (OutputFormat("json_object"), "one JSON object"),
]


@pytest.mark.parametrize("provider", REFERENCES)
@pytest.mark.parametrize(("output", "words"), FORMATS, ids=["schema", "object"])
@pytest.mark.parametrize("tools", [(), (LOOK,)], ids=["alone", "beside tools"])
def test_an_output_format_that_is_refused_becomes_an_instruction(
    provider: str, output: OutputFormat, words: str, tools: tuple[Tool, ...]
) -> None:
    wanted = request(output=output, tools=tools)
    body, outgoing = render(wanted, provider), prepare(wanted, provider)
    given = body.get("response_format")
    taken = output.kind
    if provider in ("groq", "cerebras") and tools:
        assert given is None
    else:
        taken = "json_object" if provider == "deepseek" else output.kind
        assert given["type"] == taken
    is_less = given is None or taken != output.kind
    last = body["messages"][-1]
    role = "system" if is_less and provider == "deepseek" else "user"
    assert (last["role"], words in last["content"]) == (role, is_less)
    assert ("response_format" in outgoing.degraded) == is_less


def test_a_format_and_a_tool_become_two_instructions() -> None:
    settings = {"tools": (LOOK,), "tool_choice": ToolChoice("required"), "output": FORMATS[0][0]}
    body = render(request(**settings), "groq")
    assert body["tool_choice"] == "required"
    [message] = body["messages"]
    assert (message["role"], message["content"].count("<system>")) == ("user", 1)


def test_deepseek_does_not_think_where_a_tool_is_forced() -> None:
    assert UPSTREAM_PROFILES["deepseek"].forced_tool_stops_reasoning


def test_mistral_continues_an_answer_by_its_own_member() -> None:
    body = render(request(HELLO, AssistantMessage("Well"), prefill=True), "mistral")
    assert body["messages"][-1] == {"role": "assistant", "content": "Well", "prefix": True}


@pytest.mark.parametrize("provider", ["groq", "cerebras"])
def test_reasoning_goes_back_under_the_name_by_which_it_came(provider: str) -> None:
    """Each refuses `reasoning_content` in a message, and so every turn but the first."""
    history = (HELLO, AssistantMessage("Well", reasoning="Hm."), HELLO)
    body = render(request(*history), provider, True)
    assert body["messages"][1] == {"role": "assistant", "content": "Well", "reasoning": "Hm."}


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ((True, True), (True, True)),
        ((True, None), (None, None)),
        ((False, True), (None, None)),
        ((None, None), (None, None)),
    ],
)
def test_cerebras_gets_tools_that_are_all_strict_or_none(given: Any, sent: Any) -> None:
    tools = tuple(Tool(f"tool{n}", strict=strict) for n, strict in enumerate(given))
    written = render(request(tools=tools), "cerebras")["tools"]
    assert tuple(tool["function"].get("strict") for tool in written) == sent
    assert [tool["function"].get("strict") for tool in render(request(tools=tools))["tools"]] == [
        *given
    ]


def test_sglang_continues_an_answer_as_vllm_does() -> None:
    wanted = request(HELLO, AssistantMessage("Well"), prefill=True)
    assert render(wanted, "sglang")["continue_final_message"] is True
