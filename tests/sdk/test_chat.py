"""Chat Completions, judged by the released `openai` package."""

import json
from typing import Any

import openai
import pytest

from tests.sdk.conversation import PNG_URL, Journey
from tests.sdk.upstream import Upstream

MODEL = "kimi-k2.5"
PLACES = ["final", "choice", "both", "finish"]


def ask(client: Any, text: str, **more: Any) -> Any:
    asked = {"model": MODEL, "messages": [{"role": "user", "content": text}], **more}
    return client.chat.completions.create(**asked)


def streamed(client: Any, text: str, **more: Any) -> list[Any]:
    return list(ask(client, text, stream=True, **more))


def text_of(chunks: list[Any]) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def reasoning_of(chunks: list[Any]) -> str:
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    return "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas)


def test_an_answer_is_whole(chat_client: Any) -> None:
    raw = chat_client.chat.completions.with_raw_response.create(
        model=MODEL, messages=[{"role": "user", "content": "!answer Hello there"}]
    )
    completion = raw.parse()
    choice = completion.choices[0]
    assert choice.message.content == "Hello there"
    assert (choice.message.role, choice.finish_reason) == ("assistant", "stop")
    assert choice.message.tool_calls is None
    assert completion.model == MODEL
    assert completion.object == "chat.completion"
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (3, 2)
    assert completion.usage.total_tokens == 5
    assert raw.headers["x-credits-charged"] == "2"
    assert raw.request_id == completion._request_id
    assert completion._request_id.startswith("req_")


def test_a_stream_holds_the_same_in_pieces(chat_client: Any) -> None:
    chunks = streamed(chat_client, "!answer A longer answer, so that it comes in pieces")
    assert text_of(chunks) == "A longer answer, so that it comes in pieces"
    assert len(chunks) > 4
    assert [c.choices[0].delta.role for c in chunks if c.choices[0].delta.role] == ["assistant"]
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [c.choices[0].finish_reason for c in chunks if c.choices[0].finish_reason] == ["stop"]
    assert {(chunk.id, chunk.model, chunk.created) for chunk in chunks} == {
        (chunks[0].id, MODEL, chunks[0].created)
    }
    assert all(chunk.usage is None for chunk in chunks)


@pytest.mark.parametrize("place", PLACES)
def test_usage_comes_last_wherever_the_upstream_states_it(chat_client: Any, place: str) -> None:
    text = f"!answer one two three\n!usage {place}\n!cached 2"
    *chunks, last = streamed(chat_client, text, stream_options={"include_usage": True})
    assert last.choices == []
    usage = last.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (8, 3, 11)
    assert usage.prompt_tokens_details.cached_tokens == 2
    assert all(chunk.usage is None and chunk.choices for chunk in chunks)
    assert text_of(chunks) == "one two three"


@pytest.mark.parametrize("place", PLACES)
def test_usage_is_not_sent_to_who_did_not_ask(chat_client: Any, place: str) -> None:
    chunks = streamed(chat_client, f"!answer one two\n!usage {place}")
    assert text_of(chunks) == "one two"
    assert all(chunk.choices and chunk.usage is None for chunk in chunks)
    assert not any("usage" in (choice.model_extra or {}) for c in chunks for choice in c.choices)


@pytest.mark.parametrize("way", ["split", "coalesce", "spaces", "tight", "comments", "no-done"])
def test_however_the_upstream_writes_the_client_reads_the_same(chat_client: Any, way: str) -> None:
    text = f"!answer Grüße, 世界 — and 🎈 too\n!reason Hm, ü\n!{way}"
    chunks = streamed(chat_client, text, stream_options={"include_usage": True})
    assert text_of(chunks) == "Grüße, 世界 — and 🎈 too"
    assert reasoning_of(chunks) == "Hm, ü"
    assert chunks[-1].usage.completion_tokens == 8


def test_the_accumulator_builds_the_completion(chat_client: Any) -> None:
    with chat_client.chat.completions.stream(
        model=MODEL,
        messages=[{"role": "user", "content": "!answer Piece by piece it grows"}],
        stream_options={"include_usage": True},
    ) as stream:
        events = list(stream)
        completion = stream.get_final_completion()
    deltas = [event for event in events if event.type == "content.delta"]
    done = [event for event in events if event.type == "content.done"]
    assert "".join(event.delta for event in deltas) == "Piece by piece it grows"
    assert deltas[-1].snapshot == done[0].content == "Piece by piece it grows"
    assert completion.choices[0].message.content == "Piece by piece it grows"
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage.completion_tokens == 5


