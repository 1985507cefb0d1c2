"""A Prometheus in a pod, configured as the documentation asks, with the chart's rules.

No registry gives an image of it, and Debian's package finds no pods: the program is the one that is
built beside those of the local node, and is copied into a pod that waits for it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import yaml

from tests.chart.expressions import RULES
from tests.chart.prometheus import Prometheus
from tests.cluster.harness import objects
from tests.cluster.harness.kube import Document, Kube, wait_until
from tests.cluster.local.places import BIN
from tests.harness.pages import blocks, page

#: a namespace that is made, and deleted in the end
MONITORING = "faregate-prometheus"
_NAME = "prometheus"
_PORT = 9090
_CONFIGURATION = "/etc/prometheus/faregate"
_PROGRAM = "/data/prometheus"
_START = f"""\
until [ -e {_PROGRAM} ]; do sleep 0.2; done
exec {_PROGRAM} --config.file={_CONFIGURATION}/prometheus.yml --storage.tsdb.path=/data/series \\
  --web.listen-address=0.0.0.0:{_PORT}
"""


@contextmanager
def prometheus(kube: Kube, image: str) -> Iterator[Prometheus]:
    """It runs in a namespace of its own while the block lasts. Any image with `tar` will do."""
    if not (BIN / "prometheus").exists():
        pytest.skip("Prometheus is not built: python -m tests.cluster.local build")
    kube.apply(objects.namespace(MONITORING), *_rights())
    kube.apply(_configuration(), _pod(image), namespace=MONITORING)
    try:
        _copy_program(kube)
        wait_until(lambda: kube.pods(MONITORING, f"app={_NAME}"), "Prometheus to be ready", 120)
        with kube.forward(f"pod/{_NAME}", MONITORING, _PORT) as url:
            server = Prometheus(url)
            yield server
            server.http.close()
    finally:
        kube.delete("namespace", MONITORING, None, "--wait=false")
        for kind in ("clusterrolebinding", "clusterrole"):
            kube.delete(kind, MONITORING)


def _copy_program(kube: Kube) -> None:
    """Under its name once it is whole."""

    def runs() -> bool:
        found = kube.get("pod", _NAME, MONITORING) or {}
        return bool(found.get("status", {}).get("phase") == "Running")

    wait_until(runs, "a pod for Prometheus", 60)
    kube("cp", str(BIN / "prometheus"), f"{MONITORING}/{_NAME}:{_PROGRAM}.new", seconds=180)
    kube.execute(_NAME, MONITORING, "mv", f"{_PROGRAM}.new", _PROGRAM)


def _configuration() -> Document:
    """The scrape configuration of docs/how-to/monitor.md, only read more often."""
    (documented,) = blocks(page("how-to/monitor.md"), "yaml prometheus")
    configuration: dict[str, Any] = {
        "global": {"scrape_interval": "2s", "evaluation_interval": "2s"},
        "rule_files": [f"{_CONFIGURATION}/{path.name}" for path in sorted(RULES.iterdir())],
        **yaml.safe_load(documented),
    }
    files = {path.name: path.read_text("utf-8") for path in RULES.iterdir()}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": _NAME},
        "data": {**files, "prometheus.yml": yaml.safe_dump(configuration)},
    }


def _rights() -> list[Document]:
    """To see all pods, and nothing else."""
    group = "rbac.authorization.k8s.io"
    rule = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}
    account = {"kind": "ServiceAccount", "name": _NAME, "namespace": MONITORING}
    return [
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": _NAME, "namespace": MONITORING},
        },
        {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRole",
            "metadata": {"name": MONITORING},
            "rules": [rule],
        },
        {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": MONITORING},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": MONITORING},
            "subjects": [account],
        },
    ]


def _pod(image: str) -> Document:
    container = {
        "name": _NAME,
        "image": image,
        "command": ["sh", "-c", _START],
        "ports": [{"containerPort": _PORT}],
        "readinessProbe": {"httpGet": {"path": "/-/ready", "port": _PORT}, "periodSeconds": 1},
        "securityContext": objects._CONTAINER,
        "volumeMounts": [
            {"name": "configuration", "mountPath": _CONFIGURATION},
            {"name": "data", "mountPath": "/data"},
        ],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": _NAME, "labels": {"app": _NAME}},
        "spec": {
            "serviceAccountName": _NAME,
            "enableServiceLinks": False,
            "securityContext": {**objects._POD, "fsGroup": 10001},
            "containers": [container],
            "volumes": [
                {"name": "configuration", "configMap": {"name": _NAME}},
                {"name": "data", "emptyDir": {}},
            ],
        },
    }
