"""The installation: its database, brought up to date, and its one secret.

The secret is made here once, by a POST, when neither the cluster nor the database has one. It is
made only once: all keys of the installation depend on it.
"""

import asyncio
import base64
import binascii
import logging
import secrets
from typing import Any

from gateway.core.keys import InstallationSecret
from gateway.store.database import Database
from gateway.store.installation import check_secret, is_installed
from gateway.store.schema import check_schema, is_older
from gateway_operator.apply.object_locks import ObjectLocks
from gateway_operator.apply.operator_context import OperatorContext
from gateway_operator.apply.reach import Reach
from gateway_operator.cluster import AlreadyExists, Cluster, ClusterUnavailable
from gateway_operator.metrics import OperatorMetrics
from gateway_operator.resources.names import FIELD_MANAGER, MANAGED_BY_LABEL
from gateway_operator.settings import OperatorSettings

_logger = logging.getLogger(__name__)


class InstallationError(RuntimeError):
    """Only an administrator can repair it; the message names what is wrong."""


async def open_installation(
    cluster: Cluster,
    database: Database,
    settings: OperatorSettings,
    metrics: OperatorMetrics,
    reach: Reach,
) -> OperatorContext:
    """Everything that an apply works with.

    Raises `InstallationError`, `SchemaError` and `WrongSecret` for the administrator, and
    `DatabaseUnavailable` or `ClusterUnavailable` where another attempt may succeed.
    """
    await asyncio.to_thread(_migrate, database)
    secret = await _read_secret(cluster, database, settings)
    await asyncio.to_thread(check_secret, database, settings.installation, secret)
    return OperatorContext(
        cluster=cluster,
        database=database,
        settings=settings,
        secret=secret,
        reach=reach,
        metrics=metrics,
        locks=ObjectLocks(metrics),
    )


def _migrate(database: Database) -> None:
    if is_older(database):
        # The migration tool is slow to load and large, and only an older schema needs it.
        from gateway.store.migrate import migrate

        migrate(database)
    check_schema(database)


async def _read_secret(
    cluster: Cluster, database: Database, settings: OperatorSettings
) -> InstallationSecret:
    namespace, name = settings.namespace, settings.installation_secret_name
    found = await cluster.get("Secret", namespace, name)
    if found is None:
        if await asyncio.to_thread(is_installed, database, settings.installation):
            raise InstallationError(
                f"the Secret {namespace}/{name} is gone, and every key of the installation"
                f" {settings.installation!r} was made with it: restore it from a backup"
            )
        found = await _make_secret(cluster, settings)
    try:
        value = base64.b64decode((found.get("data") or {})[settings.installation_secret_key])
        return InstallationSecret(value.decode())
    except (KeyError, binascii.Error, UnicodeDecodeError):
        raise InstallationError(
            f"the Secret {namespace}/{name} has no text under {settings.installation_secret_key}:"
            " restore it, or for a new installation write 32 characters or more there"
        ) from None
    except ValueError as error:
        raise InstallationError(f"the Secret {namespace}/{name}: {error}") from None


async def _make_secret(cluster: Cluster, settings: OperatorSettings) -> dict[str, Any]:
    """Make it, or take the one of another operator that was faster."""
    namespace, name = settings.namespace, settings.installation_secret_name
    value = base64.b64encode(secrets.token_urlsafe(48).encode()).decode()
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": {
            "namespace": namespace,
            "name": name,
            "labels": {MANAGED_BY_LABEL: FIELD_MANAGER},
        },
        "data": {settings.installation_secret_key: value},
    }
    try:
        made = await cluster.create(body)
    except AlreadyExists:
        found = await cluster.get("Secret", namespace, name)
        if found is None:
            raise ClusterUnavailable(f"the Secret {name} comes and goes") from None
        return found
    _logger.info("made the installation secret %s/%s: back it up", namespace, name)
    return made
