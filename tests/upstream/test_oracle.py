"""The readers of events against the way before them, which made chat of every answer first.

Random streams, legal and broken: the same pieces, the same end, the same failure.
"""

import json
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gateway.core.events import Event, Reasoning, Refusal, Text
from gateway.errors import TollgateError
from gateway.upstream.event_stream import EventStream
from gateway.upstream.messages.answer_reader import MessagesReader
from gateway.upstream.responses.answer_reader import ResponsesReader
from gateway.wire.base import Caller, Exchange
from gateway.wire.chat.parse import ChatSource
from gateway.wire.chat.render import ChatRenderer
from tests.upstream.oracle.decode import EventDecoder
from tests.upstream.oracle.messages import MessagesTranslator
from tests.upstream.oracle.reply import StreamReader
from tests.upstream.oracle.responses import ResponsesTranslator

TEXTS = st.sampled_from(["", "a", "Hm ", "<think>", "</think>", "\n", "Zürich"])
NAMES = st.sampled_from(["look", "see"])
INDEXES = st.integers(0, 3)
KINDS = st.sampled_from(["text", "thinking", "redacted_thinking", "tool_use", "new"])
REASONS = ["end_turn", "max_tokens", "tool_use", "stop_sequence", "refusal", "odd", None]
COUNTS = st.fixed_dictionaries(
    {}, optional={name: st.integers(0, 9) for name in ("input_tokens", "output_tokens")}
)


