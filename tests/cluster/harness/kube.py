"""kubectl as the stories use it, and waiting with a deadline."""

import base64
import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

Document = dict[str, Any]
_SECONDS = 60.0


class KubectlFailed(Exception):
    """kubectl refused; the message is what it printed."""


def wait_until(
    condition: Callable[[], object], what: str, seconds: float, *, pause: float = 0.25
) -> float:
    """Poll until a condition is true; the seconds it took. What kubectl cannot report is not true.

    Fails with the last reason when the time is over.
    """
    began = time.monotonic()
    reason = ""
    while True:
        try:
            if condition():
                return time.monotonic() - began
        except KubectlFailed as error:
            reason = f": {error}"
        waited = time.monotonic() - began
        assert waited < seconds, f"still waiting for {what} after {seconds:.0f} s{reason}"
        time.sleep(pause)


class Kube:
    """The cluster as its administrator sees it."""

    def __call__(self, *arguments: str, given: str | None = None, seconds: float = _SECONDS) -> str:
        """Run kubectl. Raises `KubectlFailed`."""
        try:
            done = subprocess.run(
                ["kubectl", *arguments],
                input=given,
                stdin=subprocess.DEVNULL if given is None else None,
                capture_output=True,
                text=True,
                timeout=seconds,
            )
        except subprocess.TimeoutExpired:
            raise KubectlFailed(f"kubectl {' '.join(arguments[:6])}: {seconds:.0f} s") from None
        if done.returncode:
            raise KubectlFailed(f"kubectl {' '.join(arguments[:6])}: {done.stderr.strip()[-2000:]}")
        return done.stdout

    def get(self, kind: str, name: str, namespace: str | None = None) -> Document | None:
        """One object, or None."""
        found = self("get", kind, name, "--ignore-not-found", "-o", "json", *_namespace(namespace))
        return dict(json.loads(found)) if found.strip() else None

    def all(
        self, kind: str, namespace: str | None = None, labels: str | None = None
    ) -> list[Document]:
        """All objects of a kind, of one namespace or of all."""
        where = _namespace(namespace) or ["--all-namespaces"]
        which = ["-l", labels] if labels else []
        return list(json.loads(self("get", kind, "-o", "json", *where, *which))["items"])

    def apply(
        self, *documents: Document, namespace: str | None = None, seconds: float = 60
    ) -> None:
        """`kubectl apply`, as everybody does it."""
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(documents)})
        self("apply", "-f", "-", *_namespace(namespace), given=text, seconds=seconds)

    def patch(self, kind: str, name: str, namespace: str, change: Document) -> None:
        self("patch", kind, name, "-n", namespace, "--type=merge", "-p", json.dumps(change))

    def delete(self, kind: str, name: str, namespace: str | None = None, *more: str) -> None:
        self("delete", kind, name, "--ignore-not-found", *_namespace(namespace), *more, seconds=180)

    def wait_ready(self, kind: str, namespace: str, *names: str, seconds: float = 60) -> None:
        """`kubectl wait --for=condition=Ready`."""
        which = [f"{kind}/{name}" for name in names] or [kind, "--all"]
        self(
            "wait", "--for=condition=Ready", *which, "-n", namespace,
            f"--timeout={seconds:.0f}s", seconds=seconds + 30,
        )  # fmt: skip

    def wait_calm(self) -> None:
        """Until no namespace is being deleted any more: its keys count, and it is written to."""

        def going() -> list[str]:
            found = [one["metadata"] for one in self.all("namespace")]
            return [one["name"] for one in found if "deletionTimestamp" in one]

        wait_until(lambda: not going(), "the end of earlier stories' namespaces", 180)

    def wait_keyless(self) -> None:
        """Until the other stories' keys are gone. A fresh cluster has no definition of them yet."""

        def has_keys() -> bool:
            return self.get("crd", "apikeys.faregate.dev") is not None and bool(self.all("apikey"))

        wait_until(lambda: not has_keys(), "the other stories' keys to be gone", 60)

    def secret(self, namespace: str, name: str) -> dict[str, str]:
        """The decoded values of a Secret; empty where there is none."""
        return values_of(self.get("secret", name, namespace) or {})

    def pods(self, namespace: str, labels: str) -> list[Document]:
        """Pods that run, are ready and are not on their way out."""
        return [pod for pod in self.all("pod", namespace, labels) if is_ready(pod)]

    def execute(self, pod: str, namespace: str, *command: str, seconds: float = 60) -> str:
        """Run a command in a pod's first container; its standard output."""
        return self("exec", pod, "-n", namespace, "--", *command, seconds=seconds)

    def events(self, namespace: str) -> list[Document]:
        return self.all("events", namespace)

    @contextmanager
    def forward(self, target: str, namespace: str, port: int) -> Iterator[str]:
        """A way to one port of a pod, as a URL on loopback."""
        line = ["kubectl", "port-forward", target, "-n", namespace, f":{port}"]
        process = subprocess.Popen(
            line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        try:
            assert process.stdout is not None
            found = re.search(r"127\.0\.0\.1:(\d+)", process.stdout.readline())
            assert found, f"no way to {target}"
            yield f"http://127.0.0.1:{found[1]}"
        finally:
            process.kill()
            process.communicate()


def _namespace(namespace: str | None) -> list[str]:
    return ["-n", namespace] if namespace else []


def values_of(secret: Document) -> dict[str, str]:
    """The decoded values of a Secret."""
    data = secret.get("data") or {}
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


def condition(found: Document, kind: str) -> Document:
    """One of an object's conditions, as far as it is about the object as it is now."""
    for one in (found.get("status") or {}).get("conditions") or ():
        is_now = one.get("observedGeneration") == found["metadata"].get("generation")
        if one["type"] == kind and is_now:
            return dict(one)
    return {}


def is_ready(found: Document) -> bool:
    """True if a pod is ready and stays."""
    conditions = (found.get("status") or {}).get("conditions") or ()
    ready = any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
    return ready and "deletionTimestamp" not in found["metadata"]


def names(found: Sequence[Document]) -> list[str]:
    return [one["metadata"]["name"] for one in found]
