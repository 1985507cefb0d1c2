"""The names of the release that the tests make, and the image in it."""

import io
import tarfile
from pathlib import Path

from release.layout import INDEX, MANIFEST, Layout, as_bytes
from release.source import version_of

ROOT = Path(__file__).parents[2]
VERSION = version_of(ROOT)
IMAGE = "registry.example.com/team/faregate"
EPOCH = 1_800_000_000
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_STATUS = b"Package: libc6\nStatus: install ok installed\nVersion: 2.41-12+deb13u5\n\n"


def build_small_image(folder: Path) -> str:
    """A layout with an index, two images, and a layer with Debian's list of packages."""
    layout = Layout(folder)
    layer = layout.add(_layer(), _LAYER)
    manifests = []
    for architecture in ("amd64", "arm64"):
        described = {"architecture": architecture, "os": "linux"}
        config = layout.add(as_bytes(described), "application/vnd.oci.image.config.v1+json")
        manifest = {"schemaVersion": 2, "config": config, "layers": [layer]}
        manifests.append({**layout.add(as_bytes(manifest), MANIFEST), "platform": described})
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}
    return layout.seal(layout.add(as_bytes(index), INDEX), VERSION)


def _layer() -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        member = tarfile.TarInfo("./var/lib/dpkg/status")
        member.size = len(_STATUS)
        archive.addfile(member, io.BytesIO(_STATUS))
    return made.getvalue()
