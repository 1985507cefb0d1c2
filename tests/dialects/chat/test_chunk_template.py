"""Chunks that resemble an earlier one are recognised, and never wrongly."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects.chat.chunk_template import ChunkTemplate
from tests.dialects.chat.support import PUBLIC, Piece, feed, piece, read, renderer

ORDINARY = piece({"content": "Hello"}).data


def test_a_chunk_that_differs_in_its_text_is_recognised() -> None:
    template = ChunkTemplate()
    assert template.match(ORDINARY) is None
    assert template.learn(ORDINARY)
    assert template.match(piece({"content": " wörld\n"}).data) == " wörld\\n".encode()
    assert template.match(piece({"content": ""}).data) == b""


def test_anything_else_is_not() -> None:
    template = ChunkTemplate()
    template.learn(ORDINARY)
    for other in (
        piece({"content": 'a "quote"'}),
        piece({"content": "x"}, "stop"),
        piece({"content": "x", "tool_calls": []}),
        piece({"reasoning_content": "x"}),
        piece({"content": "x"}, usage={"prompt_tokens": 1}),
        piece({"content": "x"}, choice={"index": 1}),
        piece({"content": "x"}, created=5),
        piece({"content": "x"}, spaces=True),
    ):
        assert template.match(other.data) is None


def test_a_chunk_without_text_or_with_a_quotation_is_not_learnt() -> None:
    template = ChunkTemplate()
    for data in (piece({"content": ""}), piece({}, "stop"), piece({"content": 'a"'})):
        assert not template.learn(data.data)


def test_a_stream_without_template_is_left_alone_after_a_while() -> None:
    template = ChunkTemplate()
    learnt = [template.learn(piece({"content": "x"}, created=number).data) for number in range(40)]
    assert learnt[0]
    assert not learnt[-1]


TEXT = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=6
) | st.sampled_from(['"', "\\", '\\"', '"}', "usage", "null", "model", "\n"])
DELTAS = st.one_of(
    st.builds(lambda text: {"content": text}, TEXT),
    st.builds(lambda text: {"reasoning_content": text}, TEXT),
    st.builds(lambda text: {"content": "", "reasoning_content": text}, TEXT),
    st.builds(lambda text: {"tool_calls": [{"index": 0, "function": {"arguments": text}}]}, TEXT),
)


@given(st.lists(st.tuples(DELTAS, st.booleans(), st.sampled_from([1, 2])), max_size=12))
def test_with_or_without_template_the_client_reads_the_same(
    stream: list[tuple[dict[str, Any], bool, int]],
) -> None:
    call = {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": "{"}}
    pieces = [piece({"role": "assistant", "content": "", "tool_calls": [call]})]
    pieces += [piece(delta, spaces=spaces, created=at) for delta, spaces, at in stream]
    events = read(feed(renderer(stream=True), *pieces))

    expected = []
    for each in pieces:
        event = json.loads(each.data)
        event["model"] = PUBLIC
        expected.append(event)
    assert events == expected


def test_the_recognised_text_goes_between_the_rewritten_ends() -> None:
    behind = (
        b'{"choices":[{"index":0,"delta":{"reasoning":"%b"},"finish_reason":null}],'
        b'"usage":null,"model":"x"}'
    )
    render = renderer(stream=True)
    pieces = [Piece(behind % text, True) for text in (b"a", b"b", b"c", b"d")]
    events = read(feed(render, piece({"role": "assistant"}), *pieces))
    assert [event["choices"][0]["delta"] for event in events[1:]] == [
        {"reasoning_content": text} for text in "abcd"
    ]
    assert all(event["model"] == PUBLIC and "usage" not in event for event in events)
