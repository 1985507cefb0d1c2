"""The identity provider of the stories, and a person who signs in there with a real browser.

It is a process of this machine: pods and the browser reach it at one URL, by TLS, with a
certificate of a company's own authority.
"""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page

from tests.cluster.harness.kube import Document, Kube
from tests.console.identity_provider import CLIENT_ID, CLIENT_SECRET, PASSWORD, IdentityProvider
from tests.harness.apiserver import Authority

#: the name of the Secret with the client's secret, and of the ConfigMap with the authority
_CLIENT = "console-client"
_COMPANY = "company-ca"


@contextmanager
def provider(kube: Kube, folder: Path, console_url: str) -> Iterator[IdentityProvider]:
    """One that knows the console at this URL, while the block lasts."""
    address = _own_address(kube)
    Authority(folder).issue("issuer", "issuer", (), address=address)
    made = IdentityProvider(folder, address, folder)
    try:
        made.start(console_url)
        yield made
    finally:
        made.stop()


def _own_address(kube: Kube) -> str:
    """The address of this machine on its way to a node, at which pods reach it."""
    addresses = kube.all("node")[0]["status"]["addresses"]
    node = next(each["address"] for each in addresses if each["type"] == "InternalIP")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:
        way.connect((node, 9))  # sends nothing: it only chooses a way
        return str(way.getsockname()[0])


def objects_for(folder: Path) -> list[Document]:
    """The client's secret and the company's authority, as an administrator applies them."""
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": _CLIENT}}
    authority = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": _COMPANY}}
    return [
        {**secret, "stringData": {"secret": CLIENT_SECRET}},
        {**authority, "data": {"ca.crt": (folder / "ca.crt").read_text()}},
    ]


def spec_for(issuer: IdentityProvider) -> tuple[Document, Document]:
    """The parts `oidc` of the fleet's console and `upstreamCA` of the fleet."""
    secret = {"name": _CLIENT, "key": "secret"}
    oidc = {"issuer": issuer.url, "clientID": CLIENT_ID, "secretRef": secret}
    return oidc, {"configMapKeyRef": {"name": _COMPANY, "key": "ca.crt"}}


def sign_in(page: Page, origin: str, person: str) -> None:
    """From the console's page to the provider's two, and back."""
    page.goto(f"{origin}/console")
    page.click("a.primary")
    page.fill("[name=login]", person)
    page.fill("[name=password]", PASSWORD)
    page.click("form:has([value=login]) button")
    page.click("form:has([value=consent]) button")
    page.wait_for_url(f"{origin}/console")
