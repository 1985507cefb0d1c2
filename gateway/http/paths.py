"""The two bases of the API, one a family of clients."""

from gateway.dialects.base import Family

OPENAI = "/api/openai/v1"
ANTHROPIC = "/api/anthropic"
#: a base URL with a second /v1 is a frequent slip of SDK configurations, and served too
BASES: dict[Family, tuple[str, str]] = {
    "openai": (OPENAI, f"{OPENAI}/v1"),
    "anthropic": (ANTHROPIC, f"{ANTHROPIC}/v1"),
}


def family_of(path: str) -> Family:
    """The family of clients that asks under this path."""
    return "anthropic" if path.startswith(ANTHROPIC) else "openai"
