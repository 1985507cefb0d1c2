"""The stories' needs of a cluster, whichever it is."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from tests.cluster.clusters.images import Image


class Way(NamedTuple):
    """The way of clients outside the cluster to its ingress controller."""

    url: str
    class_name: str
    #: namespace and name of a Gateway of the Gateway API on the same address, if there is one
    gateway: str = ""


class Cluster(Protocol):
    """One cluster. Everything may be repeated; a run that was killed in between is forgiven."""

    name: str
    title: str

    def why_not(self) -> str | None:
        """Why it cannot be had here, in a few words; None when it can."""

    def prepare(self) -> None:
        """Build or fetch what does not change from run to run."""

    def start(self) -> None:
        """Have it running, and empty."""

    def deliver(self, images: Sequence[Image]) -> None:
        """Build images that are missing, and bring them to where pods find them."""

    def address(self, image: Image) -> str:
        """The name of an image in a pod."""

    def command(self, arguments: Sequence[str]) -> list[str]:
        """The command line that runs another where the cluster can be reached."""

    def environment(self) -> Mapping[str, str]:
        """The environment that the command needs."""

    def way(self) -> Way: ...

    def remove(self) -> None:
        """Take away what `start` made."""

    def stop_api_server(self) -> None:
        """Stop it, where that is ours to do. Raises `NotOurs`."""

    def start_api_server(self) -> None: ...


class NotOurs(Exception):
    """The cluster was lent to us: nothing of its own is ours to stop."""
