"""The places of the released clients, and the versions that are pinned.

Owns the layout that `.dev/setup-clients` makes; must never install anything.
"""

import json
import os
import platform
import re
import shutil
from functools import cache
from hashlib import sha256
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CLIENTS = "FAREGATE_TEST_CLIENTS"

#: files of pins in other languages, and how each writes a name and its version
_LANGUAGES = {
    "go/go.mod": r"^\s+(github\.com/\S+) v(\S+)$",
    "java/pom.xml": r"<artifactId>(\S+-java)</artifactId>\s+<version>(\S+)</version>",
    "rust/Cargo.toml": r'^(async-\S+) = \{ version = "=([^"]+)"',
}
_PROCESSORS = {"x86_64": ("x64", "x86_64"), "aarch64": ("arm64", "aarch64")}


def folder() -> Path:
    """The folder of all clients; a test that asks for it is skipped where there is none."""
    named = os.environ.get(CLIENTS)
    if not named or not Path(named).is_dir():
        pytest.skip(f"the agent clients are not installed ({CLIENTS} names no folder)")
    return Path(named)


def module(*names: str) -> Path:
    """A file below `node_modules`."""
    return _there(folder() / "node_modules" / Path(*names))


def node() -> Path:
    """The Node that the JavaScript clients want; the machine's own may be too old."""
    return module(f"node-linux-{processor()[0]}", "bin", "node")


def processor() -> tuple[str, str]:
    """This machine's processor, as npm and as compilers spell it."""
    known = _PROCESSORS.get(platform.machine())
    if known is None:
        pytest.skip(f"the clients are not pinned for {platform.machine()}")
    return known


def program(name: str) -> Path:
    """The program of a client that is one binary, past the launchers of its package."""
    short, long = processor()
    target = f"{long}-unknown-linux-musl"
    return {
        "claude": lambda: module("@anthropic-ai", f"claude-code-linux-{short}", "claude"),
        "codex": lambda: module("@openai", f"codex-linux-{short}", "vendor", target, "bin/codex"),
        "codex-of-last-year": lambda: module("codex-of-last-year", "vendor", target, "codex/codex"),
        "opencode": lambda: module(f"opencode-linux-{short}", "bin/opencode"),
    }[name]()


def python(name: str) -> Path:
    """The Python of one set of Python clients."""
    environment = folder() / "python" / name
    _there(environment / ".complete")
    return environment / "bin" / "python"


def built(language: str) -> Path:
    """The program, or the folder of classes, built of one language's sources and pins."""
    sources = sorted((HERE / "languages" / language).iterdir())
    key = sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:16]
    return _there(folder() / f"{language}-{key}")


def java() -> Path:
    """The Java of the machine, with its compiler."""
    found = shutil.which("javac")
    if found is None:
        pytest.skip("there is no JDK")
    return Path(found).with_name("java")


def _there(path: Path) -> Path:
    if not path.exists():
        pytest.skip(f"{path.name} is not installed")
    return path


@cache
def versions() -> dict[str, str]:
    """The pinned version of every package that this project names, by the package's name."""
    named = json.loads((HERE / "package.json").read_text(encoding="utf-8"))
    found = {**named["dependencies"], **named["optionalDependencies"]}
    for listed in sorted((HERE / "python").glob("*.in")):
        found |= dict(
            re.findall(r"^([a-z-]+)(?:\[.+\])?==(\S+)$", listed.read_text("utf-8"), re.MULTILINE)
        )
    for path, pin in _LANGUAGES.items():
        pins = (HERE / "languages" / path).read_text("utf-8")
        found |= dict(re.findall(pin, pins, re.MULTILINE))
    return {name: version.rpartition("@")[2] for name, version in found.items()}
