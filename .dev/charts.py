"""Makes what the charts carry of other files: `python .dev/charts.py`, or `--check` to only look.

* `charts/faregate/crds/`: the resources of `crds/`, byte for byte, for a first installation
* `charts/faregate-crds/templates/`: the same as templates, for upgrades
* `charts/faregate/values.schema.json`: its definition of a fleet's specification
* `charts/faregate/README.md`: its table of values, from the comments in values.yaml
* `charts/faregate/dashboards/`: the dashboards, from `.dev/dashboards`
* the set-ups of clients in `docs/how-to/`, from the console's texts
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from dashboards import DASHBOARDS
from jinja2 import Environment, FileSystemLoader

ROOT = Path(__file__).parents[1]
CHART = ROOT / "charts/faregate"
TABLE = re.compile(
    r"(?<=<!-- values: made by \.dev/charts\.py -->\n).*?(?=<!-- end of values -->)", re.S
)
_DEFAULT_CHARACTERS_MAX = 60
#: which set-up is which block of a page: its info string, and its number among those
SETUPS = {
    ROOT / "docs/how-to/connect-a-client.md": {
        "curl": ("bash test", 1),
        "python": ("python test", 0),
        "javascript": ("js test", 0),
    },
    ROOT / "docs/how-to/connect-an-agent.md": {
        "claude-code": ("json claude", 0),
        "codex": ("toml codex", 0),
        "opencode": ("json opencode", 0),
        "openclaw": ("json openclaw", 0),
    },
}
DOCS_VALUES = {
    "url": "http://127.0.0.1:8080",
    "key": "sk-…",
    "model": {"id": "kimi-k2.5", "display_name": "Kimi K2.5", "context_window": 262144},
    "dialects": 3,
}


def products() -> dict[Path, str]:
    """Every file that is made, with what must be in it."""
    made: dict[Path, str] = {}
    for source in sorted((ROOT / "crds").glob("*.yaml")):
        text = source.read_text(encoding="utf-8")
        made[CHART / "crds" / source.name] = text
        made[ROOT / "charts/faregate-crds/templates" / source.name] = as_template(text)
    schema = CHART / "values.schema.json"
    made[schema] = with_fleet(schema.read_text(encoding="utf-8"))
    readme = CHART / "README.md"
    made[readme] = TABLE.sub(lambda _: table(), readme.read_text(encoding="utf-8"))
    for name, dashboard in DASHBOARDS.items():
        text = json.dumps(dashboard(), indent=2, ensure_ascii=False) + "\n"
        made[CHART / "dashboards" / f"{name}.json"] = text
    for path, setups in SETUPS.items():
        made[path] = with_setups(path.read_text(encoding="utf-8"), setups)
    return made


def with_setups(text: str, setups: dict[str, tuple[str, int]]) -> str:
    """A page whose set-ups are the console's, filled in for the gateway of `make run`."""
    environment = Environment(
        loader=FileSystemLoader(ROOT / "gateway/console/templates/clients"),
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701: these are blocks of code
    )
    # Nothing of what the docs name needs to be escaped.
    environment.filters |= {"in_json": str, "in_shell": str}
    for name, (block, number) in setups.items():
        made = environment.get_template(f"{name}.txt").render(DOCS_VALUES)
        found = list(re.finditer(rf"^```{block}\n(.*?)^```", text, re.M | re.S))[number]
        text = text[: found.start(1)] + made + text[found.end(1) :]
    return text


def as_template(text: str) -> str:
    """A resource as a template: its braces are text."""
    return re.sub(r"\{\{|\}\}", r'{{ "\g<0>" }}', text)


def with_fleet(text: str) -> str:
    """The schema of the values with the specification of a GatewayFleet as the resource has it."""
    schema = json.loads(text)
    resource = yaml.safe_load((ROOT / "crds/gatewayfleets.yaml").read_text(encoding="utf-8"))
    (version,) = resource["spec"]["versions"]
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    schema["definitions"]["fleetSpec"] = {**strict(spec), "type": "object"}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def strict(node: Any) -> Any:
    """A structural schema as JSON Schema that takes no other fields.

    Null takes a field away that another file of values has, where it may be left out.
    """
    if isinstance(node, list):
        return [strict(each) for each in node]
    if not isinstance(node, dict):
        return node
    made: dict[str, Any] = {}
    for name, value in node.items():
        if name == "properties":
            needed = node.get("required", ())
            made[name] = {
                field: strict(each) if field in needed else or_null(strict(each))
                for field, each in value.items()
            }
        elif name == "additionalProperties" and isinstance(value, dict):
            made[name] = or_null(strict(value))
        elif not name.startswith("x-") and name not in ("nullable", "default"):
            made[name] = strict(value)
    if node.get("x-kubernetes-int-or-string"):
        made["type"] = ["integer", "string"]
    if "properties" in node and not node.get("x-kubernetes-preserve-unknown-fields"):
        made["additionalProperties"] = False
    return made


def or_null(schema: dict[str, Any]) -> dict[str, Any]:
    """The same schema, which null passes, too."""
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    choices = {"enum": [*schema["enum"], None]} if "enum" in schema else {}
    return {**schema, "type": [*types, "null"], **choices}


def table() -> str:
    """The table of values. Raises `SystemExit` where one has no comment."""
    text = (CHART / "values.yaml").read_text(encoding="utf-8")
    described = dict(comments(text))
    rows = ["", "| value | default | what it is for |", "| --- | --- | --- |"]
    for path, default in leaves(yaml.safe_load(text), described):
        if path not in described:
            raise SystemExit(f"values.yaml: {path} has no comment")
        rows.append(f"| `{path}` | {shown(default)} | {described.pop(path)} |")
    assert not described, f"comments without a value: {sorted(described)}"
    return "\n".join([*rows, "", ""])


def leaves(
    values: dict[str, Any], described: dict[str, str], prefix: str = ""
) -> Iterator[tuple[str, Any]]:
    """Every value that is described as a whole, or holds no other."""
    for name, value in values.items():
        path = prefix + name
        if isinstance(value, dict) and path not in described:
            yield from leaves(value, described, f"{path}.")
        else:
            yield path, value


def comments(text: str) -> Iterator[tuple[str, str]]:
    """Paths with the comments above them that begin with two dashes."""
    place: list[tuple[int, str]] = []
    lines: list[str] = []
    for line in text.splitlines():
        comment = re.match(r" *# ?(.*)", line)
        if comment:
            lines.append(comment.group(1))
            continue
        key = re.match(r"( *)([\w.-]+):", line)
        if key:
            indent = len(key.group(1))
            place = [(depth, name) for depth, name in place if depth < indent]
            place.append((indent, key.group(2)))
            if lines and lines[0].startswith("-- "):
                yield ".".join(name for _, name in place), " ".join(lines).removeprefix("-- ")
        lines = []


def shown(default: Any) -> str:
    text = json.dumps(default, ensure_ascii=False)
    return f"`{text}`" if len(text) <= _DEFAULT_CHARACTERS_MAX else "see values.yaml"


def main() -> int:
    stale = []
    for path, text in products().items():
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(str(path.relative_to(ROOT)))
        if "--check" not in sys.argv:
            path.write_text(text, encoding="utf-8")
    if stale and "--check" in sys.argv:
        print(f"run `make generate`: not what it should be: {', '.join(stale)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
