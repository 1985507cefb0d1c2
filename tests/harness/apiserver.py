"""A throw-away Kubernetes API: etcd and kube-apiserver as processes, loopback only, RBAC on.

No kubelet runs anything here. A controller-manager is there for tests that delete namespaces or
rely on owner references.
"""

import base64
import ipaddress
import json
import os
import shutil
import signal
import ssl
import subprocess
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from tests.cluster.local.places import FOR_GO
from tests.harness.ports import free_port

_DEADLINE_SECONDS = 90
_NEEDED = ("etcd", "kube-apiserver", "kube-controller-manager")
MISSING = (
    "the Kubernetes programs are not there: name their folder by FAREGATE_TEST_KUBERNETES_BIN"
    " (etcd, kube-apiserver, kube-controller-manager), or let `make test-cluster` build them"
)


def find_kubernetes() -> Path | None:
    """The folder with the programs, or None where they are missing."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    given = os.environ.get("FAREGATE_TEST_KUBERNETES_BIN")
    folder = Path(given) if given else cache / "faregate/cluster/bin"
    return folder if all((folder / name).exists() for name in _NEEDED) else None


class ApiServer:
    """One API server. `stop` and `start` may be called again and again; etcd runs on."""

    def __init__(self, programs: Path, *, controllers: bool = False, records: bool = False) -> None:
        self._programs = programs
        self._controllers = controllers
        self._records = records
        self.folder = Path(tempfile.mkdtemp(prefix="faregate-apiserver-"))
        self.port = free_port()
        self.url = f"https://127.0.0.1:{self.port}"
        self._etcd_port, self._peer_port = free_port(), free_port()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._authority = Authority(self.folder)
        for name, subject, groups in (
            ("apiserver", "kube-apiserver", ()),
            ("admin", "admin", ("system:masters",)),
            # With rights of its own each controller would need an account made for it first.
            ("controllers", "system:kube-controller-manager", ("system:masters",)),
        ):
            self._authority.issue(name, subject, groups)
        self._authority.service_account_key()
        self.kubeconfig = self.write_kubeconfig("admin")

    def start(self) -> "ApiServer":
        """Start all that does not run, and wait until requests are served."""
        try:
            self._start_etcd()
            self._start_apiserver()
            self._wait_ready()
            if self._controllers:
                self._start_controllers()
        except BaseException:
            self.remove()
            raise
        return self

    def stop(self) -> None:
        """End the API server alone, as a crash would; etcd keeps what it has."""
        self._end("controllers")
        self._end("apiserver")

    def wipe(self) -> None:
        """A fresh cluster on the same address: no object is left."""
        self.stop()
        self._end("etcd")
        shutil.rmtree(self.folder / "etcd", ignore_errors=True)
        self.start()

    def remove(self) -> None:
        self.stop()
        self._end("etcd")
        shutil.rmtree(self.folder, ignore_errors=True)

    def write_kubeconfig(self, user: str, groups: tuple[str, ...] | None = None) -> Path:
        """A kubeconfig for a user; one that is not known yet gets a certificate."""
        if not (self.folder / f"{user}.crt").exists():
            self._authority.issue(user, user, groups or ())
        path = self.folder / f"{user}.kubeconfig"
        path.write_text(yaml.safe_dump(self._kubeconfig(user)), encoding="utf-8")
        return path

    def client(self, user: str = "admin") -> httpx.Client:
        """Plain HTTP as a user, for what tests ask and count."""
        context = ssl.create_default_context(cafile=str(self.folder / "ca.crt"))
        context.load_cert_chain(self.folder / f"{user}.crt", self.folder / f"{user}.key")
        return httpx.Client(base_url=self.url, verify=context, timeout=30, trust_env=False)

    def log_text(self, process: str = "apiserver") -> str:
        return (self.folder / f"{process}.log").read_text(errors="replace")

    def requests_of(self, user: str) -> list[dict[str, Any]]:
        """The requests of a user to a server that records, oldest first (its audit log)."""
        lines = (self.folder / "audit.log").read_text(encoding="utf-8").splitlines()
        found = (json.loads(line) for line in lines)
        return [each for each in found if each["user"]["username"] == user]

    def _recording(self) -> list[str]:
        policy = {
            "apiVersion": "audit.k8s.io/v1",
            "kind": "Policy",
            "omitStages": ["RequestReceived", "ResponseStarted"],
            "rules": [{"level": "Metadata"}],
        }
        path = self.folder / "audit.yaml"
        path.write_text(yaml.safe_dump(policy), encoding="utf-8")
        return [
            f"--audit-policy-file={path}", f"--audit-log-path={self.folder}/audit.log",
            "--audit-log-mode=blocking",
        ]  # fmt: skip

    def _kubeconfig(self, user: str) -> dict[str, Any]:
        def data(name: str) -> str:
            return base64.b64encode((self.folder / name).read_bytes()).decode()

        cluster = {"server": self.url, "certificate-authority-data": data("ca.crt")}
        credentials = {
            "client-certificate-data": data(f"{user}.crt"),
            "client-key-data": data(f"{user}.key"),
        }
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": user, "user": credentials}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": user}}],
            "current-context": "test",
        }

    def _start_etcd(self) -> None:
        client = f"http://127.0.0.1:{self._etcd_port}"
        peer = f"http://127.0.0.1:{self._peer_port}"
        self._run(
            "etcd", "etcd", "--data-dir", str(self.folder / "etcd"), "--unsafe-no-fsync",
            "--log-level=warn", f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}", f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=default={peer}",
        )  # fmt: skip

    def _start_apiserver(self) -> None:
        self._run(
            "apiserver", "kube-apiserver", f"--etcd-servers=http://127.0.0.1:{self._etcd_port}",
            "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1",
            f"--secure-port={self.port}", "--service-cluster-ip-range=10.96.0.0/16",
            "--authorization-mode=RBAC", f"--client-ca-file={self.folder}/ca.crt",
            f"--tls-cert-file={self.folder}/apiserver.crt",
            f"--tls-private-key-file={self.folder}/apiserver.key",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={self.folder}/sa.key",
            f"--service-account-signing-key-file={self.folder}/sa.key",
            *(self._recording() if self._records else ()),
            # Nobody makes service accounts where no controller-manager runs.
            *(() if self._controllers else ("--disable-admission-plugins=ServiceAccount",)),
        )  # fmt: skip

    def _start_controllers(self) -> None:
        kubeconfig = self.write_kubeconfig("controllers")
        self._run(
            "controllers", "kube-controller-manager", f"--kubeconfig={kubeconfig}",
            "--leader-elect=false", "--secure-port=0",
            f"--service-account-private-key-file={self.folder}/sa.key",
            f"--root-ca-file={self.folder}/ca.crt",
            "--controllers=namespace-controller,garbage-collector-controller,"
            "serviceaccount-controller",
        )  # fmt: skip

    def _run(self, name: str, program: str, *arguments: str) -> None:
        if name in self._processes and self._processes[name].poll() is None:
            return
        with (self.folder / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [*_with_parent(), str(self._programs / program), *arguments],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
                env={**os.environ, **FOR_GO},
            )  # fmt: skip

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + _DEADLINE_SECONDS
        with self.client() as client:
            while True:
                try:
                    if client.get("/readyz").status_code == httpx.codes.OK:
                        return
                except httpx.HTTPError:
                    pass
                ended = [name for name, it in self._processes.items() if it.poll() is not None]
                assert not ended, f"{ended} ended: {self.log_text(ended[0])[-2000:]}"
                assert time.monotonic() < deadline, self.log_text()[-2000:]
                time.sleep(0.1)

    def _end(self, name: str) -> None:
        process = self._processes.pop(name, None)
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGKILL)
            process.wait(_DEADLINE_SECONDS)


def _with_parent() -> list[str]:
    """The signal by which a program ends with the tests, however those end."""
    return ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []


class Authority:
    """A certificate authority in a folder: `ca.crt`, and a `.crt` and `.key` for each name."""

    def __init__(self, folder: Path, name: str = "test-authority") -> None:
        self._folder = folder
        self._key = _make_key()
        self._name = _subject(name, ())
        builder = self._builder(self._name, self._key).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        self._certificate = builder.sign(self._key, hashes.SHA256())
        self._write("ca.crt", self._certificate.public_bytes(serialization.Encoding.PEM))

    def issue(
        self,
        name: str,
        user: str,
        groups: tuple[str, ...],
        host: str = "localhost",
        address: str = "127.0.0.1",
    ) -> None:
        """A certificate for a server of this name and address, or for a client of it."""
        key = _make_key()
        names = [x509.DNSName(host), x509.IPAddress(ipaddress.ip_address(address))]
        certificate = (
            self._builder(_subject(user, groups), key)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        self._write(f"{name}.crt", certificate.public_bytes(serialization.Encoding.PEM))
        self._write(f"{name}.key", _private_pem(key))

    def service_account_key(self) -> None:
        self._write("sa.key", _private_pem(_make_key()))

    def _builder(self, subject: x509.Name, key: rsa.RSAPrivateKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=2))
            .add_extension(authority, critical=False)
            .add_extension(own, critical=False)
        )

    def _write(self, name: str, content: bytes) -> None:
        path = self._folder / name
        path.touch(mode=0o600)
        path.write_bytes(content)


def _make_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _private_pem(key: rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )


def _subject(user: str, groups: tuple[str, ...]) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    return x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, user)])
