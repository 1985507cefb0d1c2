"""The rules: valid, each alert fires when it must and is silent else, and each has its page."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.expressions import RULES, documented_metrics, metrics_of, recorded, rules
from tests.chart.prometheus import check_expressions, promtool
from tests.harness.apiserver import MISSING, ApiServer, find_kubernetes
from tests.harness.pages import DOCS, ROOT, blocks, columns, page, tables
from tests.harness.shell import Shell, find_program
from tests.test_docs_install import BY_THE_OPERATOR, WITHOUT_NODES

STORIES = sorted((Path(__file__).parent / "rules").glob("*.yaml"))
PAGES = sorted((DOCS / "reference/runbooks").glob("*.md"))
ALERTS = {rule["alert"] for rule in rules("alerts")}
SEVERITIES = {"critical", "warning", "info"}
#: what a page must answer, in this order
PARTS = ("**Meaning.**", "**Affected.**", "## Look", "## Do")


def test_prometheus_takes_the_rules() -> None:
    done = promtool("check", "rules", *sorted(RULES.iterdir()))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("story", STORIES, ids=lambda path: path.stem)
def test_alerts_fire_when_they_must_and_not_when_they_must_not(story: Path, tmp_path: Path) -> None:
    """Groups take their turns as they stand in the files: left alone, promtool takes any order,

    and an alert then sees what was recorded now or a minute ago.
    """
    text = story.read_text("utf-8")
    files = [(story.parent / name).resolve() for name in yaml.safe_load(text)["rule_files"]]
    groups = [each["name"] for path in files for each in yaml.safe_load(path.read_text())["groups"]]
    ordered = tmp_path / story.name
    # put in front as text: YAML in Python reads values like 0x180 as numbers
    order = f"group_eval_order: {json.dumps(groups)}\n"
    ordered.write_text(order + text.replace("../../..", str(ROOT)), "utf-8")
    done = promtool("test", "rules", ordered)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_and_every_severity_has_a_story_of_either_end() -> None:
    fired: set[tuple[str, str]] = set()
    silent: set[str] = set()
    for message in _expected():
        for alert in message["exp_alerts"]:
            fired.add((message["alertname"], alert["exp_labels"]["severity"]))
        if not message["exp_alerts"]:
            silent.add(message["alertname"])
    assert fired == {(rule["alert"], rule["labels"]["severity"]) for rule in rules("alerts")}
    assert silent == ALERTS


def _expected() -> Iterator[dict[str, Any]]:
    for story in STORIES:
        for test in yaml.safe_load(story.read_text("utf-8"))["tests"]:
            yield from test["alert_rule_test"]


@pytest.mark.parametrize("rule", rules("alerts"), ids=lambda rule: str(rule["alert"]))
def test_every_alert_states_how_bad_it_is_and_what_to_read(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in SEVERITIES
    found = rule["annotations"]
    assert found.keys() == {"summary", "description", "runbook_url"}
    assert found["runbook_url"] == f"docs/reference/runbooks/{rule['alert']}.md"
    assert not found["summary"].endswith(".")
    assert found["description"].endswith(".")


def test_every_alert_has_a_page_and_every_page_an_alert() -> None:
    assert {path.stem for path in PAGES} == ALERTS


def test_the_table_of_alerts_is_complete() -> None:
    (listed,) = (rows for rows in tables(page("how-to/monitor.md")) if "runbooks/" in rows[0][0])
    documented = {
        re.sub(r"\[(\w+)\]\(.*\)", r"\1", name): set(given.split(", "))
        for name, given in columns(listed, 1).items()
    }
    severities: dict[str, set[str]] = {name: set() for name in ALERTS}
    for rule in rules("alerts"):
        severities[rule["alert"]].add(rule["labels"]["severity"])
    assert documented == severities


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_every_page_states_what_is_wrong_and_what_to_do(path: Path, tmp_path: Path) -> None:
    text = path.read_text("utf-8")
    assert text.startswith(f"# {path.stem}\n")
    places = [text.index(part) for part in PARTS]
    assert places == sorted(places)
    assert len(text.splitlines()) <= 60
    queries = {f"q{number}": query for number, query in enumerate(blocks(text, "promql"))}
    assert check_expressions(queries, tmp_path) == []
    known = documented_metrics() | {one.place for one in recorded()}
    for query in queries.values():
        asked = {re.sub(r"_bucket$", "", name) for name in metrics_of(query)}
        assert asked <= known, query


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A terminal of somebody whose cluster is like the one on the pages."""
    programs = find_kubernetes()
    if programs is None or find_program("kubectl") is None or find_program("helm") is None:
        pytest.skip(MISSING)
    server = ApiServer(programs).start()
    folder = tmp_path_factory.mktemp("home")
    (folder / "charts").symlink_to(DOCS.parent / "charts")
    shell = Shell(server, folder)
    (made,) = (
        it
        for it in blocks(page("tutorial/first-key-on-kubernetes.md"), "bash cluster")
        if "kind: ApiKey" in it
    )
    shell.run("\n".join([
        WITHOUT_NODES,
        "helm install faregate charts/faregate --namespace faregate --create-namespace "
        "--set database.trial=true",
        BY_THE_OPERATOR,
        made,
    ]))  # fmt: skip
    yield shell
    server.remove()


@pytest.mark.parametrize("path", [DOCS / "how-to/monitor.md", *PAGES], ids=lambda path: path.stem)
def test_every_command_of_a_page_is_right(path: Path, shell: Shell) -> None:
    """Two pages restart the operator, which takes one restart a second."""
    restarts = """
kubectl() {
  case " $* " in *" rollout restart "*) sleep 1.1 ;; esac
  cluster "$@"
}
"""
    stubs = WITHOUT_NODES.replace("kubectl() {", "cluster() {", 1)
    shell.run("\n".join([stubs, restarts, *blocks(path.read_text("utf-8"), "bash")]))
