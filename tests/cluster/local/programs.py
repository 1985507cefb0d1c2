"""Builds the node's programs from their Go modules, each once.

A program is named by the text of its module, its package and its linker flags: the stamp beside it
holds their hash. Sources come through the Go client as it is configured on this machine.
"""

import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.cluster.local import places
from tests.cluster.local.commands import Failed, Step, run, succeeds
from tests.cluster.local.places import BIN, CACHE

PACKAGES = (
    "runc containernetworking-plugins iptables nftables iproute2 conntrack ethtool util-linux "
    "buildah debootstrap gcc libc6-dev openssl ca-certificates"
)

#: what Kubernetes' own module replaces by the folders of its repository
_STAGING = (
    "api apiextensions-apiserver apimachinery apiserver cli-runtime client-go cloud-provider "
    "cluster-bootstrap code-generator component-base component-helpers controller-manager cri-api "
    "cri-client cri-streaming csi-translation-lib dynamic-resource-allocation endpointslice "
    "externaljwt kms kube-aggregator kube-controller-manager kube-proxy kube-scheduler kubectl "
    "kubelet metrics mount-utils pod-security-admission sample-apiserver sample-cli-plugin "
    "sample-controller streaming"
)
_KUBERNETES = "kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl"
_CONTAINERD = "github.com/containerd/containerd/v2"
_ETCD = "go.etcd.io/etcd/server/v3"
_TRAEFIK = "github.com/traefik/traefik/v3"
_COREDNS = "github.com/coredns/coredns"
_PROMETHEUS = "github.com/prometheus/prometheus"
#: program → module, version, package
_OTHERS = {
    "etcd": (_ETCD, places.ETCD, _ETCD),
    "containerd": (_CONTAINERD, places.CONTAINERD, f"{_CONTAINERD}/cmd/containerd"),
    "containerd-shim-runc-v2": (
        _CONTAINERD,
        places.CONTAINERD,
        f"{_CONTAINERD}/cmd/containerd-shim-runc-v2",
    ),
    "ctr": (_CONTAINERD, places.CONTAINERD, f"{_CONTAINERD}/cmd/ctr"),
    "helm": ("helm.sh/helm/v4", places.HELM, "helm.sh/helm/v4/cmd/helm"),
    "coredns": (_COREDNS, places.COREDNS, _COREDNS),
    "traefik": (_TRAEFIK, places.TRAEFIK, f"{_TRAEFIK}/cmd/traefik"),
    "prometheus": (_PROMETHEUS, places.PROMETHEUS, f"{_PROMETHEUS}/cmd/prometheus"),
}
#: Prometheus finds pods and nothing else, which spares it the clients of all clouds; and it runs in
#: any image. That of Debian finds no pods.
_TAGS = {"prometheus": "remove_all_sd,enable_kubernetes_sd,netgo,osusergo"}
#: replacements that Traefik's own module makes; they do not reach a module that requires it
_REPLACED = {
    "traefik": "\nreplace (\n"
    "\tgithub.com/abbot/go-http-auth => "
    "github.com/containous/go-http-auth v0.4.1-0.20200324110947-a37a7636d23e\n"
    "\tgithub.com/gorilla/mux => "
    "github.com/containous/mux v0.0.0-20250523120546-41b6ec3aed59\n"
    "\tgithub.com/mailgun/minheap => "
    "github.com/containous/minheap v0.0.0-20190809180810-6e71eb837595\n)\n",
}


class Program(NamedTuple):
    """One program: the module it is built in, the module's text, its package, flags and tags."""

    name: str
    module: str
    text: str
    package: str
    flags: str = "-s -w"
    tags: str = ""

    @property
    def stamp(self) -> str:
        made_of = self.text + self.package + self.flags + self.tags
        return hashlib.sha256(made_of.encode()).hexdigest()

    @property
    def is_built(self) -> bool:
        stamp = BIN / f".{self.name}.stamp"
        return (BIN / self.name).exists() and stamp.exists() and stamp.read_text() == self.stamp


