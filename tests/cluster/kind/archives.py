"""Images made by hand from files of a Debian: layers, and the archive that an engine loads."""

import hashlib
import io
import json
import os
import re
import subprocess
import tarfile
from pathlib import Path
from typing import IO

#: path → a file to copy, bytes to write, or the text that a link points to
Files = dict[str, Path | bytes | str]

_MERGED = ("bin", "sbin", "lib", "lib64")
LINKS: Files = {name: f"usr/{name}" for name in _MERGED}


def layer(files: Files, folders: tuple[str, ...] = ()) -> bytes:
    """A tar of the files, each folder before what is in it; `tmp` is anybody's."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        seen: set[str] = set()
        for path in folders:
            _add_folder(tar, path, seen)
        for path, what in files.items():
            name = path.lstrip("/")
            _add_folder(tar, name.rpartition("/")[0], seen)
            info = tarfile.TarInfo(name)
            if isinstance(what, str):
                info.type, info.linkname = tarfile.SYMTYPE, what
                tar.addfile(info)
            else:
                content = what if isinstance(what, bytes) else what.read_bytes()
                info.size, info.mode = len(content), 0o755
                tar.addfile(info, io.BytesIO(content))
    return made.getvalue()


def _add_folder(tar: tarfile.TarFile, path: str, seen: set[str]) -> None:
    if not path or path in seen:
        return
    _add_folder(tar, path.rpartition("/")[0], seen)
    seen.add(path)
    info = tarfile.TarInfo(path)
    info.type, info.mode = tarfile.DIRTYPE, 0o1777 if path == "tmp" else 0o755
    tar.addfile(info)


def closure(root: Path, wanted: tuple[str, ...]) -> Files:
    """Programs of a Debian, with the links and libraries that they need."""
    found: Files = {}
    waiting = list(wanted)
    while waiting:
        path = _merged(waiting.pop())
        if path in found:
            continue
        place = root / path.lstrip("/")
        if place.is_symlink():
            target = str(place.readlink())
            found[path] = target
            waiting.append(os.path.normpath(Path(path).parent / target))
            continue
        found[path] = place
        needs = subprocess.run(["chroot", root, "ldd", path], capture_output=True, text=True)
        waiting += re.findall(r"(/\S+) \(0x", needs.stdout)
    return found


def _merged(path: str) -> str:
    """The one name of a path in a Debian whose /bin, /sbin and /lib are links into /usr."""
    return f"/usr{path}" if path.split("/")[1] in _MERGED else path


def archive(name: str, layers: list[bytes], config: dict[str, object]) -> bytes:
    """An image, as `docker save` would write it."""
    digests = [hashlib.sha256(each).hexdigest() for each in layers]
    text = _config(config, digests)
    files: Files = {
        f"{digest}/layer.tar": each for digest, each in zip(digests, layers, strict=True)
    }
    own = f"{hashlib.sha256(text).hexdigest()}.json"
    files[own] = text
    files["manifest.json"] = _manifest(name, own, digests)
    return layer(files)


def write_archive(out: Path, name: str, root: Path, config: dict[str, object]) -> None:
    """The same of a whole root as its one layer, which may be larger than memory."""
    packed = out.with_suffix(".layer")
    subprocess.run(
        ["tar", "-C", root, "--numeric-owner", "--xattrs", "-cf", packed, "."], check=True
    )
    with packed.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    text = _config(config, [digest])
    own = f"{hashlib.sha256(text).hexdigest()}.json"
    with tarfile.open(out, "w") as tar:
        tar.add(packed, f"{digest}/layer.tar")
        _add(tar, own, text)
        _add(tar, "manifest.json", _manifest(name, own, [digest]))
    packed.unlink()


def _config(config: dict[str, object], digests: list[str]) -> bytes:
    content = {
        "architecture": "amd64",
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]},
    }
    return json.dumps(content).encode()


def _manifest(name: str, config: str, digests: list[str]) -> bytes:
    layers = [f"{digest}/layer.tar" for digest in digests]
    return json.dumps([{"Config": config, "RepoTags": [name], "Layers": layers}]).encode()


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    file: IO[bytes] = io.BytesIO(content)
    tar.addfile(info, file)
