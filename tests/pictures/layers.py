"""The layers of the gateway as an SVG, read from the import contract in `pyproject.toml`.

A part's caption is the first line of its docstring.
"""

import ast
import tomllib
from collections.abc import Iterator
from html import escape

from tests.harness.pages import ROOT

_WIDTH, _HEIGHT, _GAP = 860, 44, 10
_LEFT, _TOP, _MARGIN = 60, 20, 20
_FONT = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"


def contract() -> list[list[str]]:
    """The layers of `gateway`, from the outside in; each is a list of modules."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    contracts = tomllib.loads(text)["tool"]["importlinter"]["contracts"]
    (layers,) = (
        one["layers"]
        for one in contracts
        if one["type"] == "layers" and one["layers"][0].startswith("gateway.")
    )
    return [[name.strip() for name in layer.split("|")] for layer in layers]


def draw() -> str:
    layers = contract()
    height = 2 * _TOP + len(layers) * (_HEIGHT + _GAP) - _GAP
    boxes = "\n".join(box for number, layer in enumerate(layers) for box in _boxes(number, layer))
    middle, end = _LEFT // 2, height - _TOP
    arrow = (
        f'<line x1="{middle}" y1="{_TOP}" x2="{middle}" y2="{end - 10}" stroke="#5b6b7b"'
        f' stroke-width="2"/><path d="M{middle - 6} {end - 11} L{middle + 6} {end - 11}'
        f' L{middle} {end} Z" fill="#5b6b7b"/>\n<text fill="#5b6b7b" font-size="13"'
        f' text-anchor="middle" transform="translate({middle - 9} {height // 2}) rotate(-90)">'
        "imports</text>"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}"'
        f' viewBox="0 0 {_WIDTH} {height}" role="img">\n'
        f'<rect width="{_WIDTH}" height="{height}" rx="10" fill="#f7f9fb"/>\n'
        f'<g font-family="{_FONT}">\n{arrow}\n{boxes}\n</g>\n</svg>\n'
    )


def _boxes(number: int, layer: list[str]) -> Iterator[str]:
    room = _WIDTH - _LEFT - _MARGIN
    width = (room - _GAP * (len(layer) - 1)) / len(layer)
    y = _TOP + number * (_HEIGHT + _GAP)
    for place, module in enumerate(layer):
        x = _LEFT + place * (width + _GAP)
        name = module.removeprefix("gateway.")
        yield (
            f'<rect x="{x:g}" y="{y}" width="{width:g}" height="{_HEIGHT}" rx="6" fill="#ffffff"'
            f' stroke="#9fb3c8"/>\n<text x="{x + 14:g}" y="{y + 28}" font-size="16"'
            f' font-weight="600" fill="#16202c">{name}</text>'
        )
        yield (
            f'<text x="{x + 125:g}" y="{y + 27}" font-size="13" fill="#47566a">'
            f"{escape(_caption(module), quote=False)}</text>"
        )


def _caption(module: str) -> str:
    path = ROOT / module.replace(".", "/")
    source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    text = ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) or ""
    return text.split("\n")[0]
