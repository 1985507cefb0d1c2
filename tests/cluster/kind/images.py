"""The images that a registry would give, made in the engine from packages."""

import shutil
import tempfile
from pathlib import Path

from tests.cluster.clusters import docker
from tests.cluster.clusters.kind import PYTHON
from tests.cluster.kind import node_image
from tests.cluster.kind.places import NODE_ARCHIVE
from tests.cluster.local import images, programs
from tests.cluster.local.commands import Step, run
from tests.cluster.local.places import BASE_IMAGE, BIN, TRAEFIK

_POSTGRES = Path(__file__).parents[1] / "images" / "postgres"
#: the machine's certificates and its configuration of pip: the engine and its images are for a run
_BASE = f"""\
FROM {BASE_IMAGE}
COPY authorities /etc/ssl/certs/ca-certificates.crt
COPY pip.conf /etc/pip.conf
"""


def make() -> None:
    """Make all of them. `postgres:17` is the image of the chart's trial."""
    make_node()
    programs.bring(programs.named("prometheus"))  # the stories run it in a pod
    images.build_base()
    with Step("making the other images in the engine"), tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images.write(BASE_IMAGE, folder / "base.tar")
        run("docker", "load", "--quiet", "--input", folder / "base.tar")
        (folder / "base.tar").unlink()
        shutil.copy(images.AUTHORITIES, folder / "authorities")
        (folder / "pip.conf").write_text(images.pip_configuration(images.pip_settings()))
        _build(folder, PYTHON, _BASE)
        shutil.copy(BIN / "traefik", folder / "traefik")
        _build(
            folder, f"traefik:{TRAEFIK}", 'FROM scratch\nCOPY traefik /\nENTRYPOINT ["/traefik"]\n'
        )
        run("docker", "build", "--quiet", "--tag", "postgres:17", _POSTGRES)


def make_node() -> None:
    """Make the image of kind's node, and load it."""
    node_image.make()
    with Step("loading kind's node image into the engine"):
        run("docker", "load", "--quiet", "--input", NODE_ARCHIVE)


def _build(folder: Path, tag: str, dockerfile: str) -> None:
    (folder / "Dockerfile").write_text(dockerfile)
    docker.run("docker", "build", "--quiet", "--tag", tag, str(folder))
