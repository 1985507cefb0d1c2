"""kind: a Kubernetes in a container of the Docker engine that answers here."""

import os
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.cluster.clusters import docker, released
from tests.cluster.clusters.base import Way
from tests.cluster.clusters.images import Image
from tests.cluster.kind.places import KIND
from tests.cluster.kind.programs import kind
from tests.cluster.local import programs
from tests.cluster.local.commands import Step
from tests.cluster.local.places import BIN
from tests.cluster.local.texts import GATEWAY, GATEWAYS_ESTABLISHED
from tests.harness import modules

NODE_IMAGE = "KIND_NODE_IMAGE"
#: what every cluster of the tests needs of a registry
PYTHON = "python:3.13-slim-trixie"
_NAME = "faregate-test"
_PORT = 18480
_CONFIG = f"""\
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
name: {_NAME}
nodes:
  - role: control-plane
    extraPortMappings: [{{containerPort: 80, hostPort: {_PORT}, listenAddress: 127.0.0.1}}]
"""
_MANIFEST = "/etc/kubernetes/manifests/kube-apiserver.yaml"
_ASIDE = "/etc/kubernetes/kube-apiserver.aside"
_TRAEFIK = Path(__file__).with_name("traefik.yaml")
_NEEDED = ("kind", "helm", "kubectl")


class Kind:
    """A cluster of its own, named apart from the one of `make kind-up`."""

    name = "kind"
    title = f"kind {KIND}"

    def __init__(self) -> None:
        self._kubeconfig = Path(tempfile.gettempdir()) / f"{_NAME}-{os.getuid()}.kubeconfig"

    def why_not(self) -> str | None:
        absent = [name for name in ("kind", "helm") if not _program(name)]
        if absent and not shutil.which("go"):
            return f"there is no Go to build {' and '.join(absent)}"
        return None

    def prepare(self) -> None:
        absent = [name for name in _NEEDED if not _program(name)]
        known = [kind(), *programs.named("helm", "kubectl")]
        programs.bring(program for program in known if program.name in absent)
        released.fetch()

    def start(self) -> None:
        self.remove()
        with Step("starting kind"):
            docker.run(
                _kind(), "create", "cluster", "--config", "-", "--wait", "3m",
                "--kubeconfig", str(self._kubeconfig), *_node_image(), given=_CONFIG,
            )  # fmt: skip
            for image in re.findall(r"image: (\S+)", _TRAEFIK.read_text()):
                if docker.answers("docker", "image", "inspect", image):  # else the node pulls it
                    docker.run(_kind(), "load", "docker-image", image, "--name", _NAME)
            kubectl = (_program("kubectl") or "kubectl", f"--kubeconfig={self._kubeconfig}")
            for kind in modules.GATEWAY_API_KINDS:
                file = str(modules.gateway_api_file(kind))
                docker.run(*kubectl, "apply", "--server-side", "-f", file)
            docker.run(*kubectl, *GATEWAYS_ESTABLISHED)
            docker.run(*kubectl, "apply", "-f", "-", given=GATEWAY)
            docker.run(*kubectl, "apply", "-f", str(_TRAEFIK))

    def deliver(self, images: Sequence[Image]) -> None:
        for image in images:
            address = self.address(image)
            with Step(f"building the image {image.name}"):
                docker.build(image, self.address)
                docker.run(_kind(), "load", "docker-image", address, "--name", _NAME)

    def address(self, image: Image) -> str:
        return f"localhost/{image.repository}:{image.tag}"

    def command(self, arguments: Sequence[str]) -> list[str]:
        return list(arguments)

    def environment(self) -> Mapping[str, str]:
        # One's own programs come first.
        found = f"{os.environ['PATH']}:{BIN}"
        return {**os.environ, "KUBECONFIG": str(self._kubeconfig), "PATH": found}

    def way(self) -> Way:
        return Way(f"http://127.0.0.1:{_PORT}", "traefik", "default/traefik")

    def remove(self) -> None:
        docker.run(_kind(), "delete", "cluster", "--name", _NAME)
        self._kubeconfig.unlink(missing_ok=True)

    def stop_api_server(self) -> None:
        docker.run("docker", "exec", f"{_NAME}-control-plane", "mv", _MANIFEST, _ASIDE)

    def start_api_server(self) -> None:
        docker.run("docker", "exec", f"{_NAME}-control-plane", "mv", _ASIDE, _MANIFEST)


def can_have_images() -> bool:
    """True if the engine has the images that a cluster begins with, or a registry to pull from."""
    if os.environ.get(NODE_IMAGE):
        return True
    return any(
        docker.answers("docker", *question, PYTHON)
        for question in (("image", "inspect"), ("manifest", "inspect"))
    )


def _node_image() -> tuple[str, ...]:
    """The image of the node, as `make kind-up` takes it; empty for kind's own."""
    named = os.environ.get(NODE_IMAGE)
    return ("--image", named) if named else ()


def _kind() -> str:
    return _program("kind") or "kind"


def _program(name: str) -> str | None:
    """The path of a program, one's own before that of the tests."""
    return shutil.which(name) or shutil.which(name, path=str(BIN))
