"""The Messages API, judged by the released `anthropic` package: answers, streams, thinking."""

from typing import Any

import anthropic
import pytest
from anthropic.types import RawMessageStreamEvent
from pydantic import TypeAdapter

from tests.sdk.conversation import PNG, Journey
from tests.sdk.upstream import Upstream

MODEL = "kimi-k2.5"
THINKING = {"type": "enabled", "budget_tokens": 1024}
EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def ask(client: Any, content: Any, **more: Any) -> Any:
    asked = {"model": MODEL, "max_tokens": 2000, "messages": [user(content)], **more}
    return client.messages.create(**asked)


def final(client: Any, content: Any, **more: Any) -> Any:
    """The message as the stream helper accumulates it."""
    asked = {"model": MODEL, "max_tokens": 2000, "messages": [user(content)], **more}
    with client.messages.stream(**asked) as stream:
        return stream.get_final_message()


@pytest.fixture(scope="module")
def get(kind: str) -> Any:
    """Whole answers with the blocking client, accumulated streams with the async one."""
    return ask if kind == "sync" else final


def text_of(message: Any) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def test_an_answer_is_whole(messages_client: Any) -> None:
    raw = messages_client.messages.with_raw_response.create(
        model=MODEL, max_tokens=100, messages=[user("!answer Hello there\n!cached 2")]
    )
    message = raw.parse()
    assert [block.type for block in message.content] == ["text"]
    assert message.content[0].text == "Hello there"
    assert (message.type, message.role, message.model) == ("message", "assistant", MODEL)
    assert (message.stop_reason, message.stop_sequence) == ("end_turn", None)
    usage = message.usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens) == (3, 2, 2)
    assert usage.cache_creation_input_tokens == 0
    assert raw.headers["x-credits-charged"] == "2"
    assert message._request_id == raw.headers["request-id"] == raw.headers["x-request-id"]


def test_a_stream_has_every_event_in_order(messages_client: Any) -> None:
    text = "!reason Hm, well.\n!answer A longer answer in pieces"
    events = list(ask(messages_client, text, stream=True, thinking=THINKING))
    for event in events:
        EVENT.validate_python(event.to_dict())
    kinds = [event.type for event in events]
    deltas = [e.delta.type for e in events if e.type == "content_block_delta"]
    assert list(dict.fromkeys(kinds)) == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert kinds.count("content_block_start") == kinds.count("content_block_stop") == 2
    assert list(dict.fromkeys(deltas)) == ["thinking_delta", "signature_delta", "text_delta"]
    assert deltas.count("signature_delta") == 1
    assert deltas.count("text_delta") > 2
    assert events[0].message.usage.input_tokens > 0
    assert events[0].message.usage.cache_read_input_tokens == 0
    assert events[-2].delta.stop_reason == "end_turn"


def test_the_stream_helper_builds_the_message(messages_client: Any) -> None:
    asked = {"max_tokens": 1000, "messages": [user("!answer Piece by piece it grows")]}
    with messages_client.messages.stream(model=MODEL, **asked) as stream:
        pieces = list(stream.text_stream)
        message = stream.get_final_message()
        assert stream.get_final_text() == "Piece by piece it grows"
    assert len(pieces) > 2
    assert "".join(pieces) == text_of(message) == "Piece by piece it grows"
    assert message.usage.output_tokens == 5
    with messages_client.messages.stream(model=MODEL, **asked) as stream:
        events = list(stream)
    snapshots = [event.snapshot for event in events if event.type == "text"]
    assert snapshots[-1] == "Piece by piece it grows"


@pytest.mark.parametrize("way", ["split", "coalesce", "spaces", "tight", "comments", "no-done"])
def test_however_the_upstream_writes_the_client_reads_the_same(
    messages_client: Any, way: str
) -> None:
    text = f"!answer Grüße, 世界 — and 🎈 too\n!reason Hm, ü\n!{way}"
    message = final(messages_client, text, thinking=THINKING)
    assert [block.type for block in message.content] == ["thinking", "text"]
    assert message.content[0].thinking == "Hm, ü"
    assert text_of(message) == "Grüße, 世界 — and 🎈 too"


