"""One API server for this folder, with the three resources and a namespace."""

from collections.abc import Iterator

import pytest

from tests.crds.support import NAMESPACE, ROOT, Api, Kubectl
from tests.harness.apiserver import MISSING, ApiServer, find_kubernetes


@pytest.fixture(scope="package")
def api_server() -> Iterator[ApiServer]:
    programs = find_kubernetes()
    if programs is None:
        pytest.skip(MISSING)
    server = ApiServer(programs).start()
    yield server
    server.remove()


@pytest.fixture(scope="package")
def kubectl(api_server: ApiServer) -> Kubectl:
    programs = find_kubernetes()
    assert programs is not None
    kubectl = Kubectl(api_server, programs / "kubectl")
    kubectl.run("apply", "--server-side", "-f", str(ROOT / "crds"))
    kubectl.run("create", "namespace", NAMESPACE)
    return kubectl


@pytest.fixture(scope="package")
def api(api_server: ApiServer, kubectl: Kubectl) -> Iterator[Api]:
    """The API with the resources in it."""
    with api_server.client() as client:
        api = Api(client)
        api.wait_established()
        yield api
