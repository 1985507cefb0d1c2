"""Every JSON type in every member of a chat answer, and the content that each client gets of it."""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import UpstreamBroken, UpstreamError
from gateway.core.events import CallStarted, Reasoning, Text, Usage
from gateway.dialects.chat.answer_reader import EventDecoder
from gateway.dialects.chat.answer_stream import ChatStream
from gateway.dialects.messages.tables import read_usage as messages_usage
from tests.dialects.clients import DIALECTS, REASONS, SPELLINGS, TEXTS, VALUES, Got, Object
from tests.dialects.support import chunk, stream

CALL = {"index": 0, "id": "call_a", "type": "function"}
LOOK = {"function": {"name": "look", "arguments": '{"at":1}'}}
#: an answer with all that is read
ANSWER: Object = {
    "id": "chatcmpl-1",
    "object": "",
    "created": 1_767_225_600,
    "model": "kimi-k2.6",
    "choices": [
        {
            "index": 0,
            "delta": {"role": "assistant", "content": "Hello", "tool_calls": [{**CALL, **LOOK}]},
            "finish_reason": None,
        }
    ],
}
CHOICE = ("choices", 0)
DELTA = (*CHOICE, "delta")
FIRST_CALL = (*DELTA, "tool_calls", 0)
FUNCTION = (*FIRST_CALL, "function")


def streamed(dialect: str, *events: Object | str) -> Got:
    """The answer to a client, whose stream has begun with the ordinary text `>`."""
    make, read, _ = DIALECTS[dialect]
    reader, answer = ChatStream(1, None), make()
    frames = answer.open()
    begin = [chunk({"role": "assistant", "content": ""}), chunk({"content": ">"})]
    for piece in reader.feed(stream(*begin, *events, "[DONE]")):
        frames += answer.feed(piece)
    if reader.failure is not None:
        raise reader.failure
    assert reader.complete
    got: Got = read(frames + asyncio.run(answer.close(reader.usage)))
    assert got.text.startswith(">")
    got.text = got.text[1:]
    return got


def whole(dialect: str, answer: Object) -> Got:
    make, _, read = DIALECTS[dialect]
    reader = ChatStream(1, None)
    completion = reader.answer(json.dumps(answer).encode())
    got: Got = read(json.loads(asyncio.run(make().complete(completion))))
    return got


def with_value(path: tuple[Any, ...], value: Any, *, is_whole: bool) -> Object:
    answer = deepcopy(ANSWER)
    answer["object"] = "chat.completion" if is_whole else "chat.completion.chunk"
    holder: Any = answer
    for name in path[:-1]:
        holder = holder[name]
    holder[path[-1]] = value
    if is_whole:
        for choice in answer["choices"]:
            choice["message"] = choice.pop("delta")
            choice["finish_reason"] = "tool_calls"
    return answer


def both(dialect: str, path: tuple[Any, ...], value: Any) -> list[Got]:
    odd = with_value(path, value, is_whole=False)
    return [
        streamed(dialect, odd, chunk({}, "tool_calls")),
        whole(dialect, with_value(path, value, is_whole=True)),
    ]


#: a member that is called as reasoning is, and holds none
FLAGS: tuple[Any, ...] = (None, True, False, 5, "", [], {}, {"type": "enabled"})
AT = ("look", {"at": 1})
PLAIN = ("Hello", "", [AT])


def members(field: str, path: tuple[Any, ...], expect: Callable[[str], Any]) -> list[Any]:
    return [
        pytest.param(path, value, expect(text), id=f"{field}={json.dumps(value)}")
        for value, text in zip(VALUES, TEXTS, strict=True)
    ]