def test_silence_is_filled_with_what_the_sdk_skips(chat_client: Any) -> None:
    chunks = streamed(chat_client, "!silence 0.4\n!chunks 4\n!stall 2 0.3")
    assert text_of(chunks) == "word1 word2 word3 word4 "


@pytest.mark.parametrize("model", [MODEL, "k3", "open"])
def test_nested_models_are_parsed(chat_client: Any, upstream: Upstream, model: str) -> None:
    journey = Journey.example()
    completion = chat_client.chat.completions.parse(
        model=model,
        messages=[{"role": "user", "content": f"!answer {journey.model_dump_json()}"}],
        response_format=Journey,
    )
    assert completion.choices[0].message.parsed == journey
    sent = upstream.body()["response_format"]
    assert (sent["type"], sent["json_schema"]["name"]) == ("json_schema", "Journey")
    assert set(sent["json_schema"]["schema"]["properties"]) == set(Journey.model_fields)


def test_what_a_model_makes_of_the_schema_fits_it(chat_client: Any) -> None:
    """The upstream answers from the schema it was given, so nothing of it may be lost."""
    completion = chat_client.chat.completions.parse(
        model=MODEL, messages=[{"role": "user", "content": "Plan"}], response_format=Journey
    )
    assert isinstance(completion.choices[0].message.parsed, Journey)


def test_nested_models_are_parsed_from_a_stream(chat_client: Any) -> None:
    journey = Journey.example()
    with chat_client.chat.completions.stream(
        model=MODEL,
        messages=[{"role": "user", "content": f"!answer {journey.model_dump_json()}"}],
        response_format=Journey,
    ) as stream:
        completion = stream.get_final_completion()
    assert completion.choices[0].message.parsed == journey


def test_parse_raises_for_answers_that_were_cut(chat_client: Any) -> None:
    parse = chat_client.chat.completions.parse
    asked = {"model": MODEL, "response_format": Journey}
    with pytest.raises(openai.LengthFinishReasonError) as short:
        parse(messages=[{"role": "user", "content": "!answer {\n!length"}], **asked)
    assert short.value.completion.choices[0].finish_reason == "length"
    with pytest.raises(openai.ContentFilterFinishReasonError):
        parse(messages=[{"role": "user", "content": "!answer {\n!refuse"}], **asked)


def test_json_objects(chat_client: Any) -> None:
    completion = ask(chat_client, "Hi", response_format={"type": "json_object"})
    assert json.loads(completion.choices[0].message.content) == {"answer": "You said: Hi"}


@pytest.mark.parametrize("member", ["reasoning_content", "reasoning", "reasoning_details"])
def test_reasoning_is_reported_whatever_the_upstream_calls_it(
    chat_client: Any, member: str
) -> None:
    text = f"!reason First this.\n!reason Then that.\n!reason-as {member}\n!answer Done"
    raw = chat_client.chat.completions.with_raw_response.create(
        model=MODEL, messages=[{"role": "user", "content": text}], reasoning_effort="high"
    )
    message = raw.parse().choices[0].message
    assert message.reasoning_content == "First this.\nThen that."
    assert message.content == "Done"
    assert raw.headers["x-credits-charged"] == "5"
    chunks = streamed(chat_client, text, reasoning_effort="high")
    assert reasoning_of(chunks) == "First this.\nThen that."
    assert text_of(chunks) == "Done"
    events = [bool(chunk.choices[0].delta.content) for chunk in chunks]
    reasoning = [bool(reasoning_of([chunk])) for chunk in chunks]
    assert events.index(True) > len(reasoning) - 1 - reasoning[::-1].index(True)


