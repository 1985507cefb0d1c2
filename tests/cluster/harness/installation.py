"""The installation of Faregate that the stories share, and what must be true of it after each."""

import json
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.cluster.harness import objects
from tests.cluster.harness.clients import Client
from tests.cluster.harness.evidence import redacted
from tests.cluster.harness.kube import (
    Document,
    Kube,
    KubectlFailed,
    condition,
    names,
    values_of,
    wait_until,
)
from tests.cluster.harness.prometheus import MONITORING

ROOT = Path(__file__).resolve().parents[3]
CHART = ROOT / "charts" / "faregate"
HOST = "faregate.example"
#: the host of the HTTPRoute, where the cluster has a Gateway
ROUTED_HOST = "route.faregate.example"
#: a revoked key must be refused by then
REFUSED_SECONDS = 2.0
_SCRAPER = {"kubernetes.io/metadata.name": MONITORING}


class Facts(NamedTuple):
    """The run's facts about its cluster."""

    cluster: str
    url: str
    class_name: str
    #: namespace and name of a Gateway, or nothing
    gateway: str
    images: Mapping[str, str]


class Key(str):
    """A plaintext that a failed story does not show."""

    def __repr__(self) -> str:
        return f"<{self[:6]}…>"


class Installation:
    """One release of the chart. `ensure` has it there no matter what an earlier story did to it."""

    release = "faregate"
    fleet = "faregate"

    def __init__(
        self,
        kube: Kube,
        facts: Facts,
        namespace: str = "faregate-system",
        database: str = "faregate",
    ) -> None:
        self.kube = kube
        self.facts = facts
        self.namespace = namespace
        self._database = database
        #: plaintexts that must never work again
        self.dead: set[str] = set()
        #: every plaintext that a story has read; none may be where it does not belong
        self.seen: set[str] = set()

    # -- the release ---------------------------------------------------------------------------

    def values(self, **more: Any) -> Document:
        """The values of the chart; `more` is merged over them."""
        repository, _, tag = self.facts.images["product"].rpartition(":")
        values: Document = {
            "image": {"repository": repository, "tag": tag},
            "database": {"existingSecret": {"name": "books"}},
            "operator": {"sweepSeconds": 15},
            # Where the cluster enforces policies, it is to find its pods all the same.
            "networkPolicy": {"scrapers": [{"namespaceSelector": {"matchLabels": _SCRAPER}}]},
            "ingress": {
                "enabled": True,
                "className": self.facts.class_name,
                "host": HOST,
            },
            "fleet": {
                "spec": {
                    "replicas": 2,
                    # A namespace that is deleted is looked at again after half of it.
                    "drain": {"seconds": 90, "graceSeconds": 120},
                    "pricing": {
                        "chatCreditsPerMessage": 1,
                        "chatCreditsReasoningSurcharge": 2,
                    },
                    "upstreams": [
                        {
                            "name": "main",
                            "url": f"http://simulated.{objects.UPSTREAM}.svc:8081/v1",
                            "dialect": "chat",
                        }
                    ],
                    "models": [
                        {"id": "kimi-k2.5", "upstream": "main", "aliases": ["claude-*", "gpt-*"]}
                    ],
                }
            },
        }
        if self.facts.gateway:
            namespace, _, name = self.facts.gateway.partition("/")
            parent = {"namespace": namespace, "name": name}
            route = {"parentRefs": [parent], "hostnames": [ROUTED_HOST]}
            values = merged(values, {"fleet": {"spec": {"httpRoute": route}}})
        return merged(values, more)

    def install(
        self, values: Document | None = None, *, chart: Path = CHART, seconds: float = 180
    ) -> float:
        """`helm upgrade --install --wait` with these values; the seconds it took."""
        began = time.monotonic()
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(values or self.values(), file)
            file.flush()
            self.helm(
                "upgrade", "--install", self.release, str(chart), "-f", file.name, "--wait",
                f"--timeout={seconds:.0f}s", seconds=seconds + 30,
            )  # fmt: skip
        self.kube.wait_ready("gatewayfleet", self.namespace, self.fleet, seconds=seconds)
        return time.monotonic() - began

    def uninstall(self, seconds: float = 180) -> float:
        began = time.monotonic()
        self.helm("uninstall", self.release, "--wait", f"--timeout={seconds:.0f}s", seconds=seconds)
        return time.monotonic() - began

    def prepare(self) -> None:
        """The namespace, as an administrator makes it, and the way to the database in it."""
        self.kube.apply(
            objects.namespace(self.namespace),
            objects.database_secret("books", self.namespace, self._database),
        )

    def ensure(self) -> None:
        """Installed, with the values that `values` gives, and ready."""
        self.prepare()
        if self._installed_values() != self.values():
            self.install()
        else:
            self.kube.wait_ready("gatewayfleet", self.namespace, self.fleet, seconds=120)

    def _installed_values(self) -> Document | None:
        try:
            found = self.helm("get", "values", self.release, "-o", "json")
        except KubectlFailed:
            return None
        return dict(json.loads(found) or {})

    def helm(self, *arguments: str, seconds: float = 120) -> str:
        """Run helm in the release's namespace. Raises `KubectlFailed` with what it printed."""
        line = ["helm", *arguments, "--namespace", self.namespace]
        done = subprocess.run(line, capture_output=True, text=True, timeout=seconds)
        if done.returncode:
            found = (done.stderr + done.stdout).strip()[-2000:]
            raise KubectlFailed(f"helm {arguments[0]}: {redacted(found)}")
        return done.stdout

    # -- its parts -----------------------------------------------------------------------------

    def operator_pods(self) -> list[Document]:
        return self.kube.pods(self.namespace, "app.kubernetes.io/component=operator")

    def operator_pod(self) -> Document:
        """The operator, once there is one and it is ready."""
        wait_until(self.operator_pods, "the operator to be ready", 120)
        return self.operator_pods()[0]

    def gateway_pods(self) -> list[Document]:
        return self.kube.pods(self.namespace, f"faregate.dev/fleet={self.fleet}")

    def has_replaced(self, before: Set[str]) -> bool:
        """True if none of these gateway pods is there, and all that are there are ready."""
        found = self.kube.all("pod", self.namespace, f"faregate.dev/fleet={self.fleet}")
        now = set(names(found))
        return not now & before and len(self.gateway_pods()) == len(now)

    def client(self) -> Client:
        """A client that comes through the ingress."""
        return Client(self.facts.url, HOST)

    @contextmanager
    def replicas(self) -> Iterator[dict[str, Client]]:
        """A client for each gateway pod, past the Service."""
        with ExitStack() as stack:
            clients = {}
            for name in names(self.gateway_pods()):
                url = stack.enter_context(self.kube.forward(f"pod/{name}", self.namespace, 8080))
                clients[name] = stack.enter_context(Client(url))
            assert clients, "no gateway is ready"
            yield clients

    def stats(self) -> dict[str, Any]:
        """The counters of the simulated upstream."""
        return dict(json.loads(self.kube("get", "--raw", f"{self._upstream()}/stats")))

    def _upstream(self) -> str:
        return f"/api/v1/namespaces/{objects.UPSTREAM}/services/simulated:8081/proxy"

    # -- keys ----------------------------------------------------------------------------------

    def key(self, namespace: str, name: str) -> str:
        """The plaintext of a key, from its Secret."""
        values = self.kube.secret(namespace, f"{name}-key")
        assert values, f"{namespace}/{name}-key is not there"
        return self._see(values)

    def keys(self, namespace: str) -> dict[str, "Key"]:
        """The plaintexts of all generated keys of a namespace, by the names of the ApiKeys."""
        found = self.kube.all("secret", namespace, "faregate.dev/apikey")
        return {
            one["metadata"]["labels"]["faregate.dev/apikey"]: self._see(values_of(one))
            for one in found
        }

    def _see(self, values: Mapping[str, str]) -> "Key":
        key = Key(values["OPENAI_API_KEY"])
        self.seen.add(key)
        return key

    def forget(self, *keys: str) -> None:
        """From now on these must be refused everywhere."""
        self.dead.update(keys)

    def seconds_to_refuse(self, replicas: Mapping[str, Client], key: str, began: float) -> float:
        """Until every replica has refused the key; from a moment of `time.monotonic`."""
        left = dict(replicas)
        while left:
            assert time.monotonic() < began + 30, f"{sorted(left)} still take a dead key"
            for name, client in list(left.items()):
                if client.status(key) in (401, 403):
                    del left[name]
        return max(0.0, time.monotonic() - began)

    # -- what must be true ---------------------------------------------------------------------

    def check(self, *namespaces: str, seconds: float = 90) -> None:
        """The invariant: the books are right, dead keys are dead, each object reports its state."""
        wait_until(lambda: not self.unsettled(*namespaces), "every object to settle", seconds)
        self.audit()
        with self.replicas() as replicas:
            alive = [
                f"{key!r} at {name}"
                for key in self.dead
                for name, client in replicas.items()
                if client.status(key) not in (401, 403)
            ]
        assert alive == [], f"keys that are revoked still work: {alive}"
        self.check_canary()

    def unsettled(self, *namespaces: str) -> list[str]:
        """Objects that are neither Ready nor Stalled as they are now."""
        return [
            f"{one['kind']} {one['metadata']['namespace']}/{one['metadata']['name']}"
            for one in self.kube.all("faregate")
            if not namespaces or one["metadata"]["namespace"] in namespaces
            if "deletionTimestamp" not in one["metadata"] and not is_up_to_date(one)
        ]

    def audit(self) -> str:
        """`python -m gateway audit` in a gateway's pod."""
        pod = names(self.gateway_pods())[0]
        output = self.kube.execute(pod, self.namespace, "python", "-m", "gateway", "audit")
        assert "the books are right" in output
        return output

    def check_canary(self) -> None:
        """No key is where it does not belong: logs, events, objects, metrics."""
        texts = {
            "events": self.kube("get", "events", "-A", "-o", "json"),
            "objects": self.kube("get", "faregate", "-A", "-o", "json"),
            "operator": self._log("app.kubernetes.io/component=operator"),
            "gateways": self._log(f"faregate.dev/fleet={self.fleet}"),
            "consoles": self._log(f"faregate.dev/console={self.fleet}"),
        }
        found = [where for where, text in texts.items() if self._seen_in(text)]
        assert found == [], "a key's plaintext stands there"

    def _seen_in(self, text: str) -> bool:
        return any(key in text for key in self.seen)

    def _log(self, labels: str) -> str:
        return self.kube("logs", "-n", self.namespace, "-l", labels, "--tail=-1")


def is_up_to_date(found: Document) -> bool:
    """Ready, or Stalled; both with a reason."""
    ready, stalled = condition(found, "Ready"), condition(found, "Stalled")
    if ready.get("status") == "True":
        return bool(ready.get("reason"))
    return stalled.get("status") == "True" and bool(stalled.get("reason"))


def merged(base: Document, more: Mapping[str, Any]) -> Document:
    """The second over the first, folder by folder; lists are replaced."""
    result = dict(base)
    for key, value in more.items():
        if isinstance(value, Mapping) and isinstance(result.get(key), Mapping):
            result[key] = merged(result[key], value)
        else:
            result[key] = value
    return result


def restarts(pods: Sequence[Document]) -> dict[str, int]:
    """The restarts of the first container of each pod."""
    return {
        pod["metadata"]["name"]: pod["status"]["containerStatuses"][0]["restartCount"]
        for pod in pods
    }
