"""The dashboards: valid by Grafana's own types, whole, and each expression parses.

No registry has a Grafana that could be started here. Its types of dashboards, panels and fields
are published as @grafana/schema; TypeScript compares, and takes nothing that they do not have.
"""

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chart.expressions import BOARDS, board, documented_metrics, every, panels
from tests.chart.helm import CHART, Body
from tests.chart.judge import find_judge
from tests.chart.prometheus import check_expressions

#: units of Grafana that the dashboards use; another one is most likely a slip
UNITS = {
    "bytes", "cps", "locale", "none", "percentunit", "reqps", "s", "short",
}  # fmt: skip


def complaints(folder: Path, dashboard: Body) -> list[str]:
    """The complaints of Grafana's types about a dashboard."""
    judge = find_judge()
    for name in ("node_modules", "dashboard.ts"):
        if not (folder / name).exists():
            (folder / name).symlink_to(judge / name)
    text = json.dumps(dashboard)
    (folder / "given.ts").write_text(
        f'import type {{ Dashboard }} from "./dashboard";\nexport const it: Dashboard = {text}'
    )
    done = subprocess.run(
        [
            "node", str(judge / "node_modules/typescript/bin/tsc"), "--noEmit", "--strict",
            "--skipLibCheck", "--preserveSymlinks", "--module", "esnext",
            "--moduleResolution", "bundler", "--target", "es2022", "given.ts",
        ],
        cwd=folder, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    found = re.findall(r"error TS\d+: .*", done.stdout)
    assert found or done.returncode == 0, done.stdout + done.stderr
    return found


@pytest.mark.parametrize("name", BOARDS)
def test_grafana_knows_every_member_and_takes_every_value(name: str, tmp_path: Path) -> None:
    assert complaints(tmp_path, board(name)) == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda it: it.update(titel="x"),
        lambda it: it.update(schemaVersion="39"),
        lambda it: it["templating"]["list"][1].update(refresh=9),
        lambda it: _first(it, "timeseries")["fieldConfig"]["defaults"].update(units="s"),
        lambda it: _first(it, "timeseries")["fieldConfig"]["defaults"]["custom"].update(width=1),
        lambda it: _first(it, "timeseries")["options"]["tooltip"].update(mode="all"),
        lambda it: _first(it, "stat")["options"].update(graphMode="lines"),
        lambda it: _first(it, "table")["options"].update(showHeader="yes"),
        lambda it: _first(it, "state-timeline")["options"].pop("legend"),
        lambda it: _first(it, "stat").update(type="stats"),
    ],
)
def test_the_types_see_what_they_are_there_for(
    spoil: Callable[[Body], object], tmp_path: Path
) -> None:
    dashboard = board("ledger-and-operator")
    spoil(dashboard)
    assert complaints(tmp_path, dashboard) != []


def _first(dashboard: Body, kind: str) -> Any:
    return next(panel for panel in dashboard["panels"] if panel["type"] == kind)


def test_every_expression_parses(tmp_path: Path) -> None:
    expressions = {f"e{number}": one.text for number, one in enumerate(every())}
    assert len(expressions) > 100
    assert check_expressions(expressions, tmp_path) == []
    assert check_expressions({"bad": "sum by (x (y)"}, tmp_path) != []


def test_every_metric_that_is_asked_for_is_documented_and_every_one_is_shown() -> None:
    documented = documented_metrics()
    made = {one.place for one in every() if ":" in one.place and " " not in one.place}
    asked = {
        re.sub(r"_(bucket|count|sum)$", "", name)
        for one in every()
        for name in one.metrics
        if not name.startswith("process_")
    }
    assert sorted(asked - made - documented) == []
    assert sorted(documented - asked) == []


@pytest.mark.parametrize("name", BOARDS)
def test_every_panel_states_what_it_shows_and_what_no_data_means(name: str) -> None:
    for panel in panels(name):
        title = panel["title"]
        assert panel["description"].endswith("."), title
        defaults = panel["fieldConfig"]["defaults"]
        assert defaults["noValue"], title
        assert set(_units(panel)) <= UNITS, title
        assert panel["datasource"]["uid"] == "${datasource}", title
        letters = [target["refId"] for target in panel["targets"]]
        assert len(set(letters)) == len(letters) > 0, title
        for target in panel["targets"]:
            assert target["datasource"] == panel["datasource"], title
            assert 'namespace=~"$namespace"' in target["expr"], title


def _units(panel: Body) -> Iterator[str]:
    defaults = panel["fieldConfig"]["defaults"]
    if panel["type"] != "heatmap":
        yield defaults["unit"]
    for override in panel["fieldConfig"]["overrides"]:
        yield from (each["value"] for each in override["properties"] if each["id"] == "unit")


@pytest.mark.parametrize("name", BOARDS)
def test_panels_stand_side_by_side(name: str) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in board(name)["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        taken |= cells
    identities = [panel["id"] for panel in board(name)["panels"]]
    assert len(set(identities)) == len(identities)


@pytest.mark.parametrize("name", BOARDS)
def test_every_variable_is_used_and_every_used_one_is_there(name: str) -> None:
    variables = {each["name"] for each in board(name)["templating"]["list"]}
    text = json.dumps([*board(name)["panels"], *board(name)["templating"]["list"]])
    used = {each for each in re.findall(r"\$\{?([a-z]\w*)\}?", text) if each != "__all"}
    assert used == variables


def test_the_dashboards_lead_to_each_other_and_have_names_of_their_own() -> None:
    assert sorted(path.stem for path in (CHART / "dashboards").iterdir()) == sorted(BOARDS)
    for name in BOARDS:
        assert board(name)["uid"] == f"faregate-{name}"
        assert board(name)["tags"] == board(name)["links"][0]["tags"] == ["faregate"]
        assert "id" not in board(name)
