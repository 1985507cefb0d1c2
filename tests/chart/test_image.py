"""The Dockerfile's promises, as far as they can be read: the cluster's tests run the image."""

import fnmatch
import re
import subprocess
import sys
from pathlib import Path

from tests.chart.helm import ROOT, render

DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
FINAL = DOCKERFILE.rpartition("\nFROM ")[2]


def test_packages_are_locked_by_hash_and_come_as_wheels() -> None:
    (install,) = re.findall(r"install.*?(?=\n[A-Z])", DOCKERFILE, re.S)
    for option in ("--require-hashes", "--only-binary :all:", "--no-deps", ".locks/image.txt"):
        assert option in install or option in DOCKERFILE
    assert "--require-hashes" in install


def test_no_program_of_the_image_runs_while_it_is_put_together() -> None:
    """So an image for another kind of processor needs no emulation."""
    stages = re.findall(r"^FROM (.+)$", DOCKERFILE, re.M)
    assert stages == ["--platform=$BUILDPLATFORM ${BASE} AS build", "build AS code", "${BASE}"]
    for architecture in ("x86_64", "aarch64"):
        assert f"arch={architecture}" in DOCKERFILE
    assert "--platform" in DOCKERFILE.partition("pip install")[2]


def test_one_python_in_all_lines() -> None:
    (version,) = set(re.findall(r"python:?(3\.\d+)", DOCKERFILE))
    assert tuple(map(int, version.split("."))) >= (3, 13)


def test_the_image_is_not_roots_and_brings_no_pip() -> None:
    (user,) = re.findall(r"^USER (\d+):\d+$", FINAL, re.M)
    pod = render().pods()["Deployment/faregate-operator"]["spec"]
    assert int(user) == pod["securityContext"]["runAsUser"] == 10001
    assert "venv --without-pip /opt/faregate" in DOCKERFILE
    assert "RUN" not in FINAL


def test_an_index_of_packages_leaves_no_trace() -> None:
    assert "ARG PIP_INDEX_URL" in DOCKERFILE
    assert "PIP_" not in FINAL
    assert not re.search(r"https?://", DOCKERFILE)


def test_what_is_sent_to_the_builder_is_what_the_image_is_made_of() -> None:
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    kept = {line.removeprefix("!") for line in lines if line.startswith("!")}
    assert "*" in lines
    copied = set(re.findall(r"^COPY (\S+) ", DOCKERFILE, re.M)) - {"--from=build", "--from=code"}
    assert copied <= kept
    assert all((ROOT / each).exists() for each in kept)
    assert any(fnmatch.fnmatch("gateway/__pycache__", line) for line in lines)


def test_pruning_stops_at_a_rule_that_finds_nothing(tmp_path: Path) -> None:
    (tmp_path / "prune.py").write_text((ROOT / ".dev/prune.py").read_text("utf-8"))
    program = f"""
import sysconfig, sys
sysconfig.get_path = lambda name: {str(tmp_path)!r}
sys.path.insert(0, {str(tmp_path)!r})
import prune
sys.exit(prune.main())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 1
    assert "nothing matches" in done.stderr
