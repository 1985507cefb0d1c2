"""Makes kind's node image where no registry of images can be reached: Debian's packages, and the
programs of the local node.

The files that make a Debian into a node of kind come with kind's own module. It differs from the
published image: pods' addresses are configured instead of kindnetd's, so it makes clusters of one
node and enforces no NetworkPolicy; nothing lowers a process's OOM score, which needs a capability
that a sandbox may lack; and it changes fewer settings of the machine's kernel.
"""

import hashlib
import json
import re
import shutil
from pathlib import Path

from tests.cluster.kind import places, texts
from tests.cluster.kind.archives import LINKS, Files, archive, closure, layer, write_archive
from tests.cluster.kind.places import CACHE
from tests.cluster.kind.programs import of_the_node_image
from tests.cluster.local import programs
from tests.cluster.local.commands import Failed, Step, run
from tests.cluster.local.images import PAUSE
from tests.cluster.local.places import BIN, KUBERNETES
from tests.cluster.local.programs import Program

_RUNTIME = ("containerd", "containerd-shim-runc-v2", "ctr")
_CONTROL_PLANE = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy")
_PLUGINS = ("host-local", "loopback", "ptp", "portmap")
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_LIBRARIES = ("libc.so.6", "libresolv.so.2", "libm.so.6", "libpthread.so.0", "libdl.so.2")
#: what kube-proxy calls
_TABLES = (
    "/usr/sbin/iptables", "/usr/sbin/ip6tables", "/usr/sbin/iptables-save",
    "/usr/sbin/ip6tables-save", "/usr/sbin/iptables-restore", "/usr/sbin/ip6tables-restore",
    "/usr/sbin/nft", "/usr/sbin/conntrack", "/usr/sbin/xtables-nft-multi",
)  # fmt: skip
_WASTE = (
    "var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale",
    "var/log",
)  # fmt: skip
#: units that a container has no use for, as in the published image
_UNITS = (
    "multi-user.target.wants/*", "local-fs.target.wants/*", "basic.target.wants/*",
    "sockets.target.wants/*udev*", "sockets.target.wants/*initctl*",
    "sysinit.target.wants/systemd-tmpfiles-setup.service",
)  # fmt: skip


def make() -> None:
    """Write the archive of the node image, unless it is there with the programs as they are now."""
    programs.install_packages()
    programs.bring(_needed())
    CACHE.mkdir(parents=True, exist_ok=True)
    stamp = places.NODE_ARCHIVE.with_suffix(".stamp")
    wanted = _stamp()
    if places.NODE_ARCHIVE.exists() and stamp.exists() and stamp.read_text() == wanted:
        return
    root = _bootstrap()
    try:
        with Step("furnishing kind's node"):
            _furnish(root)
        with Step("making the images of its control plane"):
            _import(root, _images(root))
        with Step("writing kind's node image"):
            config: dict[str, object] = {
                "Env": [_PATH, "container=docker"],
                "Entrypoint": ["/usr/local/bin/entrypoint", "/sbin/init"],
                "StopSignal": "SIGRTMIN+3",
            }
            write_archive(places.NODE_ARCHIVE, places.NODE_IMAGE, root, config)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    stamp.write_text(wanted)


def _stamp() -> str:
    """A hash of the code that makes it, and of what each program is made from."""
    digest = hashlib.sha256()
    for name in ("archives", "node_image", "places", "texts"):
        digest.update(Path(__file__).with_name(f"{name}.py").read_bytes())
    for program in _needed():
        digest.update(program.stamp.encode())
    return digest.hexdigest()


def _needed() -> list[Program]:
    of_the_local_node = ("kubelet", "kubectl", *_RUNTIME, *_CONTROL_PLANE, "etcd", "coredns")
    return [*programs.named(*of_the_local_node), *of_the_node_image()]


def _bootstrap() -> Path:
    """A Debian with systemd, made once for a list of packages and kept as a tar file."""
    key = hashlib.sha256(f"{places.SUITE}{texts.PACKAGES}".encode()).hexdigest()[:12]
    kept = CACHE / f"debian-{key}.tar"
    root = CACHE / "root"
    shutil.rmtree(root, ignore_errors=True)
    if kept.exists():
        root.mkdir()
        run("tar", "-C", root, "--numeric-owner", "-xpf", kept)
        return root
    with Step("making the Debian of kind's node, once"):
        include = f"--include={texts.PACKAGES}"
        run("debootstrap", "--variant=minbase", include, places.SUITE, root)
        for waste in _WASTE:
            shutil.rmtree(root / waste, ignore_errors=True)
        (root / "var/log").mkdir()
        part = kept.with_suffix(".new")
        run("tar", "-C", root, "--numeric-owner", "-cf", part, ".")
        part.rename(kept)
    return root


