"""A commit is released only where all of its parts agree."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from release.checks import problems
from release.source import Source

from tests.release.support import IMAGE, ROOT, VERSION

_PARTS = (
    "pyproject.toml", "Dockerfile", "CHANGELOG.md", "charts/faregate/Chart.yaml",
    "charts/faregate-crds/Chart.yaml",
)  # fmt: skip
_DIGEST = f"python:3.13@sha256:{'0' * 64}"


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@example.com", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A repository in which everything is ready, and tagged."""
    for part in _PARTS:
        (tmp_path / part).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / part, tmp_path / part)
    log = f"# Changelog\n\n## [Unreleased]\n\n## [{VERSION}] – 2027-01-15\n\n- A line.\n"
    (tmp_path / "CHANGELOG.md").write_text(log, encoding="utf-8")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "All")
    git(tmp_path, "tag", f"v{VERSION}")
    return tmp_path


def source_of(clone: Path) -> Source:
    revision = git(clone, "rev-parse", "HEAD")
    return Source(clone, VERSION, revision, 0, IMAGE, _DIGEST)


def replace(path: str, old: str, new: str) -> Callable[[Path], None]:
    def change(clone: Path) -> None:
        text = (clone / path).read_text("utf-8")
        assert old in text
        (clone / path).write_text(text.replace(old, new), encoding="utf-8")
        git(clone, "commit", "--quiet", "--all", "--message", "Change")
        git(clone, "tag", "--force", f"v{VERSION}")

    return change


def test_a_commit_that_is_ready_has_no_problem(clone: Path) -> None:
    assert problems(source_of(clone)) == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (replace("pyproject.toml", f'version = "{VERSION}"', 'version = "9.9.9"'),
         f"pyproject.toml has 9.9.9, not {VERSION}"),
        (replace("charts/faregate/Chart.yaml", f"appVersion: {VERSION}", "appVersion: 9.9.9"),
         f"charts/faregate/Chart.yaml (appVersion) has 9.9.9, not {VERSION}"),
        (replace("charts/faregate-crds/Chart.yaml", f"\nversion: {VERSION}", "\nversion: 9.9.9"),
         f"charts/faregate-crds/Chart.yaml (version) has 9.9.9, not {VERSION}"),
        (replace("Dockerfile", f"ARG VERSION={VERSION}", "ARG VERSION=9.9.9"),
         f"Dockerfile has 9.9.9, not {VERSION}"),
        (replace("CHANGELOG.md", f"[{VERSION}]", "[9.9.9]"),
         f"CHANGELOG.md has no section [{VERSION}]"),
        (replace("CHANGELOG.md", " – 2027-01-15", ""),
         f"the section [{VERSION}] of CHANGELOG.md needs a date and at least one line"),
        (replace("CHANGELOG.md", "[Unreleased]\n", "[Unreleased]\n\n- Not yet.\n"),
         "CHANGELOG.md has lines below [Unreleased]: they belong to the version"),
        (lambda clone: (clone / "extra").touch(), "the tree is not clean: ?? extra"),
        (lambda clone: git(clone, "tag", "--delete", f"v{VERSION}"), f"there is no tag v{VERSION}"),
        (lambda clone: git(clone, "commit", "--quiet", "--allow-empty", "--message", "More"),
         f"the tag v{VERSION} is not on this commit"),
    ],
)  # fmt: skip
def test_each_thing_that_is_not_ready_is_named(
    clone: Path, change: Callable[[Path], object], problem: str
) -> None:
    change(clone)
    assert problems(source_of(clone)) == [problem]


def test_a_base_without_a_digest_or_an_image_without_a_registry_is_named(clone: Path) -> None:
    source = source_of(clone)._replace(base="python:3.13", image="Faregate")
    assert problems(source) == [
        "Faregate is no address of an image: REGISTRY/NAME, in small letters",
        "the base python:3.13 has no digest: `make pin` asks its registry for it",
    ]


def test_a_trial_without_a_version_has_the_package_s() -> None:
    assert Source.of_clone().version == VERSION


def test_a_version_is_three_numbers(clone: Path) -> None:
    assert problems(source_of(clone)._replace(version="v1.0")) == ["v1.0 is no version X.Y.Z"]
