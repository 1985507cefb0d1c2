"""The evidence in a failed story's report: objects, events and logs, without keys."""

import re
from collections.abc import Callable
from pathlib import Path

from tests.cluster.harness.kube import Kube, KubectlFailed, names
from tests.cluster.local.places import INGRESS_DEBUG_LOG, INGRESS_LOG

_KEY = re.compile(r"sk-[A-Za-z0-9]{20,}")
_LINES = 60
#: counters of a gateway that show who ended a request early
_COUNTERS = ("faregate_requests_total", "faregate_cut_connections_total")


def redacted(text: str) -> str:
    return _KEY.sub("sk-…", text)


def collect(kube: Kube, namespace: str) -> list[tuple[str, str]]:
    """Title and text of each piece; what cannot be had states why."""
    pieces = [
        ("objects", ["get", "all", "-A", "-o", "wide"]),
        ("ours", ["get", "faregate", "-A", "-o", "wide"]),
        ("events", ["get", "events", "-A", "--sort-by=.metadata.creationTimestamp"]),
        ("operator", _log(namespace, "app.kubernetes.io/component=operator")),
        ("operator before", [*_log(namespace, "app.kubernetes.io/component=operator"), "-p"]),
        ("gateways", _log(namespace, "faregate.dev/fleet")),
        ("consoles", _log(namespace, "faregate.dev/console")),
        ("database", _log("database", "app=postgres")),
    ]
    found = [(title, _trimmed(kube, arguments)) for title, arguments in pieces]
    return [
        *found,
        ("gateways, requests by status", _counters(kube, namespace)),
        ("ingress, all but answers with 200", _not_answered(kube)),
        ("ingress, requests that it gave up", _given_up(kube)),
    ]


def _log(namespace: str, labels: str) -> list[str]:
    return ["logs", "-n", namespace, "-l", labels, f"--tail={_LINES}", "--prefix"]


def _counters(kube: Kube, namespace: str) -> str:
    """Other statuses than 200 of each gateway, and the connections that it cut."""
    lines = []
    for pod in names(kube.all("pod", namespace, "faregate.dev/fleet")):
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}:9090/proxy/metrics"
        counted = _trimmed(kube, ["get", "--raw", path], lines=10_000).splitlines()
        found = [line for line in counted if line.startswith(_COUNTERS)]
        lines += [f"{pod} {line}" for line in found if 'code="200"' not in line]
    return "\n".join(lines)


def _not_answered(kube: Kube) -> str:
    return _read(kube, INGRESS_LOG, lambda line: ' HTTP/1.1" ' in line and '" 200 ' not in line)


def _given_up(kube: Kube) -> str:
    return _read(kube, INGRESS_DEBUG_LOG, lambda line: "abort" in line or "error" in line.lower())


def _read(kube: Kube, log: Path, wanted: Callable[[str], bool]) -> str:
    """Lines of the ingress controller: of the local node a file, of a kind its pod's log."""
    if log.exists():
        lines = log.read_text(errors="replace").splitlines()
    else:
        logs = ["logs", "-n", "traefik", "-l", "app=traefik", "--tail=-1"]
        lines = _trimmed(kube, logs, lines=100_000).splitlines()
    return redacted("\n".join([line[:300] for line in lines if wanted(line)][-_LINES:]))


def _trimmed(kube: Kube, arguments: list[str], lines: int = _LINES) -> str:
    try:
        text = kube(*arguments, seconds=30)
    except KubectlFailed as error:
        text = str(error)
    found = text.strip().splitlines()
    return redacted("\n".join(line[:300] for line in found[-lines:]))
