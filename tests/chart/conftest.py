"""An API server for each file that installs something."""

from collections.abc import Iterator

import pytest

from tests.chart.installed import Installed
from tests.harness.apiserver import MISSING, ApiServer, find_kubernetes


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    programs = find_kubernetes()
    if programs is None:
        pytest.skip(MISSING)
    server = ApiServer(programs, records=True).start()
    installed = Installed(server, tmp_path_factory.mktemp("home"))
    yield installed
    installed.client.close()
    server.remove()
