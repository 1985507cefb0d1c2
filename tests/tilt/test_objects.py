"""Tilt's objects, applied to a real API server: the CRDs by its command, then the rest."""

from collections.abc import Iterator

import pytest
import yaml

from tests.harness.apiserver import MISSING, ApiServer, find_kubernetes
from tests.harness.pages import ROOT
from tests.harness.shell import Shell, find_program
from tests.tilt.evaluated import CONTEXT, Evaluated


@pytest.fixture(scope="module")
def shell() -> Iterator[Shell]:
    """A shell whose current Kubernetes goes by the name of kind's."""
    programs = find_kubernetes()
    if programs is None or find_program("kubectl") is None:
        pytest.skip(MISSING)
    server = ApiServer(programs).start()
    try:
        yield Shell(server, ROOT, CONTEXT)
    finally:
        server.remove()


def test_a_real_api_server_takes_everything_without_a_warning(
    shell: Shell, evaluated: Evaluated
) -> None:
    (crds,) = evaluated.all("local_resource")
    for _ in range(2):  # Tilt runs it again whenever a CRD changes
        assert "condition met" in shell.run(crds["cmd"])
    # Restricted pods only: the namespaces would warn.
    objects = evaluated.objects()
    output = shell.run("kubectl apply --dry-run=server -f -", yaml.safe_dump_all(objects))
    assert "warning" not in output.lower()
    assert output.count("created (server dry run)") == len(objects)
