"""Messages that go out as they came: the long way would have sent the same."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import FaregateError
from gateway.core.profile import PROFILES
from gateway.core.request import Request
from gateway.dialects.chat.request_reader import parse_body
from gateway.dialects.chat.request_writer import write_request
from tests.dialects.chat.support import HELLO, PUBLIC, TOOL
from tests.dialects.support import resolve


def call(call_id: str = "call_1", arguments: str = '{"at":1}', **more: Any) -> dict[str, Any]:
    function = {"name": "look", "arguments": arguments}
    return {"id": call_id, "type": "function", "function": function, **more}


def asked(*calls: dict[str, Any], content: Any = None, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, "tool_calls": list(calls), **more}


def result(call_id: str = "call_1", content: Any = "seen", **more: Any) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": content, **more}


def text(*texts: str) -> list[dict[str, Any]]:
    return [
        {"type": "text", "text": each, "cache_control": {"type": "ephemeral"}} for each in texts
    ]


SHORT: list[list[dict[str, Any]]] = [
    [HELLO],
    [{"role": "system", "content": "be brief"}, HELLO, {"role": "assistant", "content": "hi"}],
    [{"role": "system", "content": text("a", "b")}, {"role": "user", "content": text("c")}],
    [{"role": "user", "content": text("a", "b"), "name": "bob"}],
    [HELLO, asked(call()), result(), HELLO],
    [HELLO, asked(call("b"), call("a"), content=""), result("b"), result("a", text("x", "y"))],
    [HELLO, asked(call(index=0), content=text("hm", "so"), refusal=None, audio=None), result()],
    [HELLO, asked(call()), result(name="look"), asked(call()), result(), HELLO],
    [
        HELLO,
        {"role": "assistant", "tool_calls": [call()]},
        result(),
        {"role": "user", "content": "é"},
    ],
]
LONG: list[list[dict[str, Any]]] = [
    [HELLO, {"role": "assistant", "content": ""}],
    [{"role": "system", "content": ""}, HELLO],
    [{"role": "developer", "content": "be brief"}, HELLO],
    [{"role": "user", "content": [{"type": "input_text", "text": "a"}]}],
    [{"role": "user", "content": ["a", {"type": "text", "text": ""}]}],
    [{"role": "user", "content": [{"type": "image_url", "image_url": "data:image/png;base64,AA"}]}],
    [HELLO, asked(call())],
    [HELLO, asked(call()), HELLO, result()],
    [HELLO, result(), HELLO],
    [HELLO, asked(call("b"), call("a")), result("a"), result("b")],
    [HELLO, asked(call(), call()), result(), result()],
    [HELLO, asked(call()), result(), result(), HELLO],
    [HELLO, asked(call()), result("another")],
    [HELLO, asked(call(arguments="")), result()],
    [HELLO, asked(call(arguments="[1]")), result()],
    [HELLO, asked(call(arguments='{"at":')), result()],
    [HELLO, asked(call(arguments='{"at":[1e999]}')), result()],
    [HELLO, asked(call(""), content="hm"), result("")],
    [HELLO, asked(call()), result(content="")],
    [HELLO, asked(call(), reasoning_content="hm"), result()],
    [HELLO, {"role": "assistant", "content": "hm", "reasoning": "so"}],
    [HELLO, {"role": "assistant", "content": "hm", "partial": True}],
    [HELLO, {"role": "assistant", "content": None, "refusal": "no"}],
    [HELLO, {"role": "assistant", "content": None, "function_call": {"name": "look"}}],
    [HELLO, {"role": "user", "content": 1}],
    [HELLO, {"role": "nobody", "content": "x"}],
    [{"role": "user", "content": "x", "name": ""}],
    [],
]
BODIES: list[dict[str, Any]] = [
    {},
    {"temperature": 0.5, "stop": ["x"], "max_tokens": 7, "user": "bob", "stream": True},
    {"tools": [TOOL], "tool_choice": "required", "parallel_tool_calls": False},
    {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "look"}}},
    {"reasoning_effort": "high", "guided_json": {"a": 1}, "chat_template_kwargs": {"b": 2}},
    {"response_format": {"type": "json_object"}, "n": 2, "modalities": ["text"]},
    {"continue_final_message": True},
]


@pytest.mark.parametrize("messages", SHORT)
def test_an_ordinary_conversation_is_not_taken_apart(messages: list[dict[str, Any]]) -> None:
    assert _parse(messages, {}).written is not None


@pytest.mark.parametrize("messages", LONG)
def test_what_needs_repair_or_is_refused_takes_the_long_way(messages: list[dict[str, Any]]) -> None:
    with suppress(FaregateError):
        assert _parse(messages, {}).written is None


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("messages", SHORT + LONG)
def test_both_ways_send_the_same(messages: list[dict[str, Any]], body: dict[str, Any]) -> None:
    _compare(messages, body)


_TEXTS = st.sampled_from(["", "x", "é\n", '"quoted"', "\ud800"])
_IDS = st.sampled_from(["a", "b", ""])
_CONTENTS = st.none() | _TEXTS | st.lists(_TEXTS, max_size=3).map(lambda texts: text(*texts))
_CALLS = st.builds(call, _IDS, st.sampled_from(["{}", '{"a":[1e999]}', "", "1", '{"a":"\\ud800"}']))
_ODD: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [{}, {}, {}, {"name": "bob"}, {"name": 5}, {"refusal": "no"}, {"reasoning": "hm"}, {"new": {}}]
)
_MESSAGES = st.lists(
    st.one_of(
        st.builds(lambda content, odd: {"role": "user", "content": content} | odd, _CONTENTS, _ODD),
        st.builds(lambda content: {"role": "system", "content": content}, _CONTENTS),
        st.builds(
            lambda calls, content, odd: asked(*calls, content=content) | odd,
            st.lists(_CALLS, max_size=2),
            _CONTENTS,
            _ODD,
        ),
        st.builds(result, _IDS, _CONTENTS),
    ),
    max_size=6,
)


@given(_MESSAGES, st.sampled_from(BODIES))
def test_any_conversation_is_sent_the_same_both_ways(
    messages: list[dict[str, Any]], body: dict[str, Any]
) -> None:
    _compare(messages, body)


_NAMES = st.sampled_from(["role", "content", "tool_calls", "text", "type", "id", "name"])
_WORDS = st.sampled_from(["user", "assistant", "tool", "system", "text", "function"])


@given(
    st.recursive(
        st.none() | st.booleans() | _TEXTS | _WORDS,
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_NAMES, inner),
    )
)
def test_what_is_no_message_is_refused_the_same_both_ways(message: Any) -> None:
    _compare([message], {})


@pytest.mark.parametrize("profile", ["generic", "vllm", "gpt-4", "mistral"])
def test_instructions_lead_where_a_template_takes_no_others(profile: str) -> None:
    later = {"role": "system", "content": "be brief"}
    (body, *_) = _sent([later, later, HELLO, later], {}, profile, False, True)
    roles = [message["role"] for message in body["messages"]]
    is_led = profile in ("generic", "vllm")
    assert roles == (["system", "user"] if is_led else ["system", "system", "user", "system"])


def test_messages_that_another_dialect_gets_are_read_after_all() -> None:
    for messages in SHORT:
        short, long = _parse(messages, {}), _parse(messages, {}, may_be_plain=False)
        assert short.messages == ()
        assert short.read() == long.messages == short.messages


def _parse(messages: Any, body: dict[str, Any], **ways: bool) -> Request:
    data = json.dumps({"model": PUBLIC, "messages": messages, **body})
    return parse_body(data.encode(), **ways).request


def _compare(messages: Any, body: dict[str, Any]) -> None:
    for profile in PROFILES:
        for reasoning in (False, True):
            short, long = (
                _sent(messages, body, profile, reasoning, may_be_plain)
                for may_be_plain in (True, False)
            )
            assert short == long


def _sent(
    messages: Any, body: dict[str, Any], profile: str, reasoning: bool, may_be_plain: bool
) -> Any:
    try:
        request = _parse(messages, body, may_be_plain=may_be_plain)
        outgoing = write_request(request, resolve(profile, reasoning))
    except FaregateError as error:
        return type(error), str(error), getattr(error, "param", None)
    return json.loads(outgoing.body), outgoing.stream, outgoing.degraded, outgoing.choices
