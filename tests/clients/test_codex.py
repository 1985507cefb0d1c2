"""Codex, the current release and last year's: shell, patches, images, schemas, sessions, failures.

Codex knows models by its own catalog. For the tools that it offers only to models it knows, its own
entry of another model is given to it under our model's name, as its manual asks.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from tests.clients.installed import program
from tests.clients.pictures import red_square
from tests.clients.shown import configuration
from tests.clients.sights import sees
from tests.clients.site import Done, Home, Site

_CLIENT = ("Codex", "@openai/codex")
_EARLIER = ("Codex of last year", "codex-of-last-year")
RELEASES = ["codex", "codex-of-last-year"]


class Reported(Struct, frozen=True):
    """The output of a run, read from its JSON lines."""

    done: Done
    lines: list[dict[str, Any]]

    def items(self, kind: str) -> list[dict[str, Any]]:
        """Its finished items of one kind."""
        found = [line["item"] for line in self.lines if line["type"] == "item.completed"]
        return [item for item in found if item["type"] == kind]

    @property
    def answer(self) -> str:
        """The last message: what the person sees."""
        messages = self.items("agent_message")
        assert messages, self.done.printed()
        return str(messages[-1]["text"])

    @property
    def failure(self) -> str:
        failed = [line for line in self.lines if line["type"] == "turn.failed"]
        assert failed, self.done.printed()
        return str(failed[-1]["error"]["message"])


def ask(
    site: Site,
    home: Home,
    prompt: str,
    *options: str,
    release: str = "codex",
    key: str = "",
    retries: int = 0,
) -> Reported:
    """`codex exec`, with the configuration file that its manual shows."""
    home.write(".codex/config.toml", configuration(site, "toml codex"))
    flags = ["exec", "--json", "--skip-git-repo-check"]
    for kind in ("request", "stream"):
        flags += ["-c", f"model_providers.faregate.{kind}_max_retries={retries}"]
    flags += ["--dangerously-bypass-approvals-and-sandbox", *options]
    command: list[str | Path] = [program(release), *flags, prompt]
    done = home.run(command, {"OPENAI_API_KEY": key or site.key})
    lines = [json.loads(line) for line in done.output.splitlines() if line.startswith("{")]
    return Reported(done, lines)


def known_as(home: Home, slug: str) -> list[str]:
    """The option by which Codex takes our model for one that it knows."""
    printed = home.run([program("codex"), "debug", "models"], {})
    models = {model["slug"]: model for model in json.loads(printed.output)["models"]}
    catalog = {"models": [{**models[slug], "slug": "kimi-k2.5"}]}
    path = home.write(f"{slug}.json", json.dumps(catalog))
    return ["-c", f"model_catalog_json={path}"]


@sees(*_CLIENT, "an answer")
@sees(*_EARLIER, "an answer")
@pytest.mark.parametrize("release", RELEASES)
def test_it_answers(site: Site, home: Home, release: str) -> None:
    with site.watch() as seen:
        result = ask(site, home, "!answer Hello from the script.", release=release)
    assert result.answer == "Hello from the script."
    seen.served("responses", 1)


@sees(*_CLIENT, "shell loops, with reasoning kept by `encrypted_content`")
@sees(*_EARLIER, "shell loops")
@pytest.mark.parametrize("release", RELEASES)
def test_the_shell_runs(site: Site, home: Home, release: str) -> None:
    calls: dict[str, list[tuple[str, dict[str, Any]]]] = {
        "codex": [("exec_command", {"cmd": f"echo from-{word}"}) for word in ("one", "two")],
        "codex-of-last-year": [
            ("shell", {"command": ["bash", "-lc", f"echo from-{word}"]}) for word in ("one", "two")
        ],
    }
    tools = [f"!reason Look.\n!tool {name} {json.dumps(given)}" for name, given in calls[release]]
    script = "\n!then\n".join([*tools, "!answer Done."])
    with site.watch() as seen:
        options = ["-c", "model_reasoning_effort=high"]
        result = ask(site, home, script, *options, release=release)
    assert result.answer == "Done."
    outputs = [item["aggregated_output"] for item in result.items("command_execution")]
    assert outputs == ["from-one\n", "from-two\n"]
    seen.served("responses", 3)
    if release == "codex":
        reasonings = [each.get("reasoning_content") for each in seen.messages("assistant")]
        assert reasonings == ["Look.", "Look."]


@sees(*_CLIENT, "`apply_patch` as a custom tool with a grammar")
def test_a_patch_is_applied(site: Site, home: Home) -> None:
    patch = "*** Begin Patch\n*** Add File: new.txt\n+patched\n*** End Patch"
    script = f"!tool apply_patch {json.dumps({'input': patch})}\n!then\n!answer Patched."
    with site.watch() as seen:
        result = ask(site, home, script, *known_as(home, "gpt-5.5"))
    assert result.answer == "Patched."
    assert (home.work / "new.txt").read_text() == "patched\n"
    seen.served("responses", 2)


@sees(*_CLIENT, "tool search, then a tool of the namespace it found")
def test_a_namespace_is_found_and_used(site: Site, home: Home) -> None:
    script = (
        '!tool tool_search {"query": "agent", "limit": 5}\n!then\n'
        '!tool multi_agent_v1__close_agent {"target": "nobody"}\n!then\n!answer Done.'
    )
    with site.watch() as seen:
        result = ask(site, home, script, *known_as(home, "gpt-5.5"))
    assert result.answer == "Done."
    seen.served("responses", 3)
    offered = {tool["function"]["name"] for tool in seen.bodies[-1]["tools"]}
    assert "multi_agent_v1__close_agent" in offered
    assert "unsupported call" not in json.dumps(seen.messages("tool"))


@sees(*_CLIENT, "code mode: tools given as items, custom tools in a namespace, reports on a call")
def test_code_runs_and_reports(site: Site, home: Home) -> None:
    code = (
        'notify("half way"); const r = await tools.exec_command({cmd: "echo from-code"});'
        " text(JSON.stringify(r));"
    )
    script = f"!tool functions__exec {json.dumps({'input': code})}\n!then\n!answer Coded."
    with site.watch() as seen:
        found = ask(site, home, script, *known_as(home, "gpt-5.6-luna"))
    assert found.answer == "Coded."
    seen.served("responses", 2)
    (result,) = seen.messages("tool")
    assert "from-code" in json.dumps(result)
    assert "half way" in json.dumps(result)


@sees(*_CLIENT, "images, attached and viewed by a tool")
def test_images_reach_the_model(site: Site, home: Home) -> None:
    (home.work / "red.png").write_bytes(red_square())
    with site.watch() as seen:
        result = ask(site, home, "What is it?", "--image", "red.png", "--")
    assert result.answer.startswith("I see 1 image.")
    seen.served("responses", 1)
    with site.watch() as seen:
        result = ask(site, home, '!tool view_image {"path": "red.png"}', *known_as(home, "gpt-5.5"))
    assert result.answer.startswith("I see 1 image.")
    seen.served("responses", 2)


@sees(*_CLIENT, "output by a JSON schema")
@sees(*_EARLIER, "output by a JSON schema")
@pytest.mark.parametrize("release", RELEASES)
def test_an_output_schema_is_kept(site: Site, home: Home, release: str) -> None:
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "count": {"type": "integer"}},
        "required": ["name", "count"],
        "additionalProperties": False,
    }
    path = home.write("schema.json", json.dumps(schema))
    with site.watch() as seen:
        result = ask(site, home, "Something.", "--output-schema", str(path), release=release)
    assert set(json.loads(result.answer)) == {"name", "count"}
    seen.served("responses", 1)


@sees(*_CLIENT, "resume")
@sees(*_EARLIER, "resume")
@pytest.mark.parametrize("release", RELEASES)
def test_a_session_goes_on(site: Site, home: Home, release: str) -> None:
    with site.watch() as seen:
        ask(site, home, "!answer one", release=release)
        result = ask(site, home, "!answer two", "resume", "--last", release=release)
    assert result.answer == "two"
    seen.served("responses", 2)
    messages = [each["content"] for each in seen.messages("assistant")]
    assert messages == ["one"]


@sees(*_CLIENT, "a cut stream, each error, credits used up, a wrong key")
@pytest.mark.parametrize("script", ["!cut 3", "!error-event", "!end-early\n!answer half"])
def test_a_broken_stream_is_tried_again_and_costs_nothing(
    site: Site, home: Home, script: str
) -> None:
    with site.watch() as seen:
        result = ask(site, home, script, retries=1)
    assert result.failure
    assert len(seen.charges) == len(seen.bodies) > 1
    seen.cost_nothing()


@pytest.mark.parametrize("status", [400, 401, 429, 500, 503])
def test_an_error_is_reported_and_costs_nothing(site: Site, home: Home, status: int) -> None:
    with site.watch() as seen:
        result = ask(site, home, f"!error {status}")
    assert result.failure
    assert 200 not in seen.of_route("responses")
    seen.cost_nothing()


def test_used_up_credits_and_a_wrong_key_are_reported(site: Site, home: Home) -> None:
    with site.watch() as seen:
        result = ask(site, home, "!answer Never.", key=site.poor_key)
    assert "402" in result.failure or "credit" in result.failure.lower()
    assert set(seen.of_route("responses")) == {402}
    with site.watch() as seen:
        result = ask(site, home, "!answer Never.", key="sk-" + "x" * 48)
    assert "401" in result.failure
    assert set(seen.of_route("responses")) == {401}
    assert seen.bodies == []
