"""Steps that a person takes on the pages, in a real browser."""

from gateway.core.keys import has_checksum
from gateway.core.principal import Role
from gateway.store.database import Database
from gateway.store.people import NamespaceRole
from gateway.store.sign_ins import make_link
from tests.console.chromium import Watched
from tests.harness.books import INSTALLATION
from tests.harness.gateway import PLAINTEXTS, GatewayProcess


def link(gateway: GatewayProcess, role: Role = "treasurer", namespace: str = "*") -> str:
    """The path of a new link that signs in, as the command makes it."""
    return _link(gateway, NamespaceRole(namespace, role))


def link_for_everything(gateway: GatewayProcess) -> str:
    """The path of a link as `make run` prints it."""
    return _link(gateway, NamespaceRole("*", "treasurer"), NamespaceRole("*", "member"))


def sign_in(page: Watched, gateway: GatewayProcess) -> None:
    """Sign in by such a link."""
    page.open(link_for_everything(gateway)).page.click("main button")
    page.page.wait_for_url("**/console")


def shown_secret(page: Watched) -> str:
    """The key that the page shows, once."""
    secret = page.page.input_value("#secret")
    assert has_checksum(secret)
    return secret


def make_key(page: Watched, name: str, **fields: str) -> str:
    """Make a key; the page that shows it stays open."""
    page.open("/console/keys/new").page.fill("#label", name)
    for field, value in fields.items():
        page.page.fill(f"#{field}", value)
    page.page.click("main form button.primary")
    return shown_secret(page)


def finish(page: Watched) -> None:
    """Leave the page that shows a key."""
    page.page.check("input[data-stored]")
    page.page.click("main form button.primary")
    page.page.wait_for_selector("dl.facts")


def _link(gateway: GatewayProcess, *roles: NamespaceRole) -> str:
    database = Database(gateway.database_url)
    code = make_link(database, INSTALLATION, roles)
    database.close()
    PLAINTEXTS.add(code)
    return f"/console/start/{code}"
