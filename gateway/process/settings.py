"""The settings of a gateway process. The only reader of the environment; read once, then frozen.

Settings that a fleet shares (models, prices, limits) stand in its GatewayFleet, not here.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct

from gateway.core.environment import PREFIX, read_environment
from gateway.core.errors import Repairable
from gateway.store.database import trimmed

Seconds = Annotated[float, Meta(gt=0, le=86_400)]
Connections = Annotated[int, Meta(ge=1, le=1_000_000)]


class SettingsError(Repairable, ValueError):
    """A setting is missing, unknown or out of bounds; the message names it."""


class Settings(Struct, frozen=True, kw_only=True):
    """One field per environment variable `FAREGATE_<FIELD>`."""

    database_url: str | None = None
    """`postgresql://…`. Unset: SQLite in the data folder, for one process."""

    installation: str = "default"
    """Names this installation in its database; only two clusters on one database need it."""

    installation_secret: str | None = None
    """At least 32 characters, from which pepper and envelope keys are derived. Unset on SQLite:
    made once and kept in the data folder."""

    lease_seconds: Seconds = 60.0
    """A replica that others have not seen alive for so long is dead, and its open requests are
    refunded."""

    heartbeat_seconds: Seconds = 5.0
    """The interval at which a replica renews its lease. A lease must hold two, and should hold
    several."""

    unconfirmed_seconds: Seconds = 60.0
    """A charge whose commit was never confirmed is given back after so long."""

    request_days: Annotated[int, Meta(ge=0, le=36_500)] = 0
    """The days for which tokens, parts of the price and tags of each request are kept; 0: for good.
    For the process that counts the usage."""

    vocabulary_file: str | None = None
    """A file of ranks such as the Kimi models' `tiktoken.model`, by which `count_tokens` counts
    exactly what they do. Unset: o200k, which is shipped."""

    connections: Connections = 10_000
    """Connections of clients at a time; fewer where the process may not open two files for each."""

    connections_per_peer: Connections = 5_000
    """Those of one IPv4 address or one IPv6 network of 64 bits. Behind a single proxy: all."""

    head_seconds: Seconds = 20.0
    """The time that a request's line and headers may take, from the connection or their first byte.
    """

    unread_seconds: Seconds = 60.0
    """The time that a client may read nothing of what waits for it."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """DEBUG, INFO, WARNING or ERROR."""

    log_format: Literal["auto", "json", "text"] = "auto"
    """`json`: an object a line; `text`: for people; `auto`: text on a terminal, else JSON."""

    access_log: Annotated[float, Meta(ge=0, le=1)] = 0.0
    """The share of requests that get a line in the log, from 0 to 1. Above 0, each that failed with
    a status of 500 or more has one too."""


class UpstreamOverride(Struct, frozen=True, kw_only=True):
    """A real provider in the place of the simulated upstream: `UPSTREAM_<FIELD>`."""

    base_url: str | None = None
    """OpenAI-compatible base URL such as `https://api.moonshot.ai/v1`."""

    api_key: str | None = None
    """Its credential."""

    model: str | None = None
    """The provider's id of the model; unset: the public id."""


class ProxySettings(Struct, frozen=True, kw_only=True):
    """The proxy through which upstreams with TLS are reached, by the usual variables."""

    url: str | None = None
    """`HTTPS_PROXY`: `http://proxy:3128`, with user and password where it asks for them."""

    exceptions: str = ""
    """`NO_PROXY`: names, endings of names, addresses and networks that are reached without it."""


class CommandLine(Struct, frozen=True, kw_only=True):
    """The arguments of `python -m gateway serve`; `console serve` has the first five of them."""

    config: Path
    data: Path
    host: str
    port: int
    ops_port: int
    apply: bool = False
    confirm_orphans: int | None = None
    show_keys: bool = False


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Settings from an environment.

    Raises `SettingsError` for an unknown variable with our prefix or a value of the wrong type.
    """
    url = f"{PREFIX}DATABASE_URL"
    if url in environment:
        environment = {**environment, url: trimmed(environment[url])}
    try:
        settings = read_environment(environment, Settings)
    except ValueError as error:
        raise SettingsError(str(error)) from None
    if settings.lease_seconds < 2 * settings.heartbeat_seconds:
        raise SettingsError(
            f"{PREFIX}LEASE_SECONDS is {settings.lease_seconds:g} and {PREFIX}HEARTBEAT_SECONDS"
            f" {settings.heartbeat_seconds:g}: a lease must hold two heartbeats, or living"
            " replicas are taken for dead"
        )
    return settings


def read_upstream_override(environment: Mapping[str, str]) -> UpstreamOverride:
    """`UPSTREAM_BASE_URL`, `UPSTREAM_API_KEY` and `UPSTREAM_MODEL`."""
    return UpstreamOverride(
        base_url=environment.get("UPSTREAM_BASE_URL") or None,
        api_key=environment.get("UPSTREAM_API_KEY") or None,
        model=environment.get("UPSTREAM_MODEL") or None,
    )


def read_proxy(environment: Mapping[str, str]) -> ProxySettings:
    """`HTTPS_PROXY` and `NO_PROXY`; in small letters they are as usual, and win."""

    def given(name: str) -> str:
        return environment.get(name.lower()) or environment.get(name) or ""

    return ProxySettings(url=given("HTTPS_PROXY") or None, exceptions=given("NO_PROXY"))


def collected_signals(environment: Mapping[str, str]) -> frozenset[str]:
    """For which of `traces` and `metrics` the environment names a collector of OpenTelemetry.

    Source: OpenTelemetry, "Environment Variable Specification"; the exporters read the rest of it.
    """
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return frozenset()
    shared = environment.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    return frozenset(
        signal
        for signal in ("traces", "metrics")
        if shared or environment.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT")
    )
