"""Builds the three Go programs: the upstream, the bare proxy and the load generator.

Binaries are kept in the cache folder under the digest of their sources, never in the tree.
"""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

SOURCES = Path(__file__).parent
NAMES = ("upstream", "proxy", "load")


class BenchError(Exception):
    """The benchmark cannot run, or go on; the message is a sentence for its user."""


def build_programs() -> dict[str, Path]:
    """Return the path of each program by name, building those that are not in the cache.

    Raises `BenchError` when Go is not installed or a program does not compile.
    """
    folder = _cache_folder()
    if not all((folder / name).exists() for name in NAMES):
        _build(folder)
    return {name: folder / name for name in NAMES}


def _cache_folder() -> Path:
    digest = hashlib.sha256()
    for source in sorted([SOURCES / "go.mod", *SOURCES.glob("*/*.go")]):
        digest.update(f"{source.relative_to(SOURCES)}\n".encode() + source.read_bytes())
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return root / "faregate" / f"bench-{digest.hexdigest()}"


def _build(folder: Path) -> None:
    go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if go is None:
        raise BenchError(
            "Go was not found on this machine. The benchmark's upstream, yardstick and load "
            "generator are Go programs: install Go 1.22 or later. The product does not need it."
        )
    print("building the Go programs, once ...", flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {"GOTOOLCHAIN": "local", "GOWORK": "off", "GOFLAGS": ""}
    for name in NAMES:
        # Built under another name and moved, so a build that was cut short is not taken for done.
        fresh = folder / f"{name}.{os.getpid()}"
        built = subprocess.run(
            [go, "build", "-o", str(fresh), f"./{name}"],
            cwd=SOURCES,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if built.returncode != 0:
            raise BenchError(f"`go build ./{name}` failed in {SOURCES}:\n{built.stderr.strip()}")
        fresh.replace(folder / name)
