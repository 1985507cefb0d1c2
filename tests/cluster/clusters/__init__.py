"""The cluster that the stories run in: named, kind, or the local node, in this order."""

import os

from tests.cluster.clusters.base import Cluster
from tests.cluster.clusters.docker import answers
from tests.cluster.clusters.kind import Kind, can_have_images
from tests.cluster.clusters.local import Local
from tests.cluster.clusters.named import Named

KUBECONFIG = "FAREGATE_TEST_KUBECONFIG"


def choose() -> Cluster:
    """The first that can be had here; `why_not` of the last one names what is missing."""
    if os.environ.get(KUBECONFIG):
        return Named(os.environ[KUBECONFIG])
    if answers("docker", "info") and can_have_images():
        return Kind()
    return Local()


def by_name(name: str) -> Cluster:
    """The cluster that `choose` gave to the process that started this one."""
    if name == "named":
        return Named(os.environ[KUBECONFIG])
    return Kind() if name == "kind" else Local()