@pytest.mark.parametrize("place", ["final", "choice", "both", "finish"])
def test_usage_wherever_the_upstream_states_it(messages_client: Any, place: str) -> None:
    usage = final(messages_client, f"!answer one two three\n!usage {place}\n!cached 2").usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens) == (6, 2, 3)


def test_silence_is_filled_with_pings(messages_client: Any) -> None:
    text = "!silence 0.4\n!chunks 4\n!stall 2 0.3"
    assert text_of(final(messages_client, text)) == "word1 word2 word3 word4 "


def test_thinking_comes_and_goes_back(messages_client: Any, upstream: Upstream, get: Any) -> None:
    first = get(messages_client, "!reason Two, then.\n!answer Four", thinking=THINKING)
    thinking, text = first.content
    assert (thinking.type, thinking.thinking) == ("thinking", "Two, then.")
    assert thinking.signature
    assert text.text == "Four"
    assert first.usage.output_tokens_details.thinking_tokens == 2
    messages = [
        user("!reason Two, then.\n!answer Four"),
        {"role": "assistant", "content": first.content},
        user("!answer Eight"),
    ]
    again = get(messages_client, "", messages=messages, thinking=THINKING)
    assert text_of(again) == "Eight"
    assert upstream.body()["messages"][1]["content"] == "Four"


def test_thinking_that_is_hidden_comes_back_by_its_signature(
    messages_client: Any, upstream: Upstream, get: Any
) -> None:
    tool = {"name": "look", "input_schema": {"type": "object", "properties": {}}}
    text = "!reason A secret way.\n!tool look\n!then\n!answer Found"
    more = {"tools": [tool], "thinking": {"type": "adaptive", "display": "omitted"}}
    first = get(messages_client, text, **more)
    thinking, call = first.content
    assert (thinking.type, thinking.thinking) == ("thinking", "")
    assert thinking.signature
    assert "secret" not in thinking.signature
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "here"}
    messages = [user(text), {"role": "assistant", "content": first.content}, user([result])]
    assert text_of(get(messages_client, "", messages=messages, **more)) == "Found"
    assert upstream.body()["messages"][1]["reasoning_content"] == "A secret way."


@pytest.mark.parametrize(
    ("given", "is_on"),
    [
        ({"thinking": THINKING}, True),
        ({"thinking": {"type": "adaptive"}}, True),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}, True),
        ({"thinking": {"type": "disabled"}}, False),
        ({"output_config": {"effort": "high"}}, False),
        ({}, False),
    ],
)
def test_thinking_is_asked_for_in_many_ways(
    messages_client: Any, upstream: Upstream, get: Any, given: dict[str, Any], is_on: bool
) -> None:
    message = get(messages_client, "Hi", **given)
    kinds = [block.type for block in message.content]
    assert kinds == (["thinking", "text"] if is_on else ["text"])
    asked = upstream.body()["thinking"]
    assert asked["type"] == ("enabled" if is_on else "disabled")


def test_images_and_documents(messages_client: Any, upstream: Upstream) -> None:
    source = {"type": "base64", "media_type": "image/png", "data": PNG}
    plain = {"type": "text", "media_type": "text/plain", "data": "The facts."}
    content = [
        {"type": "image", "source": source},
        {"type": "document", "source": plain, "title": "Facts"},
        {"type": "text", "text": "What is it?"},
    ]
    message = ask(messages_client, content)
    assert text_of(message).startswith("I see 1 image.")
    sent = upstream.body()["messages"][0]["content"]
    assert sent[0]["image_url"]["url"] == f"data:image/png;base64,{PNG}"
    assert any("The facts." in part.get("text", "") for part in sent)
    far = {"type": "image", "source": {"type": "url", "url": "https://example.com/cat.png"}}
    with pytest.raises(anthropic.BadRequestError, match=r"messages\.0\.content\.0"):
        ask(messages_client, [far])


