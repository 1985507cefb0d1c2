"""A Prometheus in a pod, configured as the documentation says, with the chart's rules."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import yaml

from tests.chart.expressions import RULES
from tests.chart.prometheus import Prometheus
from tests.cluster.harness import objects
from tests.cluster.harness.kube import Document, Kube, wait_until
from tests.harness.pages import blocks, page

#: a namespace that is made, and deleted in the end
MONITORING = "tollgate-prometheus"
_NAME = "prometheus"
_PORT = 9090
_CONFIGURATION = "/etc/prometheus/tollgate"


@contextmanager
def prometheus(kube: Kube, image: str) -> Iterator[Prometheus]:
    """It runs in a namespace of its own while the block lasts."""
    kube.apply(objects.namespace(MONITORING), *_rights())
    kube.apply(_configuration(), _pod(image), namespace=MONITORING)
    try:
        wait_until(lambda: kube.pods(MONITORING, f"app={_NAME}"), "Prometheus to be ready", 120)
        with kube.forward(f"pod/{_NAME}", MONITORING, _PORT) as url:
            yield Prometheus(url)
    finally:
        kube.delete("namespace", MONITORING, None, "--wait=false")
        for kind in ("clusterrolebinding", "clusterrole"):
            kube.delete(kind, MONITORING)


def _configuration() -> Document:
    """The scrape configuration of docs/monitoring.md, only read more often."""
    (documented,) = blocks(page("monitoring.md"), "yaml prometheus")
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
        "command": ["prometheus"],
        "args": [
            f"--config.file={_CONFIGURATION}/prometheus.yml",
            "--storage.tsdb.path=/data",
            f"--web.listen-address=0.0.0.0:{_PORT}",
        ],
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
