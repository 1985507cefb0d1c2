"""The docs as data: pages, sections, tables and blocks of code."""

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md"))]

Table = list[list[str]]


def page(name: str) -> str:
    """One page of `docs/`."""
    return (DOCS / name).read_text(encoding="utf-8")


def section(name: str, heading: str) -> str:
    """The text below a heading, up to the next heading of any depth."""
    found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)", page(name), re.M | re.S)
    assert found is not None, f"{name} has no section {heading!r}"
    return found.group(1)


def tables(text: str) -> list[Table]:
    """The tables of a text without their heads; cells keep their marks."""
    found: list[Table] = []
    previous = -2
    for number, line in enumerate(text.split("\n")):
        line = line.strip()
        if not line.startswith("|"):
            continue
        if number != previous + 1:
            found.append([])
        previous = number
        found[-1].append([cell.strip() for cell in line.strip("|").split("|")])
    return [rows[2:] for rows in found]


def columns(table: Table, *numbers: int) -> dict[str, Any]:
    """First cells without their backticks, each with the cell (or cells) of these columns."""
    names = [row[0].strip("`") for row in table]
    assert len(set(names)) == len(names), "a table names something twice"
    cells = [[row[number] for number in numbers] for row in table]
    return dict(zip(names, [each[0] if len(numbers) == 1 else each for each in cells], strict=True))


def coded(text: str) -> set[str]:
    """Everything that stands between backticks in a text of one paragraph or cell."""
    return set(re.findall(r"`([^`]+)`", text))


def blocks(text: str, marked: str) -> list[str]:
    """The blocks of code whose info string is `marked`."""
    return re.findall(rf"^```{re.escape(marked)}\n(.*?)^```", text, re.M | re.S)


def code_of(path: Path) -> str:
    """All pieces of a page that are set as code, a line each."""
    text = path.read_text(encoding="utf-8")
    fenced = re.findall(r"^```.*?\n(.*?)^```", text, re.M | re.S)
    return "\n".join(fenced + re.findall(r"`([^`\n]+)`", without_blocks(text)))


def without_blocks(text: str) -> str:
    """A page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)


def anchors(path: Path) -> set[str]:
    """The anchors that a page's headings make."""
    headings = re.findall(r"^#+ (.+)$", without_blocks(path.read_text(encoding="utf-8")), re.M)
    kept = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in kept}
