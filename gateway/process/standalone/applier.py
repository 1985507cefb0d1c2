"""A file applied to a database: at the start, by `apply`, and again by a process that serves it.

    file ── read ──▶ check all of it ──▶ keys, grants, secrets
              └──────────┴── refused: a sentence, and everything stays as it was

Owns who may do it: one at a time on a data folder. Requests are never touched, for what changes is
in the database, where each of them looks.
"""

import logging
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path

from gateway.core.actor import Actor
from gateway.core.catalog import Catalog
from gateway.core.keys import InstallationSecret
from gateway.core.spec import GatewayFleet
from gateway.process.settings import Settings, UpstreamOverride
from gateway.process.standalone.applied import Applied, GrantReport
from gateway.process.standalone.credentials import UpstreamCredentials
from gateway.process.standalone.data_folder import (
    DataFolder,
    FolderInUse,
    address_in,
    one_at_a_time,
    open_database,
)
from gateway.process.standalone.documents import Documents, put_real_upstream, read_documents
from gateway.process.standalone.reconcile import Reconciler, post_allowances, post_grants
from gateway.process.standalone.secret_files import SecretFiles
from gateway.store.database import Database

_log = logging.getLogger(__name__)

#: the URL on which `serve` listens by default
_DEFAULT_URL = "http://127.0.0.1:8080"


class Applier:
    """Applies files on behalf of one data folder."""

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        override: UpstreamOverride,
        environment: Mapping[str, str],
        confirmed_orphans: int | None,
    ) -> None:
        self.folder = folder
        self.settings = settings
        self._override = override
        self._environment = dict(environment)
        self._confirmed_orphans = confirmed_orphans
        self.secrets = SecretFiles(folder / "secrets")

    def read(self, path: Path, *, strict: bool = True) -> Documents:
        """The documents of a file with which a gateway could start. Raises `SpecError`."""
        documents = read_documents(path, strict=strict)
        Catalog(self.fleet_of(documents).spec)
        credentials = self.credentials_of(documents)
        for upstream in self.fleet_of(documents).spec.upstreams:
            credentials.of(upstream)
        return documents

    def fleet_of(self, documents: Documents) -> GatewayFleet:
        """The fleet, with a real provider where the environment names one."""
        return put_real_upstream(documents.fleet, self._override)

    def credentials_of(self, documents: Documents) -> UpstreamCredentials:
        return UpstreamCredentials(documents.fleet, self._override, self.secrets, self._environment)

    def apply(
        self, documents: Documents, database: Database, secret: InstallationSecret, url: str
    ) -> Applied:
        """Apply keys and grants; `url` is where clients find the gateway, unless the file names it.

        Raises `SpecError`, `FolderInUse` and `DatabaseUnavailable`.
        """
        reconciler = Reconciler(
            database,
            self.settings.installation,
            secret,
            self.secrets,
            self._environment,
            documents.fleet.spec.client_url or url,
            self._confirmed_orphans,
        )
        with one_at_a_time(self.folder):
            keys, grants = reconciler.apply(documents)
        applied = Applied(keys, grants, reconciler.revoked, reconciler.orphans)
        if applied.warning is not None:
            _log.warning("%s", applied.warning)
        return applied

    def post_due(self, documents: Documents, database: Database) -> list[GrantReport]:
        """Post the grants and allowances whose time has come; none is posted twice.

        Raises `FolderInUse` and `DatabaseUnavailable`.
        """
        timed = [grant for grant in documents.grants if grant.spec.starts_at is not None]
        if not timed and not documents.allowances:
            return []
        installation, actor = self.settings.installation, Actor(documents.source)
        with one_at_a_time(self.folder):
            return [
                *post_grants(database, installation, timed, actor),
                *post_allowances(database, installation, documents.allowances, actor),
            ]


class AppliedFile:
    """The file of a process that serves it, and what of it was applied last."""

    def __init__(
        self,
        applier: Applier,
        path: Path,
        database: Database,
        secret: InstallationSecret,
        url: str,
    ) -> None:
        self._applier = applier
        self._path = path
        self._database = database
        self._secret = secret
        self._url = url
        #: as the file was at the start, and as it was applied last
        self._started: Documents | None = None
        self._documents: Documents | None = None

    def apply(self, documents: Documents) -> Applied:
        applied = self._applier.apply(documents, self._database, self._secret, self._url)
        self._started = self._started or documents
        self._documents = documents
        return applied

    def apply_again(self) -> Applied:
        """Read the file as it is now, and apply its keys and grants."""
        documents = self._applier.read(self._path)
        if self._started is not None and documents.fleet != self._started.fleet:
            _log.warning("the GatewayFleet of the file has changed; that takes a restart")
        return self.apply(documents)

    def post_due(self) -> list[GrantReport]:
        """Post what has started since the file was applied; the file is not read for that."""
        if self._documents is None:
            return []
        return self._applier.post_due(self._documents, self._database)


def apply_beside(applier: Applier, path: Path) -> Applied:
    """Apply a file once, whether or not a gateway runs on the data folder.

    A gateway that runs finds what has changed in the database. Raises `SpecError`, `SettingsError`,
    `SchemaError`, `WrongSecret`, `FolderInUse` and `DatabaseUnavailable`.
    """
    documents = applier.read(path)
    with ExitStack() as stack:
        folder = DataFolder(applier.folder)
        with suppress(FolderInUse):  # then it stays the running gateway's
            stack.enter_context(folder)
        database, secret = open_database(applier.settings, folder)
        stack.callback(database.close)
        url = address_in(applier.folder) or _DEFAULT_URL
        return applier.apply(documents, database, secret, url)
