"""A release that was changed anywhere is refused, in a sentence that names the place."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from release.commands import Failed
from release.layout import Layout
from release.subjects import SUMS, of_file
from release.verify import verify

from tests.release.support import ROOT, VERSION


def test_a_release_is_verified_by_the_command(release: Path) -> None:
    command = [sys.executable, "-m", "release", "verify", str(release)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / ".dev")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:3] == [
        f"{SUMS}: 6 files", "SBOM and provenance: 7 parts", "OCI artefacts: 3",
    ]  # fmt: skip
    assert lines[3].startswith("the chart installs registry.example.com/team/faregate@sha256:")
    assert lines[4] == "signature: not asked for"


def test_a_folder_from_a_forge_has_no_artefacts(release: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(release, tmp_path / "copy", ignore=shutil.ignore_patterns("oci"))
    assert not any(line.startswith("OCI") for line in verify(copy, None))


def sums_again(folder: Path) -> None:
    """The checksums of somebody who changes a file and its checksum."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name != SUMS)
    lines = [f"{each.sha256}  {each.name}\n" for each in map(of_file, files)]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")


def append(name: str, *, cover: bool = False) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        with (folder / name).open("ab") as file:
            file.write(b"\n")
        if cover:
            sums_again(folder)

    return change


def change_blob(folder: Path) -> None:
    layout = Layout(folder / "oci/faregate")
    (entry,) = layout.entries()
    (first, _) = layout.document(entry)["manifests"]
    (layer,) = layout.document(first)["layers"]
    layout.path(layer).write_bytes(b"another")


def change_statement(folder: Path) -> None:
    path = folder / f"faregate-{VERSION}.provenance.json"
    statement = json.loads(path.read_bytes())
    statement["subject"].pop()
    path.write_text(json.dumps(statement), encoding="utf-8")
    sums_again(folder)


def change_image(folder: Path) -> None:
    """Another image under the same name, with all documents adapted, not the chart."""
    image = Layout(folder / "oci/faregate")
    (entry,) = image.entries()
    other = Layout(folder / "oci/charts/faregate").entries()[0]
    for path in (*folder.glob("*.json"), folder / "oci/faregate/index.json"):
        old, new = (each["digest"].removeprefix("sha256:") for each in (entry, other))
        path.write_text(path.read_text("utf-8").replace(old, new), encoding="utf-8")
    shutil.rmtree(folder / "oci")
    sums_again(folder)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (append(f"faregate-{VERSION}.tar.gz"), f"not as {SUMS} has it: faregate-{VERSION}.tar.gz"),
        (append("extra"), f"not as {SUMS} has it: extra"),
        (lambda folder: (folder / f"faregate-{VERSION}.tgz").unlink(),
         f"not as {SUMS} has it: faregate-{VERSION}.tgz"),
        (append(f"faregate-{VERSION}.tar.gz", cover=True),
         "the provenance is not about the files that are here"),
        (change_statement, "SBOM and provenance are not about the same parts"),
        (change_blob, "is not what its name and size state"),
        (change_image, "the chart installs another digest of the image"),
        (lambda folder: (folder / SUMS).unlink(), f"{SUMS} is missing"),
    ],
)  # fmt: skip
def test_a_change_is_found(
    release: Path, tmp_path: Path, change: Callable[[Path], object], sentence: str
) -> None:
    copy = shutil.copytree(release, tmp_path / "copy")
    change(copy)
    with pytest.raises(Failed) as caught:
        list(verify(copy, None))
    assert sentence in str(caught.value)


def test_a_signature_that_is_asked_for_must_be_there(release: Path) -> None:
    with pytest.raises(Failed, match="nobody signed this release"):
        list(verify(release, "https://forge.example.com/team/faregate"))
