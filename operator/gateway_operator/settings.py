"""The settings of an operator process, and the sheet of settings that kopf gets.

The only reader of the environment; read once, then frozen.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

import kopf
from msgspec import Meta, Struct

from gateway.core.environment import PREFIX, read_environment
from gateway.core.log_lines import Format
from gateway.store.database import trimmed
from gateway_operator.resources.names import ANNOTATIONS, KEY_LABEL

S = TypeVar("S", bound=Struct)

Name = Annotated[str, Meta(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253)]
DataKey = Annotated[str, Meta(pattern=r"^[-._a-zA-Z0-9]+$", max_length=253)]
#: a call that hangs must not hold an object for longer
REQUEST_TIMEOUT_SECONDS = 20.0
#: after an error of ours that a new attempt may repair
BACKOFF_SECONDS = 15.0
#: the time that kopf keeps the task of an object that nothing happens to
_IDLE_SECONDS = 0.2


class OperatorSettingsError(ValueError):
    """A setting is missing, unknown or out of bounds; the message names it."""


class OperatorSettings(Struct, frozen=True, kw_only=True):
    """One field per environment variable `FAREGATE_<FIELD>`."""

    database_url: str
    """`postgresql://…`: the installation's one database, until its Secret has been read."""

    database_secret_name: Name
    """The Secret in the operator's namespace that gateways read the database's URL from; what it
    holds is taken over."""

    database_secret_key: DataKey = "url"
    """Its key."""

    database_ca_config_map: Name | None = None
    """The ConfigMap in the operator's namespace with the certificate authorities of the database;
    unset: those that the URL names, or the system's."""

    database_ca_secret: Name | None = None
    """The same in a Secret."""

    database_ca_key: DataKey = "ca.crt"
    """The key of either."""

    installation: str = "default"
    """Names this installation in its database; only two clusters on one database need it."""

    installation_secret_name: Name = "faregate-installation"
    """The Secret in the operator's namespace with the installation secret; made once if it is
    missing and the database is new."""

    installation_secret_key: DataKey = "secret"
    """Its key."""

    namespace: Name
    """The operator's own namespace, the only one that may hold GatewayFleets."""

    watch_namespaces: str = ""
    """Comma-separated namespaces whose keys and grants are served; empty: all of them."""

    image: str
    """The image of gateways whose fleet names none."""

    pod_templates: Literal["restricted", "any"] = "restricted"
    """`any` lets a GatewayFleet have any image and any pod. Its writers can then do all that the
    operator can."""

    platform_ids: bool = False
    """Leave user and groups of gateways' pods to the platform, as OpenShift wants it."""

    sweep_seconds: Annotated[float, Meta(gt=0, le=86_400)] = 300.0
    """The interval at which everything is compared with everything."""

    silence_seconds: Annotated[float, Meta(gt=0, le=86_400)] = 180.0
    """The time that a heartbeat may take to come back through the watch before the operator counts
    as blind. A silent watch is opened again after 70 s by itself."""

    audit_seconds: Annotated[float, Meta(gt=0, le=3600)] = 60.0
    """The interval at which the audit counts the entries since its last round."""

    recount_seconds: Annotated[float, Meta(gt=0)] = 86_400.0
    """In which time the audit counts every account from zero once."""

    request_days: Annotated[int, Meta(ge=0, le=36_500)] = 0
    """The days for which tokens, parts of the price and tags of each request are kept; 0: for good.
    """

    balance_seconds: Annotated[float, Meta(gt=0, le=3600)] = 30.0
    """The interval at which balances and last uses are read for the metrics, the statuses and the
    Events."""

    status_writes_per_second: Annotated[float, Meta(gt=0, le=1000)] = 10.0
    """The statuses of ApiKeys that may get a new balance or last use in a second."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """DEBUG, INFO, WARNING or ERROR."""

    log_format: Format = "auto"
    """json, text, or auto: text on a terminal, else JSON."""

    database_connections: Annotated[int, Meta(ge=1, le=1000)] | None = None
    """The connections that each gateway may open; the operator only passes the number on."""

    liveness_port: Annotated[int, Meta(ge=1, le=65_535)] = 8080
    """Port of `/healthz`."""

    readiness_port: Annotated[int, Meta(ge=1, le=65_535)] = 8081
    """Port of `/readyz` and `/metrics`."""

    @property
    def namespaces(self) -> tuple[str, ...]:
        """The namespaces to watch, the operator's own among them; empty for all."""
        return _namespaces(self.watch_namespaces, self.namespace)


