"""Wheel and source distribution, by the locked build backend."""

import os
from pathlib import Path

from release.commands import run
from release.source import Source


def build_packages(source: Source, folder: Path) -> list[Path]:
    """Write both into a folder."""
    environment = run(source.root / ".dev/venv", "build")
    # Of a file's permissions, those of the group and of others differ between clones.
    env = {**os.environ, "SOURCE_DATE_EPOCH": str(source.epoch)}
    run(
        Path(environment) / "bin/python", "-m", "hatchling", "build", "-d", folder.resolve(),
        folder=source.root, env=env,
    )  # fmt: skip
    stem = f"faregate-{source.version}"
    return [folder / f"{stem}-py3-none-any.whl", folder / f"{stem}.tar.gz"]