def test_nested_models_are_parsed(messages_client: Any, upstream: Upstream) -> None:
    journey = Journey.example()
    asked = {"max_tokens": 1000, "messages": [user(f"!answer {journey.model_dump_json()}")]}
    parsed = messages_client.messages.parse(model=MODEL, output_format=Journey, **asked)
    assert parsed.parsed_output == journey
    sent = upstream.body()["response_format"]
    assert set(sent["json_schema"]["schema"]["properties"]) == set(Journey.model_fields)
    with messages_client.messages.stream(model=MODEL, output_format=Journey, **asked) as stream:
        assert stream.get_final_message().parsed_output == journey
    made = messages_client.messages.parse(
        model=MODEL, output_format=Journey, max_tokens=1000, messages=[user("Plan")]
    )
    assert isinstance(made.parsed_output, Journey)


def test_tokens_are_counted(messages_client: Any) -> None:
    def count(**more: Any) -> int:
        asked = {"model": MODEL, "messages": [user("How many tokens are these?")], **more}
        return int(messages_client.messages.count_tokens(**asked).input_tokens)

    plain = count()
    assert 5 < plain < 30
    assert count(system="Be brief, and be kind.") > plain
    tool = {"name": "look", "description": "Looks", "input_schema": {"type": "object"}}
    assert count(tools=[tool]) > plain
    assert count(messages=[user("word " * 1000)]) > 900
    beta = messages_client.beta.messages.count_tokens(
        model=MODEL, messages=[user("foo")], betas=["token-counting-2024-11-01"]
    )
    assert beta.input_tokens >= 1


@pytest.mark.parametrize(
    ("text", "more", "reason"),
    [
        ("!answer one two three", {"max_tokens": 2}, "max_tokens"),
        ("!answer one two\n!length", {}, "max_tokens"),
        ("!answer one two\n!refuse", {}, "refusal"),
        ("!answer one two\n!finish odd_value", {}, "end_turn"),
    ],
)
def test_why_an_answer_stopped(
    messages_client: Any, get: Any, text: str, more: dict[str, Any], reason: str
) -> None:
    message = get(messages_client, text, **more)
    assert message.stop_reason == reason
    assert text_of(message) == "one two"


def test_a_prefilled_answer_goes_on(messages_client: Any, upstream: Upstream) -> None:
    messages = [user("!answer and on"), {"role": "assistant", "content": "It goes "}]
    assert text_of(ask(messages_client, "", messages=messages)) == "and on"
    last = upstream.body()["messages"][-1]
    assert (last["role"], last["content"], last["partial"]) == ("assistant", "It goes", True)


def test_what_a_stock_client_sends_is_taken(messages_client: Any, upstream: Upstream) -> None:
    cached = {"cache_control": {"type": "ephemeral"}}
    raw = messages_client.beta.messages.with_raw_response.create(
        model="claude-opus-5",
        max_tokens=1000,
        system=[{"type": "text", "text": "Be kind.", **cached}],
        messages=[
            user([{"type": "text", "text": "!answer One", **cached}]),
            {"role": "assistant", "content": [{"type": "text", "text": "One"}]},
            {"role": "system", "content": "Be brief from here on."},
            user("!answer Two"),
        ],
        stop_sequences=["END"],
        metadata={"user_id": '{"device_id": "d", "session_id": "s"}'},
        service_tier="auto",
        context_management={"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        betas=["claude-code-20250219", "a-beta-of-tomorrow-2027-01-01"],
        extra_body={"temperature": 0.7, "top_k": 5, "speed": "fast", "something_new": [1]},
        extra_query={"beta": "true"},
    )
    message = raw.parse()
    assert text_of(message) == "Two"
    assert message.model == "claude-opus-5"
    assert "temperature" in raw.headers["x-faregate-degraded"]
    body = upstream.body()
    roles = [item["role"] for item in body["messages"]]
    assert roles == ["system", "user", "assistant", "system", "user"]
    assert body["stop"] == ["END"]
    assert "d" != body["safety_identifier"] != "s"
    assert body["prompt_cache_key"]