CASES = [
    *(
        case
        for path in (
            ("id",),
            ("object",),
            ("created",),
            ("model",),
            ("usage",),
            (*CHOICE, "usage"),
            (*CHOICE, "stop_reason"),
            (*DELTA, "role"),
            (*DELTA, "new"),
            (*FIRST_CALL, "index"),
            (*FIRST_CALL, "id"),
            (*FIRST_CALL, "type"),
        )
        for case in members(".".join(map(str, path)), path, lambda _: PLAIN)
    ),
    *members("content", (*DELTA, "content"), lambda text: (text, "", [AT])),
    *members("refusal", (*DELTA, "refusal"), lambda text: ("Hello" + text, "", [AT])),
    *members("reasoning", (*DELTA, "reasoning"), lambda text: ("Hello", text, [AT])),
    *members(
        "reasoning_content", (*DELTA, "reasoning_content"), lambda text: ("Hello", text, [AT])
    ),
    *[
        pytest.param((*DELTA, name), value, expected, id=f"{name}={json.dumps(value)}")
        for name, value, expected in [
            *(("reasoning_details", value, PLAIN) for value in VALUES if value != "x"),
            ("reasoning_details", "x", ("Hello", "x", [AT])),
            *(("tool_calls", value, ("Hello", "", [])) for value in VALUES),
            ("tool_calls", {**CALL, **LOOK}, PLAIN),
            ("tool_calls", {"0": {**CALL, **LOOK}}, PLAIN),
            ("tool_calls", [{"id": 7, "name": "look", "arguments": {"at": 1}}], PLAIN),
            ("tool_calls", [{**CALL, "index": "0", **LOOK}], PLAIN),
        ]
    ],
    *[
        pytest.param(
            (*FUNCTION, "arguments"),
            value,
            ("Hello", "", [("look", expected)]),
            id=f"arguments={json.dumps(value)}",
        )
        for value, text in zip(VALUES, TEXTS, strict=True)
        if isinstance(value, dict) or not text
        for expected in [value or {}]
    ],
    *[
        pytest.param((*FUNCTION, "arguments"), value, ("Hello", "", [("look", at)]), id=value)
        for value, at in SPELLINGS.items()
    ],
    *[
        pytest.param(FIRST_CALL, {**CALL, **call}, PLAIN, id=f"{json.dumps(call)}")
        for name in ("input", "parameters", "args")
        for at in ({"at": 1}, '{"at":1}')
        for call in (
            {"name": "look", name: at},
            {"function": {"name": "look", name: at}},
            {"function": {"name": "look", "arguments": "", name: at}},
        )
    ],
    pytest.param(
        DELTA,
        {"content": "Hello", "function_call": LOOK["function"]},
        PLAIN,
        id="legacy call",
    ),
    pytest.param(
        DELTA, {"content": "Hello", "tool_calls": [{}]}, ("Hello", "", []), id="empty call"
    ),
    *[
        pytest.param((*DELTA, "content"), content, expected, id=json.dumps(content))
        for content, expected in [
            ([{"type": "reasoning_text", "text": "Hm."}], ("", "Hm.", [AT])),
            ([{"type": "think", "think": "Hm."}], ("", "Hm.", [AT])),
            ([{"type": "text", "text": {"value": "Hello"}}], PLAIN),
        ]
    ],
    *[
        pytest.param((*DELTA, name), thought, ("Hello", "Hm.", [AT]), id=f"{name}={thought}")
        for name in ("reasoning_text", "thinking")
        for thought in ("Hm.", [{"type": "text", "text": "Hm."}], {"text": "Hm."})
    ],
    *[pytest.param((*DELTA, "thinking"), value, PLAIN, id=f"thinking={value}") for value in FLAGS],
    *[
        pytest.param(FUNCTION, function, PLAIN, id=f"function={function}")
        for at in ({"at": 1}, '{"at":1}')
        for function in (json.dumps({"name": "look", "arguments": at}),)
    ],
    pytest.param((*FUNCTION, "arguments"), '{} {"at":1}', PLAIN, id="an empty object first"),
    *[
        pytest.param((*CHOICE, "logprobs"), value, PLAIN, id=f"logprobs={json.dumps(value)}")
        for value in VALUES
        if not isinstance(value, dict)
    ],
    *[
        pytest.param((*CHOICE, "index"), value, PLAIN, id=f"index={json.dumps(value)}")
        for value in VALUES
        if value != 5
    ],
    *[
        pytest.param(DELTA, value, (text, "", []), id=f"delta={json.dumps(value)}")
        for value, text in zip(VALUES, TEXTS, strict=True)
        if not isinstance(value, dict)
    ],
    pytest.param(
        (*DELTA, "content"),
        [
            {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]},
            {"type": "text", "text": "Hello"},
        ],
        ("Hello", "Hm.", [AT]),
        id="mistral",
    ),
    pytest.param(
        (*DELTA, "reasoning_content"),
        [{"type": "text", "text": "H"}, {"type": "thinking", "thinking": "m."}],
        ("Hello", "Hm.", [AT]),
        id="reasoning-parts",
    ),
]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(("path", "value", "expected"), CASES)
def test_any_value_is_read_for_what_it_is(
    dialect: str, path: tuple[Any, ...], value: Any, expected: Any
) -> None:
    for got in both(dialect, path, value):
        assert got.content == expected


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("eos", "stop"),
        ("nobody_knows", "stop"),
        (True, "stop"),
        (5, "stop"),
        ({"a": 1}, "stop"),
        ("model_context_window_exceeded", "length"),
        ("model_length", "length"),
        ("COMPLETE", "stop"),
        ("max_tokens", "length"),
        ("sensitive", "content_filter"),
    ],
)
def test_reasons_to_stop(dialect: str, reason: Any, expected: str) -> None:
    end = chunk({"content": "Hello"}, reason)
    answer = {"choices": [{"message": {"content": "Hello"}, "finish_reason": reason}]}
    for got in (streamed(dialect, end), whole(dialect, answer)):
        assert got.content == ("Hello", "", [])
        assert got.reason == REASONS[dialect][expected]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("reason", ["error", "abort", "network_error", "cancelled"])
