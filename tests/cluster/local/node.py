"""The node: brings its components up, reports what runs, and takes everything down again."""

import contextlib
import json
import os
import shutil
import signal
from pathlib import Path

from tests.cluster.local import images, network, places, processes, programs, texts
from tests.cluster.local.commands import Failed, alone, announce, inside, run, succeeds
from tests.cluster.local.places import ADMIN, BIN, CERTIFICATES, SOCKET, STATE
from tests.harness import modules

COMPONENTS = (
    "etcd", "containerd", "apiserver", "controller-manager", "scheduler", "kubelet", "proxy",
    "coredns", "traefik",
)  # fmt: skip
#: two commands at once must not both start or end things
_LOCK = places.CACHE / f"{places.NAMESPACE}.lock"
_KUBECTL = (BIN / "kubectl", "--kubeconfig", ADMIN)


def up() -> None:
    """Start what does not run; a node that is up stays as it is. Raises `Failed`."""
    programs.require()
    if processes.foreign_kubelet():
        raise Failed("a kubelet runs on this machine already: name its cluster by a kubeconfig")
    with alone(_LOCK):
        _prepare()
        _start_control_plane()
        _start_node()


def _prepare() -> None:
    for folder in ("etcd", "cni", "kubelet", "logs", "run"):
        (STATE / folder).mkdir(parents=True, exist_ok=True)
    for number in range(places.VOLUMES):
        (STATE / "volumes" / str(number)).mkdir(parents=True, exist_ok=True)
    network.make_namespace()
    network.make_certificates()
    _make_cgroups()
    (STATE / "containerd.toml").write_text(texts.CONTAINERD)
    (STATE / "cni" / "10-pods.conflist").write_text(texts.CNI)
    (STATE / "kubelet.yaml").write_text(texts.KUBELET)
    (STATE / "Corefile").write_text(texts.COREDNS)


def _start_control_plane() -> None:
    peer, client = "http://127.0.0.1:2380", "http://127.0.0.1:2379"
    processes.start(
        "etcd", BIN / "etcd", "--data-dir", STATE / "etcd", "--unsafe-no-fsync", "--logger=zap",
        "--log-level=warn", f"--listen-client-urls={client}", f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
    )  # fmt: skip
    processes.start("containerd", BIN / "containerd", "-c", STATE / "containerd.toml")
    processes.start(
        "apiserver", BIN / "kube-apiserver", f"--etcd-servers={client}",
        f"--service-cluster-ip-range={places.SERVICES}", "--authorization-mode=Node,RBAC",
        f"--client-ca-file={CERTIFICATES}/ca.crt",
        f"--tls-cert-file={CERTIFICATES}/apiserver.crt",
        f"--tls-private-key-file={CERTIFICATES}/apiserver.key",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={CERTIFICATES}/accounts.key",
        f"--service-account-signing-key-file={CERTIFICATES}/accounts.key",
        f"--advertise-address={places.NODE}",
        f"--kubelet-client-certificate={CERTIFICATES}/admin.crt",
        f"--kubelet-client-key={CERTIFICATES}/admin.key",
        "--kubelet-preferred-address-types=InternalIP", "--allow-privileged",
        "--enable-admission-plugins=NodeRestriction",
    )  # fmt: skip
    processes.wait("the API server", *inside(*_KUBECTL, "get", "--raw", "/readyz"))
    for name in ("controller-manager", "scheduler"):
        file = STATE / f"{name}.kubeconfig"
        flags = [f"--kubeconfig={file}", f"--authentication-kubeconfig={file}"]
        flags += [f"--authorization-kubeconfig={file}", "--leader-elect=false"]
        if name == "controller-manager":
            flags += [
                f"--service-account-private-key-file={CERTIFICATES}/accounts.key",
                f"--root-ca-file={CERTIFICATES}/ca.crt", "--use-service-account-credentials",
                f"--cluster-cidr={places.PODS}", "--allocate-node-cidrs",
                # It outlives the API server's minute away, and would call the only node lost.
                "--node-monitor-grace-period=5m",
            ]  # fmt: skip
        processes.start(name, BIN / f"kube-{name}", *flags)


