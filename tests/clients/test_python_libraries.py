"""LangChain and LlamaIndex agents, `llm` and aider: tool loops, forced tools, edits, failures."""

import json
from typing import Any

import pytest

from tests.clients.installed import HERE, python
from tests.clients.shown import configuration
from tests.clients.sights import sees
from tests.clients.site import Done, Home, Site

_LANGCHAIN_OPENAI = ("LangChain, `langchain-openai`", "langchain-openai")
_LANGCHAIN_ANTHROPIC = ("LangChain, `langchain-anthropic`", "langchain-anthropic")
_LLAMA_OPENAI = ("LlamaIndex, `llms-openai-like`", "llama-index-llms-openai-like")
_LLAMA_ANTHROPIC = ("LlamaIndex, `llms-anthropic`", "llama-index-llms-anthropic")
_LLM = ("`llm`", "llm")
_LLM_ANTHROPIC = ("`llm`, `llm-anthropic`", "llm-anthropic")
_AIDER = ("aider", "aider-chat")
KINDS = ["chat", "responses", "messages"]
_LOOP = (
    '!reason Look there.\n!tool look {"city": "Bern"}\n!tool look {"city": "Basel"}\n!then\n'
    '!reason Once more.\n!tool look {"city": "Genf"}\n!then\n!answer Sunny everywhere.'
)


def run_program(
    site: Site, home: Home, name: str, arguments: list[str], prompt: str, key: str = ""
) -> Any:
    """Run one of `programs/` with the Python that has its library; what it printed."""
    which = "llama-index" if name.startswith("llama") else "libraries"
    environment = {"FAREGATE_KEY": key or site.key, "FAREGATE_URL": site.gateway.url}
    command = [str(python(which)), str(HERE / "programs" / name), *arguments]
    done = home.run(command, environment, stdin=prompt)
    assert done.code == 0, done.printed()
    return json.loads(done.output.splitlines()[-1])


@sees(*_LANGCHAIN_OPENAI, "agents over chat and responses, streamed and not")
@sees(*_LANGCHAIN_ANTHROPIC, "agents, streamed and not, with reasoning kept")
@pytest.mark.parametrize("act", ["loop", "stream"])
@pytest.mark.parametrize("kind", KINDS)
def test_langchain_agents_take_their_steps(site: Site, home: Home, kind: str, act: str) -> None:
    with site.watch() as seen:
        result = run_program(site, home, "langchain_agent.py", [kind, act], _LOOP)
    assert result.get("text") == "Sunny everywhere.", result
    assert sorted(result["results"]) == [f"Sunny in {city}" for city in ("Basel", "Bern", "Genf")]
    seen.served(kind, 3)
    if act == "loop":
        reasonings = [each.get("reasoning_content") for each in seen.messages("assistant")]
        assert all(reasonings), "the upstream refuses a history without"


@sees(*_LANGCHAIN_OPENAI, "structured output by a forced tool")
@sees(*_LANGCHAIN_ANTHROPIC, "structured output by a forced tool")
@pytest.mark.parametrize("kind", KINDS)
def test_langchain_forces_a_tool(site: Site, home: Home, kind: str) -> None:
    with site.watch() as seen:
        result = run_program(site, home, "langchain_agent.py", [kind, "forced tool"], "A thing.")
    assert set(result.get("object") or ()) == {"name", "count"}, result
    seen.served(kind, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_langchain_reports_failures(site: Site, home: Home, kind: str) -> None:
    with site.watch() as seen:
        program = "langchain_agent.py"
        result = run_program(site, home, program, [kind, "loop"], "!answer Never.", site.poor_key)
    assert result["status"] == 402
    assert seen.bodies == []
    with site.watch() as seen:
        result = run_program(site, home, program, [kind, "loop"], "!error 500")
    assert result["status"] == 502
    seen.cost_nothing()


@sees(*_LLAMA_OPENAI, "agents over chat")
@sees(*_LLAMA_ANTHROPIC, "agents, by an alias")
@pytest.mark.parametrize("kind", ["chat", "messages"])
def test_llama_index_agents_take_their_steps(site: Site, home: Home, kind: str) -> None:
    with site.watch() as seen:
        result = run_program(site, home, "llama_index_agent.py", [kind], _LOOP)
    assert result.get("text") == "Sunny everywhere.", result
    assert sorted(result["results"]) == [f"Sunny in {city}" for city in ("Basel", "Bern", "Genf")]
    seen.served(kind, 3)


def ask_llm(site: Site, home: Home, *arguments: str) -> Done:
    """`llm` with its model file, as its manual shows it."""
    folder = home.path / "llm"
    home.write("llm/extra-openai-models.yaml", configuration(site, "yaml llm"))
    home.write("llm/keys.json", json.dumps({"faregate": site.key}))
    environment = {
        "LLM_USER_PATH": str(folder),
        "ANTHROPIC_API_KEY": site.key,
        "ANTHROPIC_BASE_URL": site.anthropic_url,
    }
    return home.run([str(python("libraries")), "-m", "llm", *arguments], environment)


@sees(*_LLM, "answers, tools and conversations over chat")
def test_llm_answers_uses_tools_and_goes_on(site: Site, home: Home) -> None:
    functions = 'def look(city: str) -> str:\n    "Looks at a city."\n    return "Sunny in " + city'
    with site.watch() as seen:
        done = ask_llm(site, home, "-m", "kimi-k2.5", "--functions", functions, _LOOP)
    assert done.output.strip().endswith("Sunny everywhere."), done.printed()
    seen.served("chat", 3)
    with site.watch() as seen:
        done = ask_llm(site, home, "--continue", "!answer Still here.")
    assert done.output.strip() == "Still here.", done.printed()
    seen.served("chat", 1)


@sees(*_LLM_ANTHROPIC, "answers, by an alias")
def test_llm_answers_through_anthropic(site: Site, home: Home) -> None:
    with site.watch() as seen:
        done = ask_llm(site, home, "-m", "anthropic/claude-sonnet-4-5", "!answer Hello.")
    assert done.output.strip() == "Hello.", done.printed()
    seen.served("messages", 1)


@sees(*_AIDER, "an edit, streamed, and credits used up, shown")
def test_aider_edits_a_file(site: Site, home: Home) -> None:
    (home.work / "note.txt").write_text("before\n")
    command = [str(python("aider")), "-m", "aider", "--model", "openai/kimi-k2.5"]
    command += ["--edit-format", "whole", "--yes-always", "--no-git", "--no-check-update"]
    command += [
        "--no-show-model-warnings",
        "--analytics-disable",
        "--no-pretty",
        "--map-tokens",
        "0",
    ]
    environment = {"OPENAI_API_BASE": site.openai_url, "OPENAI_API_KEY": site.key}
    script = "Change it.\n!answer note.txt\\n```\\nby the client\\n```"
    with site.watch() as seen:
        done = home.run([*command, "--message", script, "note.txt"], environment)
    assert (home.work / "note.txt").read_text() == "by the client\n", done.printed()
    seen.served("chat", 1)
    environment["OPENAI_API_KEY"] = site.poor_key
    with site.watch() as seen:
        done = home.run([*command, "--message", script, "note.txt"], environment)
    assert "credit balance is too low" in done.printed().lower(), done.printed()
    assert set(seen.of_route("chat")) == {402}