def test_reasons_that_state_failure_are_errors(dialect: str, reason: str) -> None:
    with pytest.raises(UpstreamBroken, match=reason):
        streamed(dialect, chunk({"content": "Hello"}, reason))
    with pytest.raises(UpstreamBroken, match=reason):
        whole(dialect, {"choices": [{"message": {"content": "H"}, "finish_reason": reason}]})


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("at_once", [True, False])
def test_calls_that_share_an_index_without_ids_are_as_many_as_were_made(
    dialect: str, at_once: bool
) -> None:
    calls = [
        {"index": 0, "function": {"name": name, "arguments": arguments}}
        for name, arguments in [("look", '{"at":1}'), ("look", '{"at":2}'), ("see", "{}")]
    ]
    deltas = [{"tool_calls": calls}] if at_once else [{"tool_calls": [call]} for call in calls]
    got = streamed(dialect, *(chunk(delta) for delta in deltas), chunk({}, "tool_calls"))
    assert got.content[2] == [("look", {"at": 1}), ("look", {"at": 2}), ("see", {})]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("call_id", [None, "call_a"], ids=["no-id", "same-id"])
@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        ([("look", ""), ("see", "")], [("look", {}), ("see", {})]),
        ([("look", "{}"), ("see", None)], [("look", {}), ("see", {})]),
        ([("look", None), ("see", '{"at":1}')], [("look", {}), ("see", {"at": 1})]),
        (
            [("look", '{"at":1}'), ("look", '{"at"'), ("look", ":2}")],
            [("look", {"at": 1}), ("look", {"at": 2})],
        ),
    ],
)
def test_calls_at_one_index_are_as_many_as_their_names_and_objects(
    dialect: str, call_id: str | None, calls: list[Any], expected: list[Any]
) -> None:
    pieces = [
        {"index": 0, "id": call_id, "function": {"name": name, "arguments": arguments}}
        for name, arguments in calls
    ]
    chunks = [chunk({"tool_calls": [piece]}) for piece in pieces]
    assert streamed(dialect, *chunks, chunk({}, "tool_calls")).content[2] == expected


