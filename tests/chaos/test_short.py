"""A short run of the simulation: all of it works, and nothing is violated."""

import os
import subprocess
import sys

import pytest

from tests.harness.gateway import ROOT
from tests.harness.postgres import find_programs

_RUN = (
    "--seed 748 --faults 12 --seconds 15 --gateways 2 --clients 6 --lease 6 --short --recovery 60"
    " --no-operator"
)


def test_a_short_run_violates_nothing() -> None:
    if find_programs() is None:
        pytest.skip("PostgreSQL is not installed (apt-get install postgresql)")
    done = subprocess.run(
        [sys.executable, "-m", "tests.chaos", *_RUN.split()],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'operator'}"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\n0 violations" in done.stdout
    assert "until a gateway answered again" in done.stdout
