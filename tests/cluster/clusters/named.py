"""A cluster that somebody lends us by a kubeconfig."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence

from tests.cluster.clusters import docker
from tests.cluster.clusters.base import NotOurs, Way
from tests.cluster.clusters.images import Image
from tests.cluster.local.commands import Step

REGISTRY = "FAREGATE_TEST_REGISTRY"
INGRESS = "FAREGATE_TEST_INGRESS_URL"
INGRESS_CLASS = "FAREGATE_TEST_INGRESS_CLASS"


class Named:
    """Reached as it is. Images are pushed to a registry that it pulls from."""

    name = "named"

    def __init__(self, kubeconfig: str) -> None:
        self._kubeconfig = kubeconfig
        self.title = f"the cluster of {kubeconfig}"

    def why_not(self) -> str | None:
        absent = [name for name in (REGISTRY, INGRESS) if not os.environ.get(name)]
        if absent:
            return f"a named cluster needs {' and '.join(absent)}"
        absent = [name for name in ("kubectl", "helm", "docker") if not shutil.which(name)]
        return f"a named cluster needs {' and '.join(absent)} here" if absent else None

    def prepare(self) -> None:
        pass

    def start(self) -> None:
        docker.run("kubectl", f"--kubeconfig={self._kubeconfig}", "get", "--raw", "/readyz")

    def deliver(self, images: Sequence[Image]) -> None:
        for image in images:
            address = self.address(image)
            there = ["docker", "manifest", "inspect", address]
            if subprocess.run(there, capture_output=True).returncode == 0:
                continue
            with Step(f"building and pushing the image {image.name}"):
                docker.build(image, self.address)
                docker.run("docker", "push", "--quiet", address)

    def address(self, image: Image) -> str:
        return f"{os.environ[REGISTRY]}/{image.repository}:{image.tag}"

    def command(self, arguments: Sequence[str]) -> list[str]:
        return list(arguments)

    def environment(self) -> Mapping[str, str]:
        return {**os.environ, "KUBECONFIG": self._kubeconfig}

    def way(self) -> Way:
        return Way(os.environ[INGRESS].rstrip("/"), os.environ.get(INGRESS_CLASS, ""))

    def remove(self) -> None:
        pass

    def stop_api_server(self) -> None:
        raise NotOurs

    def start_api_server(self) -> None:
        raise NotOurs
