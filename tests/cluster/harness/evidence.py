"""The evidence in a failed story's report: objects, events and logs, without keys."""

import re

from tests.cluster.harness.kube import Kube, KubectlFailed
from tests.cluster.local.places import INGRESS_LOG

_KEY = re.compile(r"sk-[A-Za-z0-9]{20,}")
_LINES = 60


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
        ("database", _log("database", "app=postgres")),
    ]
    found = [(title, _trimmed(kube, arguments)) for title, arguments in pieces]
    return [*found, ("ingress, what it did not answer with 200", _not_answered())]


def _log(namespace: str, labels: str) -> list[str]:
    return ["logs", "-n", namespace, "-l", labels, f"--tail={_LINES}", "--prefix"]


def _not_answered() -> str:
    """Of the local node's ingress controller; others keep theirs."""
    if not INGRESS_LOG.exists():
        return ""
    lines = INGRESS_LOG.read_text(errors="replace").splitlines()
    return redacted("\n".join([line[:300] for line in lines if '" 200 ' not in line][-_LINES:]))


def _trimmed(kube: Kube, arguments: list[str]) -> str:
    try:
        text = kube(*arguments, seconds=30)
    except KubectlFailed as error:
        text = str(error)
    lines = text.strip().splitlines()
    return redacted("\n".join(line[:300] for line in lines[-_LINES:]))
