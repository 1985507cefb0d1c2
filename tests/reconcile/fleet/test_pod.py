"""The gateway as its pod starts it: the rendered command, configuration, variables and mounts."""

import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from gateway.store.database import Database
from tests.harness.books import Books
from tests.harness.gateway import Process, Simulated, wait_until
from tests.harness.plain import get
from tests.harness.ports import free_port
from tests.reconcile.fleet.support import NAMESPACE, Json, child, container, with_credential

#: what the books of the tests are kept with
INSTALLATION_SECRET = "a secret that only the tests know, long enough"
#: name to key to value
Secrets = dict[str, dict[str, str]]
CHAT = "/api/openai/v1/chat/completions"


class Pod(Process):
    """The container's process, with folders and ports of the test's own."""

    def __init__(self, folder: Path, secrets: Secrets, given: Json) -> None:
        super().__init__(folder / "pod.log")
        self.port, self.operations_port = free_port(), free_port()
        places = {
            "/etc/faregate": str(folder / "config"),
            "/var/lib/faregate": str(folder / "data"),
            "8080": str(self.port),
            "9090": str(self.operations_port),
        }
        rendered = container(**given)
        for path, text in child("ConfigMap", **given)["data"].items():
            self._write(folder / "config" / path, text)
        for mount in rendered["volumeMounts"]:
            name = mount["mountPath"].rpartition(f"/secrets/{NAMESPACE}/")[2]
            for key, value in secrets.get(name, {}).items():
                self._write(folder / "data" / "secrets" / NAMESPACE / name / key, value)
        command = [*rendered["command"], *rendered["args"]]
        assert command[:3] == ["python", "-m", "gateway"]
        arguments = [_replace(word, places) for word in command[3:]]
        self.spawn(arguments, {one["name"]: _value(one, secrets) for one in rendered["env"]})

    def _write(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def probe(self, path: str) -> tuple[int, str] | None:
        """The probe's answer to the kubelet; None where nobody listens."""
        assert self.is_running, self.log_text()
        url = f"http://127.0.0.1:{self.operations_port}{path}"
        try:
            answer = get(url)
        except httpx.TransportError:
            return None
        return answer.status_code, answer.text.strip()

    def is_closed(self) -> bool:
        """True if it takes no connection of a client."""
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
        except ConnectionRefusedError:
            return True
        return False


def _replace(word: str, places: dict[str, str]) -> str:
    for place, ours in places.items():
        word = word.replace(place, ours)
    return word


def _value(variable: Json, secrets: Secrets) -> str:
    if "value" in variable:
        return str(variable["value"])
    ref = variable["valueFrom"]["secretKeyRef"]
    return secrets[ref["name"]][ref["key"]]


@pytest.fixture
def given(simulated: Simulated) -> Json:
    upstream = {**with_credential("moonshot", "api-key"), "url": simulated.url}
    return {"upstreams": [upstream], "drain": {"seconds": 20, "graceSeconds": 60}}


@pytest.fixture
def start(tmp_path: Path, given: Json) -> Iterator[Callable[[Secrets], Pod]]:
    """Start the pod with the content of its Secrets."""
    pods: list[Pod] = []

    def start(secrets: Secrets) -> Pod:
        pods.append(Pod(tmp_path, secrets, given))
        return pods[-1]

    yield start
    for pod in pods:
        pod.kill()


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_a_pod_serves_and_leaves_without_cutting_anybody(
    database: Database, simulated: Simulated, start: Callable[[Secrets], Pod]
) -> None:
    books = Books(database)
    _, plaintext = books.issue()
    books.grant(credits=10)
    secrets = {
        "database": {"url": database.url},
        "faregate-installation": {"secret": INSTALLATION_SECRET},
        "moonshot": {"api-key": "sk-of-the-upstream"},
    }
    pod = start(secrets)
    wait_until(lambda: pod.probe("/readyz") == (200, "ready"), "the pod to be ready")
    assert pod.probe("/healthz") == (200, "ok")
    url = f"http://127.0.0.1:{pod.port}{CHAT}"
    request = {
        "model": "kimi-k2.5",
        "stream": True,
        "messages": [{"role": "user", "content": "!stall 2 hold"}],
    }
    headers = {"authorization": f"Bearer {plaintext}"}
    with httpx.stream("POST", url, json=request, headers=headers, trust_env=False) as response:
        lines = response.iter_lines()
        received = [next(lines)]
        pod.send(signal.SIGTERM)
        wait_until(lambda: pod.probe("/readyz") == (503, "draining"), "the pod to drain")
        assert pod.probe("/healthz") == (200, "ok")
        wait_until(pod.is_closed, "the pod to take no more connections")
        simulated.release()
        received.extend(lines)
    assert "data: [DONE]" in received
    assert pod.wait() == 0
    assert books.balance() == 8


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_a_pod_without_its_credential_reports_it_and_ends(
    database: Database, start: Callable[[Secrets], Pod]
) -> None:
    secrets = {
        "database": {"url": database.url},
        "faregate-installation": {"secret": INSTALLATION_SECRET},
    }
    pod = start(secrets)
    assert pod.wait() == 1
    assert "there is no secret moonshot with a key api-key" in pod.log_text()
