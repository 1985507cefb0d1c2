"""Refusals of the strict families, and that `generic` refuses none of it."""

from typing import Any

import pytest

from tests.simulated.talk import Talk, call_message, function_tool, result_message, user

_OFF = {"type": "disabled"}
_ON = {"type": "enabled"}
_TOOLS = [function_tool("look")]
_NAMED = {"type": "function", "function": {"name": "look"}}
_CALL = call_message(("a", "look", "{}"), reasoning_content=" ")
_RESULT = result_message("a", "sunny")


def _image(url: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}


def refusal(talk: Talk, content: str | list[dict[str, Any]], **members: Any) -> str:
    """The message of a 400, which must be one, and must come before any directive."""
    response = talk.post(content, **{"model": "kimi-k2.6", **members})
    assert response.status_code == 400, response.text
    assert response.json()["error"]["type"] == "invalid_request_error"
    message: str = response.json()["error"]["message"]
    return message


@pytest.mark.parametrize(
    ("model", "members", "message"),
    [
        ("kimi-k2.6", {"temperature": 0.7}, "invalid temperature: only 1 is allowed"),
        ("kimi-k2.5", {"temperature": 0}, "invalid temperature: only 1 is allowed"),
        (
            "kimi-k2.6",
            {"temperature": 1, "thinking": _OFF},
            "invalid temperature: only 0.6 is allowed for this model",
        ),
        ("kimi-k2.7-code", {"temperature": 0.6}, "invalid temperature: only 1 is allowed"),
        ("kimi-k3", {"temperature": 0.6, "thinking": _OFF}, "only 1 is allowed"),
        ("kimi-k2.6", {"top_p": 1}, "invalid top_p: only 0.95 is allowed for this model"),
        ("kimi-k3", {"n": 2}, "invalid n: only 1 is allowed for this model"),
        ("kimi-k2.6", {"presence_penalty": 0.5}, "invalid presence_penalty: only 0 is allowed"),
        ("kimi-k2.6", {"frequency_penalty": -1}, "invalid frequency_penalty: only 0 is allowed"),
        ("kimi-k2-thinking", {"n": 2, "temperature": 0.1}, "invalid n"),
        ("kimi-k2.6", {"seed": 1}, "unknown parameter: seed"),
        ("kimi-k3", {"store": True, "metadata": {}}, "unknown parameter: metadata, store"),
        ("kimi-k2.6", {"logit_bias": {}}, "unknown parameter: logit_bias"),
        ("kimi-k2.6", {"user": "x"}, "unknown parameter: user"),
        ("kimi-k2.6", {"parallel_tool_calls": True}, "unknown parameter"),
        ("kimi-k2.6", {"chat_template_kwargs": {}}, "unknown parameter"),
        ("kimi-k2.7-code", {"reasoning_effort": "low"}, "unknown parameter: reasoning_effort"),
        ("kimi-k2.6", {"stream_options": {"include_usage": True}}, "only allowed when stream"),
        (
            "kimi-k2.6",
            {"stream": True, "stream_options": {"include_obfuscation": False}},
            "include_usage only",
        ),
        ("kimi-k2.6", {"thinking": True}, "invalid thinking"),
        ("kimi-k2.6", {"thinking": {}}, "invalid thinking"),
        ("kimi-k2.6", {"thinking": {**_ON, "budget_tokens": 9}}, "not allowed: budget_tokens"),
        ("kimi-k2.6", {"thinking": {**_ON, "keep": "some"}}, "keep must be null or 'all'"),
        ("kimi-k3", {"thinking": {**_ON, "keep": "all"}}, "not allowed: keep"),
        ("kimi-k2.7-code", {"thinking": _OFF}, "only type=enabled is allowed"),
        ("kimi-k2-thinking", {"thinking": _OFF}, "only type=enabled is allowed"),
        ("kimi-k2-thinking", {"n": 2, "temperature": "low"}, "temperature: must be a number"),
        ("kimi-k2.6", {"max_tokens": 0}, "invalid max_tokens"),
        ("kimi-k2.6", {"max_completion_tokens": 300_000}, "exceeded model token limit: 262144"),
        ("kimi-k2.6", {"stop": list("abcdef")}, "invalid stop: at most 5"),
        ("kimi-k2.6", {"stop": "ä" * 17}, "invalid stop: a string may have at most 32 bytes"),
        ("kimi-k2.6", {"response_format": {"type": "xml"}}, "unsupported response_format"),
        (
            "kimi-k2.6",
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {}}}},
            "needs a name and a schema",
        ),
    ],
)
def test_parameters_are_refused(
    talk: Talk, model: str, members: dict[str, Any], message: str
) -> None:
    assert message in refusal(talk, "!answer never", model=model, **members)


