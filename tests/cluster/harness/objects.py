"""The objects that the stories apply."""

from typing import Any

from gateway.core.spec import API_VERSION
from tests.cluster.harness.kube import Document

#: restricted pod security, as the chart's own pods have it
_POD = {
    "runAsNonRoot": True,
    "runAsUser": 10001,
    "seccompProfile": {"type": "RuntimeDefault"},
}
_CONTAINER = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
#: the folder of the data must stay its owner's alone, also when it is mounted again
_POSTGRES_POD = {
    **_POD,
    "runAsUser": 999,
    "runAsGroup": 999,
    "fsGroup": 999,
    "fsGroupChangePolicy": "OnRootMismatch",
}
UPSTREAM = "upstream"
DATABASE = "database"
_PASSWORD = "a-password-of-the-stories"
_DATA = "/var/lib/postgresql/data/books"
_START = f"""\
set -eu
if [ ! -e {_DATA}/PG_VERSION ]; then
  rm -rf {_DATA} {_DATA}.new
  printf %s "$PASSWORD" > /tmp/password
  initdb -D {_DATA}.new -U faregate -E UTF8 --locale=C --auth-local=trust \\
    --auth-host=scram-sha-256 --pwfile=/tmp/password
  echo "host all all all scram-sha-256" >> {_DATA}.new/pg_hba.conf
  echo "CREATE DATABASE faregate" | postgres --single -D {_DATA}.new postgres
  mv {_DATA}.new {_DATA}
fi
chmod 0700 {_DATA}
exec postgres -D {_DATA} -c listen_addresses='*' -c unix_socket_directories=/tmp
"""


def api_key(name: str, account: str = "alice", **spec: Any) -> Document:
    """An ApiKey whose Secret is named after it."""
    if "valueFrom" not in spec:
        spec = {"secretName": f"{name}-key", **spec}
    return _ours("ApiKey", name, {"account": account, **spec})


def credit_grant(name: str, account: str = "alice", credits: int = 100, **spec: Any) -> Document:
    return _ours("CreditGrant", name, {"account": account, "credits": credits, **spec})


def credit_allowance(name: str, account: str, **spec: Any) -> Document:
    return _ours("CreditAllowance", name, {"account": account, **spec})


def _ours(kind: str, name: str, spec: Document) -> Document:
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}


def namespace(name: str) -> Document:
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": name,
            "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
        },
    }


def _labelled(name: str, place: str) -> Document:
    return {"name": name, "namespace": place, "labels": {"app": name}}


def _service(name: str, place: str, port: int) -> Document:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _labelled(name, place),
        "spec": {"selector": {"app": name}, "ports": [{"port": port}]},
    }


def simulated_upstream(image: str) -> list[Document]:
    """One simulated upstream for the cluster, with its counters."""
    container = {
        "name": "simulated",
        "image": image,
        "args": ["gateway", "simulate", "--host", "0.0.0.0", "--port", "8081"],
        "ports": [{"containerPort": 8081}],
        "readinessProbe": {"httpGet": {"path": "/stats", "port": 8081}, "periodSeconds": 1},
        "securityContext": _CONTAINER,
    }
    template = {
        "metadata": {"labels": {"app": "simulated"}},
        "spec": {
            "enableServiceLinks": False,
            "securityContext": _POD,
            "containers": [container],
        },
    }
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _labelled("simulated", UPSTREAM),
        "spec": {"selector": {"matchLabels": {"app": "simulated"}}, "template": template},
    }
    return [namespace(UPSTREAM), deployment, _service("simulated", UPSTREAM, 8081)]


def database(image: str) -> list[Document]:
    """A PostgreSQL that is not the chart's, as a company has one; its data outlive its pod."""
    container = {
        "name": "postgres",
        "image": image,
        "command": ["sh", "-c", _START],
        "env": [{"name": "PASSWORD", "value": _PASSWORD}],
        "ports": [{"containerPort": 5432}],
        "readinessProbe": {
            "exec": {"command": ["pg_isready", "-h", "127.0.0.1", "-q"]},
            "periodSeconds": 1,
        },
        "lifecycle": {"preStop": {"exec": {"command": ["sh", "-c", "kill -INT 1"]}}},
        "securityContext": _CONTAINER,
        "volumeMounts": [
            {"name": "data", "mountPath": "/var/lib/postgresql/data"},
            {"name": "tmp", "mountPath": "/tmp"},
        ],
    }
    template = {
        "metadata": {"labels": {"app": "postgres"}},
        "spec": {
            "enableServiceLinks": False,
            "securityContext": _POSTGRES_POD,
            "containers": [container],
            "volumes": [{"name": "tmp", "emptyDir": {}}],
        },
    }
    claim = {
        "metadata": {"name": "data"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }
    stateful = {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": _labelled("postgres", DATABASE),
        "spec": {
            "serviceName": "postgres",
            "selector": {"matchLabels": {"app": "postgres"}},
            "template": template,
            "volumeClaimTemplates": [claim],
        },
    }
    return [namespace(DATABASE), stateful, _service("postgres", DATABASE, 5432)]


def database_secret(name: str, place: str, database: str) -> Document:
    """The chart's values for a database of that PostgreSQL."""
    url = f"postgresql://faregate:{_PASSWORD}@postgres.{DATABASE}.svc:5432/{database}"
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": place},
        "stringData": {"url": url},
    }


def asking_pod(name: str, image: str, secret: str) -> Document:
    """A team's pod: its image, and `envFrom` the Secret of its key. Nothing else."""
    container = {
        "name": "ask",
        "image": image,
        "envFrom": [{"secretRef": {"name": secret}}],
        "securityContext": _CONTAINER,
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "restartPolicy": "Never",
            "securityContext": _POD,
            "containers": [container],
            "volumes": [{"name": "tmp", "emptyDir": {}}],
        },
    }
