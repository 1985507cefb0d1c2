"""The chart as a part of another one, which has its own name for it and speaks to all its parts."""

import shutil
from pathlib import Path

import pytest
import yaml

from tests.chart.helm import CHART, TRIAL, Values, render, render_text

PART = "llmGateway"


@pytest.fixture(scope="module")
def umbrella(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chart with this one among its parts, as people write such."""
    folder = tmp_path_factory.mktemp("umbrella")
    version = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))["version"]
    part = {
        "name": "faregate",
        "version": version,
        "alias": PART,
        "condition": f"{PART}.enabled",
    }
    chart = {"apiVersion": "v2", "name": "ours", "version": "1.0.0", "dependencies": [part]}
    (folder / "Chart.yaml").write_text(yaml.safe_dump(chart))
    shutil.copytree(CHART, folder / "charts/faregate")
    return folder


def test_a_condition_takes_it_in_or_leaves_it_out(umbrella: Path) -> None:
    for enabled in (True, False):
        text = render_text({PART: {**TRIAL, "enabled": enabled}}, chart=umbrella)
        assert bool(text.strip()) is enabled


def test_its_names_are_valid_whatever_it_is_called(umbrella: Path) -> None:
    rendered = render({PART: TRIAL}, chart=umbrella)
    assert rendered.one("Deployment", "faregate-llmgateway-operator")
    for each in rendered.objects:
        assert each["metadata"]["name"] == each["metadata"]["name"].lower()


@pytest.mark.parametrize("repository", ["faregate", "ghcr.io/faregate", "localhost:5000/faregate"])
def test_images_come_from_the_registry_for_all(umbrella: Path, repository: str) -> None:
    everywhere = {"imageRegistry": "mirror.example.com/hub", "imagePullSecrets": ["mirror"]}
    values: Values = {
        "global": {"anything": 1, **everywhere},
        PART: {**TRIAL, "image": {"repository": repository, "tag": "1"}},
    }
    rendered = render(values, chart=umbrella)
    images = {pod["spec"]["containers"][0]["image"] for pod in rendered.pods().values()}
    assert images == {"mirror.example.com/hub/faregate:1", "mirror.example.com/hub/postgres:17"}
    for pod in rendered.pods().values():
        assert pod["spec"]["imagePullSecrets"] == [{"name": "mirror"}]
    spec = rendered.one("GatewayFleet")["spec"]
    assert spec["imagePullSecrets"] == [{"name": "mirror"}]
    own = {**values[PART], "image": {"pullSecrets": [{"name": "mine"}]}}
    spec = render({**values, PART: own}, chart=umbrella).one("GatewayFleet")["spec"]
    assert spec["imagePullSecrets"] == [{"name": "mine"}]