@pytest.mark.parametrize(
    ("model", "members"),
    [
        ("kimi-k2.6", {"temperature": 1, "top_p": 0.95, "n": 1, "presence_penalty": 0}),
        ("kimi-k2.6", {"temperature": 0.6, "thinking": _OFF}),
        ("kimi-k2.6", {"reasoning_effort": "high"}),
        ("kimi-k3", {"reasoning_effort": "whatever"}),
        ("kimi-k2.7-code-highspeed", {"thinking": {**_ON, "keep": "all"}}),
        ("kimi-k2-thinking", {"temperature": 0.3, "top_p": 1, "n": 2}),
        ("kimi-k2.6", {"stop": ["a", "b", "c", "d", "ä" * 16]}),
        ("kimi-k2.6", {"prompt_cache_key": "x", "safety_identifier": "y", "max_tokens": 9}),
        ("kimi-k3", {"tools": _TOOLS, "tool_choice": "required"}),
        ("kimi-k2.6", {"tools": [{"type": "builtin_function", "function": {"name": "$web"}}]}),
    ],
)
def test_what_a_family_takes_is_taken(talk: Talk, model: str, members: dict[str, Any]) -> None:
    assert talk.post("x", model=model, **members).status_code == 200


@pytest.mark.parametrize(
    ("model", "choice", "message"),
    [
        ("kimi-k2.6", _NAMED, "tool_choice 'specified' is incompatible with thinking enabled"),
        ("kimi-k2.6", "required", "tool_choice 'required' is incompatible with thinking enabled"),
        ("kimi-k2.7-code", "required", "tool_choice 'required' is incompatible"),
        ("kimi-k2.7-code", _NAMED, "tool_choice 'specified' is incompatible"),
        ("kimi-k2-thinking", "required", "tool_choice 'required' is incompatible"),
        ("kimi-k2.6", "any", "unsupported tool_choice"),
        ("kimi-k2.6", {"type": "allowed_tools"}, "unsupported tool_choice"),
    ],
)
def test_a_forced_tool_and_thinking_exclude_each_other(
    talk: Talk, model: str, choice: Any, message: str
) -> None:
    assert message in refusal(talk, "x", model=model, tools=_TOOLS, tool_choice=choice)


def test_a_forced_tool_must_exist(talk: Talk) -> None:
    missing = {"type": "function", "function": {"name": "feel"}}
    message = refusal(talk, "x", thinking=_OFF, tools=_TOOLS, tool_choice=missing)
    assert "not in tools" in message


