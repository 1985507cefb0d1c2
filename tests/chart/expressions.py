"""Every expression that the chart ships: of its dashboards, their variables, and its rules.

Grafana's variables are replaced as Grafana would for somebody who has chosen nothing.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import yaml

from tests.chart.helm import CHART, Body
from tests.harness.pages import DOCS

#: in the order in which they are read
BOARDS = ("usage", "service", "ledger-and-operator")
RULES = CHART / "files/rules"
#: of the operator; everything else is the gateways', or made by a rule
_OPERATORS = re.compile(
    r"faregate_(account|grants|keys|ledger|open_holds|reconcile|objects|fleet|sweep|database_up)"
)
_METRICS = re.compile(r"\b((?:faregate|process)_\w+|\w+:faregate_\w+:\w+)\b(?!\s*=)")
#: a label of gateways, made by the server that scrapes them
_FLEET = "faregate_dev_fleet"
_NAMES = re.compile(r"\$\{?\w+\}?")
_VALUES = re.compile(r"label_values\((.+), (\w+)\)$")


class Expression(NamedTuple):
    """One expression, where it stands, and what it is about."""

    place: str
    text: str

    @property
    def metrics(self) -> set[str]:
        """The names of all series that it reads."""
        return metrics_of(self.text)

    @property
    def needs_operator(self) -> bool:
        """True if a gateway alone cannot answer it."""
        return any(_OPERATORS.search(name) for name in self.metrics)


def board(name: str) -> Body:
    text = (CHART / f"dashboards/{name}.json").read_text("utf-8")
    loaded: Body = json.loads(text)
    return loaded


def panels(name: str) -> list[Body]:
    """The panels of a dashboard that show something."""
    return [panel for panel in board(name)["panels"] if panel["type"] != "row"]


def rules(file: str) -> list[Body]:
    """The rules of one file, `recording` or `alerts`."""
    text = (RULES / f"{file}.yaml").read_text("utf-8")
    return [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]


def shown(window: str = "5m") -> list[Expression]:
    """The dashboards' expressions; `window` is the text that Grafana puts in for every time."""
    return [
        Expression(f"{name}: {panel['title']} {target['refId']}", plain(target["expr"], window))
        for name in BOARDS
        for panel in panels(name)
        for target in panel["targets"]
    ]


def chosen_from() -> list[Expression]:
    """The lists behind the variables of the dashboards: the values of a label."""
    return [Expression(place, text) for name in BOARDS for place, text in _variables(name)]


def recorded() -> list[Expression]:
    return [Expression(rule["record"], rule["expr"].strip()) for rule in rules("recording")]


def alerting() -> list[Expression]:
    return [Expression(rule["alert"], rule["expr"].strip()) for rule in rules("alerts")]


def every(window: str = "5m") -> list[Expression]:
    """All of them."""
    return [*shown(window), *chosen_from(), *recorded(), *alerting()]


def plain(text: str, window: str) -> str:
    """An expression without Grafana's variables: All is everything."""
    for name in ("$__rate_interval", "$__range", "$__interval"):
        text = text.replace(name, window)
    return _NAMES.sub(".*", text)


def metrics_of(text: str) -> set[str]:
    return set(_METRICS.findall(text)) - {_FLEET}


def documented_metrics() -> set[str]:
    """Every metric that has a row on some page."""
    texts = [path.read_text("utf-8") for path in sorted(DOCS.glob("*/*.md"))]
    return {name for text in texts for name in re.findall(r"^\| `(faregate_\w+)`", text, re.M)}


def _variables(name: str) -> Iterator[tuple[str, str]]:
    for variable in board(name)["templating"]["list"]:
        if variable["type"] == "query":
            query: Any = variable["query"]["query"]
            found = _VALUES.fullmatch(query)
            assert found, f"{name}: {query}"
            series, label = found.groups()
            yield f"{name}: ${variable['name']}", plain(f"count by ({label}) ({series})", "5m")
