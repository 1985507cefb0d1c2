"""Versions, folders and addresses of the local node."""

import hashlib
import os
from pathlib import Path

KUBERNETES = "1.36.3"
ETCD = "v3.6.16"
CONTAINERD = "v2.4.2"
HELM = "v4.3.1"
COREDNS = "v1.15.0"
TRAEFIK = "v3.6.12"
#: of the module; the release is 3.16
PROMETHEUS = "v0.316.0"
#: the oldest Go that compiles all of them
GO = (1, 26)

#: the environment of the programs of Go: they have much memory and little time, so they may let
#: garbage grow to four times what lives before they collect
FOR_GO = {"GOGC": "400"}

BASE_IMAGE = "localhost/python:3.13-slim-trixie"
PAUSE_IMAGE = "localhost/pause:1"

_HERE = hashlib.sha256(str(Path(__file__).resolve().parent).encode()).hexdigest()[:8]
_CACHES = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")

#: programs and images: named by what they are made from, shared by all clones
CACHE = _CACHES / "faregate" / "cluster"
BIN = CACHE / "bin"
#: what one running node owns: etcd, containerd, kubelet, volumes, logs
STATE = Path(f"/var/tmp/faregate-cluster-{_HERE}")
LOGS = STATE / "logs"
INGRESS_LOG = LOGS / "ingress.log"
INGRESS_DEBUG_LOG = LOGS / "ingress-debug.log"
CERTIFICATES = STATE / "certificates"
SOCKET = STATE / "containerd.sock"
ADMIN = STATE / "admin.kubeconfig"
#: names of the network namespace and of the control group below which all pods are
NAMESPACE = f"faregate-{_HERE}"
CGROUP = f"faregate-{_HERE}"

NODE = "10.123.0.1"
DNS = "10.96.0.10"
API = "10.96.0.1"
SERVICES = "10.96.0.0/16"
PODS = "10.244.0.0/24"
#: volumes that pods may claim; as many as a run needs at once, and some
VOLUMES = 8
