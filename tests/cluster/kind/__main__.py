"""`python -m tests.cluster.kind`: the way of the install pages on a real kind, then the stories.

    way              the way alone: a cluster, the image, the installation, `helm test`, a chat
    stories [ARG …]  the cluster's stories alone; the arguments are pytest's
    image            the node's image from packages alone, for the engine and `make kind-up`

Prints the seconds of each step.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.cluster.clusters import docker
from tests.cluster.clusters.kind import NODE_IMAGE, can_have_images
from tests.cluster.kind import images, places, programs
from tests.cluster.local import programs as local
from tests.cluster.local.commands import Failed, Step, announce, run
from tests.cluster.local.places import BIN
from tests.harness.pages import ROOT, blocks, page

_ENGINE = str(Path(__file__).with_name("engine"))
_INSIDE = "FAREGATE_TEST_KIND_ENGINE"
#: the cluster of `make kind-up`; its context is its name after `kind-`
_CLUSTER = "faregate"


def main(arguments: list[str]) -> int:
    """The exit code is that of the stories, or 1 with a sentence."""
    if arguments and arguments[0] not in ("way", "stories", "image"):
        announce(__doc__ or "")
        return 2
    try:
        if docker.answers("docker", "info"):
            return _run(arguments)
        if os.environ.get(_INSIDE):
            raise Failed("the engine that was started does not answer")
        return _with_an_engine(arguments)
    except (Failed, OSError) as error:
        announce(f"kind: {error}")
        return 1


def _with_an_engine(arguments: list[str]) -> int:
    """The same command, in the namespaces of an engine that lives as long as it."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise Failed("no Docker engine answers, and only root on Debian gets one of its own")
    local.install_packages()
    with Step("starting an engine"):
        run(_ENGINE, "up")
    try:
        again = [_ENGINE, "exec", sys.executable, "-m", "tests.cluster.kind", *arguments]
        return subprocess.run(again, env={**os.environ, _INSIDE: "1"}).returncode
    finally:
        run(_ENGINE, "down")


def _run(arguments: list[str]) -> int:
    os.environ["PATH"] = f"{BIN}:{os.environ['PATH']}"
    os.environ["DOCKER_BUILDKIT"] = "1"  # the builder that knows of platforms, in older engines
    if arguments[:1] == ["image"]:
        images.make_node()
        announce(f"  {NODE_IMAGE}={places.NODE_IMAGE} make kind-up")
        return 0
    local.bring([programs.kind(), *local.named("helm", "kubectl")])
    if not can_have_images():
        images.make()
        os.environ[NODE_IMAGE] = places.NODE_IMAGE
    if arguments[:1] != ["stories"]:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["KUBECONFIG"] = f"{folder}/kubeconfig"
            _walk()
        del os.environ["KUBECONFIG"]
    if arguments[:1] == ["way"]:
        return 0
    stories = [sys.executable, "-m", "tests.cluster", "run", *arguments[1:]]
    return subprocess.run(stories).returncode


def _walk() -> None:
    """Type the commands of the pages, one after the other, on the cluster of `make kind-up`."""
    kind = str(ROOT / ".dev/kind")
    if _CLUSTER in run("kind", "get", "clusters").split():
        raise Failed(f"there is a cluster {_CLUSTER} already: make kind-down")
    try:
        with Step("make kind-up"):
            run(kind, "up")
            run(kind, "up")  # it may be repeated
        (load,) = blocks(page("how-to/build-your-image.md"), "bash kind")
        _type("building and loading the image", load)
        _load_postgres()
        install, *rest = blocks(page("tutorial/first-key-on-kubernetes.md"), "bash cluster")
        _type("installing, and helm test", install)
        printed = _type("a key, credits and a chat", "\n".join(rest))
        if "You said: Hello" not in printed:
            raise Failed(f"the chat was not answered: {printed}")
    finally:
        with Step("make kind-down"):
            run(kind, "down")


def _load_postgres() -> None:
    """The trial's database, where the node cannot pull it."""
    if os.environ.get(NODE_IMAGE) == places.NODE_IMAGE:
        run("kind", "load", "docker-image", "postgres:17", "--name", _CLUSTER)


def _type(title: str, block: str) -> str:
    """Run a block of a page; what it printed. The image has the name that the chart expects."""
    environment = {"KIND_CLUSTER_NAME": _CLUSTER, "IMAGE": "faregate"}
    with Step(title):
        return run("bash", "-euo", "pipefail", "-c", block, folder=ROOT, environment=environment)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
