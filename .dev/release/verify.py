"""Decides whether a folder is a whole release, and by whom it was signed.

The signature is on the checksums; these hold the files; SBOM and provenance hold the digests of the
image and the charts. A folder from a forge has no `oci/`: its artefacts are in a registry then.
"""

import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

import yaml

from release import provenance, sbom
from release.commands import Failed, run
from release.subjects import (
    BUNDLE,
    PROVENANCE,
    SBOM,
    SUMS,
    Subject,
    layout_of,
    of_file,
    read_document,
)

_LINE = re.compile(r"([0-9a-f]{64})  (\S+)")
_ISSUER = "https://token.actions.githubusercontent.com"


def verify(folder: Path, repository: str | None) -> Iterator[str]:
    """Check a release and report each part that is right, a line each.

    Without the repository whose workflow signed it, the signature is left out. Raises `Failed`
    for the first thing that is wrong.
    """
    files = _sums(folder)
    yield f"{SUMS}: {len(files)} files"
    subjects = provenance.stated(read_document(folder, PROVENANCE))
    if subjects != sbom.described(read_document(folder, SBOM)):
        raise Failed("SBOM and provenance are not about the same parts")
    described = {each for each in files if not each.name.endswith((SBOM, PROVENANCE))}
    if described != {each for each in subjects if not each.is_artefact}:
        raise Failed("the provenance is not about the files that are here")
    yield f"SBOM and provenance: {len(subjects)} parts"
    artefacts = [each for each in subjects if each.is_artefact]
    if (folder / "oci").exists():
        for each in artefacts:
            _artefact(folder, each)
        yield f"OCI artefacts: {len(artefacts)}"
    yield from _chart(folder, artefacts)
    yield _signature(folder, repository) if repository else "signature: not asked for"


def _sums(folder: Path) -> set[Subject]:
    """The files, each with the checksum that it has and should have."""
    path = folder / SUMS
    if not path.exists():
        raise Failed(f"{path} is missing")
    listed = {Subject(name, digest) for digest, name in _LINE.findall(path.read_text("utf-8"))}
    found = {of_file(each) for each in folder.iterdir() if each.is_file()}
    found = {each for each in found if each.name not in (SUMS, BUNDLE)}
    if different := {each.name for each in listed ^ found}:
        raise Failed(f"not as {SUMS} has it: {', '.join(sorted(different))}")
    return listed


def _artefact(folder: Path, subject: Subject) -> None:
    layout = layout_of(folder, subject.name)
    (entry,) = layout.entries()
    if entry["digest"] != f"sha256:{subject.sha256}":
        raise Failed(f"{layout.folder} is not {subject.name}@sha256:{subject.sha256}")
    for _ in layout.reachable(entry):
        pass


def _chart(folder: Path, artefacts: list[Subject]) -> Iterator[str]:
    """The image that the chart installs is the release's, by its digest."""
    images = {each for each in artefacts if "/charts/" not in f"/{each.name}"}
    for image in images:
        (archive,) = (path for path in folder.glob("faregate-*.tgz") if "-crds-" not in path.name)
        with tarfile.open(archive) as files:
            text = files.extractfile("faregate/values.yaml")
            values = yaml.safe_load(text) if text else {}
        if values["image"]["repository"] != image.name:
            raise Failed(f"the chart installs {values['image']['repository']}, not {image.name}")
        if values["image"]["digest"] != f"sha256:{image.sha256}":
            raise Failed("the chart installs another digest of the image")
        yield f"the chart installs {image.name}@sha256:{image.sha256}"


def _signature(folder: Path, repository: str) -> str:
    definition = read_document(folder, PROVENANCE)["predicate"]["buildDefinition"]
    tag = f"v{definition['externalParameters']['version']}"
    if not (folder / BUNDLE).exists():
        raise Failed(f"{BUNDLE} is missing: nobody signed this release")
    identity = f"{repository}/.github/workflows/release.yaml@refs/tags/{tag}"
    run(
        "cosign", "verify-blob", "--new-bundle-format", "--bundle", folder / BUNDLE,
        "--certificate-identity", identity, "--certificate-oidc-issuer", _ISSUER, folder / SUMS,
    )  # fmt: skip
    return f"signature: {identity}"
