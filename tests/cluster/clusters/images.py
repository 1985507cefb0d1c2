"""The images of the stories, each named by a hash of everything it is made from."""

import hashlib
import re
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from tests.harness.locks import closure, pins, requirements

_HERE = Path(__file__).resolve().parents[1] / "images"
_ROOT = _HERE.parents[2]
_FAMILY = "faregate-test"
#: all that the image and the charts of the release before are made of, as a clone may be shallow:
#: `git archive 2fd44ba Dockerfile .dockerignore LICENSE .locks/image.txt .dev/prune.py
#: .dev/reload.py .dev/tilt/start gateway operator/gateway_operator charts | xz -9e`
_PREVIOUS = _HERE / "previous" / "faregate-0.1.0.tar.xz"


@dataclass(frozen=True)
class Image:
    """One image: a folder with a Dockerfile (or an archive of one), files to add, and the image it
    is built on.

    One without inputs of its own is its parent under another name.
    """

    name: str
    folder: Path
    inputs: tuple[Path, ...]
    added: dict[str, str] = field(default_factory=dict)
    parent: "Image | None" = None

    @property
    def repository(self) -> str:
        return f"{_FAMILY}/{self.name}"

    @cached_property
    def tag(self) -> str:
        """The hash of its inputs, 16 hexadecimal digits; later changes do not count."""
        digest = hashlib.sha256(self.parent.tag.encode() if self.parent else b"")
        for path in sorted(file for given in self.inputs for file in _files(given)):
            digest.update(f"{path.relative_to(_ROOT)}\0{path.stat().st_mode}\0".encode())
            digest.update(path.read_bytes() + b"\0")
        for name, text in sorted(self.added.items()):
            digest.update(f"{name}\0{text}\0".encode())
        return digest.hexdigest()[:16]

    @contextmanager
    def context(self) -> Iterator[Path]:
        """The folder to build in."""
        if self.folder.is_dir() and not self.added:
            yield self.folder
            return
        with tempfile.TemporaryDirectory(prefix="faregate-image-") as made:
            if self.folder.is_dir():
                shutil.copytree(self.folder, made, dirs_exist_ok=True)
            else:
                _unpack(self.folder, Path(made))
            for name, text in self.added.items():
                (Path(made) / name).write_text(text)
            yield Path(made)


def _files(given: Path) -> Iterator[Path]:
    for path in [given] if given.is_file() else given.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path


def unpack_previous(folder: Path) -> None:
    """Unpack the source of the release before."""
    _unpack(_PREVIOUS, folder)


def _read_previous(name: str) -> str:
    with tarfile.open(_PREVIOUS) as packed:
        file = packed.extractfile(name)
        assert file is not None, "it is a file"
        return file.read().decode()


def _on_the_present_base(dockerfile: str) -> str:
    """A machine without a registry of images has one base, with one Python."""
    present = (_ROOT / "Dockerfile").read_text()
    for pattern in (r"ARG BASE=\S+", r"python3\.\d+(?=/site-packages)"):
        found = re.search(pattern, present)
        assert found is not None, pattern
        dockerfile = re.sub(pattern, found[0], dockerfile)
    return dockerfile


def _unpack(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")


def images() -> dict[str, Image]:
    """The product, the same under another name, the release before, a team with the SDKs, and
    PostgreSQL."""
    ignored = (_ROOT / ".dockerignore").read_text()
    parts = [_ROOT / line[1:] for line in ignored.splitlines() if line.startswith("!")]
    product = Image("product", _ROOT, (_ROOT / "Dockerfile", _ROOT / ".dockerignore", *parts))
    made = [
        product,
        Image("next", _ROOT, (), parent=product),
        Image(
            "previous",
            _PREVIOUS,
            (_PREVIOUS,),
            added={"Dockerfile": _on_the_present_base(_read_previous("Dockerfile"))},
        ),
        Image(
            "sdk",
            _HERE / "sdk",
            (_HERE / "sdk",),
            added={"versions.txt": _versions()},
        ),
        Image("postgres", _HERE / "postgres", (_HERE / "postgres",)),
    ]
    return {image.name: image for image in made}


def _versions() -> str:
    """A complete lock of the two SDKs: the suite's version of each package that they need."""
    pinned = pins((_ROOT / ".locks" / "dev.txt").read_text())
    needed = closure(requirements(("openai", "anthropic")), pinned)
    return "".join(f"{name}=={pinned[name]}\n" for name in sorted(needed))
