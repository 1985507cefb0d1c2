"""Programs out of released images, for the tests that start an API server of their own.

Who has an engine and a registry of images builds no Kubernetes.
"""

import uuid

from tests.cluster.clusters import docker
from tests.cluster.local import places
from tests.cluster.local.commands import Failed, Step, announce, run
from tests.cluster.local.programs import Program, named

_KUBERNETES = "registry.k8s.io/{0}:v" + places.KUBERNETES
#: program → its image, and its path there
_SOURCES = {
    "etcd": (f"quay.io/coreos/etcd:{places.ETCD}", "/usr/local/bin/etcd"),
    "prometheus": ("prom/prometheus:v3.16.0", "/bin/prometheus"),
    **{
        name: (_KUBERNETES.format(name), f"/usr/local/bin/{name}")
        for name in ("kube-apiserver", "kube-controller-manager")
    },
}


def fetch() -> None:
    """Copy each program that is not there in one way or the other.

    An image that cannot be had leaves its program away, and with it the tests that want it.
    """
    for name, (image, path) in _SOURCES.items():
        (built,) = named(name)
        program = Program(name, "", image)
        if built.is_there or program.is_there:
            continue
        try:
            with Step(f"taking {name} out of {image}, once"):
                _copy(program, path)
        except Failed as error:
            announce(f"  {str(error).splitlines()[-1]}")


def _copy(program: Program, path: str) -> None:
    """Out of a container that never starts."""
    container = f"faregate-{uuid.uuid4().hex[:8]}"
    places.BIN.mkdir(parents=True, exist_ok=True)
    made = places.BIN / f".{program.name}.new"
    run("docker", "create", "--name", container, program.text, "none")
    try:
        run("docker", "cp", f"{container}:{path}", made)
    finally:
        docker.run("docker", "rm", container)
    program.take(made)