def test_calls_with_one_id_get_ids_of_their_own() -> None:
    reader = ChatStream(1, None)
    chunks = [chunk({"tool_calls": [{**CALL, **LOOK}]})] * 2
    events = [event for piece in reader.feed(stream(*chunks)) for event in piece.events()]
    assert len({event.id for event in events if isinstance(event, CallStarted)}) == 2


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("value", [True, 0, 5, 1.5, ["x"], [{"at": 1}], "x", "5"], ids=json.dumps)
def test_arguments_that_are_no_object_are_not_lost(dialect: str, value: Any) -> None:
    """They are as unreadable as text that is none; whole Messages answers have only objects."""
    path, text = (*FUNCTION, "arguments"), value if isinstance(value, str) else None
    odd = with_value(path, value, is_whole=False)
    got = [streamed(dialect, odd, chunk({}, "tool_calls"))]
    if dialect == "messages":
        with pytest.raises(UpstreamBroken, match="not a JSON object"):
            whole(dialect, with_value(path, value, is_whole=True))
    else:
        got.append(whole(dialect, with_value(path, value, is_whole=True)))
    for one in got:
        [[name, arguments]] = one.calls
        assert (name, text or json.loads(arguments)) == ("look", value)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        (["{}", '{"at":1}'], {"at": 1}),
        (["{ }", ' {"at"', ":1}"], {"at": 1}),
        (["{}", "", '{"at"', ":1}"], {"at": 1}),
        (["{}", "{}", "null"], {}),
        (['{}{"at":1}'], {"at": 1}),
        (["{}"], {}),
    ],
)
def test_an_empty_object_before_another_one_is_none_yet(
    dialect: str, pieces: list[str], expected: Any
) -> None:
    calls = [{**CALL, "function": {"name": "look", "arguments": pieces[0]}}]
    calls += [{"index": 0, "function": {"arguments": piece}} for piece in pieces[1:]]
    deltas = [chunk({"tool_calls": [call]}) for call in calls]
    following = {"tool_calls": [{"index": 1, "id": "b", **LOOK}]}
    for reason in ("tool_calls", "length"):
        got = streamed(dialect, *deltas, chunk({}, reason))
        assert got.content == ("", "", [("look", expected)])
    got = streamed(dialect, *deltas, chunk(following), chunk({}, "tool_calls"))
    assert got.content == ("", "", [("look", expected), AT])


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("spell", [lambda choice: choice, lambda choice: {"0": choice}])
def test_choices_may_be_an_object(dialect: str, spell: Callable[[Object], Object]) -> None:
    def odd(answer: Object) -> Object:
        return {**answer, "choices": spell(answer["choices"][0])}

    events = [odd(with_value(("model",), "m", is_whole=False)), odd(chunk({}, "tool_calls"))]
    assert streamed(dialect, *events).content == PLAIN
    assert whole(dialect, odd(with_value(("model",), "m", is_whole=True))).content == PLAIN


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("value", SPELLINGS)
def test_arguments_behind_the_name_are_read_alike(dialect: str, value: str) -> None:
    pieces = [
        {**CALL, "function": {"name": "look"}},
        {"index": 0, "function": {"arguments": value}},
    ]
    chunks = [chunk({"tool_calls": [piece]}) for piece in pieces]
    got = streamed(dialect, *chunks, chunk({}, "tool_calls"))
    assert got.content == ("", "", [("look", SPELLINGS[value])])


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    "function", [{"arguments": "{}"}, {"name": "", "arguments": "{}"}, {}, None, 5, []]
)
def test_a_call_without_a_name_breaks_the_answer_off(dialect: str, function: Any) -> None:
    nameless = {"tool_calls": [{**CALL, "function": function}]}
    with pytest.raises(UpstreamBroken, match="without a name"):
        streamed(dialect, chunk(nameless), chunk({}, "tool_calls"))
    with pytest.raises(UpstreamBroken, match="without a name"):
        whole(dialect, {"choices": [{"message": nameless, "finish_reason": "tool_calls"}]})


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_legacy_call_in_pieces_is_a_call(dialect: str) -> None:
    pieces = [{"name": "look", "arguments": ""}, {"arguments": '{"at":'}, {"arguments": "1}"}]
    chunks = [chunk({"function_call": piece}) for piece in pieces]
    got = streamed(dialect, *chunks, chunk({}, "function_call"))
    assert got.content == ("", "", [AT])


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_text_of_a_choice_is_its_content(dialect: str) -> None:
    choice = {"index": 0, "text": "Hello", "finish_reason": "stop"}
    for got in (streamed(dialect, {"choices": [choice]}), whole(dialect, {"choices": [choice]})):
        assert got.content == ("Hello", "", [])


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    ("message", "content"),
    [
        ({"content": "Hello"}, ("Hello", "", [])),
        ({"tool_calls": [{**CALL, **LOOK}]}, ("", "", [AT])),
    ],
)
def test_a_message_behind_its_deltas_is_the_same_once_more(
    dialect: str, message: Object, content: Any
) -> None:
    last = {"object": "chat.completion", "choices": [{"message": message, "finish_reason": "stop"}]}
    assert streamed(dialect, chunk(message), last).content == content


PARTED = [
    {"index": 0, "finish_reason": "stop", "message": {"content": "I look."}},
    {"index": 1, "finish_reason": "tool_calls", "message": {"tool_calls": [{**CALL, **LOOK}]}},
]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_calls_in_a_choice_that_nobody_asked_for_are_the_first_ones(dialect: str) -> None:
    got = whole(dialect, {"choices": PARTED})
    assert got.content == ("I look.", "", [AT])


