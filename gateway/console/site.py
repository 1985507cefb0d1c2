"""The place where browsers find the console, and the names of its cookies there.

It comes from a setting or from the listener, never from a request's own `Host`.
"""

from urllib.parse import urlsplit

from msgspec import Struct

from gateway.http.paths import CONSOLE

BASE = CONSOLE
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
_NAME = "faregate"
_DEFAULT_PORTS = {"http": 80, "https": 443}


class Site(Struct, frozen=True):
    """The origins of a console: the first is the one that is shown."""

    origins: tuple[str, ...]

    @property
    def url(self) -> str:
        """The URL of the first page."""
        return self.origins[0] + BASE

    @property
    def hosts(self) -> frozenset[str]:
        """The values of `Host` that a browser sends here."""
        return frozenset(origin.split("://")[1] for origin in self.origins)

    @property
    def is_secure(self) -> bool:
        """True if browsers come by TLS, wherever it ends."""
        return self.origins[0].startswith("https:")

    @property
    def is_trustworthy(self) -> bool:
        """True if browsers trust the way to it: by TLS, or on loopback.

        Source: W3C, "Secure Contexts".
        """
        host = urlsplit(self.origins[0]).hostname
        return self.is_secure or host in _LOOPBACK_HOSTS

    def cookie_name(self, purpose: str = "") -> str:
        """The name of a cookie. The prefix keeps other hosts from setting it, and needs TLS."""
        name = f"{_NAME}-{purpose}" if purpose else _NAME
        return f"__Host-{name}" if self.is_secure else name


def site_at(url: str) -> Site:
    """The site of a URL such as `https://models.example.com`."""
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    name = f"[{host}]" if ":" in host else host
    if parts.port not in (None, _DEFAULT_PORTS.get(parts.scheme)):
        name = f"{name}:{parts.port}"
    return Site((f"{parts.scheme}://{name}",))


def site_of_listener(host: str, port: int) -> Site | None:
    """The site of a listener on loopback; None for another, which has no name to trust."""
    if host not in _LOOPBACK_HOSTS:
        return None
    return Site(tuple(f"http://{name}:{port}" for name in _LOOPBACK))
