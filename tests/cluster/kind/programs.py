"""The programs that a kind needs beside those of the local node."""

from collections.abc import Iterator

from tests.cluster.kind import places
from tests.cluster.local.programs import Program, of_kubernetes, of_module

_STORAGE = "github.com/rancher/local-path-provisioner"
_CRI_TOOLS = "sigs.k8s.io/cri-tools"


def kind() -> Program:
    return of_module("kind", "sigs.k8s.io/kind", places.KIND, "sigs.k8s.io/kind")


def of_the_node_image() -> Iterator[Program]:
    yield of_kubernetes("kubeadm")
    yield of_module("crictl", _CRI_TOOLS, places.CRICTL, f"{_CRI_TOOLS}/cmd/crictl")
    yield of_module("local-path-provisioner", _STORAGE, places.LOCAL_PATH, _STORAGE)