@st.composite
def messages_block(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(KINDS)
    block: dict[str, Any] = {"type": kind}
    if kind in ("text", "thinking"):
        block[kind] = draw(TEXTS)
    if kind == "thinking":
        block["signature"] = draw(st.sampled_from(["", "abc", None]))
    if kind == "redacted_thinking":
        block["data"] = draw(st.sampled_from(["", "xyz"]))
    if kind == "tool_use":
        given = st.sampled_from([{}, {"at": "it"}])
        block |= {"id": draw(st.sampled_from("ab")), "name": draw(NAMES), "input": draw(given)}
    return block


@st.composite
def messages_event(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(["start", "delta", "delta", "delta", "stop", "ping", "error"]))
    index = draw(INDEXES)
    if kind == "start":
        block = draw(messages_block())
        return {"type": "content_block_start", "index": index, "content_block": block}
    if kind == "stop":
        return {"type": "content_block_stop", "index": index}
    if kind == "error" and draw(st.integers(0, 9)) == 0:
        name = draw(st.sampled_from(["overloaded_error", "invalid_request_error", "x"]))
        return {"type": "error", "error": {"type": name, "message": "Sorry"}}
    if kind != "delta":
        return {"type": "ping"}
    member = draw(st.sampled_from(["text", "thinking", "signature", "input_json"]))
    text = {"input_json": "partial_json"}.get(member, member)
    delta = {"type": f"{member}_delta", text: draw(TEXTS)}
    return {"type": "content_block_delta", "index": index, "delta": delta}


@st.composite
def messages_stream(draw: st.DrawFn) -> list[Any]:
    start = {"type": "message_start", "message": {"id": "m", "usage": draw(COUNTS)}}
    stop = {"stop_reason": draw(st.sampled_from(REASONS)), "stop_sequence": "END"}
    last = {"type": "message_delta", "delta": stop, "usage": draw(COUNTS)}
    events = [
        start,
        *_once(draw(st.lists(messages_event(), max_size=12))),
        last,
        {"type": "message_stop"},
    ]
    return draw(broken(events))


PARTS = {"message": ["output_text", "refusal"], "reasoning": ["summary_text", "reasoning_text"]}


@st.composite
def responses_item(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(["message", "reasoning", "function_call", "new"]))
    item: dict[str, Any] = {"type": kind}
    if kind == "function_call":
        call = {"call_id": draw(st.sampled_from("ab")), "name": draw(NAMES)}
        return {**item, **call, "arguments": draw(st.sampled_from(["", "{}", '{"a":1}']))}
    if kind in PARTS:
        names = draw(st.lists(st.sampled_from(PARTS[kind]), max_size=2))
        parts = [
            {"type": name, "refusal" if name == "refusal" else "text": draw(TEXTS)}
            for name in names
        ]
        member = "summary" if "summary_text" in names else "content"
        item[member] = parts
    if kind == "reasoning":
        item["encrypted_content"] = draw(st.sampled_from(["abc", "", None]))
    return item


@st.composite
def responses_event(draw: st.DrawFn) -> dict[str, Any]:
    index = draw(INDEXES)
    kind = draw(st.sampled_from(["added", "done", "delta", "delta", "delta", "part", "error"]))
    if kind in ("added", "done"):
        item = draw(responses_item())
        return {"type": f"response.output_item.{kind}", "output_index": index, "item": item}
    if kind == "part":
        return {"type": "response.reasoning_summary_part.added", "output_index": index}
    if kind == "error" and draw(st.integers(0, 9)) == 0:
        code = draw(st.sampled_from(["rate_limit_exceeded", "context_length_exceeded", "x"]))
        return {"type": "error", "code": code, "message": "Sorry"}
    name = draw(
        st.sampled_from(
            ["output_text", "refusal", "reasoning_summary_text", "reasoning_text", "new"]
            + ["function_call_arguments"] * 2
        )
    )
    return {"type": f"response.{name}.delta", "output_index": index, "delta": draw(TEXTS)}


@st.composite
def responses_stream(draw: st.DrawFn) -> list[Any]:
    usage = draw(st.one_of(st.none(), COUNTS))
    status = draw(st.sampled_from(["completed", "incomplete"]))
    details = draw(st.sampled_from([None, {"reason": "content_filter"}, {"reason": "odd"}]))
    response = {"usage": usage, "incomplete_details": details}
    created = {"type": "response.created", "response": {"id": "r"}}
    last = {"type": f"response.{status}", "response": response}
    return draw(broken([created, *_once(draw(st.lists(responses_event(), max_size=12))), last]))


@st.composite
def broken(draw: st.DrawFn, events: list[Any]) -> list[Any]:
    """Some streams are cut, or hold something that is no event of the dialect."""
    way = draw(st.sampled_from(["whole"] * 6 + ["cut", "foreign", "bare"]))
    at = draw(st.integers(1, len(events)))
    if way == "cut":
        return events[:at]
    if way == "foreign":
        odd = draw(st.sampled_from([[], "x", 1, {}, {"type": "content_block_delta"}]))
        return [*events[:at], odd, *events[at:]]
    if way == "bare" and at < len(events) and isinstance(events[at], dict):
        members = sorted(events[at])
        del events[at][draw(st.sampled_from(members))]
    return events


def _once(events: list[Any]) -> list[Any]:
    """A block begins once, an item begins and ends once: what is more is nobody's dialect."""
    seen: set[Any] = set()
    kept = []
    for event in events:
        place = event.get("index", event.get("output_index"))
        mark = (event["type"], place)
        if event["type"].endswith(("block_start", "item.added", "item.done")):
            if mark in seen:
                continue
            seen.add(mark)
        kept.append(event)
    return kept


def _merged(events: list[Event]) -> list[Any]:
    """Neighbouring pieces of one kind as one, for pieces may be cut anywhere."""
    merged: list[Any] = []
    for event in events:
        is_piece = isinstance(event, Text | Reasoning | Refusal)
        if merged and is_piece and type(merged[-1]) is type(event):
            merged[-1] = type(event)(merged[-1].text + event.text)  # type: ignore[call-arg, union-attr, arg-type]
        else:
            merged.append(event)
    return merged


def _run(reader: Any, events: list[Any], read: Any) -> tuple[Any, ...]:
    chunks = []
    for event in events:
        if reader.ended or reader.failure is not None:
            break
        chunks += reader.feed(b"data: " + json.dumps(event).encode() + b"\n\n")
    if not reader.ended and reader.failure is None:
        chunks += reader.finish()
    found: list[Event] = []
    failure = reader.failure
    try:
        for chunk in chunks:
            found += read(chunk)
    except TollgateError as error:
        failure = error
    return _merged(found), type(failure), failure


def _compare(events: list[Any], new: Any, old: Any) -> None:
    decoder = EventDecoder()
    before = StreamReader(1, None, old)
    was = _run(before, events, lambda chunk: decoder.decode(chunk.data))
    stream = EventStream(new)
    now = _run(stream, events, lambda chunk: chunk.events())
    assert now[:2] == was[:2]
    if was[2] is None:
        assert stream.complete == before.tally.complete
        if stream.complete:
            assert stream.usage == before.tally.usage


@settings(max_examples=1500)
@given(messages_stream())
def test_messages(events: list[Any]) -> None:
    _compare(events, MessagesReader("main", None), MessagesTranslator("main"))


@settings(max_examples=1500)
@given(responses_stream())
def test_responses(events: list[Any]) -> None:
    _compare(events, ResponsesReader("main", None), ResponsesTranslator("main"))


def _shown(frames: list[bytes]) -> dict[str, Any]:
    """What a chat client makes of a stream."""
    shown: dict[str, Any] = {"calls": {}, "content": "", "reasoning_content": "", "refusal": ""}
    for frame in frames:
        choices = json.loads(frame.removeprefix(b"data: "))["choices"]
        if not choices:  # usage, which its writer sends apart
            continue
        (choice,) = choices
        delta = choice["delta"]
        for member in ("content", "reasoning_content", "refusal"):
            shown[member] += delta.get(member) or ""
        for call in delta.get("tool_calls", ()):
            known = shown["calls"].setdefault(
                call["index"], {"arguments": "", "id": call.get("id")}
            )
            known["name"] = known.get("name") or call["function"].get("name")
            known["arguments"] += call["function"]["arguments"]
        if choice["finish_reason"]:
            shown["end"] = (
                choice["finish_reason"],
                not shown["calls"] and choice.get("stop_reason"),
            )
    shown["content"] = shown["content"].strip()
    return shown


def _compare_chat(events: list[Any], new: Any, old: Any) -> None:
    exchange = Exchange("req_1", Caller(1, "a/b"), "public", 0)
    shown = []
    for reader in (StreamReader(1, None, old), EventStream(new)):
        renderer = ChatRenderer(ChatSource(include_usage=False, legacy=False), exchange)
        shown.append(_run(reader, events, lambda chunk, to=renderer: to.feed(chunk)))
    was, now = ((_shown(frames), failure) for frames, failure, _ in shown)
    assert now == was


@settings(max_examples=1000)
@given(messages_stream())
def test_messages_to_chat(events: list[Any]) -> None:
    assume("<" not in json.dumps(events))
    _compare_chat(events, MessagesReader("main", None), MessagesTranslator("main"))


@settings(max_examples=1000)
@given(responses_stream())
def test_responses_to_chat(events: list[Any]) -> None:
    assume("<" not in json.dumps(events))
    _compare_chat(events, ResponsesReader("main", None), ResponsesTranslator("main"))