def test_choices_that_were_asked_for_stay_apart() -> None:
    reasons = []
    for count in (1, 2):
        completion = ChatStream(count, None).answer(json.dumps({"choices": PARTED}).encode())
        choices = json.loads(completion.data or b"")["choices"]
        reasons.append([choice["finish_reason"] for choice in choices])
    assert reasons == [["tool_calls"], ["stop", "tool_calls"]]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    "end",
    [
        {"native_finish_reason": "network_error"},
        {"native_finish_reason": "MALFORMED_FUNCTION_CALL"},
        {"error": {"code": 502, "message": "Upstream error"}},
    ],
    ids=json.dumps,
)
def test_a_failure_that_a_router_calls_a_stop_is_one(dialect: str, end: Object) -> None:
    choice = {"index": 0, "finish_reason": "stop", **end}
    with pytest.raises(UpstreamError):
        streamed(dialect, {**chunk(), "choices": [{**choice, "delta": {}}]})
    with pytest.raises(UpstreamError):
        whole(dialect, {"choices": [{**choice, "message": {"content": ""}}]})
    fine = {**choice, "native_finish_reason": "end_turn", "error": None}
    assert whole(dialect, {"choices": [{**fine, "message": {"content": "x"}}]}).text == "x"


def test_text_like_a_tag_before_reasoning_is_not_lost() -> None:
    decoder = EventDecoder()
    deltas = [{"content": "<"}, {"reasoning_content": "Hm."}, {"content": "b"}]
    events = [e for one in deltas for e in decoder.decode(json.dumps(chunk(one)).encode())]
    assert events == [Text("<"), Reasoning("Hm."), Text("b")]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_name_in_every_piece_is_one_call(dialect: str) -> None:
    pieces = ['{"at"', ":", "1}", ""]
    chunks = [
        chunk({"tool_calls": [{"index": 0, "function": {"name": "look", "arguments": piece}}]})
        for piece in pieces
    ]
    assert streamed(dialect, *chunks, chunk({}, "stop")).content == ("", "", [AT])


@pytest.mark.parametrize("dialect", DIALECTS)
def test_arguments_that_the_end_cut_off_are_not_made_up(dialect: str) -> None:
    cut = {**CALL, "function": {"name": "look", "arguments": ""}}
    got = streamed(dialect, chunk({"tool_calls": [cut]}), chunk({}, "length"))
    assert got.calls == [["look", ""]]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_a_chunk_lacks_is_filled_in(dialect: str) -> None:
    bare = [{"choices": [{"delta": {"content": piece}}]} for piece in ("a", "b", 'c"')]
    end = {"choices": [{"delta": {}, "finish_reason": "stop"}]}
    last = {"choices": [], "cost": "0"}
    assert streamed(dialect, *bare, end, last).content == ('abc"', "", [])
    answer = {"choices": [{"message": {"content": "abc"}, "finish_reason": "stop"}], "cost": "0"}
    assert whole(dialect, answer).content == ("abc", "", [])


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_first_chunk_of_nothing_names_no_stream(dialect: str) -> None:
    """Azure's: the filter's results, without choices or an id."""
    make, read, _ = DIALECTS[dialect]
    reader, answer = ChatStream(1, None), make()
    azure = {"choices": [], "created": 0, "id": "", "model": "", "object": "", "filters": []}
    chunks = reader.feed(stream(azure, *[chunk({"content": "a"})] * 2, chunk({}, "stop")))
    frames = answer.open() + [frame for piece in chunks for frame in answer.feed(piece)]
    got = read(frames + asyncio.run(answer.close(None)))
    assert got.content == ("aa", "", [])
    ids = {json.loads(piece.data or b"")["id"] for piece in chunks[1:]}
    assert ids == {"chatcmpl-1"}


def test_every_chunk_has_the_id_of_the_first() -> None:
    chunks = [{**chunk({"content": "a"}), "id": name} for name in ("one", "two", "three")]
    reader = ChatStream(1, None)
    pieces = reader.feed(stream(*chunks))
    assert [json.loads(piece.data or b"")["id"] for piece in pieces] == ["one"] * 3


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "text", "thinking", "function", "name", "arguments", "index"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)
_PATHS = st.sampled_from(
    [
        *[("id",), ("created",), ("choices",), ("usage",), CHOICE, DELTA, FIRST_CALL, FUNCTION],
        *[(*DELTA, name) for name in ("content", "tool_calls", "reasoning_details")],
    ]
)


