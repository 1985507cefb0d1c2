"""A terminal as an SVG: lines of text in a dark window."""

from collections.abc import Iterator
from html import escape
from typing import NamedTuple

_COLUMNS = 96
_COLUMN, _ROW = 8.4, 20
_MARGIN, _TOP = 22, 52
_COLOURS = {"command": "#f5f7fa", "output": "#b6c2cf", "good": "#7ee2a8", "bad": "#ff9c8f"}
_PROMPT = "#7cc4ff"
_FONT = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"


class Line(NamedTuple):
    """One line of output; or one command, which may have several lines."""

    text: str
    kind: str = "output"


def draw(lines: list[Line]) -> str:
    rows = [row for line in lines for row in _rows(line)]
    width = round(2 * _MARGIN + _COLUMNS * _COLUMN)
    height = _TOP + len(rows) * _ROW + _MARGIN
    dots = "".join(
        f'<circle cx="{_MARGIN + 4 + 20 * number}" cy="24" r="6" fill="{colour}"/>'
        for number, colour in enumerate(("#ff5f57", "#febc2e", "#28c840"))
    )
    texts = "\n".join(
        f'<text x="{_MARGIN}" y="{_TOP + 14 + number * _ROW}">{row}</text>'
        for number, row in enumerate(rows)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
        f' viewBox="0 0 {width} {height}" role="img">\n'
        f'<rect width="{width}" height="{height}" rx="10" fill="#16202c"/>\n{dots}\n'
        f'<g font-family="{_FONT}" font-size="14" xml:space="preserve">\n{texts}\n</g>\n</svg>\n'
    )


def _rows(line: Line) -> Iterator[str]:
    for number, text in enumerate(_wrapped(line)):
        prompt = ""
        if line.kind == "command":
            prompt = f'<tspan fill="{_PROMPT}">{"$ " if number == 0 else "  "}</tspan>'
        yield f'{prompt}<tspan fill="{_COLOURS[line.kind]}">{escape(text, quote=False)}</tspan>'


def _wrapped(line: Line) -> Iterator[str]:
    """A terminal's own breaks: at its edge, wherever that is."""
    for text in line.text.split("\n"):
        yield text[:_COLUMNS]
        for start in range(_COLUMNS, len(text), _COLUMNS):
            yield text[start : start + _COLUMNS]
