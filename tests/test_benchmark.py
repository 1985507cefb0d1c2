"""The benchmark runs, answers are right and its books exact; its figures are not judged here."""

import shutil
import subprocess
import sys

import pytest

from tests.harness.gateway import ROOT


def test_the_benchmark_runs() -> None:
    if shutil.which("go") is None:
        pytest.skip("Go is not installed: the benchmark builds its upstream with it")
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench", "--smoke"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the books are right" in done.stdout