def _start_node() -> None:
    processes.wait("containerd", BIN / "ctr", "--address", SOCKET, "version")
    images.load(places.PAUSE_IMAGE)
    processes.start(
        "kubelet", BIN / "kubelet", f"--config={STATE}/kubelet.yaml",
        f"--kubeconfig={STATE}/kubelet.kubeconfig", "--hostname-override=node",
        f"--node-ip={places.NODE}", f"--root-dir={STATE}/kubelet",
    )  # fmt: skip
    succeeds(
        *inside(*_KUBECTL, "create", "clusterrolebinding", "kube-proxy"),
        "--clusterrole=system:node-proxier", "--user=system:kube-proxy",
    )  # fmt: skip
    processes.start(
        "proxy", BIN / "kube-proxy", f"--kubeconfig={STATE}/proxy.kubeconfig",
        "--hostname-override=node", f"--cluster-cidr={places.PODS}", "--proxy-mode=nftables",
        "--conntrack-max-per-core=0",
    )  # fmt: skip
    processes.start("coredns", BIN / "coredns", "-conf", STATE / "Corefile")
    for kind in modules.GATEWAY_API_KINDS:
        file = modules.gateway_api_file(kind)
        run(*inside(*_KUBECTL, "apply", "--server-side", "-f", file))
    run(*inside(*_KUBECTL, *texts.GATEWAYS_ESTABLISHED))
    run(*inside(*_KUBECTL, "apply", "-f", "-"), given=f"{texts.OBJECTS}---\n{texts.GATEWAY}")
    processes.start(
        "traefik", BIN / "traefik", "--entrypoints.web.address=127.0.0.1:80",
        "--providers.kubernetesingress=true",
        "--providers.kubernetesingress.ingressclass=traefik",
        "--providers.kubernetesingress.allowemptyservices=true",  # else 404 where no pod is ready
        "--providers.kubernetesgateway=true",
        "--accesslog=true", f"--accesslog.filepath={places.INGRESS_LOG}",
        # a request that it gives up is a line of this level, and of no other
        "--log.level=DEBUG", f"--log.filepath={places.INGRESS_DEBUG_LOG}",
        "--global.checknewversion=false", "--global.sendanonymoususage=false",
        environment={"KUBECONFIG": str(ADMIN)},
    )  # fmt: skip
    ready = ("wait", "--for=condition=Ready", "node/node", "--timeout=1s")
    processes.wait("the node", *inside(*_KUBECTL, *ready))
    account = ("get", "serviceaccount", "default")
    processes.wait("the first service account", *inside(*_KUBECTL, *account))


def status() -> dict[str, bool]:
    """Which components run."""
    return {name: processes.find(name) is not None for name in COMPONENTS}


def down() -> None:
    """End and remove everything this kit made, and nothing else; also after it was killed."""
    with alone(_LOCK):
        containers, namespaces = _pods()
        for name in ("kubelet", *COMPONENTS):  # nothing may start pods again
            processes.stop(name, seconds=0)
        for pid in sorted(set(processes.left_behind())):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        _unmount()
        for name in [places.NAMESPACE, *namespaces]:
            succeeds("ip", "netns", "del", name)
        for container in containers:
            shutil.rmtree(Path("/run/containerd/runc/k8s.io") / container, ignore_errors=True)
        _remove_cgroups()
        shutil.rmtree(STATE, ignore_errors=True)
        if STATE.exists():
            announce(f"could not remove all of {STATE}")


def _pods() -> tuple[list[str], set[str]]:
    """The containers of this node, and the network namespaces of their pods."""
    containers, namespaces = [], set()
    tasks = "containerd-state/io.containerd.runtime.v2.task/k8s.io/*/config.json"
    for bundle in STATE.glob(tasks):
        containers.append(bundle.parent.name)
        for namespace in json.loads(bundle.read_text())["linux"]["namespaces"]:
            if namespace["type"] == "network" and namespace.get("path"):
                namespaces.add(Path(namespace["path"]).name)
    return containers, namespaces


def _unmount() -> None:
    lines = Path("/proc/mounts").read_text().splitlines()
    mounts = [line.split()[1] for line in lines if line.split()[1].startswith(f"{STATE}/")]
    for mount in sorted(mounts, reverse=True):
        succeeds("umount", "--lazy", mount)


def _cgroups() -> list[Path]:
    """The node's control group: one folder, or one for each controller of the older layout."""
    root = Path("/sys/fs/cgroup")
    if (root / "cgroup.controllers").exists():
        return [root / places.CGROUP]
    return [folder / places.CGROUP for folder in root.iterdir() if not folder.is_symlink()]


def _make_cgroups() -> None:
    for folder in _cgroups():
        folder.mkdir(exist_ok=True)


def _remove_cgroups() -> None:
    for top in _cgroups():
        for folder in sorted(top.rglob("*/"), reverse=True):
            with contextlib.suppress(OSError):
                folder.rmdir()
        with contextlib.suppress(OSError):
            top.rmdir()