@pytest.mark.parametrize(
    ("given", "is_on"),
    [
        ({"reasoning_effort": "low"}, True),
        ({"reasoning_effort": "none"}, False),
        ({"extra_body": {"thinking": {"type": "enabled"}}}, True),
        ({"extra_body": {"thinking": {"type": "disabled"}}}, False),
        ({"extra_body": {"chat_template_kwargs": {"thinking": True}}}, True),
        ({}, False),
    ],
)
def test_reasoning_is_asked_for_in_many_ways(
    chat_client: Any, upstream: Upstream, given: dict[str, Any], is_on: bool
) -> None:
    completion = ask(chat_client, "Hi", **given)
    message = completion.choices[0].message
    assert bool(getattr(message, "reasoning_content", None)) is is_on
    assert message.content == "You said: Hi"
    asked = upstream.body()["thinking"]
    assert asked["type"] == ("enabled" if is_on else "disabled")


def test_images_come_inline(chat_client: Any, upstream: Upstream) -> None:
    parts = [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": PNG_URL, "detail": "high"}},
        {"type": "image_url", "image_url": {"url": PNG_URL}},
    ]
    asked = [{"role": "user", "content": parts}]
    completion = chat_client.chat.completions.create(model=MODEL, messages=asked)
    assert completion.choices[0].message.content == "I see 2 images. You said: What is it?"
    sent = upstream.body()["messages"][0]["content"]
    assert [part["image_url"]["url"] for part in sent[1:]] == [PNG_URL, PNG_URL]


def test_images_from_elsewhere_are_refused(chat_client: Any) -> None:
    parts = [{"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}}]
    with pytest.raises(openai.BadRequestError) as refused:
        chat_client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": parts}]
        )
    assert (refused.value.param or "").startswith("messages.0.content")


def test_stop_sequences_reach_the_upstream(chat_client: Any, upstream: Upstream) -> None:
    assert ask(chat_client, "Hi", stop="END").choices[0].finish_reason == "stop"
    assert upstream.body()["stop"] in ("END", ["END"])
    ask(chat_client, "Hi", stop=["a", "b"])
    assert upstream.body()["stop"] == ["a", "b"]
    with pytest.raises(openai.BadRequestError) as refused:
        ask(chat_client, "Hi", stop=list("abcdef"))
    assert refused.value.param == "stop"


def test_a_cap_cuts_the_answer(chat_client: Any) -> None:
    for name in ("max_completion_tokens", "max_tokens"):
        completion = ask(chat_client, "!answer one two three four", **{name: 2})
        assert completion.choices[0].finish_reason == "length"
        assert completion.choices[0].message.content == "one two"


def test_what_a_stock_client_sends_is_taken(chat_client: Any, upstream: Upstream) -> None:
    raw = chat_client.chat.completions.with_raw_response.create(
        model=MODEL,
        messages=[
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": "!answer Yes", "name": "ann"},
            {"role": "assistant", "content": ""},
            {"role": "user", "content": [{"type": "text", "text": "!answer Well"}]},
        ],
        temperature=0.7,
        top_p=1,
        n=1,
        presence_penalty=0.5,
        frequency_penalty=0,
        seed=7,
        logit_bias={"50256": -100},
        user="ann",
        store=True,
        metadata={"run": "1"},
        service_tier="auto",
        verbosity="low",
        parallel_tool_calls=True,
        prompt_cache_key="ann",
        safety_identifier="ann",
        extra_body={"something_new": {"deep": [1]}},
        extra_headers={"OpenAI-Organization": "org-x", "x-unknown": "y"},
        extra_query={"beta": "true"},
    )
    assert raw.parse().choices[0].message.content == "Well"
    assert "temperature" in raw.headers["x-faregate-degraded"].split(", ")
    body = upstream.body()
    assert [message["role"] for message in body["messages"]] == ["system", "user", "user"]
    assert body.keys().isdisjoint({"temperature", "store", "user", "seed", "something_new"})


def test_several_choices_where_the_upstream_gives_them(chat_client: Any) -> None:
    completion = ask(chat_client, "!answer Twice", model="open", n=2, temperature=0.7)
    assert [choice.message.content for choice in completion.choices] == ["Twice", "Twice"]
    assert [choice.index for choice in completion.choices] == [0, 1]
    chunks = streamed(chat_client, "!answer Twice", model="open", n=2, temperature=0.7)
    texts = {0: "", 1: ""}
    for chunk in chunks:
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
    assert texts == {0: "Twice", 1: "Twice"}
