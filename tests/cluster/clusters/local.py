"""The local node of `tests.cluster.local`."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.cluster.clusters.base import Way
from tests.cluster.clusters.images import Image
from tests.cluster.local import images as store
from tests.cluster.local import network, node, places, programs
from tests.cluster.local.commands import Step


class Local:
    """Kubernetes as processes of this machine, in a network namespace of their own."""

    name = "local"
    title = f"a local node of Kubernetes {places.KUBERNETES}"

    def why_not(self) -> str | None:
        return programs.why_not()

    def prepare(self) -> None:
        programs.build()
        store.build_base()

    def start(self) -> None:
        node.down()
        with Step("starting the node"):
            node.up()

    def deliver(self, images: Sequence[Image]) -> None:
        for image in images:
            address = self.address(image)
            if image.inputs and not store.have(address):
                options = self._options(image)
                with Step(f"building the image {image.name}"), image.context() as folder:
                    self._build_environment(image, folder)
                    store.build(folder, address, *options)
                store.forget(address.rpartition(":")[0], [address])
        with Step("loading the images into the node"):
            store.load(*(self.address(image) for image in images if image.inputs))
        for image in images:
            if not image.inputs and image.parent:
                store.name(self.address(image.parent), self.address(image))

    def _build_environment(self, image: Image, folder: Path) -> None:
        """The stage that installs packages, by a name of its own, so that it is not forgotten."""
        if " AS build\n" in (folder / "Dockerfile").read_text():
            store.build(folder, f"localhost/{image.repository}-build:latest", "--target", "build")

    def _options(self, image: Image) -> list[str]:
        return ["--build-arg", f"PARENT={self.address(image.parent)}"] if image.parent else []

    def address(self, image: Image) -> str:
        return f"localhost/{image.repository}:{image.tag}"

    def command(self, arguments: Sequence[str]) -> list[str]:
        return network.command(arguments)

    def environment(self) -> Mapping[str, str]:
        return network.environment()

    def way(self) -> Way:
        return Way("http://127.0.0.1", "traefik", "default/traefik")

    def remove(self) -> None:
        node.down()

    def stop_api_server(self) -> None:
        self._call("stop")

    def start_api_server(self) -> None:
        self._call("start")

    def _call(self, verb: str) -> None:
        """As a command: what it starts must not be a child of the stories' process."""
        line = [sys.executable, "-m", "tests.cluster.local", verb, "apiserver"]
        subprocess.run(line, check=True, cwd=Path(__file__).parents[3])
