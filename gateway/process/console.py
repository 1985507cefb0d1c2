"""The console of a process: where it is found, what it is made of, and the link that signs in."""

from collections.abc import Collection
from contextlib import AsyncExitStack

from gateway.console.mount import ConsoleMount
from gateway.console.services import ConsoleServices, ConsoleSettings
from gateway.console.site import Site, site_at, site_of_listener
from gateway.core.keys import InstallationSecret
from gateway.core.spec import Document, GatewayFleetSpec
from gateway.process.settings import CommandLine, Settings
from gateway.process.standalone.documents import Documents
from gateway.store.database import Database


def open_console(
    stack: AsyncExitStack,
    site: Site,
    settings: Settings,
    fleet: GatewayFleetSpec,
    client_secret: str | None,
    database_url: str,
    secret: InstallationSecret,
    *,
    is_standalone: bool = True,
) -> ConsoleMount:
    """The console. The stack closes it."""
    console = ConsoleSettings(
        installation=settings.installation,
        fleet=fleet,
        site=site,
        client_secret=client_secret,
        is_standalone=is_standalone,
    )
    services = ConsoleServices(console, database_url, secret)
    stack.push_async_callback(services.close)
    return ConsoleMount(services)


def site_of(fleet: GatewayFleetSpec, line: CommandLine) -> Site | None:
    """The place where browsers find the console: as the fleet states it, else on loopback."""
    if fleet.console is not None and fleet.console.url is not None:
        return site_at(fleet.console.url)
    return site_of_listener(line.host, line.port)


def namespaces_of(documents: Documents) -> set[str]:
    """The namespaces that a file names."""
    objects: list[Document] = [documents.fleet]
    objects += [*documents.keys, *documents.grants, *documents.allowances]
    objects += documents.accounts
    return {each.metadata.namespace for each in objects}


def make_sign_in_link(
    database: Database, installation: str, site: Site, role: str, namespaces: Collection[str]
) -> str:
    """The URL of a new link that signs in once, with a role in some namespaces.

    Raises `DatabaseUnavailable`.
    """
    # With SQLModel, which a gateway behind an operator never needs.
    from gateway.store.people import read_roles
    from gateway.store.sign_ins import make_link

    # The one who holds the folder holds everything: the link makes keys, too.
    given = (role,) if role == "auditor" else (role, "member")
    roles = list(read_roles((each, one) for each in sorted(namespaces) for one in given))
    return f"{site.url}/start/{make_link(database, installation, roles)}"
