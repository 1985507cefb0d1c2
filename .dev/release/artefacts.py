"""Puts a release together: the parts, then what describes them, then their checksums."""

import shutil
from collections.abc import Callable
from pathlib import Path

from release.chart_archives import build_artefact, build_chart
from release.checks import CHARTS
from release.layout import Json, as_bytes
from release.packages import build_packages
from release.provenance import statement
from release.sbom import document
from release.source import Source
from release.subjects import PROVENANCE, SBOM, SUMS, Subject, layout_of, of_artefact, of_file


class Artefacts:
    """The folder of one release."""

    def __init__(self, source: Source, folder: Path) -> None:
        self._source = source
        self.folder = folder

    def build(self, build_image: Callable[[Path], str] | None) -> None:
        """Write all of it in the place of what was there.

        `build_image` writes the image's layout into a folder and returns its digest.
        """
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        subjects = [of_file(path) for path in build_packages(self._source, self.folder)]
        held = layout_of(self.folder, self._source.image) if build_image else None
        image = build_image(held.folder) if build_image and held else None
        if image is not None:
            subjects.append(of_artefact(self._source.image, image))
        for name in CHARTS:
            subjects += self._chart(name, image)
        self._write(SBOM, document(self._source, subjects, held))
        self._write(PROVENANCE, statement(self._source, subjects))
        self._write_sums()

    def _chart(self, name: str, image: str | None) -> list[Subject]:
        archive = build_chart(self._source, name, image, self.folder)
        digest = build_artefact(self._source, name, archive, self.folder / "oci/charts" / name)
        return [of_file(archive), of_artefact(self._source.chart_address(name), digest)]

    def _write(self, kind: str, body: Json) -> None:
        path = self.folder / f"faregate-{self._source.version}.{kind}"
        path.write_bytes(as_bytes(body) + b"\n")

    def _write_sums(self) -> None:
        files = sorted(path for path in self.folder.iterdir() if path.is_file())
        lines = [f"{each.sha256}  {each.name}\n" for each in map(of_file, files)]
        (self.folder / SUMS).write_text("".join(lines), encoding="utf-8")
