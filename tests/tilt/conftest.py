"""The Tiltfile, evaluated once for all tests."""

import pytest

from tests.harness.shell import find_program
from tests.tilt.evaluated import Evaluated


@pytest.fixture(scope="package")
def evaluated() -> Evaluated:
    helm = find_program("helm")
    if helm is None:
        pytest.skip("helm is not installed, and `make test-cluster` has not built it")
    return Evaluated(helm)
