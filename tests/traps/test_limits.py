"""Traps of errors and limits: the envelope and the phrases that clients match on, whose fault it
was, and requests that are too much for a model."""

import json
from typing import Any

import pytest

from tests.harness.dialects import ended_cleanly, error_of_stream, reasoning
from tests.traps.support import Client, Sent, either_way, every_dialect, function, read

Object = dict[str, Any]
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJg"
    "gg=="
)


def error_of(dialect: str, sent: Sent) -> Object:
    """The error object, in an envelope that is whole."""
    found: Object = sent.response.json()
    assert sent.response.headers["content-type"] == "application/json"
    assert sent.response.headers["x-request-id"].startswith("req_")
    assert sent.response.headers["x-credits-charged"] == "0"
    error: Object = found["error"]
    assert isinstance(error["message"], str)
    assert error["message"]
    if dialect == "messages":
        assert found.keys() == {"type", "error", "request_id"}
        assert found["type"] == "error"
        assert found["request_id"] == sent.response.headers["request-id"]
    else:
        assert found.keys() == {"error"}
        assert error.keys() - {"details"} == {"message", "type", "param", "code"}
    return error


#: what happened upstream -> status, OpenAI type and code, Anthropic status and type, retryable
UPSTREAM_FAULTS: list[tuple[str, int, str, str, int, str, bool]] = [
    (
        "!error 400 content_filter",
        400, "invalid_request_error", "content_filter", 400, "invalid_request_error", False,
    ),
    (
        "!error 401",
        502, "server_error", "upstream_misconfigured", 502, "api_error", False,
    ),
    (
        "!error 403",
        502, "server_error", "upstream_misconfigured", 502, "api_error", False,
    ),
    (
        "!error 429 exceeded_current_quota_error",
        502, "server_error", "upstream_misconfigured", 502, "api_error", False,
    ),
    (
        "!error 429 engine_overloaded_error",
        503, "server_error", "upstream_overloaded", 529, "overloaded_error", True,
    ),
    (
        "!error 429 rate_limit_reached_error 7",
        503, "server_error", "upstream_overloaded", 529, "overloaded_error", True,
    ),
    (
        "!error 500",
        502, "server_error", "upstream_error", 502, "api_error", True,
    ),
    (
        "!error 503",
        503, "server_error", "upstream_overloaded", 529, "overloaded_error", True,
    ),
    (
        "!error 504",
        504, "server_error", "upstream_timeout", 504, "timeout_error", True,
    ),
    (
        "!hang-up",
        502, "server_error", "upstream_unreachable", 502, "api_error", True,
    ),
]  # fmt: skip


@every_dialect
@either_way
@pytest.mark.parametrize("case", UPSTREAM_FAULTS, ids=lambda case: case[0])
def test_trap_12_an_upstreams_fault_is_reported_as_the_dialect_does_it(
    client: Client, dialect: str, stream: bool, case: tuple[str, int, str, str, int, str, bool]
) -> None:
    """And asked once: who retries inside, and lets the client retry too, multiplies the load."""
    fault, status, openai_type, code, anthropic_status, anthropic_type, retryable = case
    sent = client.ask(dialect, fault, stream=stream)
    error = error_of(dialect, sent)
    if dialect == "messages":
        assert (sent.response.status_code, error["type"]) == (anthropic_status, anthropic_type)
    else:
        assert sent.response.status_code == status
        assert (error["type"], error["code"]) == (openai_type, code)
    assert sent.response.headers["x-should-retry"] == ("true" if retryable else "false")
    assert len(sent.bodies) == 1
    if "rate_limit" in fault:
        assert sent.response.headers["retry-after"] == "7"
    for word in ("org-simulated", "ak-simulated", "moonshot", "<html>"):
        assert word not in sent.response.text


@every_dialect
@either_way
@pytest.mark.parametrize("fault", ["!cut 3", "!error-event", "!end-early"])
def test_trap_12_a_dying_upstream_is_an_error_and_never_a_clean_end(
    client: Client, dialect: str, stream: bool, fault: str
) -> None:
    """Also with a call under way: half a call must not be run."""
    script = f'!tool look {{"at":"the very bottom of the sea"}}\n{fault}'
    sent = client.ask(dialect, script, stream=stream, tools=[function(dialect, "look")])
    if stream:
        assert sent.response.status_code == 200
        error = error_of_stream(dialect, sent.response.text)
        assert error is not None
        assert error["message"]
        assert not ended_cleanly(dialect, sent.response.text)
    else:
        assert sent.response.status_code == 502
        error_of(dialect, sent)


@every_dialect
@either_way
def test_trap_12_a_full_context_is_reported_in_the_words_that_clients_know(
    client: Client, dialect: str, stream: bool
) -> None:
    cap = "max_output_tokens" if dialect == "responses" else "max_tokens"
    for text, more in (("Hi", {cap: 300_000}), ("word " * 262_145, {})):
        sent = client.ask(dialect, text, stream=stream, **more)
        assert sent.response.status_code == 400
        error = error_of(dialect, sent)
        if dialect == "messages":
            assert error["message"].startswith("prompt is too long: ")
        else:
            assert error["code"] == "context_length_exceeded"
        if more and dialect != "messages":
            assert "maximum context length is 262144 tokens" in error["message"]


@every_dialect
@either_way
def test_trap_12_used_up_credits_are_402_in_words_that_stop_agents(
    poor: Client, dialect: str, stream: bool
) -> None:
    sent = poor.ask(dialect, "Hi", stream=stream, **reasoning(dialect))
    assert sent.response.status_code == 402
    error = error_of(dialect, sent)
    assert "Your credit balance is too low" in error["message"]
    assert "costs 5 credits" in error["message"]
    assert "balance is 0" in error["message"]
    assert error["type"] == ("billing_error" if dialect == "messages" else "insufficient_quota")
    assert sent.response.headers["x-should-retry"] == "false"
    assert sent.response.headers["x-credits-remaining"] == "0"
    assert sent.bodies == []


