"""The agent clients before each kind of upstream, and the table of them in the docs.

Owns the table between its markers, which a run of all cases writes.
"""

from collections.abc import Set

from tests.clients.installed import HERE, versions

PAGE = HERE.parents[1] / "docs/reference/agents.md"
BEGIN, END = "<!-- run: begin -->", "<!-- run: end -->"
#: dialects that an upstream may speak
KINDS = ("chat", "messages", "responses", "gemini")
#: the clients with their packages; after a comma the route that they ask, where they know several
CLIENTS = {
    "Claude Code": "@anthropic-ai/claude-code",
    "Codex": "@openai/codex",
    "Codex of last year": "codex-of-last-year",
    **{
        f"{name}, {route}": package
        for name, package in (("OpenCode", "opencode-linux-x64"), ("OpenClaw", "openclaw"))
        for route in ("chat", "responses", "messages")
    },
}
#: a client and a kind of upstream
Case = tuple[str, str]


def table(passed: Set[Case]) -> str:
    """The table as it must stand in the docs, if these cases passed and the others did not."""
    lines = [
        f"| client | version | {' | '.join(KINDS)} |",
        f"| --- | --- |{' --- |' * len(KINDS)}",
    ]
    for client, package in CLIENTS.items():
        cells = ["yes" if (client, kind) in passed else "no" for kind in KINDS]
        lines.append(f"| {client} | {versions()[package]} | {' | '.join(cells)} |")
    return "\n".join(lines)


def shown() -> str:
    """The table as it stands in the docs."""
    return PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0].strip()


def write_table(passed: Set[Case]) -> None:
    """Put the table into the page."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n{table(passed)}\n{END}{after}", encoding="utf-8")