@pytest.mark.parametrize(
    ("tools", "message"),
    [
        ([function_tool("1st")], "function name is invalid, must start with a letter"),
        ([function_tool("a.b")], "function name is invalid"),
        ([function_tool("x" * 129)], "function name is invalid"),
        (_TOOLS * 2, "function name look is duplicated"),
        ([{"type": "custom", "function": {"name": "x"}}], "unsupported tool type: custom"),
        (
            [function_tool("x", {"type": "object", "properties": {"a": {"enum": ["b"]}}})],
            "details: <At path 'properties.a': type is not defined>",
        ),
    ],
)
def test_tools_are_refused(talk: Talk, tools: list[dict[str, Any]], message: str) -> None:
    assert message in refusal(talk, "x", tools=tools)


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        ([{"role": "developer", "content": "x"}, user("x")], "unsupported role ROLE_UNSPECIFIED"),
        ([user("")], "the message at position 0 with role 'user' must not be empty"),
        ([user("x"), {"role": "assistant", "content": None}], "with role 'assistant' must not be"),
        ([{"role": "system", "tools": _TOOLS}, user("x")], "with role 'system' must not be empty"),
        ([{"role": "user", "content": [{"type": "text", "text": ""}]}], "text content is empty"),
        ([{"role": "user", "content": 5}], "invalid content"),
        ([_image("https://example.com/a.png")], "unsupported image url"),
        ([_image("data:text/plain;base64,AAAA")], "unsupported image url"),
        (
            [user("x"), _CALL, {**_image("ms://f"), "role": "tool", "tool_call_id": "a"}],
            "the message at position 2 with role 'tool' contains an invalid part type: image_url",
        ),
        (
            [{"role": "user", "content": [{"type": "file", "file": {}}]}],
            "contains an invalid part type: file",
        ),
        ([user("x"), _CALL, result_message("a", "")], "with role 'tool' must not be empty"),
        ([user("x"), result_message("b", "y")], "tool_call_id b is not found"),
        ([user("x"), _CALL, _RESULT, user("y"), _RESULT], "tool_call_id a is not found"),
        ([user("x"), _CALL], "did not have response messages: a"),
        ([user("x"), _CALL, user("y")], "did not have response messages: a"),
        (
            [user("x"), call_message(("a", "look", "{"), reasoning_content="y"), _RESULT],
            "the arguments of tool call a are not a valid JSON object",
        ),
        (
            [user("x"), call_message(("a", "look", "{}")), _RESULT],
            "thinking is enabled but reasoning_content is missing in assistant tool call message "
            "at index 1",
        ),
        (
            [user("x"), call_message(("a", "look", "{}"), reasoning_content=""), _RESULT],
            "reasoning_content is missing in assistant tool call message at index 1",
        ),
    ],
)
def test_messages_are_refused(talk: Talk, messages: list[dict[str, Any]], message: str) -> None:
    assert message in refusal(talk, messages)


@pytest.mark.parametrize(
    ("messages", "members"),
    [
        ([user("x"), _CALL, _RESULT], {}),
        ([user("x"), {**_CALL, "reasoning_content": None}, _RESULT], {"thinking": _OFF}),
        ([user("x"), {**_CALL, "reasoning_content": None}, _RESULT], {"model": "kimi-k3"}),
        ([{"role": "system", "tools": _TOOLS}, user("x")], {"model": "kimi-k3"}),
        ([user("x"), user("y"), {"role": "system", "content": "z"}], {}),
        ([_image("data:image/png;base64,AAAA")], {}),
        ([_image("ms://file-1")], {}),
        ([user("x"), {"role": "assistant", "content": "", "partial": True}], {}),
    ],
)
def test_good_histories_are_taken(
    talk: Talk, messages: list[dict[str, Any]], members: dict[str, Any]
) -> None:
    assert talk.post(messages, **{"model": "kimi-k2.6", **members}).status_code == 200


def test_kimi_k2_thinking_sees_nothing(talk: Talk) -> None:
    message = refusal(talk, [_image("data:image/png;base64,AAAA")], model="kimi-k2-thinking")
    assert "invalid part type: image_url" in message


def test_an_input_beyond_the_context_is_refused(talk: Talk) -> None:
    assert "Input token length too long" in refusal(talk, "a " * 262_145)


def test_a_generic_engine_takes_nearly_everything(talk: Talk) -> None:
    response = talk.post(
        [{"role": "developer", "content": "x"}, user(""), _image("https://example.com/a.png")],
        temperature=0.1,
        top_p=0.2,
        seed=3,
        store=True,
        max_tokens=50,
        stop=list("abcdef"),
        chat_template_kwargs={"thinking": False},
        tools=[function_tool("1.st")],
        tool_choice="auto",
    )
    assert response.status_code == 200
