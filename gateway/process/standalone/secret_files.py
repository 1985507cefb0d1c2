"""Secrets as files of mode 0600: `<data>/secrets/<namespace>/<name>.env`, a `KEY=value` a line.

Where somebody else provides them, as Kubernetes mounts a Secret, one is a folder with a file for
each key: `<data>/secrets/<namespace>/<name>/<key>`. Those are only read.
"""

import os
import tempfile
from pathlib import Path

from gateway.core.spec_fields import SecretKeyRef, SpecError


class SecretFiles:
    """The secrets of one data folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, namespace: str, name: str) -> Path:
        """Raises `SpecError` for a name that would leave the folder."""
        if any(not part or part.startswith(".") or "/" in part for part in (namespace, name)):
            raise SpecError(f"{namespace}/{name} is not the name of a secret")
        return self._folder / namespace / f"{name}.env"

    def read(self, namespace: str, name: str) -> dict[str, str]:
        """The values of a secret; empty where there is none."""
        path = self.path(namespace, name)
        if not path.is_file():
            return {}
        lines = path.read_text(encoding="utf-8").splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)

    def write(self, namespace: str, name: str, values: dict[str, str]) -> Path:
        """Replace a secret as a whole, or not at all."""
        path = self.path(namespace, name)
        text = "".join(f"{key}={value}\n" for key, value in values.items())
        write_private(path, text)
        return path

    def resolve(self, namespace: str, ref: SecretKeyRef) -> str | None:
        """The value that a secretRef names, mounted or from its file; None where there is none.

        Raises `SpecError` for a value that is not text.
        """
        mounted = self.path(namespace, ref.name).with_name(ref.name) / ref.key
        if not mounted.is_file():
            return self.read(namespace, ref.name).get(ref.key)
        try:
            # A value that came from an editor ends in a line break that nobody means.
            return mounted.read_text(encoding="utf-8").rstrip("\r\n")
        except UnicodeDecodeError:
            raise SpecError(f"{ref.key} of secret {namespace}/{ref.name} is not text") from None


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, and that is whole after a power cut."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent)  # made with mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
