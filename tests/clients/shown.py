"""The set-ups as the docs show them, made to fit a test's gateway."""

from tests.clients.site import Site
from tests.harness.pages import blocks, page

_SHOWN_URL = "http://127.0.0.1:8080"
_SHOWN_KEY = "sk-…"


def configuration(site: Site, block: str) -> str:
    """A block of `docs/how-to/connect-an-agent.md` by its info string, with our own URL and key."""
    (text,) = blocks(page("how-to/connect-an-agent.md"), block)
    assert _SHOWN_URL in text
    return text.replace(_SHOWN_URL, site.gateway.url).replace(_SHOWN_KEY, site.key)
