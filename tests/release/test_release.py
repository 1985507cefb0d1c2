"""A release has the same bytes each time, a chart that installs its image, and an SBOM."""

import json
import re
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import yaml
from release import provenance, sbom
from release.artefacts import Artefacts
from release.layout import Layout
from release.source import Source
from release.subjects import Subject, of_file

from tests.chart.helm import render
from tests.harness.locks import pins
from tests.release.support import IMAGE, ROOT, VERSION, build_small_image


def contents(folder: Path) -> dict[str, str]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): of_file(path).sha256 for path in paths}


def document(release: Path, kind: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((release / f"faregate-{VERSION}.{kind}").read_bytes())
    return found


def test_two_builds_are_the_same_bit_for_bit(source: Source, release: Path, tmp_path: Path) -> None:
    Artefacts(source, tmp_path / "again").build(build_small_image)
    assert contents(tmp_path / "again") == contents(release)
    assert {path.name for path in release.iterdir()} == {
        "SHA256SUMS", "oci", f"faregate-{VERSION}-py3-none-any.whl", f"faregate-{VERSION}.tar.gz",
        f"faregate-{VERSION}.tgz", f"faregate-crds-{VERSION}.tgz", f"faregate-{VERSION}.spdx.json",
        f"faregate-{VERSION}.provenance.json",
    }  # fmt: skip


def test_the_chart_installs_the_image_of_the_release_and_is_else_the_same(release: Path) -> None:
    (entry,) = Layout(release / "oci/faregate").entries()
    packed = release / f"faregate-{VERSION}.tgz"
    written = f"{IMAGE}@{entry['digest']}"
    values = {"database": {"existingSecret": {"name": "database"}}}
    expected = json.dumps(render(values).objects).replace(f"faregate:{VERSION}", written)
    objects = render(values, chart=packed).objects
    assert json.loads(expected) == objects
    assert written in json.dumps(objects)
    with tarfile.open(packed) as archive:
        described = archive.extractfile("faregate/Chart.yaml")
        assert described is not None
        assert (
            f"image: {written}" in yaml.safe_load(described)["annotations"]["artifacthub.io/images"]
        )
    assert render({}, chart=release / f"faregate-crds-{VERSION}.tgz").objects


def test_the_first_command_of_a_chart_s_page_pulls_the_chart(release: Path) -> None:
    for name in ("faregate", "faregate-crds"):
        with tarfile.open(release / f"{name}-{VERSION}.tgz") as archive:
            page = archive.extractfile(f"{name}/README.md")
            assert page is not None
            text = page.read().decode()
        first = re.findall(r"^```sh\n(.+)$", text, re.M)[0]
        assert f" oci://{IMAGE.rpartition('/')[0]}/charts/{name} --version {VERSION} " in first
        assert first.startswith("helm ")
        assert "docker build" not in text


def test_the_charts_are_artefacts_as_helm_reads_them(release: Path) -> None:
    for name in ("faregate", "faregate-crds"):
        layout = Layout(release / "oci/charts" / name)
        (entry,) = layout.entries()
        manifest = layout.document(entry)
        assert layout.document(manifest["config"])["name"] == name
        assert manifest["config"]["mediaType"] == "application/vnd.cncf.helm.config.v1+json"
        (layer,) = manifest["layers"]
        assert layer["mediaType"] == "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
        archive = release / f"{name}-{VERSION}.tgz"
        assert layout.path(layer).read_bytes() == archive.read_bytes()


def test_the_sbom_has_the_packages_of_the_image_and_those_of_its_base(release: Path) -> None:
    packages = document(release, "spdx.json")["packages"]
    found = {
        each["externalRefs"][0]["referenceLocator"]
        for each in packages
        if each["primaryPackagePurpose"] == "LIBRARY"
    }
    pinned = pins((ROOT / ".locks/image.txt").read_text("utf-8"))
    assert found == {
        "pkg:deb/debian/libc6@2.41-12%2Bdeb13u5",
        *(f"pkg:pypi/{name}@{version}" for name, version in pinned.items()),
    }
    identities = [each["SPDXID"] for each in packages]
    assert len(set(identities)) == len(identities)


def test_spdx_s_own_tool_has_nothing_against_the_sbom(release: Path, tmp_path: Path) -> None:
    """It reads shapes, and holds the rules of the specification."""
    path = release / f"faregate-{VERSION}.spdx.json"
    broken = document(release, "spdx.json")
    broken["packages"][0]["checksums"][0]["checksumValue"] = "0"
    (tmp_path / "broken.spdx.json").write_text(json.dumps(broken), encoding="utf-8")
    command = [str(ROOT / ".dev/venv"), "spdx"]
    folder = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    for given, code in ((path, 0), (tmp_path / "broken.spdx.json", 1)):
        tool = [f"{folder}/bin/pyspdxtools", "--infile", str(given)]
        assert subprocess.run(tool, capture_output=True).returncode == code, given


def test_sbom_and_provenance_are_about_all_parts(release: Path, source: Source) -> None:
    files = {of_file(path) for path in release.glob("*") if path.suffix in (".whl", ".gz", ".tgz")}
    artefacts = set()
    for name in (IMAGE, *(f"{IMAGE.rpartition('/')[0]}/charts/{each}" for each in
                          ("faregate", "faregate-crds"))):  # fmt: skip
        below = "charts/" * ("/charts/" in name) + name.rpartition("/")[2]
        (entry,) = Layout(release / "oci" / below).entries()
        artefacts.add(Subject(name, entry["digest"].removeprefix("sha256:")))
    statement = document(release, "provenance.json")
    assert sbom.described(document(release, "spdx.json")) == files | artefacts
    assert provenance.stated(statement) == files | artefacts
    (commit, _) = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
    assert commit["digest"] == {"gitCommit": source.revision}
