"""The parts of a release by name and SHA-256: what SBOM, provenance and checksums speak of."""

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

from release.commands import Failed
from release.layout import Json, Layout

SUMS = "SHA256SUMS"
BUNDLE = f"{SUMS}.sigstore.json"
SBOM, PROVENANCE = "spdx.json", "provenance.json"


class Subject(NamedTuple):
    """One part: a file, or an OCI artefact, which is named by its address."""

    name: str
    #: 64 hexadecimal digits
    sha256: str

    @property
    def is_artefact(self) -> bool:
        return "/" in self.name or not Path(self.name).suffix


def of_file(path: Path) -> Subject:
    with path.open("rb") as file:
        return Subject(path.name, hashlib.file_digest(file, "sha256").hexdigest())


def of_artefact(address: str, digest: str) -> Subject:
    return Subject(address, digest.removeprefix("sha256:"))


def layout_of(folder: Path, name: str) -> Layout:
    """The OCI image layout of an artefact, by the end of its address."""
    parts = name.split("/")
    below = parts[-2:] if parts[-2:-1] == ["charts"] else parts[-1:]
    return Layout(folder.joinpath("oci", *below))


def read_document(folder: Path, kind: str) -> Json:
    """The SBOM or the provenance of a release. Raises `Failed` where there is not one."""
    found = sorted(folder.glob(f"*.{kind}"))
    if len(found) != 1:
        raise Failed(f"{folder} has {len(found)} files *.{kind}, not one")
    document: Json = json.loads(found[0].read_bytes())
    return document
