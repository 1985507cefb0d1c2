"""A developer's shell with kubectl and helm, whose current Kubernetes is a test's API server."""

import os
import shutil
import subprocess
from pathlib import Path

import yaml

from tests.cluster.local.places import BIN, FOR_GO
from tests.harness.apiserver import ApiServer


def find_program(name: str) -> str | None:
    """A program on the path, or among those that the cluster's tests have built."""
    return shutil.which(name) or shutil.which(name, path=str(BIN))


class Shell:
    """Runs commands as somebody would type them. `context` is what kubectl calls the cluster."""

    def __init__(self, server: ApiServer, folder: Path, context: str = "test") -> None:
        configuration = yaml.safe_load(server.kubeconfig.read_text(encoding="utf-8"))
        configuration["contexts"][0]["name"] = configuration["current-context"] = context
        path = server.folder / f"{context}.kubeconfig"
        path.write_text(yaml.safe_dump(configuration), encoding="utf-8")
        found = (find_program(name) for name in ("kubectl", "helm"))
        programs = [str(Path(program).parent) for program in found if program]
        self._folder = folder
        self._environment = {
            **os.environ,
            **FOR_GO,
            "KUBECONFIG": str(path),
            "PATH": ":".join([*programs, os.environ["PATH"]]),
            "HOME": str(server.folder),
        }

    def run(self, command: str, given: str = "", **environment: str) -> str:
        """Both outputs of a command, which must end well."""
        done = subprocess.run(
            ["bash", "-euc", command],
            cwd=self._folder,
            env={**self._environment, **environment},
            input=given,
            capture_output=True,
            text=True,
            timeout=180,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr
