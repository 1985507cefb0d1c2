"""OpenCode, with each of its three kinds of provider: tools, titles, sessions and failures."""

import json
from pathlib import Path

import pytest

from tests.clients.installed import program
from tests.clients.shown import configuration
from tests.clients.sights import sees
from tests.clients.site import Done, Home, Site

_CLIENT = ("OpenCode", "opencode-linux-x64")
#: the providers of the docs, by the route that they ask
PROVIDERS = {
    "chat": "faregate",
    "responses": "faregate-responses",
    "messages": "faregate-messages",
}


def ask(site: Site, home: Home, route: str, prompt: str, *options: str, key: str = "") -> Done:
    """`opencode run`; the prompt comes by standard input, which it takes as it is."""
    home.write(".config/opencode/opencode.json", configuration(site, "json opencode"))
    model = f"{PROVIDERS[route]}/kimi-k2.5"
    command: list[str | Path] = [program("opencode"), "run", "--model", model]
    return home.run([*command, *options], {"OPENAI_API_KEY": key or site.key}, stdin=prompt)


@sees(*_CLIENT, "chat, responses and messages: titles, bash, read and write loops, sessions")
@pytest.mark.parametrize("route", list(PROVIDERS))
def test_tools_run_and_sessions_go_on(site: Site, home: Home, route: str) -> None:
    target = home.work / "new.txt"
    (home.work / "old.txt").write_text("content of old")
    read, write = {"filePath": str(home.work / "old.txt")}, {"filePath": str(target)}
    script = (
        "Please work.\n!when no-tools\n!answer A title\n!when tool bash\n!reason Look first.\n"
        '!tool bash {"command": "echo from-bash", "description": "say"}\n'
        f"!tool read {json.dumps(read)}\n!then\n!reason Now write.\n"
        f"!tool write {json.dumps(write | {'content': 'by the client'})}\n!then\n!answer Done."
    )
    with site.watch() as seen:
        done = ask(site, home, route, script)
    assert (done.code, done.output.strip()) == (0, "Done."), done.printed()
    assert target.read_text() == "by the client"
    titles = [body for body in seen.bodies if not body.get("tools")]
    assert len(seen.bodies) - len(titles) == 3
    assert {name for name, status in seen.answers if status != 200} <= {"free"}
    seen.reckoned()
    assert (len(seen.charges), seen.refunds) == (len(seen.bodies), [])

    with site.watch() as seen:
        done = ask(site, home, route, "!answer Still here.", "--continue")
    assert done.output.strip() == "Still here.", done.printed()
    seen.served(route, 1)
    assert len(seen.messages("tool")) == 3


@sees(*_CLIENT, "credits used up, shown")
@pytest.mark.parametrize("route", list(PROVIDERS))
def test_used_up_credits_are_reported(site: Site, home: Home, route: str) -> None:
    with site.watch() as seen:
        done = ask(site, home, route, "!answer Never.", key=site.poor_key)
    assert "credit balance is too low" in done.printed().lower(), done.printed()
    assert set(seen.of_route(route)) == {402}
    assert seen.bodies == []
