"""Decides whether a commit can be released: its parts agree on the version, and nothing is open."""

import re
from collections.abc import Iterator

import yaml

from release.commands import Failed, run
from release.source import Source, version_of

_VERSION = re.compile(r"\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?")
_ADDRESS = re.compile(r"[a-z0-9.-]+(:\d+)?(/[a-z0-9._-]+)+")
CHARTS = ("faregate", "faregate-crds")


def problems(source: Source) -> list[str]:
    """One sentence for each reason not to release; empty where there is none."""
    if not _VERSION.fullmatch(source.version):
        return [f"{source.version} is no version X.Y.Z"]
    return [*_versions(source), *_changelog(source), *_commit(source), *_image(source)]


def _versions(source: Source) -> Iterator[str]:
    for place, found in _named_versions(source).items():
        if found != source.version:
            yield f"{place} has {found}, not {source.version}"


def _named_versions(source: Source) -> dict[str, str]:
    found = {"pyproject.toml": version_of(source.root)}
    for name in CHARTS:
        path = f"charts/{name}/Chart.yaml"
        chart = yaml.safe_load((source.root / path).read_text("utf-8"))
        found[f"{path} (version)"] = str(chart["version"])
        found[f"{path} (appVersion)"] = str(chart["appVersion"])
    argument = re.search(r"^ARG VERSION=(\S+)$", source.dockerfile.read_text("utf-8"), re.M)
    found["Dockerfile"] = argument[1] if argument else "no version"
    return found


def _changelog(source: Source) -> Iterator[str]:
    text = (source.root / "CHANGELOG.md").read_text("utf-8")
    sections = dict(re.findall(r"^## \[(.+?)\](.*?)(?=^## \[|\Z)", text, re.M | re.S))
    mine = sections.get(source.version)
    if mine is None:
        yield f"CHANGELOG.md has no section [{source.version}]"
    elif not re.match(r" – \d{4}-\d\d-\d\d\n", mine) or "\n- " not in mine:
        yield f"the section [{source.version}] of CHANGELOG.md needs a date and at least one line"
    if "\n- " in sections.get("Unreleased", ""):
        yield "CHANGELOG.md has lines below [Unreleased]: they belong to the version"


def _commit(source: Source) -> Iterator[str]:
    if changed := run("git", "status", "--porcelain", folder=source.root):
        yield f"the tree is not clean: {changed.splitlines()[0].strip()}"
    tag = f"v{source.version}"
    try:
        tagged = run(
            "git", "rev-parse", "--verify", "--quiet", f"{tag}^{{commit}}", folder=source.root
        )
    except Failed:
        yield f"there is no tag {tag}"
        return
    if tagged != source.revision:
        yield f"the tag {tag} is not on this commit"


def _image(source: Source) -> Iterator[str]:
    if not _ADDRESS.fullmatch(source.image):
        yield f"{source.image} is no address of an image: REGISTRY/NAME, in small letters"
    if "@sha256:" not in source.base:
        yield f"the base {source.base} has no digest: `make pin` asks its registry for it"
