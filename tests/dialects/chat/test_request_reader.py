"""From bodies that clients send to the internal request, and to a 400 that names the field."""

import json
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.core.errors import InvalidRequest, RequestError, UnsupportedParameter
from gateway.core.request import (
    AssistantMessage,
    DocumentPart,
    ImagePart,
    OutputFormat,
    SystemMessage,
    TextPart,
    Tool,
    ToolCall,
    ToolChoice,
    ToolMessage,
    UserMessage,
)
from gateway.dialects.inline import NOT_FETCHED
from tests.dialects.chat.support import DIALECT, FUNCTION, HELLO, PUBLIC, TOOL, parse, parse_call

PIXEL = "data:image/png;base64,iVBORw0KGgo="
SCHEMA = {"type": "object", "properties": {}}
LOOK = Tool("look", None, SCHEMA)


def refuse(body: dict[str, Any]) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        parse_call(body)
    return caught.value


def test_every_role_finds_its_place() -> None:
    request = parse(
        messages=[
            {"role": "system", "content": "be brief"},
            {"role": "developer", "content": [{"type": "text", "text": "a"}, "b"]},
            {"role": "user", "content": "hi", "name": "bob"},
            {
                "role": "assistant",
                "content": None,
                "reasoning_content": "hm",
                "tool_calls": [
                    {"id": "x:0", "type": "function", "function": {"name": "f", "arguments": "{}"}}
                ],
            },
            {"role": "tool", "tool_call_id": "x:0", "content": [{"type": "text", "text": "ok"}]},
        ]
    )
    assert request.messages == (
        SystemMessage("be brief"),
        SystemMessage("a\nb"),
        UserMessage((TextPart("hi"),), "bob"),
        AssistantMessage(None, "hm", (ToolCall("x:0", "f", "{}"),)),
        ToolMessage("x:0", (TextPart("ok"),)),
    )


def test_contents_come_as_text_or_parts_or_not_at_all() -> None:
    parts = [
        {"type": "text", "text": "see"},
        {"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}},
        {"type": "image_url", "image_url": PIXEL},
    ]
    request = parse(messages=[{"role": "user", "content": parts}, {"role": "assistant"}])
    assert request.messages == (
        UserMessage((TextPart("see"), ImagePart(PIXEL, "low"), ImagePart(PIXEL))),
        AssistantMessage(),
    )


def test_functions_of_2023_become_tools_and_calls() -> None:
    call = parse_call(
        {
            "model": PUBLIC,
            "functions": [FUNCTION],
            "function_call": {"name": "look"},
            "messages": [
                HELLO,
                {"role": "assistant", "function_call": {"name": "look", "arguments": "{}"}},
                {"role": "function", "name": "look", "content": "seen"},
            ],
        }
    )
    request = call.request
    assert request.tools == (LOOK,)
    assert request.tool_choice == ToolChoice("named", "look")
    assistant, result = request.messages[1:]
    assert isinstance(assistant, AssistantMessage)
    assert isinstance(result, ToolMessage)
    assert assistant.calls == (ToolCall(result.call_id, "look", "{}"),)
    assert call.source.legacy


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", ToolChoice("auto")),
        ("none", ToolChoice("none")),
        ("required", ToolChoice("required")),
        ({"type": "function", "function": {"name": "look"}}, ToolChoice("named", "look")),
        (None, None),
    ],
)
def test_the_choice_among_tools_is_read(choice: Any, expected: ToolChoice | None) -> None:
    assert parse(tools=[TOOL], tool_choice=choice).tool_choice == expected


@pytest.mark.parametrize("kind", [{}, {"type": "function"}, {"type": "custom"}])
def test_a_tool_in_the_form_of_messages_keeps_its_schema(kind: dict[str, Any]) -> None:
    given = {"name": "look", "description": "Looks.", "input_schema": SCHEMA, **kind}
    request = parse(tools=[given])
    assert request.tools == (Tool("look", "Looks.", SCHEMA),)
    assert request.degraded == []


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("any", ToolChoice("required")),
        ({"type": "auto"}, ToolChoice("auto")),
        ({"type": "any"}, ToolChoice("required")),
        ({"type": "required"}, ToolChoice("required")),
        ({"type": "none"}, ToolChoice("none")),
        ({"type": "tool", "name": "look"}, ToolChoice("named", name="look")),
    ],
)
def test_a_choice_in_the_form_of_messages_is_read(choice: Any, expected: ToolChoice) -> None:
    assert parse(tools=[TOOL], tool_choice=choice).tool_choice == expected


