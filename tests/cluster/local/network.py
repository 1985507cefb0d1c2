"""The node's network namespace, the certificates of its programs, and running a command inside."""

import json
import os
from collections.abc import Sequence

from tests.cluster.local import places
from tests.cluster.local.commands import inside, run, succeeds
from tests.cluster.local.places import ADMIN, BIN, CERTIFICATES, STATE

_DAYS = 30
_NAMES = (
    "localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
)  # fmt: skip
#: program → the subject its client certificate names
_SUBJECTS = {
    "apiserver": "/CN=kube-apiserver",
    "admin": "/O=system:masters/CN=admin",
    "kubelet": "/O=system:nodes/CN=system:node:node",
    "controller-manager": "/CN=system:kube-controller-manager",
    "scheduler": "/CN=system:kube-scheduler",
    "proxy": "/CN=system:kube-proxy",
}


def make_namespace() -> None:
    """Make the network namespace; does nothing to one that is complete."""
    if not succeeds("ip", "netns", "pids", places.NAMESPACE):
        run("ip", "netns", "add", places.NAMESPACE)
    run(*inside("ip", "link", "set", "lo", "up"))
    run(*inside("ip", "address", "replace", f"{places.DNS}/32", "dev", "lo"))
    if not succeeds(*inside("ip", "link", "show", "node0")):
        run(*inside("ip", "link", "add", "node0", "type", "bridge"))
    run(*inside("ip", "link", "set", "node0", "up"))
    run(*inside("ip", "address", "replace", f"{places.NODE}/24", "dev", "node0"))
    run(*inside("ip", "route", "replace", "default", "via", places.NODE, "dev", "node0"))
    run(*inside("sysctl", "-qw", "net.ipv4.ip_forward=1"))
    # Traffic of one bridge passes the rules of services; without the module it does anyhow.
    succeeds(*inside("sysctl", "-qw", "net.bridge.bridge-nf-call-iptables=1"))
    (STATE / "resolv.conf").write_text(
        f"nameserver {places.DNS}\nsearch svc.cluster.local cluster.local\n"
    )


def make_certificates() -> None:
    """One authority and a certificate for every program, once per state folder."""
    if (CERTIFICATES / "complete").exists():
        return
    CERTIFICATES.mkdir(parents=True, exist_ok=True)
    addresses = ("127.0.0.1", places.NODE, places.API)
    names = [*(f"DNS:{name}" for name in _NAMES), *(f"IP:{address}" for address in addresses)]
    (CERTIFICATES / "extensions").write_text(
        f"subjectAltName={','.join(names)}\nauthorityKeyIdentifier=keyid\n"
    )
    _openssl("genrsa", "-out", "accounts.key", "2048")
    _openssl(
        "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.crt",
        "-days", str(_DAYS), "-subj", "/CN=faregate-tests",
        "-addext", "keyUsage=critical,keyCertSign,cRLSign",  # Python 3.13 asks for it
    )  # fmt: skip
    for name, subject in _SUBJECTS.items():
        _openssl(
            "req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-subj", subject,
            "-out", f"{name}.csr",
        )  # fmt: skip
        _openssl(
            "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key",
            "-CAcreateserial", "-days", str(_DAYS), "-extfile", "extensions",
            "-out", f"{name}.crt",
        )  # fmt: skip
        _write_kubeconfig(name)
    (CERTIFICATES / "complete").touch()


def _openssl(*arguments: str) -> None:
    run("openssl", *arguments, folder=CERTIFICATES)


def _write_kubeconfig(name: str) -> None:
    """A kubeconfig in JSON, which is YAML; it names the certificates by their paths."""
    cluster = {
        "server": "https://127.0.0.1:6443",
        "certificate-authority": f"{CERTIFICATES}/ca.crt",
    }
    user = {
        "client-certificate": f"{CERTIFICATES}/{name}.crt",
        "client-key": f"{CERTIFICATES}/{name}.key",
    }
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "local",
        "clusters": [{"name": "local", "cluster": cluster}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": "local", "context": {"cluster": "local", "user": name}}],
    }
    path = STATE / f"{name}.kubeconfig"
    path.write_text(json.dumps(content, indent=2))
    path.chmod(0o600)


def environment() -> dict[str, str]:
    """A command's view inside: the administrator's kubeconfig and the node's programs."""
    return {**os.environ, "KUBECONFIG": str(ADMIN), "PATH": f"{BIN}:{os.environ['PATH']}"}


def command(arguments: Sequence[str]) -> list[str]:
    """The command line that runs another inside, with the cluster's DNS."""
    script = f'mount --bind {STATE}/resolv.conf /etc/resolv.conf && exec "$@"'
    return inside("unshare", "--mount", "sh", "-c", script, "sh", *arguments)
