"""OpenClaw, with each of its three adapters: tools, and histories with its own spelling of ids."""

import json
from pathlib import Path

import pytest

from tests.clients.installed import module, node
from tests.clients.shown import configuration
from tests.clients.sights import sees
from tests.clients.site import Done, Home, Site

_CLIENT = ("OpenClaw", "openclaw")
#: the providers of the docs, by the route that they ask
PROVIDERS = {
    "chat": "faregate",
    "responses": "faregate-responses",
    "messages": "faregate-messages",
}


def ask(site: Site, home: Home, route: str, prompt: str, *options: str, key: str = "") -> Done:
    """`openclaw agent exec`, its recommended way without a terminal."""
    home.write(".openclaw/openclaw.json", configuration(site, "json openclaw"))
    command: list[str | Path] = [node(), module("openclaw", "openclaw.mjs"), "agent", "exec"]
    flags = [
        "--json",
        "--code-mode",
        "direct",
        "--message-file",
        "-",
        "--model",
        f"{PROVIDERS[route]}/kimi-k2.5",
    ]
    environment = {"OPENAI_API_KEY": key or site.key}
    return home.run([*command, *flags, *options], environment, stdin=prompt)


def final(done: Done) -> str:
    """The last words that the person sees; none of its tools failed."""
    assert done.code == 0, done.printed()
    result = json.loads(done.output)
    assert (result["ok"], result["toolSummary"]["failures"]) == (True, 0)
    return str(result["final"])


@sees(*_CLIENT, "chat, responses and messages: exec and write loops with reasoning kept")
@pytest.mark.parametrize("route", list(PROVIDERS))
def test_tools_run(site: Site, home: Home, route: str) -> None:
    script = (
        'Please work.\n!reason Look first.\n!tool exec {"command": "echo from-exec"}\n!then\n'
        '!reason Now write.\n!tool write {"path": "new.txt", "content": "by the client"}\n!then\n'
        "!answer Done."
    )
    with site.watch() as seen:
        done = ask(site, home, route, script, "--thinking", "high")
    assert final(done) == "Done."
    assert (home.work / "new.txt").read_text() == "by the client"
    seen.served(route, 3)
    reasonings = [each.get("reasoning_content") for each in seen.messages("assistant")]
    assert reasonings == ["Look first.", "Now write."]


@sees(*_CLIENT, "credits used up, shown")
def test_used_up_credits_are_reported(site: Site, home: Home) -> None:
    with site.watch() as seen:
        done = ask(site, home, "chat", "!answer Never.", key=site.poor_key)
    assert done.code == 1, done.printed()
    assert set(seen.of_route("chat")) == {402}
    assert seen.bodies == []