@every_dialect
def test_trap_12_an_unknown_model_is_named(client: Client, dialect: str) -> None:
    sent = client.ask(dialect, "Hi", model="gpt-9")
    assert sent.response.status_code == 404
    error = error_of(dialect, sent)
    assert "model: gpt-9" in error["message"]
    assert error["type"] in ("not_found_error", "invalid_request_error")
    assert dialect == "messages" or error["code"] == "model_not_found"


@every_dialect
@either_way
def test_trap_15_reasoning_may_eat_a_small_cap_and_the_answer_reports_it(
    client: Client, dialect: str, stream: bool
) -> None:
    cap = "max_output_tokens" if dialect == "responses" else "max_tokens"
    more = {cap: 1, **reasoning(dialect)}
    if dialect == "messages":
        more["thinking"] = {"type": "adaptive"}
    sent = client.ask(dialect, "Hi", stream=stream, **more)
    assert sent.upstream["max_completion_tokens"] == 1
    answer = read(dialect, sent.response)
    assert answer.text == ""
    finishes = {"chat": "length", "messages": "max_tokens", "responses": "incomplete"}
    assert answer.finish == finishes[dialect]
    assert sent.response.headers["x-credits-charged"] == "5"


@pytest.mark.parametrize("stops", [["a", "b", "c", "d", "e", "f"], ["x" * 33], ["é" * 17]])
def test_trap_15_more_stop_sequences_than_a_family_takes_are_refused_by_us(
    client: Client, stops: list[str]
) -> None:
    for dialect, member in (("chat", "stop"), ("messages", "stop_sequences")):
        given: dict[str, Any] = {member: stops}
        sent = client.ask(dialect, "Hi", **given)
        assert sent.response.status_code == 400
        assert "stop" in error_of(dialect, sent)["message"].lower()
        assert sent.bodies == []
        assert client.ask(dialect, "Hi", model="open", **given).upstream["stop"] == stops


def image(dialect: str, url: str) -> Object:
    if dialect == "messages":
        if not url.startswith("data:"):
            return {"type": "image", "source": {"type": "url", "url": url}}
        kind, data = url.removeprefix("data:").split(";base64,")
        return {"type": "image", "source": {"type": "base64", "media_type": kind, "data": data}}
    if dialect == "responses":
        return {"type": "input_image", "image_url": url, "detail": "auto"}
    return {"type": "image_url", "image_url": {"url": url, "detail": "low"}}


def see(dialect: str, *parts: Object, **more: Any) -> Object:
    """A request whose only message holds these parts."""
    message = {"role": "user", "content": list(parts)}
    if dialect == "responses":
        return {"model": "kimi-k2.5", "input": [message], **more}
    return {"model": "kimi-k2.5", "messages": [message], "max_tokens": 1000, **more}


@every_dialect
@pytest.mark.parametrize("model", ["kimi-k2.5", "k3", "coder", "open"])
def test_trap_15_inline_images_are_shown(client: Client, dialect: str, model: str) -> None:
    content = see(dialect, image(dialect, f"data:image/png;base64,{PIXEL}"), model=model)
    assert "I see 1 image" in read(dialect, client.send(dialect, content).response).text


@every_dialect
@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/a.png", "https://example.com/a.png", "file:///etc/passwd"]
)
def test_trap_15_nothing_is_fetched_for_anyone(client: Client, dialect: str, url: str) -> None:
    sent = client.send(dialect, see(dialect, image(dialect, url)))
    assert sent.response.status_code == 400
    error_of(dialect, sent)
    assert sent.bodies == []


@every_dialect
def test_trap_15_a_model_without_eyes_reports_it(client: Client, dialect: str) -> None:
    url = f"data:image/png;base64,{PIXEL}"
    sent = client.send(dialect, see(dialect, image(dialect, url), model="thinker"))
    assert sent.response.status_code == 400
    assert "image" in error_of(dialect, sent)["message"]
    assert sent.bodies == []


def document(dialect: str) -> Object:
    if dialect == "messages":
        source = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}
        return {"type": "document", "source": source, "title": "plan.pdf"}
    file = {"filename": "plan.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}
    if dialect == "chat":
        return {"type": "file", "file": file}
    return {"type": "input_file", **file}


@every_dialect
def test_trap_15_a_broken_document_is_refused_when_new_and_does_no_harm_later(
    client: Client, dialect: str
) -> None:
    """A block that is refused for ever would make the whole conversation useless."""
    text = {"type": "input_text" if dialect == "responses" else "text", "text": "Read this"}
    fresh = see(dialect, document(dialect), text)
    sent = client.send(dialect, fresh)
    assert sent.response.status_code == 400
    assert sent.bodies == []
    member = "input" if dialect == "responses" else "messages"
    later = [
        *fresh[member],
        {"role": "assistant", "content": "I cannot."},
        {"role": "user", "content": "Then go on."},
    ]
    sent = client.send(dialect, {**fresh, member: later})
    assert "plan.pdf" in json.dumps(sent.upstream["messages"][0])
    assert sent.degraded == {"document"}


@every_dialect
def test_trap_15_a_body_of_many_megabytes_is_served(client: Client, dialect: str) -> None:
    text = "x" * (8 * 1024 * 1024)
    assert read(dialect, client.ask(dialect, text).response).text
