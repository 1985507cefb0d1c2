"""Claude Code in print mode: answers, tools, sub-agents, sessions, counting and its own aliases."""

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

_CLIENT = ("Claude Code", "@anthropic-ai/claude-code")
_TOOLS = "Bash Read Write Task Agent ToolSearch WebSearch"


class Reported(Struct, frozen=True):
    """The output of a run, read from its stream of JSON lines."""

    done: Done
    lines: list[dict[str, Any]]

    @property
    def result(self) -> dict[str, Any]:
        """The last line: what the person sees."""
        found = [line for line in self.lines if line.get("type") == "result"]
        assert found, self.done.printed()
        return found[-1]

    def results(self) -> list[str]:
        """The results of its tools, as text."""
        blocks = [
            block
            for line in self.lines
            if line.get("type") == "user" and isinstance(line["message"]["content"], list)
            for block in line["message"]["content"]
        ]
        return [str(block["content"]) for block in blocks if block["type"] == "tool_result"]


def settings(site: Site, **changes: str) -> dict[str, str]:
    """The four variables that its manual names."""
    return {
        "ANTHROPIC_BASE_URL": site.anthropic_url,
        "ANTHROPIC_AUTH_TOKEN": site.key,
        "ANTHROPIC_MODEL": "kimi-k2.5",
        "ANTHROPIC_SMALL_FAST_MODEL": "kimi-k2.5",
        **changes,
    }


def ask(home: Home, environment: dict[str, str], prompt: str, *options: str) -> Reported:
    """`claude -p`; its tools may be used without a question."""
    flags = ["--output-format", "stream-json", "--verbose", "--allowedTools", _TOOLS]
    command: list[str | Path] = [program("claude"), "-p", prompt, *flags, *options]
    done = home.run(command, environment)
    lines = [json.loads(line) for line in done.output.splitlines() if line.startswith("{")]
    return Reported(done, lines)


@sees(*_CLIENT, "an answer, set up by environment and by `settings.json`")
@pytest.mark.parametrize("by", ["environment", "settings.json"])
def test_it_answers(site: Site, home: Home, by: str) -> None:
    environment = settings(site)
    if by == "settings.json":
        home.write(".claude/settings.json", configuration(site, "json claude"))
        environment = {}
    with site.watch() as seen:
        result = ask(home, environment, "!answer Hello from the script.")
    assert (result.result["result"], result.result["is_error"]) == ("Hello from the script.", False)
    seen.served("messages", 1)
    assert seen.credits_taken == 5, "it asks for adaptive thinking: message and surcharge"


@sees(*_CLIENT, "parallel Bash and Read, then Write, with reasoning kept")
def test_tools_run_in_parallel_and_in_turn(site: Site, home: Home) -> None:
    (home.work / "a.txt").write_text("content of a\n")
    target = home.work / "b.txt"
    read, write = {"file_path": str(home.work / "a.txt")}, {"file_path": str(target)}
    script = (
        "Please work.\n!reason Two things at once.\n"
        '!tool Bash {"command": "echo from-bash", "description": "say"}\n'
        f"!tool Read {json.dumps(read)}\n!then\n!reason Now write.\n"
        f"!tool Write {json.dumps(write | {'content': 'by the client'})}\n!then\n!answer Done."
    )
    with site.watch() as seen:
        result = ask(home, settings(site), script)
    assert result.result["result"] == "Done."
    assert any("from-bash" in text for text in result.results())
    assert any("content of a" in text for text in result.results())
    assert target.read_text() == "by the client"
    seen.served("messages", 3)
    reasonings = [each.get("reasoning_content") for each in seen.messages("assistant")]
    assert reasonings == ["Two things at once.", "Now write."]


@sees(*_CLIENT, "an image in a tool's result")
def test_an_image_in_a_tools_result_reaches_the_model(site: Site, home: Home) -> None:
    picture = home.work / "red.png"
    picture.write_bytes(red_square())
    script = f"!tool Read {json.dumps({'file_path': str(picture)})}"
    with site.watch() as seen:
        result = ask(home, settings(site), script)
    assert result.result["result"].startswith("I see 1 image.")
    seen.served("messages", 2)


