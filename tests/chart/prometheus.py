"""A real Prometheus: `promtool`, and a server on loopback with the chart's rules."""

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import yaml

from tests.chart.expressions import RULES
from tests.harness.gateway import wait_until
from tests.harness.pages import blocks, page
from tests.harness.ports import free_port

MISSING = "Prometheus is not installed (apt-get install prometheus)"
_DISCOVERY = "__meta_kubernetes_"


class Scraped(NamedTuple):
    """A process on loopback in the place of a pod; its port has the metrics."""

    port: int
    namespace: str
    pod: str
    fleet: str = ""

    @property
    def discovered(self) -> dict[str, str]:
        """The pod as Prometheus would be configured for it."""
        annotation = "pod_annotation_prometheus_io"
        found = {
            "namespace": self.namespace,
            "pod_name": self.pod,
            "pod_ip": "127.0.0.1",
            "pod_phase": "Running",
            f"{annotation}_scrape": "true",
            f"{annotation}_port": str(self.port),
            f"{annotation}_path": "/metrics",
        }
        if self.fleet:
            found["pod_label_faregate_dev_fleet"] = self.fleet
        return {f"{_DISCOVERY}{name}": value for name, value in found.items()}


def find_promtool() -> str:
    """The program; skips the test where there is none."""
    found = shutil.which("promtool")
    if found is None:
        pytest.skip(MISSING)
    return found


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    line = [find_promtool(), *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, timeout=120)


class Prometheus:
    """One server and what it knows. Evaluates rules as often as it scrapes."""

    def __init__(self, url: str) -> None:
        self.http = httpx.Client(base_url=url, trust_env=False, timeout=30)

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The samples of an instant vector, those that are numbers. Raises on a refused query."""
        answer = self.http.get("/api/v1/query", params={"query": expression})
        found = answer.json()
        assert found["status"] == "success", f"{expression}: {found}"
        return [each for each in found["data"]["result"] if each["value"][1] != "NaN"]

    def rules(self) -> list[dict[str, Any]]:
        groups = self.http.get("/api/v1/rules").json()["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def targets(self) -> list[dict[str, Any]]:
        """All targets that are scraped, with their labels and health."""
        return list(self.http.get("/api/v1/targets").json()["data"]["activeTargets"])

    def is_ready(self) -> bool:
        try:
            return self.http.get("/-/ready").status_code == httpx.codes.OK
        except httpx.TransportError:
            return False


@contextmanager
def prometheus(folder: Path, scraped: Sequence[Scraped]) -> Iterator[Prometheus]:
    """A server that scrapes each second what it is pointed to, as the documentation asks."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip(MISSING)
    for name in ("recording.yaml", "alerts.yaml"):
        text = (RULES / name).read_text("utf-8")
        (folder / name).write_text(text)
    (folder / "prometheus.yml").write_text(yaml.safe_dump(_configuration(scraped)))
    port = free_port()
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                program, f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn",
            ],
            stdout=log, stderr=log, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    server = Prometheus(f"http://127.0.0.1:{port}")
    try:
        wait_until(server.is_ready, "Prometheus to be ready")
        yield server
    finally:
        server.http.close()
        process.kill()
        process.wait()


def _configuration(scraped: Sequence[Scraped]) -> dict[str, Any]:
    """The documented one; only that no API server lists pods."""
    (documented,) = blocks(page("how-to/monitor.md"), "yaml prometheus")
    configuration: dict[str, Any] = yaml.safe_load(documented)
    (job,) = configuration["scrape_configs"]
    assert job.pop("kubernetes_sd_configs") == [{"role": "pod"}]
    job["static_configs"] = [
        {"targets": [f"unused:{each.port}"], "labels": each.discovered} for each in scraped
    ]
    return {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": ["recording.yaml", "alerts.yaml"],
        **configuration,
    }


def check_expressions(expressions: Mapping[str, str], folder: Path) -> list[str]:
    """Promtool's complaints about expressions, by names that a metric may have."""
    rules = [{"record": name, "expr": text} for name, text in expressions.items()]
    path = folder / "expressions.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": rules}]}))
    done = promtool("check", "rules", path)
    return [] if done.returncode == 0 else re.findall(r"^.*: .*$", done.stdout + done.stderr, re.M)
