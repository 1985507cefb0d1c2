"""The workflows of the forge: linted, pinned by hash, with few rights, by the known commands."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.release.support import ROOT

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yaml"))
_CACHES = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def read(name: str) -> dict[str, Any]:
    text = (ROOT / ".github" / name).read_text("utf-8")
    found: dict[str, Any] = yaml.load(text, yaml.CSafeLoader)
    return found


def steps(name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for job, body in read(f"workflows/{name}")["jobs"].items():
        for step in body["steps"]:
            yield job, step


def test_actionlint_has_nothing_against_them() -> None:
    (version,) = set(re.findall(r"actionlint-(v[\d.]+)", (ROOT / ".dev/setup-tests").read_text()))
    program = _CACHES / "faregate" / f"actionlint-{version}" / "actionlint"
    if not program.exists():
        pytest.skip("actionlint is not installed (make test does it, with Go)")
    command = [str(program), "-no-color", *map(str, WORKFLOWS)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_an_action_is_named_by_its_commit(path: Path) -> None:
    used = re.findall(r"uses: (\S+)(.*)", path.read_text("utf-8"))
    assert used
    for name, comment in used:
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", name), name
        assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment), name


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_token_has_no_right_that_is_not_named(path: Path) -> None:
    workflow = read(f"workflows/{path.name}")
    assert workflow["permissions"] in ({}, {"contents": "read"})
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"]


def test_the_release_is_made_by_the_command_and_signed_without_a_key() -> None:
    text = (ROOT / ".github/workflows/release.yaml").read_text("utf-8")
    assert text.count("make release VERSION=") == 2
    assert "diff --recursive" in text
    assert "make verify" in text
    assert "secrets." not in text
    assert "--key" not in text
    assert len(re.findall(r"ghcr\.io", text)) == 1, "the address is one value"
    jobs = read("workflows/release.yaml")["jobs"]
    assert jobs["build"]["permissions"] == {"contents": "read"}
    assert jobs["publish"]["permissions"]["id-token"] == "write"
    assert not any("checkout" in step.get("uses", "") for job, step in steps("release.yaml")
                   if job == "publish")  # fmt: skip


def test_a_change_is_tested_by_the_commands_of_everybody() -> None:
    commands = [step["run"] for _, step in steps("test.yaml") if "run" in step]
    assert {"make check", "make test"} <= set(commands)


def test_updates_wait_two_weeks() -> None:
    for update in read("dependabot.yml")["updates"]:
        assert update["cooldown"] == {"default-days": 14}
        for folder in update.get("directories", [update.get("directory")]):
            assert (ROOT / folder.lstrip("/")).is_dir()
    (lock,) = (
        step["run"]
        for _, step in steps("update.yaml")
        if step.get("run", "").startswith("make lock")
    )
    assert "14 days ago" in lock
    assert {"run": 'make pin ARGS="--days-min 14"'} in [step for _, step in steps("update.yaml")]
