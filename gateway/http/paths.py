"""The two bases of the API, one a family of clients."""

import re

from gateway.dialects.base import Family

OPENAI = "/api/openai/v1"
ANTHROPIC = "/api/anthropic"
#: all pages of accounts and their management
ACCOUNTS = "/api/v1/"
#: the pages for people
CONSOLE = "/console"
#: a base URL with a second /v1 is a frequent slip of SDK configurations, and served too
BASES: dict[Family, tuple[str, str]] = {
    "openai": (OPENAI, f"{OPENAI}/v1"),
    "anthropic": (ANTHROPIC, f"{ANTHROPIC}/v1"),
}

_FAMILIES = ("/api/openai/", "/api/anthropic/")
_SLASHES = re.compile("/{2,}")


def without_slips(path: str) -> str:
    """The path without slashes too many below its family or at its end, as base URLs leave them.

    Any other path is as it was sent: a proxy in front must mean by it what we mean.
    """
    if path.startswith(_FAMILIES):
        return _SLASHES.sub("/", path).rstrip("/")
    return path[:-1] if path.endswith("/") and path.startswith("/api/") else path


def is_console(path: str) -> bool:
    """True for a path of the pages for people."""
    return path == CONSOLE or path.startswith(f"{CONSOLE}/")


def family_of(path: str) -> Family:
    """The family of clients that asks under this path."""
    return "anthropic" if path.startswith(ANTHROPIC) else "openai"
