"""The charts as archives, and as OCI artefacts as `helm pull oci://…` reads them.

The archive is Helm's own form with fixed times and one order, which `helm package` does not give.
Media types: https://helm.sh/docs/topics/registries/
"""

import gzip
import io
import re
import tarfile
from pathlib import Path

import yaml

from release.checks import CHARTS
from release.commands import Failed
from release.layout import MANIFEST, Layout, as_bytes
from release.source import Source

_CONFIG = "application/vnd.cncf.helm.config.v1+json"
_CONTENT = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
_IN_A_CLONE = re.compile(r"<!-- in a clone -->.*?<!-- here and in a release -->\n", re.DOTALL)
_REPOSITORY = "image:\n  # -- Where the image is, with its registry.\n  repository: faregate\n"


def build_chart(source: Source, name: str, image: str | None, folder: Path) -> Path:
    """Write `NAME-VERSION.tgz`; `image` is the digest of the release's image."""
    files = _files(source.root / "charts" / name)
    if image is not None:
        files["README.md"] = _with_address(files["README.md"], source)
    if image is not None and name == "faregate":
        files["values.yaml"] = _with_image(files["values.yaml"], source.image, image)
        files["Chart.yaml"] = _named(files["Chart.yaml"], source, image)
    path = folder / f"{name}-{source.version}.tgz"
    path.write_bytes(_archive({f"{name}/{path}": text for path, text in files.items()}, source))
    return path


def build_artefact(source: Source, name: str, archive: Path, folder: Path) -> str:
    """Write a chart's OCI image layout; its digest."""
    with tarfile.open(archive) as files:
        described = files.extractfile(f"{name}/Chart.yaml")
        chart = yaml.safe_load(described) if described else {}
    layout = Layout(folder)
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": layout.add(as_bytes(chart), _CONFIG),
        "layers": [layout.add(archive.read_bytes(), _CONTENT)],
        "annotations": {
            "org.opencontainers.image.title": name,
            "org.opencontainers.image.description": chart["description"],
            **source.annotations,
        },
    }
    return layout.seal(layout.add(as_bytes(manifest), MANIFEST), source.version)


def _files(folder: Path) -> dict[str, bytes]:
    """A chart's files by path; its description first, which Helm reads first."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    named = {str(path.relative_to(folder)): path.read_bytes() for path in paths}
    return {"Chart.yaml": named.pop("Chart.yaml"), **named}


def _with_address(page: bytes, source: Source) -> bytes:
    """A chart's page with commands that pull charts, and without the steps of a clone."""
    text = _IN_A_CLONE.sub("", page.decode())
    for name in CHARTS:
        pulled = f"oci://{source.chart_address(name)} --version {source.version}"
        text = re.sub(rf"(?<= )charts/{name}(?= )", pulled, text)
    return text.encode()


def _with_image(values: bytes, address: str, digest: str) -> bytes:
    """The values with the image of the release, as the only change."""
    text = values.decode()
    named = text.replace(_REPOSITORY, _REPOSITORY.replace(": faregate\n", f": {address}\n"))
    pinned = re.sub(r'^  digest: ""$', f"  digest: {digest}", named, count=1, flags=re.MULTILINE)
    image = yaml.safe_load(pinned)["image"]
    if (image["repository"], image["digest"]) != (address, digest):
        raise Failed("values.yaml has no place for the image's address and digest")
    return pinned.encode()


def _named(chart: bytes, source: Source, digest: str) -> bytes:
    """Chart.yaml with the image in its annotation."""
    written = f"image: faregate:{source.version}\n"
    return chart.decode().replace(written, f"image: {source.image}@{digest}\n").encode()


def _archive(files: dict[str, bytes], source: Source) -> bytes:
    made = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=made, mode="wb", filename="", mtime=source.epoch) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mtime, member.mode = len(content), source.epoch, 0o644
            archive.addfile(member, io.BytesIO(content))
    return made.getvalue()