@pytest.mark.parametrize(
    ("content", "text", "degraded"),
    [
        ("seen", "seen", []),
        ([{"type": "text", "text": "a"}, "b"], "a\nb", []),
        ([{"type": "text", "text": "a"}, {"type": "image"}], "a", ["input.tool_result"]),
        (None, "", ["input.tool_result"]),
    ],
)
def test_a_result_among_the_users_parts_is_its_text(
    content: Any, text: str, degraded: list[str]
) -> None:
    part = {"type": "tool_result", "tool_use_id": "a", "content": content}
    request = parse(messages=[{"role": "user", "content": [part]}])
    assert request.read() == (UserMessage((TextPart(text),)),)
    assert request.degraded == degraded


@pytest.mark.parametrize(
    ("member", "expected"),
    [
        ({"content": {"q": 1}}, AssistantMessage('{"q":1}')),
        ({"content": {"type": "text", "text": "Hi"}}, AssistantMessage("Hi")),
        (
            {"content": "Hi", "reasoning_content": [{"type": "thinking", "thinking": "Hm"}]},
            AssistantMessage("Hi", "Hm"),
        ),
        ({"content": "Hi", "reasoning_content": ["a", "b"]}, AssistantMessage("Hi", "ab")),
        ({"content": "Hi", "reasoning_content": {"text": "Hm"}}, AssistantMessage("Hi", "Hm")),
    ],
)
def test_words_of_a_model_in_an_odd_shape_come_back(
    member: dict[str, Any], expected: AssistantMessage
) -> None:
    request = parse(messages=[HELLO, {"role": "assistant", **member}, HELLO])
    assert request.read()[1] == expected


def test_a_single_part_of_a_user_needs_no_list() -> None:
    request = parse(messages=[{"role": "user", "content": {"type": "text", "text": "Hi"}}])
    assert request.read() == (UserMessage((TextPart("Hi"),)),)
    bad = {"role": "user", "content": {"type": "text", "text": 5}}
    assert refuse({"model": "m", "messages": [bad]}).param == "messages.0.content.text"


def test_words_that_nest_without_end_are_refused() -> None:
    deep: Any = "x"
    # Since Python 3.12 a level takes one frame of Python's, and the decoder's levels count apart.
    for _ in range(700 if sys.version_info < (3, 12) else 1500):
        deep = [deep]
    for member in ("content", "reasoning_content"):
        odd = {"role": "assistant", member: {"text": deep}}
        refuse({"model": "m", "messages": [HELLO, odd]})


def test_allowed_tools_filter_the_list() -> None:
    other = {"type": "function", "function": {"name": "other"}}
    allowed = {
        "type": "allowed_tools",
        "allowed_tools": {
            "mode": "required",
            "tools": [{"type": "function", "function": {"name": "look"}}],
        },
    }
    request = parse(tools=[other, TOOL], tool_choice=allowed)
    assert request.tools == (LOOK,)
    assert request.tool_choice == ToolChoice("required")
    error = refuse({"model": "m", "messages": [HELLO], "tools": [other], "tool_choice": allowed})
    assert error.param == "tool_choice.allowed_tools.tools"


def test_the_newer_cap_on_tokens_wins() -> None:
    assert parse(max_tokens=5).max_tokens == 5
    assert parse(max_tokens=5, max_completion_tokens=7).max_tokens == 7


def test_output_formats() -> None:
    schema = {"type": "object"}
    wanted = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema, "strict": True}}
    assert parse(response_format=wanted).output == OutputFormat("json_schema", "n", schema, True)
    for kind in ("json_schema", "json_object"):  # as engines and some providers have it
        flat = {"type": kind, "schema": schema}
        assert parse(response_format=flat).output == OutputFormat("json_schema", "response", schema)
    assert parse(response_format={"type": "json_object"}).output == OutputFormat("json_object")
    assert parse(response_format={"type": "text"}).output is None


