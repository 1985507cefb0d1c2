"""The files that a gateway leaves on its machine, and the users who may read them."""

import os
import resource
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.process.settings import Settings
from gateway.process.standalone.data_folder import DataFolder, FolderInUse, open_database
from tests.harness.dialects import PATHS
from tests.harness.gateway import ROOT, GatewayProcess, Simulated, api_key, credit_grant, fleet


@pytest.fixture
def gateway(simulated: Simulated, tmp_path: Path) -> Iterator[GatewayProcess]:
    documents = [fleet(simulated.url), api_key("alice"), credit_grant("alice")]
    process = GatewayProcess(tmp_path, documents)
    yield process
    process.kill()


def use(gateway: GatewayProcess) -> None:
    """So that everything is there that a gateway writes."""
    body = {"model": "kimi-k2.5", "input": "Hi"}
    headers = {"x-api-key": gateway.key("alice")}
    response = gateway.http.post(PATHS["responses"], headers=headers, json=body)
    assert response.status_code == 200, response.text


def readable(folder: Path) -> dict[str, str]:
    """The files below a folder that others than their owner may read."""
    files = (path for path in folder.rglob("*") if path.is_file())
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in files}
    assert {"faregate.db", "responses.db", "installation.secret", "lock"} < modes.keys()
    return {name: oct(mode) for name, mode in modes.items() if mode & 0o077}


def test_nobody_else_reads_a_data_folder_that_was_there_before(gateway: GatewayProcess) -> None:
    gateway.data.mkdir(mode=0o755)
    use(gateway.start())
    assert readable(gateway.data) == {}


def test_databases_of_an_earlier_release_are_closed_to_others(gateway: GatewayProcess) -> None:
    use(gateway.start())
    assert gateway.stop() == 0
    gateway.data.chmod(0o755)
    for database in gateway.data.glob("*.db"):
        database.chmod(0o644)
    use(gateway.start())
    assert readable(gateway.data) == {}


def test_a_database_serves_one_process_whatever_folders_name_it(tmp_path: Path) -> None:
    """A second one would give back what the first one's requests have been charged."""
    file, link = tmp_path / "shared.db", tmp_path / "link.db"
    link.symlink_to(file)
    first, second = (
        Settings(database_url=f"sqlite:///{path}", installation_secret="a secret for both" * 2)
        for path in (file, link)
    )
    with DataFolder(tmp_path / "one") as one:
        database, _ = open_database(first, one)
        with DataFolder(tmp_path / "two") as two, pytest.raises(FolderInUse, match=r"shared\.db"):
            open_database(second, two)
        database.close()
    with DataFolder(tmp_path / "two") as two:
        database, _ = open_database(second, two)
        database.close()


def test_no_core_of_a_gateway_is_written(gateway: GatewayProcess) -> None:
    """All keys, prompts and answers of the moment would be in it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))  # the gateway's, too
    try:
        gateway.start()
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))
    limits = Path(f"/proc/{gateway.pid}/limits").read_text()
    (core,) = (line for line in limits.splitlines() if line.startswith("Max core file size"))
    assert core.split()[4:6] == ["0", "0"]


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["audit", "--data", "none"], 1, "there is no folder none: give --data the one of a"),
        (["simulate", "--port", "99999"], 2, "99999 is no port: give a number from 0 to 65535"),
    ],
)
def test_a_command_refuses_a_wrong_argument_in_words(
    tmp_path: Path, arguments: list[str], status: int, sentence: str
) -> None:
    command = [sys.executable, "-m", "gateway", *arguments]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == status
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