def programs() -> Iterator[Program]:
    """All programs of the node, in the order in which they are built."""
    minor = places.KUBERNETES.split(".", 1)[1]
    replaced = "".join(
        f"\tk8s.io/{name} => k8s.io/{name} v0.{minor}\n" for name in _STAGING.split()
    )
    text = (
        "module local/kubernetes\n\ngo 1.26.0\n\n"
        f"require k8s.io/kubernetes v{places.KUBERNETES}\n\nreplace (\n{replaced})\n"
    )
    told = " ".join(
        f"-X {package}.gitVersion=v{places.KUBERNETES} -X {package}.gitMajor=1 "
        f"-X {package}.gitMinor={minor.split('.')[0]}"
        for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    )
    for name in _KUBERNETES.split():
        yield Program(name, "kubernetes", text, f"k8s.io/kubernetes/cmd/{name}", f"-s -w {told}")
    for name, (module, version, package) in _OTHERS.items():
        required = f"module local/{name}\n\ngo 1.26.0\n\nrequire {module} {version}\n"
        text = required + _REPLACED.get(name, "")
        yield Program(name, name, text, package, tags=_TAGS.get(name, ""))


def missing() -> list[str]:
    """Names of the programs that a build would make."""
    return [program.name for program in programs() if not program.is_built]


def why_not() -> str | None:
    """Why this machine cannot have a local node; None when it can."""
    if os.geteuid() != 0:
        return "a node needs root"
    if not shutil.which("apt-get"):
        return "a node needs Debian's packages"
    if missing() and not _go_is_new():
        return f"building a node's programs needs Go {'.'.join(map(str, places.GO))}"
    return None


def _go_is_new() -> bool:
    if not shutil.which("go"):
        return False
    found = re.search(r"go(\d+)\.(\d+)", run("go", "env", "GOVERSION"))
    return found is not None and (int(found[1]), int(found[2])) >= places.GO


def build() -> None:
    """Install the packages and build the programs that are missing."""
    install_packages()
    wanted = [program for program in programs() if not program.is_built]
    if not wanted:
        return
    BIN.mkdir(parents=True, exist_ok=True)
    with Step(f"building {len(wanted)} programs of Kubernetes, once (about 15 minutes in all)"):
        for program in wanted:
            with Step(f"building {program.name}"):
                _build(program)
    # The compiler's cache is some 10 GB; the programs stay.
    shutil.rmtree(CACHE / "go-build", ignore_errors=True)


def install_packages() -> None:
    absent = [name for name in PACKAGES.split() if not succeeds("dpkg", "-s", name)]
    if not absent:
        return
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    with Step(f"installing {' '.join(absent)}"):
        run("apt-get", "update", "-qq")
        run(
            "apt-get", "install", "-y", "-qq", "--no-install-recommends", *absent, environment=quiet
        )


def _build(program: Program) -> None:
    folder = _module(program)
    environment = {
        "GOFLAGS": "-mod=mod",
        "GOWORK": "off",
        "GOCACHE": str(CACHE / "go-build"),
    }
    made = BIN / f".{program.name}.new"
    run(
        "go", "build", "-trimpath", "-ldflags", program.flags, "-tags", program.tags,
        "-o", made, program.package,
        folder=folder, environment=environment,
    )  # fmt: skip
    made.rename(BIN / program.name)
    (BIN / f".{program.name}.stamp").write_text(program.stamp)


def _module(program: Program) -> Path:
    """The folder of the module, with the text that was asked for."""
    folder = CACHE / "modules" / program.module
    folder.mkdir(parents=True, exist_ok=True)
    wanted = folder / ".wanted"
    if not wanted.exists() or wanted.read_text() != program.text:
        (folder / "go.mod").write_text(program.text)
        (folder / "go.sum").unlink(missing_ok=True)
        wanted.write_text(program.text)
    return folder


def require() -> None:
    """Raise `Failed` when a program is not there yet."""
    absent = missing()
    if absent:
        raise Failed(f"{', '.join(absent)} are not built: python -m tests.cluster.local build")