def test_sampling_stop_and_the_rest_are_kept() -> None:
    request = parse(
        temperature=0,
        top_p=0.95,
        n=2,
        seed=7,
        logit_bias={"50256": -100},
        logprobs=True,
        top_logprobs=3,
        stop=["a", "", "b"],
        parallel_tool_calls=False,
        prompt_cache_key="k",
        safety_identifier="s",
        min_p=0.1,
        chat_template_kwargs={"thinking": True, "add_vision_id": True},
    )
    sampling = request.sampling
    assert (sampling.temperature, sampling.top_p, sampling.n, sampling.seed) == (0, 0.95, 2, 7)
    assert (sampling.logprobs, sampling.top_logprobs) == (True, 3)
    assert sampling.logit_bias == {"50256": -100.0}
    assert request.stop == ("a", "b")
    assert parse(stop="x").stop == ("x",)
    assert request.parallel_tool_calls is False
    assert (request.cache_key, request.safety_identifier) == ("k", "s")
    assert parse(user="u").safety_identifier == "u", "its earlier name"
    passed = {name: json.loads(bytes(raw)) for name, raw in request.extra.items()}
    assert passed == {"min_p": 0.1, "chat_template_kwargs": {"add_vision_id": True}}


def test_only_a_partial_message_at_the_end_is_continued() -> None:
    begun = {"role": "assistant", "content": "Once", "partial": True}
    assert parse(messages=[HELLO, begun]).prefill
    assert not parse(messages=[HELLO, {**begun, "partial": False}]).prefill
    assert not parse(messages=[begun, HELLO]).prefill


def test_asking_for_usage_is_remembered() -> None:
    body = {"model": "m", "messages": [HELLO], "stream": True}
    assert not parse_call(body).source.include_usage
    asked = parse_call({**body, "stream_options": {"include_usage": True}})
    assert asked.source.include_usage
    assert asked.request.stream


def test_members_that_change_nothing_are_dropped() -> None:
    request = parse(
        store=True,
        metadata=["a"],
        service_tier="flex",
        verbosity="low",
        prediction={"type": "content", "content": "x"},
        modalities=["text"],
        anything_new={"x": [1]},
    )
    assert request == parse()


def test_metadata_gives_tags() -> None:
    request = parse(metadata={"team": "search", "n": 1})
    assert request == replace(parse(), tags={"team": "search"})


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": None}, "messages"),
        ({"model": None}, "model"),
        ({"model": ""}, "model"),
        ({"messages": [{"content": "x"}]}, "messages.0.role"),
        ({"messages": [HELLO, {"role": "robot", "content": "x"}]}, "messages.1.role"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages.0.content"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
            "messages.0.content.0.text",
        ),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.tool_call_id"),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"id": "a", "function": {}}]}]},
            "messages.0.tool_calls.0.function.name",
        ),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"id": "a", "type": "custom"}]}]},
            "messages.0.tool_calls.0.function",
        ),
        ({"temperature": 3}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"top_p": 1.5}, "top_p"),
        ({"n": 0}, "n"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_completion_tokens": -1}, "max_completion_tokens"),
        ({"presence_penalty": 9}, "presence_penalty"),
        ({"top_logprobs": 21}, "top_logprobs"),
        ({"seed": 2**70}, "seed"),
        ({"logit_bias": {"1": "x"}}, "logit_bias"),
        ({"stop": 5}, "stop"),
        ({"tools": [{"type": "function"}]}, "tools.0.function"),
        ({"tools": [{"type": "function", "name": 5}]}, "tools.0.name"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools.0.function.name"),
        ({"tool_choice": "perhaps"}, "tool_choice"),
        ({"tool_choice": {"type": "function"}}, "tool_choice.function"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema.schema"),
    ],
)
def test_a_wrong_field_is_refused_by_name(members: dict[str, Any], param: str) -> None:
    body = {"model": PUBLIC, "messages": [HELLO], **members}
    error = refuse({name: value for name, value in body.items() if value is not None})
    assert error.param == param
    assert error.status == 400


@pytest.mark.parametrize(
    "url", ["https://example.com/a.png", "http://169.254.169.254/", "file:///etc/passwd", "ms://1"]
)
@pytest.mark.parametrize("wrapped", [True, False])
def test_an_image_that_must_be_fetched_is_refused(url: str, wrapped: bool) -> None:
    image = {"type": "image_url", "image_url": {"url": url} if wrapped else url}
    error = refuse(
        {"model": "m", "messages": [{"role": "user", "content": [{"text": "see"}, image]}]}
    )
    assert error.param == "messages.0.content.1.image_url"
    assert "data:image/png;base64" in error.message


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"audio": {"voice": "ash"}}, "audio"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"tools": [{"type": "builtin_function"}]}, "tools.0.type"),
        ({"tool_choice": {"type": "custom"}}, "tool_choice.type"),
        (
            {"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]},
            "messages.0.content.0",
        ),
    ],
)
def test_what_nobody_can_serve_is_unsupported(members: dict[str, Any], param: str) -> None:
    error = refuse({"model": "m", "messages": [HELLO], **members})
    assert isinstance(error, UnsupportedParameter)
    assert error.code == "unsupported_parameter"
    assert error.param == param


