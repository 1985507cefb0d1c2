"""The Vercel AI SDK with its three providers: tool loops of several steps, objects, failures."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.clients.installed import HERE, folder, node
from tests.clients.sights import sees
from tests.clients.site import Home, Site

_OPENAI = ("AI SDK, `@ai-sdk/openai`", "@ai-sdk/openai")
_COMPATIBLE = ("AI SDK, `@ai-sdk/openai-compatible`", "@ai-sdk/openai-compatible")
_ANTHROPIC = ("AI SDK, `@ai-sdk/anthropic`", "@ai-sdk/anthropic")
#: what `ai_sdk.mjs` calls its providers, and the route that each asks
PROVIDERS = {
    "responses": "responses",
    "responses, not stored": "responses",
    "chat": "chat",
    "compatible": "chat",
    "messages": "messages",
}
_LOOP = (
    '!reason Look there.\n!tool look {"city": "Bern"}\n!tool look {"city": "Basel"}\n!then\n'
    '!reason Once more.\n!tool look {"city": "Genf"}\n!then\n!answer Sunny everywhere.'
)


def ask(site: Site, home: Home, provider: str, act: str, prompt: str, key: str = "") -> Any:
    """One run of the script beside a link to the modules; what it printed."""
    shutil.copy(HERE / "programs" / "ai_sdk.mjs", home.work)
    modules = home.work / "node_modules"
    if not modules.exists():
        modules.symlink_to(folder() / "node_modules")
    environment = {"FAREGATE_KEY": key or site.key, "FAREGATE_URL": site.gateway.url}
    command: list[str | Path] = [node(), home.work / "ai_sdk.mjs", provider, act]
    done = home.run(command, environment, stdin=prompt)
    assert done.code == 0, done.printed()
    return json.loads(done.output.splitlines()[-1])


@sees(*_OPENAI, "responses (stored and not) and chat: loops of several steps, streamed and not")
@sees(*_COMPATIBLE, "loops of several steps, streamed and not, with reasoning kept")
@sees(*_ANTHROPIC, "loops of several steps, streamed and not, with reasoning kept")
@pytest.mark.parametrize("act", ["generate", "stream"])
@pytest.mark.parametrize("provider", list(PROVIDERS))
def test_a_loop_takes_its_steps(site: Site, home: Home, provider: str, act: str) -> None:
    with site.watch() as seen:
        result = ask(site, home, provider, act, _LOOP)
    assert (result.get("text"), result.get("steps")) == ("Sunny everywhere.", 3), result
    assert sorted(result["results"]) == ["Basel", "Bern", "Genf"]
    seen.served(PROVIDERS[provider], 3)
    reasonings = [each.get("reasoning_content") for each in seen.messages("assistant")]
    if provider == "chat":
        # It gives no reasoning back; the upstream must see a history that it takes all the same.
        assert all(reasonings)
    else:
        assert reasonings == ["Look there.", "Once more."]


@sees(*_OPENAI, "objects by a schema")
@sees(*_COMPATIBLE, "objects by a schema")
@sees(*_ANTHROPIC, "objects by a schema")
@pytest.mark.parametrize("provider", list(PROVIDERS))
def test_an_object_is_made(site: Site, home: Home, provider: str) -> None:
    prompt = "A thing, please."
    if provider == "compatible":
        # Without leave to send it, it asks for JSON without a schema, and puts the schema in words.
        prompt = '!answer {"name": "thing", "count": 1}'
    with site.watch() as seen:
        result = ask(site, home, provider, "object", prompt)
    assert set(result.get("object") or ()) == {"name", "count"}, result
    seen.served(PROVIDERS[provider], 1)


@sees(*_OPENAI, "failures")
@sees(*_COMPATIBLE, "failures")
@sees(*_ANTHROPIC, "failures")
@pytest.mark.parametrize("provider", list(PROVIDERS))
def test_failures_are_errors_and_cost_nothing(site: Site, home: Home, provider: str) -> None:
    with site.watch() as seen:
        result = ask(site, home, provider, "generate", "!answer Never.", site.poor_key)
    assert (result["statusCode"], result["isRetryable"]) == (402, False)
    assert seen.bodies == []
    with site.watch() as seen:
        result = ask(site, home, provider, "generate", "!error 503")
    assert (result["statusCode"], result["isRetryable"]) in ((503, True), (529, True))
    seen.cost_nothing()
    with site.watch() as seen:
        result = ask(site, home, provider, "stream", "!answer Half an answer.\n!cut 2")
    assert "error" in result, result
    seen.cost_nothing()
