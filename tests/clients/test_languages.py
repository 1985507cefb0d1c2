"""Clients of other languages: released ones of both families in Go, Java and Rust, and Java's own
HTTP client."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.clients.installed import HERE, built, java
from tests.clients.sights import sees
from tests.clients.site import Home, Site

_OPENAI = ("`openai-go`", "github.com/openai/openai-go/v3")
_ANTHROPIC = ("`anthropic-sdk-go`", "github.com/anthropics/anthropic-sdk-go")
_JAVA = {
    "openai": ("`openai-java`", "openai-java"),
    "anthropic": ("`anthropic-java`", "anthropic-java"),
}
_RUST = {
    "openai": ("`async-openai`", "async-openai"),
    "anthropic": ("`async-anthropic`", "async-anthropic"),
}
#: acts of the program in Go, and the route that each asks
ACTS = {
    "chat": "chat",
    "stream": "chat",
    "messages": "messages",
    "messages-stream": "messages",
}
#: path -> members of its body, and the last event of a stream. Java's client offers to speak HTTP/2
#: with each request, and is not taken up
PATHS: dict[str, tuple[dict[str, Any], str]] = {
    "/api/openai/v1/chat/completions": ({}, "[DONE]"),
    "/api/openai/v1/responses": ({}, "response.completed"),
    "/api/anthropic/v1/messages": ({"max_tokens": 100}, "message_stop"),
}


def ask(site: Site, home: Home, act: str, prompt: str) -> Any:
    """One answer, as the program in Go read it."""
    environment = {"FAREGATE_KEY": site.key, "FAREGATE_URL": site.gateway.url}
    done = home.run([built("go"), act], environment, stdin=prompt)
    assert done.code == 0, done.printed()
    return json.loads(done.output)


@sees(*_OPENAI, "chat and tool calls, streamed and not")
@sees(*_ANTHROPIC, "answers and tool calls, streamed and not")
@pytest.mark.parametrize("act", ACTS)
def test_go_gets_a_text_and_a_call(site: Site, home: Home, act: str) -> None:
    with site.watch() as seen:
        text = ask(site, home, act, "!reason Hm.\n!answer Hello from here.")
        called = ask(site, home, act, '!tool look {"city": "Bern"}\n!tool look {"city": "Genf"}')
    assert text == {"text": "Hello from here.", "calls": None}
    assert [call["name"] for call in called["calls"]] == ["look", "look"]
    cities = [json.loads(call["arguments"])["city"] for call in called["calls"]]
    assert cities == ["Bern", "Genf"]
    seen.served(ACTS[act], 2)


_ROUTES = {"openai": "chat", "anthropic": "messages"}
_PROMPTS = (
    "!answer Hello from here.",
    '!tool look {"city": "Bern"}\n!tool look {"city": "Genf"}',
    "!error 400",
)


def command(language: str) -> list[str | Path]:
    program = built(language)
    return [program] if language == "rust" else [java(), "-cp", f"{program}:{program}/*", "Clients"]


@sees(*_JAVA["openai"], "chat and tool calls, streamed and not; an error")
@sees(*_JAVA["anthropic"], "answers and tool calls, streamed and not; an error")
@sees(*_RUST["openai"], "chat and tool calls, streamed and not; an error")
@sees(*_RUST["anthropic"], "answers and tool calls, streamed and not; an error")
@pytest.mark.parametrize("family", _ROUTES)
@pytest.mark.parametrize("language", ["java", "rust"])
def test_a_text_calls_and_an_error_whole_and_streamed(
    site: Site, home: Home, language: str, family: str
) -> None:
    environment = {"FAREGATE_KEY": site.key, "FAREGATE_URL": site.gateway.url}
    with site.watch() as seen:
        done = home.run([*command(language), family, *_PROMPTS], environment)
    assert done.code == 0, done.printed()
    answers = json.loads(done.output)
    texts, calls, errors = answers[:2], answers[2:4], answers[4:]
    assert [one["text"] for one in texts] == ["Hello from here."] * 2
    for one in calls:
        cities = [json.loads(call["arguments"])["city"] for call in one["calls"]]
        assert ([call["name"] for call in one["calls"]], cities) == (["look"] * 2, ["Bern", "Genf"])
    assert all(one["error"] for one in errors), errors
    assert seen.of_route(_ROUTES[family]) == {200: 4, 400: 2}
    seen.reckoned()
    assert (len(seen.charges), len(seen.refunds)) == (6, 2)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", PATHS)
def test_java_is_answered_in_the_version_that_it_began_with(
    site: Site, home: Home, path: str, stream: bool
) -> None:
    turns = [{"role": "user", "content": "!answer Hello from here."}]
    member = "input" if path.endswith("responses") else "messages"
    members, end = PATHS[path]
    body = {"model": "kimi-k2.5", "stream": stream, member: turns, **members}
    environment = {"FAREGATE_KEY": site.key, "FAREGATE_URL": site.gateway.url}
    program = HERE / "languages" / "Plain.java"
    done = home.run([java(), program, path], environment, stdin=json.dumps(body))
    assert done.code == 0, done.printed()
    version, _, answer = done.output.partition("\n")
    assert version == "HTTP_1_1 200", done.printed()
    if stream:
        assert end in answer
    else:
        assert "Hello from here." in json.dumps(json.loads(answer))
