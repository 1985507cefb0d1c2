"""A release's source: the commit, the version and the address of its image."""

import os
import re
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from release.commands import Failed, run

_ROOT = Path(__file__).resolve().parents[2]
_BASE = re.compile(r"^ARG BASE=(\S+)$", re.MULTILINE)


class Source(NamedTuple):
    """All that the bytes of a release depend on."""

    root: Path
    version: str
    #: of the commit, in hexadecimal digits
    revision: str
    #: seconds since 1970: the commit's time, or SOURCE_DATE_EPOCH
    epoch: int
    #: the image's address without a tag; as in the chart where nobody gave one
    image: str
    base: str

    @classmethod
    def of_clone(
        cls, version: str | None = None, image: str | None = None, base: str | None = None
    ) -> "Source":
        """The source in this clone, in the version of its package where none is given.

        Raises `Failed` where Git does not know it.
        """
        given = os.environ.get("SOURCE_DATE_EPOCH")
        return cls(
            root=_ROOT,
            version=version or version_of(_ROOT),
            revision=run("git", "rev-parse", "HEAD", folder=_ROOT),
            epoch=int(given or run("git", "log", "-1", "--format=%ct", folder=_ROOT)),
            image=image or "faregate",
            base=base or base_of(_ROOT / "Dockerfile"),
        )

    @property
    def dockerfile(self) -> Path:
        return self.root / "Dockerfile"

    def chart_address(self, name: str) -> str:
        """The address of a chart: beside the image, in `charts/`."""
        return f"{self.image.rpartition('/')[0]}/charts/{name}".lstrip("/")

    @property
    def created(self) -> str:
        """The time in the form of RFC 3339."""
        return datetime.fromtimestamp(self.epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    @property
    def annotations(self) -> dict[str, str]:
        """The annotations of an OCI artefact that is made of it."""
        named = ("version", "revision", "created")
        return {f"org.opencontainers.image.{name}": getattr(self, name) for name in named}


def version_of(root: Path) -> str:
    """The version of the Python package."""
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    return str(project["version"])


def base_of(dockerfile: Path) -> str:
    """The base image that a Dockerfile names."""
    found = _BASE.search(dockerfile.read_text("utf-8"))
    if found is None:
        raise Failed("the Dockerfile has no line `ARG BASE=…`")
    return found[1]