@sees(*_CLIENT, "a sub-agent with a tool of its own")
def test_a_sub_agent_works_beside(site: Site, home: Home) -> None:
    inner = '!tool Bash {"command": "echo in-agent", "description": "say"}\n!then\n!answer found'
    agent = {"description": "look", "prompt": inner, "subagent_type": "general-purpose"}
    script = f"!tool Agent {json.dumps(agent)}\n!then\n!answer Main done."
    with site.watch() as seen:
        result = ask(home, settings(site), script)
    assert "Main done." in [line.get("result") for line in result.lines]
    assert any("in-agent" in text for text in result.results())
    # two of the agent's own, and two or three of its parent's, who may hear of the end
    assert seen.good in (4, 5), seen.answers
    seen.served("messages", seen.good)


@sees(
    *_CLIENT, "deferred tools found by a search (`tool_reference`); its web search shown as refused"
)
def test_deferred_tools_are_found_and_a_hosted_one_is_refused_to_the_model(
    site: Site, home: Home
) -> None:
    script = (
        '!tool ToolSearch {"query": "select:WebSearch,NotebookEdit"}\n!then\n'
        '!tool WebSearch {"query": "faregate"}\n!then\n!answer Done without.'
    )
    with site.watch() as seen:
        result = ask(home, settings(site), script)
    assert result.result["result"] == "Done without."
    assert any("web_search_20250305 is not supported" in text for text in result.results())
    offered = {tool["function"]["name"] for tool in seen.bodies[-1]["tools"]}
    assert {"WebSearch", "NotebookEdit"} <= offered
    assert seen.of_route("messages")[200] == 3
    assert set(seen.of_route("messages")) == {200, 400}, "only the hosted search itself"
    seen.reckoned()
    assert (len(seen.charges), seen.refunds) == (3, [])


@sees(*_CLIENT, "output by a JSON schema")
def test_structured_output(site: Site, home: Home) -> None:
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
        "required": ["name", "age"],
        "additionalProperties": False,
    }
    script = '!when tool StructuredOutput\n!tool StructuredOutput {"name": "Ann", "age": 3}'
    with site.watch() as seen:
        result = ask(home, settings(site), script, "--json-schema", json.dumps(schema))
    assert result.result["structured_output"] == {"name": "Ann", "age": 3}
    seen.served("messages", 1)


@sees(*_CLIENT, "resume, `/compact`, and `/context` with its burst of `count_tokens`")
def test_a_session_goes_on_is_counted_and_compacted(site: Site, home: Home) -> None:
    environment = settings(site)
    with site.watch() as seen:
        ask(home, environment, "!answer Hello one.")
        result = ask(home, environment, "!answer Hello two.", "--continue")
    assert result.result["result"] == "Hello two."
    seen.served("messages", 2)
    assert [each["content"] for each in seen.messages("assistant")] == ["Hello one."]

    with site.watch() as seen:
        result = ask(home, environment, "/context", "--continue")
    assert "Context Usage" in result.result["result"]
    assert set(seen.of_route("free")) <= {200, 404}, "404 is its probe of the host"
    assert seen.of_route("free")[200] > 15, "a burst of counts"
    assert (seen.charges, seen.bodies) == ([], [])

    summary = "!answer <analysis>a</analysis>\\n<summary>They said hello.</summary>"
    with site.watch() as seen:
        result = ask(home, environment, f"/compact keep it short\n{summary}", "--continue")
    assert result.result["is_error"] is False
    seen.served("messages", 1)
    with site.watch() as seen:
        result = ask(home, environment, "!answer Hello three.", "--continue")
    assert result.result["result"].endswith("Hello three.")
    assert "They said hello." in json.dumps(seen.messages("user"))
    seen.served("messages", 1)


@sees(*_CLIENT, "its aliases `haiku` and `opus`, served through `claude-*`")
@pytest.mark.parametrize("alias", ["haiku", "opus"])
def test_its_own_model_names_are_aliases(site: Site, home: Home, alias: str) -> None:
    with site.watch() as seen:
        result = ask(home, settings(site), "!answer Hello.", "--model", alias)
    assert result.result["result"] == "Hello."
    seen.served("messages", 1)
    assert {body["model"] for body in seen.bodies} == {"kimi-k2.6"}


@sees(*_CLIENT, "calls whose arguments are no JSON, refusals and answers cut by the cap")
@pytest.mark.parametrize(
    "script",
    [
        '!tool Bash {"command": "echo hi", "descr\n!then\n!answer Done.',
        "!refuse\n!answer No.",
        "!length\n!answer The first half",
    ],
)
def test_odd_answers_go_on(site: Site, home: Home, script: str) -> None:
    with site.watch() as seen:
        result = ask(home, settings(site), script)
    assert result.result["is_error"] is False, result.done.printed()
    seen.served("messages", 2)
