"""The cluster that the stories run in: named, kind, or the local node, in this order."""

import os
import shutil
import subprocess
from collections.abc import Sequence

from tests.cluster.clusters.base import Cluster
from tests.cluster.clusters.kind import Kind
from tests.cluster.clusters.local import Local
from tests.cluster.clusters.named import Named

KUBECONFIG = "FAREGATE_TEST_KUBECONFIG"


def choose() -> Cluster:
    """The first that can be had here; `why_not` of the last one says what is missing."""
    if os.environ.get(KUBECONFIG):
        return Named(os.environ[KUBECONFIG])
    if answers(["docker", "info"]):
        return Kind()
    return Local()


def answers(command: Sequence[str]) -> bool:
    """Whether a program is there and ends well."""
    if not shutil.which(command[0]):
        return False
    return subprocess.run(command, capture_output=True).returncode == 0


def by_name(name: str) -> Cluster:
    """The cluster that `choose` gave to the process that started this one."""
    if name == "named":
        return Named(os.environ[KUBECONFIG])
    return Kind() if name == "kind" else Local()