@given(_PATHS, _JSON, st.sampled_from(list(DIALECTS)))
def test_nothing_an_upstream_sends_raises_anything_but_broken(
    path: tuple[Any, ...], value: Any, dialect: str
) -> None:
    make = DIALECTS[dialect][0]
    reader, answer = ChatStream(1, None), make()
    for piece in reader.feed(stream(with_value(path, value, is_whole=False))):
        answer.feed(piece)
    assert isinstance(reader.failure, UpstreamBroken | None)
    odd = json.dumps(with_value(path, value, is_whole=True) if path[0] != "choices" else value)
    with suppress(UpstreamBroken):
        asyncio.run(make().complete(ChatStream(1, None).answer(odd.encode())))


@pytest.mark.parametrize(
    ("usage", "written"),
    [
        ({"prompt_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 4}}, 4),
        ({"prompt_tokens_details": {"cached_tokens": 3, "cache_creation_input_tokens": 4}}, 4),
        ({"prompt_tokens_details": {"cached_tokens": 3, "cache_creation_tokens": 4}}, 4),
        ({"cached_tokens": 3, "cache_creation_input_tokens": 4}, 4),
        ({"cache_read_input_tokens": 3, "cache_write_tokens": 4}, 4),
        ({"cache_read_input_tokens": 3, "cache_creation_tokens": 4, "prompt_tokens_details": 5}, 4),
        ({"cached_tokens": 3, "cache_creation_input_tokens": 4, "prompt_tokens_details": 5}, 4),
        ({"cached_tokens": 3}, 0),
    ],
)
def test_what_was_written_to_a_cache_is_a_count_of_its_own(usage: Object, written: int) -> None:
    answer = {
        "choices": [{"message": {"content": "a"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 1, **usage},
    }
    counts = {}
    for dialect, (make, _, _) in DIALECTS.items():
        completion = ChatStream(1, None).answer(json.dumps(answer).encode())
        counts[dialect] = json.loads(asyncio.run(make().complete(completion)))["usage"]
    chat_details = counts["chat"]["prompt_tokens_details"]
    assert (chat_details["cached_tokens"], chat_details.get("cache_write_tokens", 0)) == (
        3,
        written,
    )
    details = counts["responses"]["input_tokens_details"]
    assert details == {"cached_tokens": 3, "cache_write_tokens": written}
    message = counts["messages"]
    assert message["input_tokens"] == 7 - written
    assert message["cache_read_input_tokens"] == 3
    assert message["cache_creation_input_tokens"] == written
    assert message["cache_creation"]["ephemeral_5m_input_tokens"] == written
    assert messages_usage(message) == Usage(10, 1, 3, 0, written)


NO_REASONS = ("", "null", "NULL", "none", "None", "FINISH_REASON_UNSPECIFIED")


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("word", NO_REASONS)
def test_a_word_for_no_reason_ends_nothing(dialect: str, word: str) -> None:
    events = [chunk({"content": text}, word) for text in ("Hel", "lo")]
    got = streamed(dialect, *events, chunk({}, "length"))
    assert (got.content, got.reason) == (("Hello", "", []), REASONS[dialect]["length"])
    reader = ChatStream(1, None)
    for piece in reader.feed(stream(*events)):
        assert json.loads(piece.data or b"")["choices"][0]["finish_reason"] is None
    assert not reader.complete
    assert reader.unknown_reason is None


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    "words", [("stop",) * 3, ("stop", "stop", "length"), ("stop", "length", "stop")]
)
def test_a_reason_in_every_chunk_loses_nothing(dialect: str, words: tuple[str, ...]) -> None:
    texts = ("Hel", "lo", "!")
    events = [chunk({"content": text}, word) for text, word in zip(texts, words, strict=True)]
    got = streamed(dialect, chunk({}, "stop"), *events)
    reason = "length" if "length" in words else "stop"
    assert (got.content, got.reason) == (("Hello!", "", []), REASONS[dialect][reason])


def begun(**function: str) -> Object:
    return {"tool_calls": [{**CALL, "function": {"name": "look", **function}}]}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    "later", [{}, {"tool_calls": [{"index": 0, "function": {"arguments": ""}}]}]
)
def test_a_reason_in_every_chunk_gives_no_arguments_once(dialect: str, later: Object) -> None:
    events = [chunk(delta, "tool_calls") for delta in (begun(arguments=""), later, later)]
    got = streamed(dialect, *events)
    assert got.calls == [["look", "{}"]]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_arguments_behind_the_end_of_their_call_break_the_answer_off(dialect: str) -> None:
    """The client has been given an empty object for them: it would make another call."""
    late = {"tool_calls": [{"index": 0, "function": {"arguments": '{"at":1}'}}]}
    with pytest.raises(UpstreamBroken, match="behind the end"):
        streamed(dialect, chunk(begun(), "tool_calls"), chunk(late, "tool_calls"))
    [call] = streamed(dialect, chunk(begun()), chunk(late, "tool_calls")).calls
    assert call == ["look", '{"at":1}']


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("later", [[], [chunk({}, "stop")], [chunk({}, "tool_calls")]])
def test_a_reason_cuts_off_no_name_behind_it(dialect: str, later: list[Object]) -> None:
    """A call that begins behind `length` is as any other; the end that cut off another stays."""
    nameless = chunk({"tool_calls": [{**CALL, "function": {"arguments": "{}"}}]})
    for first in ("length", "stop"):
        with pytest.raises(UpstreamBroken, match="without a name"):
            streamed(dialect, chunk({"content": "Hm"}, first), nameless, *later)
    cut = streamed(dialect, chunk({"content": "Hm"}, "length"), nameless, chunk({}, "length"))
    assert (cut.content, cut.reason) == (("Hm", "", []), REASONS[dialect]["length"])
    named = streamed(dialect, chunk({"content": "Hm"}, "length"), chunk(begun()), *later)
    assert (named.calls, named.reason) == ([["look", "{}"]], REASONS[dialect]["length"])


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_call_behind_the_only_reason_ends_the_answer(dialect: str) -> None:
    got = streamed(dialect, chunk({"content": "Hm"}, "stop"), chunk(begun()))
    usual = streamed(dialect, chunk({"content": "Hm"}), chunk(begun(), "tool_calls"))
    assert (got.calls, got.reason) == ([["look", "{}"]], usual.reason)


def together(*chunks: Object) -> Object:
    """One chunk with the choices of several."""
    return {**chunks[0], "choices": [choice for each in chunks for choice in each["choices"]]}


OWN = [chunk({"content": "Hel"}), chunk({"content": "lo"}), chunk({}, "stop")]
OTHER = [
    chunk({"content": "Bye", "tool_calls": [{**CALL, **LOOK}]}, index=1),
    chunk({"content": "!"}, index=1),
    chunk({}, "length", index=1),
]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    "events",
    [
        [*OWN, *OTHER],
        [*OTHER, *OWN],
        [each for pair in zip(OWN, OTHER, strict=True) for each in pair],
        [together(*pair) for pair in zip(OTHER, OWN, strict=True)],
    ],
    ids=["behind", "before", "in turns", "together"],
)
def test_a_choice_that_nobody_asked_for_is_left_out(dialect: str, events: list[Object]) -> None:
    got = streamed(dialect, *events)
    assert (got.content, got.reason) == (("Hello", "", []), REASONS[dialect]["stop"])


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("indexes", [(0, 1), (1, 2), (None, None), (5,)])
def test_of_whole_choices_the_first_is_the_answer(dialect: str, indexes: tuple[Any, ...]) -> None:
    """Gemini's chat dialect has given the only one another index."""
    answers = zip(("Hello", "Bye"), indexes, strict=False)
    choices = [
        {"index": index, "message": {"content": text}, "finish_reason": "stop"}
        for text, index in answers
    ]
    assert whole(dialect, {"choices": choices}).content == ("Hello", "", [])


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_answer_whose_calls_are_another_choice_has_them(dialect: str) -> None:
    """As Copilot gives those of Claude."""
    messages = ({"content": "Hello"}, {"tool_calls": [{**CALL, **LOOK}]})
    choices = [{"message": each, "finish_reason": "tool_calls"} for each in messages]
    assert whole(dialect, {"choices": choices}).content == PLAIN