def _furnish(root: Path) -> None:
    """Do what the published base image does to a Debian, and what a sandbox needs."""
    _copy_files_of_kind(root)
    _choose_units(root)
    for folder in ("etc/kubernetes/manifests", "opt/cni/bin", "etc/cni/net.d", "kind/manifests"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for name in _PLUGINS:
        shutil.copy(root / "usr/lib/cni" / name, root / "opt/cni/bin" / name)
    for name in (*_RUNTIME, "crictl"):
        shutil.copy(BIN / name, root / "usr/local/bin" / name)
    for name in ("kubelet", "kubectl", "kubeadm"):
        shutil.copy(BIN / name, root / "usr/bin" / name)
    (root / "etc/cni/net.d/10-node.conflist").write_text(texts.NETWORK)
    (root / "kind/manifests/default-cni.yaml").write_text(texts.NETWORK_OBJECTS)
    (root / "kind/manifests/default-storage.yaml").write_text(texts.STORAGE_OBJECTS)
    (root / "kind/version").write_text(f"v{KUBERNETES}")
    _configure(root)


def _copy_files_of_kind(root: Path) -> None:
    asked = f"sigs.k8s.io/kind@{places.KIND}"
    found = json.loads(run("go", "mod", "download", "-json", asked, folder=CACHE))
    given = Path(found["Dir"]) / "images" / "base" / "files"
    for path in sorted(given.rglob("*")):
        goal = root / path.relative_to(given)
        if path.is_dir():
            goal.mkdir(exist_ok=True)
            goal.chmod(0o755)
        elif path.relative_to(given).parts[0] != "LICENSES":
            shutil.copyfile(path, goal)
            goal.chmod(0o755 if goal.parent.name == "bin" else 0o644)


def _choose_units(root: Path) -> None:
    unwanted = [path for each in _UNITS for path in (root / "lib/systemd/system").glob(each)]
    for path in (*unwanted, *(root / "etc/systemd/system").glob("*.wants/*")):
        path.unlink()
    with (root / "etc/systemd/journald.conf").open("a") as file:
        file.write("ReadKMsg=no\n")
    for unit in ("kubelet", "containerd", "undo-mount-hacks"):
        run("chroot", root, "systemctl", "enable", f"{unit}.service")
    run("chroot", root, "systemctl", "mask", "systemd-binfmt.service")
    # They set what is the machine's kernel's, and no node's business.
    for name in ("50-pid-max.conf", "99-protect-links.conf"):
        (root / "usr/lib/sysctl.d" / name).unlink(missing_ok=True)


def _configure(root: Path) -> None:
    """Let it start on version 1 of control groups, and without the right to lower an OOM score."""
    extra = root / "etc/default/kubelet"
    extra.write_text(extra.read_text().rstrip() + " --fail-cgroupv1=false\n")
    config = root / "etc/containerd/config.toml"
    config.write_text(
        config.read_text().replace(
            "restrict_oom_score_adj = false", "restrict_oom_score_adj = true"
        )
    )
    spec = json.loads(run("chroot", root, "/usr/local/bin/ctr", "oci", "spec"))
    spec["process"].pop("rlimits", None)
    hooks = spec.setdefault("hooks", {}).setdefault("createContainer", [])
    hooks.append({"path": "/kind/bin/mount-product-files.sh"})
    (root / "etc/containerd/cri-base.json").write_text(json.dumps(spec))


def _images(root: Path) -> list[bytes]:
    """The archive of every image that a new cluster starts."""
    listed = run(BIN / "kubeadm", "config", "images", "list", f"--kubernetes-version=v{KUBERNETES}")
    wanted = {re.split(r"[/:]", name)[-2]: name for name in listed.split()}
    folder = "/usr/lib/x86_64-linux-gnu"
    libraries = (*(f"{folder}/{name}" for name in _LIBRARIES), "/lib64/ld-linux-x86-64.so.2")
    base = layer({**LINKS, **closure(root, libraries)}, ("tmp",))
    made = []
    for name in (*_CONTROL_PLANE, "etcd", "coredns"):
        layers = [base, layer({f"usr/local/bin/{name}": BIN / name})]
        if name == "kube-proxy":
            layers.insert(1, layer(_tables(root)))
        config: dict[str, object] = {"Env": [_PATH], "Entrypoint": [f"/usr/local/bin/{name}"]}
        made.append(archive(wanted[name], layers, config))
    provisioner = layer({"usr/local/bin/provisioner": BIN / "local-path-provisioner"})
    started: dict[str, object] = {"Env": [_PATH], "Entrypoint": ["/usr/local/bin/provisioner"]}
    made.append(archive(places.STORAGE_IMAGE, [base, provisioner], started))
    tools: Files = {"bin/busybox": root / "usr/bin/busybox"}
    tools.update({f"bin/{name}": "busybox" for name in ("sh", "mkdir", "rm", "chmod", "stat")})
    made.append(archive(places.HELPER_IMAGE, [layer(tools, ("tmp",))], {"Env": [_PATH]}))
    return [*made, _pause(root)]


def _tables(root: Path) -> Files:
    """Programs and extensions of the packet filter, without the choice of alternatives."""
    extensions = (root / "usr/lib/x86_64-linux-gnu/xtables").glob("*")
    paths = tuple(f"/{path.relative_to(root)}" for path in extensions)
    found = closure(root, (*_TABLES, *paths))
    # A node chooses when it starts; in an image they are nftables'.
    for name in ("iptables", "ip6tables"):
        for end in ("", "-save", "-restore"):
            found[f"/usr/sbin/{name}{end}"] = "xtables-nft-multi"
    return {path: what for path, what in found.items() if not path.startswith("/etc")}


def _pause(root: Path) -> bytes:
    (CACHE / "pause.c").write_text(PAUSE)
    run("gcc", "-O2", "-static", "-s", "-o", CACHE / "pause", CACHE / "pause.c")
    config = (root / "etc/containerd/config.toml").read_text()
    found = re.search(r'sandbox_image = "(.*)"', config)
    if found is None:
        raise Failed("kind's configuration of containerd names no sandbox image")
    return archive(found[1], [layer({"pause": CACHE / "pause"})], {"Entrypoint": ["/pause"]})


def _import(root: Path, images: list[bytes]) -> None:
    folder = root / "import"
    folder.mkdir()
    for number, content in enumerate(images):
        (folder / f"{number}.tar").write_bytes(content)
    alone = ("--mount", "--net", "--pid", "--fork", "--kill-child", "--propagation", "private")
    run(
        "unshare", *alone, "sh", "-c", texts.ENTER, texts.IMPORT, root,
        environment=dict([_PATH.split("=", 1)]),
    )  # fmt: skip
    shutil.rmtree(folder)
