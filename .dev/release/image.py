"""The image for both kinds of processor, as an OCI image layout, by Buildah.

The Dockerfile runs no program of the image, so neither an engine nor an emulation is needed.
"""

import json
import platform
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from release.commands import Failed, run
from release.layout import INDEX, Json, Layout, as_bytes
from release.source import Source, base_of

PLATFORMS = ("amd64", "arm64")
_OURS = {"x86_64": "amd64", "aarch64": "arm64"}
_LISTS = {INDEX, "application/vnd.docker.distribution.manifest.list.v2+json"}


def build_image(source: Source, options: Sequence[str], folder: Path) -> str:
    """Write the layout; the digest of the index that names both images."""
    layout = Layout(folder)
    manifests = [_build_one(source, options, layout, each) for each in PLATFORMS]
    index = {
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": manifests,
        "annotations": source.annotations,
    }
    return layout.seal(layout.add(as_bytes(index), INDEX), source.version)


def _build_one(source: Source, options: Sequence[str], layout: Layout, architecture: str) -> Json:
    tag = f"localhost/faregate-release:{source.version}-{architecture}"
    builder = _OURS.get(platform.machine())
    if builder is None:
        raise Failed(f"the image is built on {' or '.join(_OURS)}, not on {platform.machine()}")
    arguments = {
        "BASE": source.base, "BUILDPLATFORM": f"linux/{builder}", "VERSION": source.version,
        "REVISION": source.revision, "CREATED": source.created,
    }  # fmt: skip
    pairs = [word for name, text in arguments.items() for word in ("--build-arg", f"{name}={text}")]
    run(
        "buildah", "bud", "--layers", "--no-cache", "--platform", f"linux/{architecture}",
        "--timestamp", str(source.epoch), "--identity-label=false", *pairs, *options,
        "--tag", tag, source.root,
    )  # fmt: skip
    apart = layout.folder.with_name(f"{layout.folder.name}-{architecture}")
    apart.parent.mkdir(parents=True, exist_ok=True)
    run("buildah", "push", "--format", "oci", tag, f"oci:{apart}")
    (entry,) = Layout(apart).entries()
    for descriptor in Layout(apart).reachable(entry):
        target = layout.path(descriptor)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(Layout(apart).path(descriptor), target)
    shutil.rmtree(apart)
    return {
        "mediaType": entry["mediaType"],
        "digest": entry["digest"],
        "size": entry["size"],
        "platform": {"architecture": architecture, "os": "linux"},
    }


def pin(dockerfile: Path, days_min: int = 0) -> str:
    """Ask the base's registry for its digest, and write it into the Dockerfile; the base's name.

    An image younger than `days_min` days does not take the place of one that is pinned.
    """
    written = base_of(dockerfile)
    named, _, digest = written.partition("@")
    raw = json.loads(run("skopeo", "inspect", "--no-tags", "--raw", f"docker://{named}"))
    if raw["mediaType"] not in _LISTS:
        raise Failed(f"{named} is not there for several kinds of processor")
    found = json.loads(run("skopeo", "inspect", "--no-tags", f"docker://{named}"))
    age = datetime.now(UTC) - datetime.fromisoformat(found["Created"])
    if digest and age < timedelta(days=days_min):
        return written
    pinned = f"{named}@{found['Digest']}"
    text = dockerfile.read_text("utf-8")
    dockerfile.write_text(text.replace(f"ARG BASE={written}", f"ARG BASE={pinned}"), "utf-8")
    return pinned
