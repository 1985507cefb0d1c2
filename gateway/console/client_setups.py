"""The set-up of each client: one text for the console and for the docs, with three gaps.

The texts are `templates/clients`; `make generate` puts them into the docs, whose blocks the tests
run with the released clients.
"""

import json
from collections.abc import Iterator

from jinja2 import Environment, PackageLoader, StrictUndefined
from msgspec import Struct

from gateway.core.catalog import Model
from gateway.core.keys import secret_values


class ClientSetup(Struct, frozen=True):
    """One client; `file` is where its text goes, if it is not typed into a shell."""

    id: str
    title: str
    file: str | None = None


CLIENTS = (
    ClientSetup("curl", "curl"),
    ClientSetup("python", "Python"),
    ClientSetup("javascript", "JavaScript"),
    ClientSetup("claude-code", "Claude Code", "~/.claude/settings.json"),
    ClientSetup("opencode", "OpenCode", "~/.config/opencode/opencode.json"),
    ClientSetup("openclaw", "OpenClaw", "~/.openclaw/openclaw.json"),
    ClientSetup("codex", "Codex", "~/.codex/config.toml"),
    ClientSetup("environment", "Environment"),
)
#: stands for a key that is not shown
HIDDEN_KEY = "sk-…"


def in_json(text: str) -> str:
    """A text as it stands between the quotes of JSON, TOML, Python or JavaScript."""
    return json.dumps(text, ensure_ascii=False)[1:-1]


def in_shell(text: str) -> str:
    """A text as it stands between single quotes in a shell."""
    return text.replace("'", "'\\''")


FILTERS_OF_TEXTS = {"in_json": in_json, "in_shell": in_shell}


class RenderedSetup(Struct, frozen=True):
    """A client's texts. `environment` is None where the client takes nothing from it."""

    client: ClientSetup
    environment: str | None
    text: str | None


class ClientSetups:
    """The texts, read once. They are no HTML: a page escapes them."""

    def __init__(self) -> None:
        self._environment = Environment(
            loader=PackageLoader("gateway.console", "templates/clients"),
            undefined=StrictUndefined,
            keep_trailing_newline=True,
            autoescape=False,  # noqa: S701  # these are texts for a terminal
        )
        self._environment.filters |= FILTERS_OF_TEXTS

    def render(self, url: str, key: str, model: Model) -> Iterator[RenderedSetup]:
        """All set-ups for a gateway's URL, a key and a model.

        Where a client can speak several dialects, the text sets up one of them.
        """
        values = {"url": url, "key": key, "model": model, "dialects": 1}
        exports = "".join(f"export {line}\n" for line in env_lines(key, url))
        for client in CLIENTS:
            if client.id == "environment":
                yield RenderedSetup(client, exports, None)
                continue
            text = self._environment.get_template(f"{client.id}.txt").render(values)
            yield RenderedSetup(client, None if client.id == "claude-code" else exports, text)


def env_lines(key: str, url: str) -> list[str]:
    """The variables that the SDKs read, as lines of an `.env` file."""
    return [f"{name}={value}" for name, value in secret_values(key, url).items()]
