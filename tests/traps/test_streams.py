"""Traps of streams: where usage stands, how chunks are cut, what readers demand of the events."""

from typing import Any

import anthropic
import openai
import pytest

from tests.dialects.messages.support import read_frames
from tests.harness.dialects import PATHS, body, events, reasoning
from tests.traps.support import (
    Client,
    either_way,
    every_dialect,
    frames,
    function,
    read,
)

TIMES = {"firstByteSeconds": 0.3, "keepAliveSeconds": 0.2}
#: an answer with everything in it: reasoning, text and two calls
EVERYTHING = (
    "!reason First I think, then I say.\n"
    "!answer Ich schaue zweimal hin, überall — 海.\n"
    '!tool look {"at":"the sea","deep":{"er":[1,2,3]}}\n'
    "!tool leap {}"
)
#: ways in which real servers cut, dress and order the same answer
WAYS = (
    "",
    "!split",
    "!coalesce",
    "!spaces",
    "!tight",
    "!comments",
    "!interleave",
    "!late-name",
    "!late-name\n!interleave",
    "!reason-as reasoning",
    "!reason-as reasoning_details",
    "!no-done",
    "!finish stop",
    "!finish unexpected_state",
    "!split\n!spaces\n!interleave\n!late-name\n!comments",
)
FINISHES = {"chat": "tool_calls", "messages": "tool_use", "responses": "completed"}


def ask_everything(client: Client, dialect: str, way: str, *, stream: bool) -> Any:
    tools = [function(dialect, "look"), function(dialect, "leap")]
    more = {"tools": tools, **reasoning(dialect)}
    if dialect == "chat" and stream:
        more["stream_options"] = {"include_usage": True}
    return client.ask(dialect, f"{EVERYTHING}\n{way}", stream=stream, **more)


@every_dialect
@either_way
@pytest.mark.parametrize("cached", [0, 7])
def test_trap_05_usage_is_found_wherever_the_upstream_puts_it(
    client: Client, dialect: str, stream: bool, cached: int
) -> None:
    """The same tokens and the same credits, in each place."""
    more: dict[str, Any] = {"stream_options": {"include_usage": True}} if stream else {}
    found = set()
    for place in ("final", "choice", "both", "finish"):
        text = f"!cached {cached}\n!usage {place}\nsix words of speech in all"
        more = more if dialect == "chat" else {}
        sent = client.ask(dialect, text, stream=stream, **more, **reasoning(dialect))
        answer = read(dialect, sent.response)
        assert answer.cached == cached
        charged = sent.response.headers["x-credits-charged"]
        found.add((answer.input, answer.output, answer.cached, answer.signed_block, charged))
    assert len(found) == 1
    input_tokens, output, _, signed_block, charged = found.pop()
    assert input_tokens >= 6
    assert output > signed_block > 0
    assert charged == "5"


@every_dialect
@either_way
def test_trap_05_an_upstream_that_reports_no_usage_is_served_and_charged(
    client: Client, dialect: str, stream: bool
) -> None:
    sent = client.ask(dialect, "!usage none", stream=stream)
    assert read(dialect, sent.response).text
    assert sent.response.headers["x-credits-charged"] == "2"


def test_trap_05_the_usage_chunk_is_for_those_who_asked(client: Client) -> None:
    asked: dict[str, Any] = {"stream_options": {"include_usage": True}}
    for more, extra in (({}, 0), (asked, 1)):
        sent = client.ask("chat", "Hi", stream=True, **more)
        chunks = [data for _, data in events(sent.response.text)][:-1]
        assert [chunk["choices"] for chunk in chunks].count([]) == extra
        assert [bool(chunk.get("usage")) for chunk in chunks].count(True) == extra
        assert sent.upstream["stream_options"] == {"include_usage": True}


@every_dialect
@pytest.mark.parametrize("way", WAYS)
def test_trap_06_however_the_chunks_come_the_answer_is_whole(
    client: Client, dialect: str, way: str
) -> None:
    """The strict readers see to it that blocks never overlap and nothing is empty."""
    streamed = read(dialect, ask_everything(client, dialect, way, stream=True).response)
    whole = read(dialect, ask_everything(client, dialect, "", stream=False).response)
    assert streamed.reasoning == whole.reasoning
    assert streamed.text == whole.text
    assert [(call.name, call.arguments) for call in streamed.calls] == [
        (call.name, call.arguments) for call in whole.calls
    ]
    assert len(streamed.calls) == 2
    assert streamed.finish == whole.finish == FINISHES[dialect]
    assert (streamed.input > 0, streamed.output) == (True, whole.output)


@every_dialect
@either_way
def test_trap_06_thinking_in_tags_is_taken_out_of_the_text(
    client: Client, dialect: str, stream: bool
) -> None:
    """As it comes from hosts without a reasoning parser; chat is passed on as it is."""
    sent = client.ask(
        dialect, "!think-tags\n!reason Hm.\n!answer Yes.", stream=stream, model="open"
    )
    answer = read(dialect, sent.response)
    if dialect == "chat":
        assert answer.text == "<think>Hm.</think>Yes."
    else:
        assert (answer.reasoning, answer.text) == ("Hm.", "Yes.")


