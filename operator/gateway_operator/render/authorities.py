"""The certificate authorities of a pod: files from a ConfigMap or a Secret, and who reads them.

OpenSSL adds those of the upstreams to the system's, which are a folder in the image; libpq verifies
the database by those of the database alone. Sources: OpenSSL, `X509_STORE_set_default_paths`;
PostgreSQL, "Environment Variables".
"""

from typing import Any, Literal

from msgspec import Struct

from gateway_operator.resources.fleet import Fleet, KeyRef
from gateway_operator.settings import OperatorSettings

_FOLDER = "/etc/faregate-ca"
_FILE = "ca.crt"
Kind = Literal["ConfigMap", "Secret"]


class Authority(Struct, frozen=True):
    """One file: the object and the key it comes from, and the variable that names it."""

    purpose: Literal["database", "upstreams"]
    kind: Kind
    name: str
    key: str
    variable: str

    def volume(self) -> dict[str, Any]:
        items = [{"key": self.key, "path": _FILE}]
        name = f"ca-{self.purpose}"
        if self.kind == "Secret":
            return {"name": name, "secret": {"secretName": self.name, "items": items}}
        return {"name": name, "configMap": {"name": self.name, "items": items}}

    def mount(self) -> dict[str, Any]:
        path = f"{_FOLDER}/{self.purpose}"
        return {"name": f"ca-{self.purpose}", "mountPath": path, "readOnly": True}

    def environment(self) -> dict[str, str]:
        return {"name": self.variable, "value": f"{_FOLDER}/{self.purpose}/{_FILE}"}


def authorities(fleet: Fleet, settings: OperatorSettings) -> list[Authority]:
    """Every file that the pods of a fleet get."""
    found: list[Authority] = []

    def add(kind: Kind, name: str | None) -> None:
        if name is not None:
            key = settings.database_ca_key
            found.append(Authority("database", kind, name, key, "PGSSLROOTCERT"))

    def add_given(kind: Kind, ref: KeyRef | None) -> None:
        if ref is not None:
            found.append(Authority("upstreams", kind, ref.name, ref.key, "SSL_CERT_FILE"))

    add("ConfigMap", settings.database_ca_config_map)
    add("Secret", settings.database_ca_secret)
    given = fleet.cluster.upstream_ca
    if given is not None:
        add_given("ConfigMap", given.config_map_key_ref)
        add_given("Secret", given.secret_key_ref)
    return found
