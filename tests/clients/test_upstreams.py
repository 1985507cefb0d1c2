"""The agent clients before each kind of upstream: reasoning, a tool, and the answer behind it.

All of it is slow, so a run without `FAREGATE_TEST_UPSTREAMS=all` has the part in `CHOSEN`: those
that cross two dialects. A run of all writes the table in the docs.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.clients import test_claude_code, test_codex, test_openclaw, test_opencode
from tests.clients.site import CHARGED, Home, Site
from tests.clients.upstreams import CLIENTS, KINDS, Case, write_table
from tests.harness.books import check_books
from tests.harness.gateway import GatewayProcess, api_key, credit_grant, fleet

#: what each kind of upstream calls its model; the first one's is the usual site
MODELS = {"messages": "claude-opus-4-6", "responses": "gpt-5.1", "gemini": "gemini-3-pro"}
CHOSEN: tuple[Case, ...] = (
    ("Claude Code", "responses"),
    ("Claude Code", "gemini"),
    ("Codex", "messages"),
    ("Codex", "gemini"),
    ("OpenCode, chat", "messages"),
)
ALL: tuple[Case, ...] = tuple((client, kind) for client in CLIENTS for kind in KINDS)
IS_ALL = os.environ.get("FAREGATE_TEST_UPSTREAMS") == "all"


def script(tool: str, arguments: str) -> str:
    """A turn that looks and one that answers; a title where no tools are on offer."""
    return (
        f"Please work.\n!when no-tools\n!answer A title\n!when tool {tool}\n!reason Look first.\n"
        f"!tool {tool} {arguments}\n!then\n!answer Done."
    )


def claude_code(site: Site, home: Home) -> str:
    work = script("Bash", '{"command": "echo from-the-tool", "description": "say"}')
    result = test_claude_code.ask(home, test_claude_code.settings(site), work)
    assert "from-the-tool" in result.results()[0]
    return str(result.result["result"])


def codex(site: Site, home: Home) -> str:
    work = script("exec_command", '{"cmd": "echo from-the-tool"}')
    result = test_codex.ask(site, home, work, "-c", "model_reasoning_effort=high")
    assert [one["aggregated_output"] for one in result.items("command_execution")] == [
        "from-the-tool\n"
    ]
    return result.answer


def codex_of_last_year(site: Site, home: Home) -> str:
    work = script("shell", '{"command": ["bash", "-lc", "echo from-the-tool"]}')
    result = test_codex.ask(site, home, work, release="codex-of-last-year")
    assert [one["aggregated_output"] for one in result.items("command_execution")] == [
        "from-the-tool\n"
    ]
    return result.answer


def opencode(route: str) -> Callable[[Site, Home], str]:
    def work(site: Site, home: Home) -> str:
        wanted = script("bash", '{"command": "touch there.txt", "description": "make"}')
        done = test_opencode.ask(site, home, route, wanted)
        assert (home.work / "there.txt").exists(), done.printed()
        return done.output.strip()

    return work


def openclaw(route: str) -> Callable[[Site, Home], str]:
    def work(site: Site, home: Home) -> str:
        wanted = script("exec", '{"command": "touch there.txt"}')
        done = test_openclaw.ask(site, home, route, wanted, "--thinking", "high")
        assert (home.work / "there.txt").exists(), done.printed()
        return test_openclaw.final(done)

    return work


WORK: dict[str, Callable[[Site, Home], str]] = {
    "Claude Code": claude_code,
    "Codex": codex,
    "Codex of last year": codex_of_last_year,
    **{f"OpenCode, {route}": opencode(route) for route in test_opencode.PROVIDERS},
    **{f"OpenClaw, {route}": openclaw(route) for route in test_openclaw.PROVIDERS},
}


@contextmanager
def _running(site: Site, kind: str, factory: pytest.TempPathFactory) -> Iterator[Site]:
    document = fleet(site.simulated.url)
    document["spec"]["upstreams"][0]["dialect"] = kind
    model = {"id": "kimi-k2.5", "aliases": ["claude-*"], "upstream": "main"}
    document["spec"]["models"] = [{**model, "upstreamModel": MODELS[kind]}]
    documents = [
        document,
        api_key("rich", "rich"),
        api_key("poor", "poor"),
        credit_grant("rich", "rich", credits=1_000_000),
    ]
    gateway = GatewayProcess(factory.mktemp(kind), documents).start()
    yield Site(gateway, site.simulated)
    assert gateway.stop() == 0, gateway.log_text()
    check_books(gateway.database_url)


@pytest.fixture(scope="module")
def sites(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Site]]:
    """The site before each kind of upstream, made when it is first asked for."""
    made = {"chat": site}
    with ExitStack() as stack:

        def of_kind(kind: str) -> Site:
            if kind not in made:
                made[kind] = stack.enter_context(_running(site, kind, tmp_path_factory))
            return made[kind]

        yield of_kind


@pytest.fixture(scope="module")
def passed() -> Iterator[set[Case]]:
    """The cases that passed; all of them together are the table in the docs."""
    cases: set[Case] = set()
    yield cases
    if IS_ALL:
        write_table(cases)


@pytest.mark.parametrize(("client", "kind"), ALL if IS_ALL else CHOSEN)
def test_an_agent_works_before_each_kind_of_upstream(
    sites: Callable[[str], Site], home: Home, passed: set[Case], client: str, kind: str
) -> None:
    site = sites(kind)
    with site.watch() as seen:
        assert WORK[client](site, home) == "Done."
    assert {code for route, code in seen.answers if route in CHARGED} == {200}, seen.answers
    seen.reckoned()
    assert (len(seen.charges), seen.refunds) == (seen.good, [])
    assert seen.good > 1
    passed.add((client, kind))
