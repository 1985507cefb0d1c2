"""The parts that pages use, put together once. Must not import their framework."""

import hmac
from collections.abc import Awaitable, Callable
from typing import Concatenate, ParamSpec, TypeVar

from msgspec import Struct

from gateway.console.site import Site
from gateway.core.catalog import Catalog
from gateway.core.console_spec import ConsoleSpec
from gateway.core.contact import name_contact
from gateway.core.errors import FaregateError
from gateway.core.keys import PEPPER, Credential, InstallationSecret, credential_of, hash_key
from gateway.core.seal import Sealer
from gateway.core.spec import GatewayFleetSpec
from gateway.store.database import Database
from gateway.store.database_thread import DatabaseThreads

#: reads and writes of pages at once, each with a connection
CONNECTIONS = 2

P = ParamSpec("P")
T = TypeVar("T")


class ConsoleSettings(Struct, frozen=True, kw_only=True):
    """The settings of one console."""

    installation: str
    fleet: GatewayFleetSpec
    site: Site
    #: of the client at the identity provider, where it has one
    client_secret: str | None = None
    #: True where objects come from a file, False where from Kubernetes
    is_standalone: bool = True

    @property
    def spec(self) -> ConsoleSpec:
        return self.fleet.console or ConsoleSpec()


class ConsoleServices:
    """A console's settings, its secrets and its way to the database, which no request shares."""

    def __init__(
        self, settings: ConsoleSettings, database_url: str, secret: InstallationSecret
    ) -> None:
        self.settings = settings
        self.fleet = settings.fleet
        self.spec = settings.spec
        self.installation = settings.installation
        self.site = settings.site
        self._form_key = secret.form_key()
        self._pepper = secret.pepper(PEPPER)
        self._sealer = Sealer(secret.sign_in_key())
        self.catalog = Catalog(settings.fleet)
        self._database = Database(database_url, connections=CONNECTIONS)
        self._threads = DatabaseThreads(self._database, "console", CONNECTIONS)
        #: called when the process ends, by the parts that are made with the application
        self.closers: list[Callable[[], Awaitable[None]]] = []

    async def run(
        self,
        function: Callable[Concatenate[Database, P], T],
        *arguments: P.args,
        **named: P.kwargs,
    ) -> T:
        """The result of a function of the store, whose first argument is the database.

        Raises what it raises, among it `DatabaseUnavailable`.
        """
        try:
            return await self._threads.run(function, *arguments, **named)
        except FaregateError as error:
            name_contact(error, self.spec.contact)
            raise

    def form_token(self, secret: str) -> str:
        """The token of the forms of one session, by the secret in its cookie."""
        return hmac.digest(self._form_key, secret.encode(), "sha256").hex()

    @property
    def client_url(self) -> str:
        """The URL that clients use."""
        return self.settings.fleet.client_url or self.site.origins[0]

    def credential_of(self, plaintext: str) -> Credential:
        """A new key as a row keeps it."""
        return credential_of(self._pepper, plaintext)

    def hash_of_key(self, plaintext: str) -> bytes:
        """The database's form of an API key."""
        return hash_key(self._pepper, plaintext.encode())

    def seal(self, text: str) -> bytes:
        """A text as it may be kept in a row."""
        return self._sealer.seal(0, text.encode()).encode()

    def unseal(self, sealed: bytes) -> str | None:
        """The text of `seal`, or None for anything else."""
        plain = self._sealer.open(0, sealed.decode("ascii", "replace"))
        return None if plain is None else plain.decode()

    async def close(self) -> None:
        """Let go of all connections."""
        for close in self.closers:
            await close()
        self._threads.close(wait=True)