class ReleaseSettings(Struct, frozen=True, kw_only=True):
    """The settings of `release-finalizers`, from the same variables."""

    namespace: Name
    """The operator's own namespace."""

    watch_namespaces: str = ""
    """As the operator has it."""

    operator_deployment: Name | None = None
    """The operator's Deployment, which is scaled to nothing first; unset: it is gone already."""

    @property
    def namespaces(self) -> tuple[str, ...]:
        return _namespaces(self.watch_namespaces, self.namespace)


def read_settings(environment: Mapping[str, str]) -> OperatorSettings:
    """Settings from an environment.

    Raises `OperatorSettingsError` for an unknown variable with our prefix or a wrong value.
    """
    name = f"{PREFIX}DATABASE_URL"
    settings = _read({**environment, name: trimmed(environment.get(name, ""))}, OperatorSettings)
    if not is_postgres(settings.database_url):
        raise OperatorSettingsError(
            f"{name} must be a URL of PostgreSQL, such as postgresql://user@db/name"
        )
    return settings


def is_postgres(url: str) -> bool:
    """Return whether a URL is one of PostgreSQL, under either name that libpq takes."""
    return url.startswith(("postgresql:", "postgresql+psycopg:", "postgres:"))


def read_release_settings(environment: Mapping[str, str]) -> ReleaseSettings:
    """Settings of `release-finalizers`. Raises `OperatorSettingsError`."""
    return _read(environment, ReleaseSettings)


def _read(environment: Mapping[str, str], kind: type[S]) -> S:
    try:
        return read_environment(environment, kind)
    except ValueError as error:
        raise OperatorSettingsError(str(error)) from None


def _namespaces(named: str, own: str) -> tuple[str, ...]:
    names = {name.strip() for name in named.split(",")} - {""}
    return tuple(sorted(names | {own})) if names else ()


class _NoMemory(kopf.DiffBaseStorage):
    """Nothing of an object is kept to be compared later: its status holds what was worked on."""

    def build(self, *, body: kopf.Body, extra_fields: Any = None) -> kopf.BodyEssence:
        return kopf.BodyEssence({})

    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        pass


def configure(settings: kopf.OperatorSettings) -> None:
    """kopf's settings, where its defaults are not ours."""
    # kopf only watches: it has no finalizer, no annotation and no memory of what was handled, and a
    # task for an object no longer than there is something to do.
    settings.persistence.finalizer = f"{ANNOTATIONS}/none"
    settings.persistence.diffbase_storage = _NoMemory()
    settings.queueing.idle_timeout = _IDLE_SECONDS
    # Of all Secrets only those that carry a key are listed and watched, and of those the metadata
    # (`gateway_operator.login`). Of others, a page is held whole, with any content.
    settings.watching.label_selectors["secrets"] = f"{KEY_LABEL}=true"
    settings.watching.chunk_size = 100
    settings.networking.request_timeout = REQUEST_TIMEOUT_SECONDS
    # Ten minutes of an API server that is away, and seen within seconds when it is back; after
    # kopf's own 54 seconds, of which the last 21 are one pause, the process would end.
    settings.networking.error_backoffs = (1, 1, 2, 3, 5, *[8] * 75)
    # Events are an interface: they are posted explicitly, never from log lines.
    settings.posting.enabled = False
    # No joining of a peering that happens to be there; the database's rows are the fence.
    settings.peering.standalone = True
    # Definitions need not be watched, nor namespaces: `apply.reach` asks those that are named.
    settings.scanning.disabled = True
