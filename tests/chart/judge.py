"""Grafana's types and a TypeScript, from the locked packages beside this file.

The packages are installed once into the cache outside the clone, named for what is locked.
"""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

_HERE = Path(__file__).parent / "grafana"
_CACHES = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def find_judge() -> Path:
    """A folder with `dashboard.ts` and `node_modules`; skips the test where it cannot be had."""
    files = [_HERE / name for name in ("package.json", "package-lock.json", "dashboard.ts")]
    digest = hashlib.sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest()[:16]
    folder = _CACHES / f"faregate/grafana-{digest}"
    if not (folder / ".complete").exists():
        _install(files, folder)
    return folder


def _install(files: list[Path], folder: Path) -> None:
    if shutil.which("npm") is None:
        pytest.skip("Grafana's types are fetched with npm, which is not here")
    folder.mkdir(parents=True, exist_ok=True)
    for path in files:
        shutil.copy(path, folder)
    done = subprocess.run(
        ["npm", "ci", "--silent", "--no-audit", "--no-fund"],
        cwd=folder, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    if done.returncode != 0:
        pytest.skip(f"Grafana's types cannot be fetched: {done.stdout + done.stderr}")
    (folder / ".complete").touch()
