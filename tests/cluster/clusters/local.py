"""The local node of `tests.cluster.local`."""

from collections.abc import Mapping, Sequence

from tests.cluster.clusters.base import Way
from tests.cluster.clusters.images import Image
from tests.cluster.local import images as store
from tests.cluster.local import network, node, places, processes, programs
from tests.cluster.local.commands import Failed, Step


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
                    store.build(folder, address, *options)
                store.forget(address.rpartition(":")[0], [address])
        with Step("loading the images into the node"):
            store.load(*(self.address(image) for image in images if image.inputs))
        for image in images:
            if not image.inputs and image.parent:
                store.name(self.address(image.parent), self.address(image))

    def _options(self, image: Image) -> list[str]:
        return ["--build-arg", f"PARENT={self.address(image.parent)}"] if image.parent else []

    def address(self, image: Image) -> str:
        return f"localhost/{image.repository}:{image.tag}"

    def command(self, arguments: Sequence[str]) -> list[str]:
        return network.command(arguments)

    def environment(self) -> Mapping[str, str]:
        return network.environment()

    def way(self) -> Way:
        return Way("http://127.0.0.1", "traefik")

    def remove(self) -> None:
        node.down()

    def stop_api_server(self) -> None:
        processes.stop("apiserver")

    def start_api_server(self) -> None:
        try:
            node.up()
        except Failed as error:
            raise AssertionError(str(error)) from None
