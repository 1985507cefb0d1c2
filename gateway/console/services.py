"""The parts that pages use, put together once. Must not import their framework."""

import asyncio
import hmac
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Concatenate, ParamSpec, TypeVar

from gateway.console.site import Site
from gateway.core.spec import GatewayFleetSpec
from gateway.store.database import Database

#: reads and writes of pages at once, each with a connection
CONNECTIONS = 2

P = ParamSpec("P")
T = TypeVar("T")


class ConsoleServices:
    """A console's settings, its site and its way to the database, which no request shares."""

    def __init__(
        self,
        database_url: str,
        installation: str,
        fleet: GatewayFleetSpec,
        site: Site,
        form_key: bytes,
    ) -> None:
        self.installation = installation
        self.fleet = fleet
        self.site = site
        self._form_key = form_key
        self._database = Database(database_url, connections=CONNECTIONS)
        self._threads = ThreadPoolExecutor(CONNECTIONS, "console")

    async def run(
        self,
        function: Callable[Concatenate[Database, P], T],
        *arguments: P.args,
        **named: P.kwargs,
    ) -> T:
        """The result of a function of the store, whose first argument is the database.

        Raises what it raises, among it `DatabaseUnavailable`.
        """
        return await asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: function(self._database, *arguments, **named)
        )

    def form_token(self, secret: str) -> str:
        """The token of the forms of one session, by the secret in its cookie."""
        return hmac.digest(self._form_key, secret.encode(), "sha256").hex()

    def close(self) -> None:
        """Let go of the connections."""
        self._threads.shutdown(cancel_futures=True)
        self._database.close()
