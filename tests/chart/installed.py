"""A real API server with a release of the chart in it. No kubelet, so no pod runs."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import httpx

from tests.chart.helm import CHART, Body, Values, find_helm
from tests.cluster.local.places import FOR_GO
from tests.harness.apiserver import ApiServer, find_kubernetes

RESTRICTED = {
    f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn", "audit")
}


class Installed:
    """A cluster with a namespace in which only restricted pods are admitted."""

    def __init__(self, server: ApiServer, home: Path) -> None:
        self.server = server
        self.client = server.client()
        self._home = home
        namespace = {"metadata": {"name": "gate", "labels": RESTRICTED}}
        assert self.post("/api/v1/namespaces", namespace).status_code == 201

    def helm(self, *arguments: str, values: Values | None = None) -> str:
        """Helm's output. Warnings of the API server are among it."""
        done = self.run(*arguments, values=values)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    def run(
        self, *arguments: str, values: Values | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [find_helm(), *arguments, "--namespace=gate"],
            input=json.dumps(values or {}),
            capture_output=True,
            text=True,
            timeout=120,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self._home),
                "KUBECONFIG": str(self.server.kubeconfig),
                **FOR_GO,
            },
        )

    def install(self, values: Values) -> str:
        return self.helm(
            "upgrade", "--install", "faregate", str(CHART), "--values=-", values=values
        )

    def apply(self, objects: list[Body], *options: str) -> subprocess.CompletedProcess[str]:
        """Server-side apply by `kubectl`."""
        programs = find_kubernetes()
        assert programs is not None
        return subprocess.run(
            [
                str(programs / "kubectl"), f"--kubeconfig={self.server.kubeconfig}", "apply",
                "--server-side", "--force-conflicts", "--filename=-", *options,
            ],
            input=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}),
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip

    def get(self, path: str) -> Body:
        answer = self.client.get(path)
        assert answer.status_code == 200, answer.text
        body: Body = answer.json()
        return body

    def post(self, path: str, body: Any) -> httpx.Response:
        return self.client.post(path, json=body)

    def names(self, path: str) -> list[str]:
        return [each["metadata"]["name"] for each in self.get(path)["items"]]