@pytest.mark.parametrize("way", WAYS)
def test_trap_06_the_released_sdk_puts_every_stream_together(client: Client, way: str) -> None:
    wish: dict[str, Any] = {
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "tools": [function("messages", "look"), function("messages", "leap")],
    }
    asked = [{"role": "user", "content": f"{EVERYTHING}\n{way}"}]
    url = f"{client.gateway.url}/api/anthropic"
    with (
        anthropic.Anthropic(auth_token=client.key, base_url=url, max_retries=0) as sdk,
        sdk.messages.stream(model="kimi-k2.5", max_tokens=4000, messages=asked, **wish) as stream,  # type: ignore[arg-type]  # plain objects
    ):
        message = stream.get_final_message()
    kinds = [block.type for block in message.content]
    assert kinds == ["thinking", "text", "tool_use", "tool_use"]
    assert message.stop_reason == "tool_use"
    call = message.content[2]
    assert call.type == "tool_use"
    assert call.input == {"at": "the sea", "deep": {"er": [1, 2, 3]}}


@either_way
def test_trap_07_a_call_is_a_stop_for_tool_use_whatever_the_upstream_states(
    client: Client, stream: bool
) -> None:
    for way, reason in (("!finish stop", "tool_use"), ("!length", "max_tokens")):
        sent = client.ask(
            "messages",
            f"!tool look {{}}\n{way}",
            stream=stream,
            tools=[function("messages", "look")],
        )
        assert read("messages", sent.response).finish == reason
    sent = client.ask("messages", "!refuse", stream=stream)
    assert read("messages", sent.response).finish == "refusal"


def test_trap_07_the_message_starts_once_and_with_all_of_its_usage(client: Client) -> None:
    """Agents steer their compaction by these figures; a missing or zero one switches it off."""
    sent = client.ask("messages", "!silence 0.8\n!cached 5\nHello", stream=True)
    found = read_frames(frames(sent.response.content))
    assert [name for name, _ in found].count("message_start") == 1
    usage = found[0][1]["message"]["usage"]
    assert usage["input_tokens"] > 0
    assert usage["output_tokens"] >= 0
    assert usage["cache_creation_input_tokens"] == 0
    assert usage["cache_read_input_tokens"] == 0
    assert usage["cache_creation"] == {
        "ephemeral_5m_input_tokens": 0,
        "ephemeral_1h_input_tokens": 0,
    }
    final = next(event["usage"] for name, event in found if name == "message_delta")
    assert final["cache_read_input_tokens"] == 5
    assert final["output_tokens"] > 0


@every_dialect
def test_trap_08_silence_before_the_first_byte_is_filled(client: Client, dialect: str) -> None:
    sent = client.ask(dialect, "!silence 1.2\n!answer Late", stream=True)
    fill = "event: ping" if dialect == "messages" else ": keep-alive"
    head, answer, _ = sent.response.text.partition("Late")
    assert answer
    assert head.count(fill) >= 2
    assert read(dialect, sent.response).text == "Late"


@every_dialect
def test_trap_08_every_frame_is_named_and_nothing_may_buffer_them(
    client: Client, dialect: str
) -> None:
    headers = {**client.headers, "accept-encoding": "gzip, br, zstd"}
    asked = {**body(dialect, "Hi"), "stream": True}
    response = client.gateway.http.post(PATHS[dialect], json=asked, headers=headers)
    assert response.headers["x-accel-buffering"] == "no"
    assert response.headers["cache-control"] == "no-cache"
    assert "content-encoding" not in response.headers
    for frame in frames(response.content):
        named = frame.startswith(b"event: ")
        assert named or dialect == "chat" or frame == b"data: [DONE]\n\n"


@pytest.mark.parametrize("way", WAYS)
def test_trap_09_the_released_sdk_follows_every_sequence(client: Client, way: str) -> None:
    """The strict reader of `read` has judged the same streams under trap 6."""
    wish: dict[str, Any] = {
        "reasoning": {"effort": "high", "summary": "auto"},
        "tools": [function("responses", "look"), function("responses", "leap")],
    }
    asked = f"{EVERYTHING}\n{way}"
    url = f"{client.gateway.url}/api/openai/v1"
    with (
        openai.OpenAI(api_key=client.key, base_url=url, max_retries=0) as sdk,
        sdk.responses.stream(model="kimi-k2.5", input=asked, **wish) as stream,
    ):
        response = stream.get_final_response()
    kinds = [item.type for item in response.output]
    assert kinds == ["reasoning", "message", "function_call", "function_call"]
    assert response.output_text == "Ich schaue zweimal hin, überall — 海."
    assert response.usage is not None


@either_way
def test_trap_09_an_answer_cut_by_its_cap_is_incomplete(client: Client, stream: bool) -> None:
    for way, reason in (("!length", "max_output_tokens"), ("!refuse", "content_filter")):
        sent = client.ask("responses", f"!answer Half\n{way}", stream=stream)
        whole = read("responses", sent.response).whole
        assert whole["status"] == "incomplete"
        assert whole["incomplete_details"] == {"reason": reason}