def test_files_are_read_as_text_or_stay_documents() -> None:
    def parts(file: dict[str, str]) -> tuple[object, ...]:
        content = [{"type": "file", "file": file}]
        (message,) = parse(messages=[{"role": "user", "content": content}]).messages
        assert isinstance(message, UserMessage)
        return message.parts

    path = "messages.0.content.0.file"
    assert parts({"filename": "a.md", "file_data": "data:text/markdown,%23%20a"}) == (
        TextPart("[file a.md]"),
        TextPart("# a"),
    )
    assert parts({"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBE"}) == (
        TextPart("[file a.pdf]"),
        DocumentPart("", path=path, data="JVBE"),
    )
    assert parts({"file_id": "file-1"}) == (
        TextPart("[file untitled]"),
        DocumentPart("", path=path, problem=NOT_FETCHED),
    )


def test_a_file_is_no_instruction() -> None:
    file = {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBE"}}
    error = refuse({"model": "m", "messages": [{"role": "system", "content": [file]}, HELLO]})
    assert error.param == "messages.0.content.0"


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "text", "content", "function", "name", "url", "id", "mode"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant", "tool", "function", "system", "?"])},
        optional=dict.fromkeys(
            ("content", "tool_calls", "tool_call_id", "reasoning_details", "name"), ANYTHING
        ),
    ),
    max_size=4,
)
BODIES = st.fixed_dictionaries(
    {"model": st.text(), "messages": MESSAGES},
    optional=dict.fromkeys(
        (
            "tools",
            "tool_choice",
            "functions",
            "function_call",
            "thinking",
            "reasoning",
            "reasoning_effort",
            "chat_template_kwargs",
            "response_format",
            "stop",
            "stream_options",
            "guided_json",
        ),
        ANYTHING,
    ),
)
#: as Cursor sends them to this route
RESPONSES_BODIES = st.fixed_dictionaries(
    {"model": st.text(), "input": ANYTHING | st.lists(ANYTHING)},
    optional=dict.fromkeys(
        ("instructions", "text", "max_output_tokens", "tools", "tool_choice"), ANYTHING
    ),
)


@given(BODIES | RESPONSES_BODIES)
def test_nothing_a_client_sends_raises_anything_but_a_request_error(body: dict[str, Any]) -> None:
    try:
        raw = json.dumps(body).encode()
    except UnicodeEncodeError:
        return
    try:
        call = parse_call(raw)
    except RequestError as error:
        refused = error
    else:
        assert call.request.read()
        return
    assert refused.status == 400
    assert refused.message


def test_the_dialect_knows_where_it_lives() -> None:
    assert (DIALECT.name, DIALECT.family, DIALECT.path) == ("chat", "openai", "/chat/completions")
