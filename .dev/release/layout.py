"""Folders in the form of an OCI image layout: blobs by digest, and one index.

Format: https://github.com/opencontainers/image-spec/blob/main/image-layout.md
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from release.commands import Failed

Json = dict[str, Any]
INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_NAME = "org.opencontainers.image.ref.name"


def as_bytes(document: Json) -> bytes:
    """One spelling for a document, so that its digest is known by what is in it."""
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


class Layout:
    """One folder; a write makes it if it is not there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, content: bytes, media_type: str) -> Json:
        """Keep a blob; its descriptor."""
        digest = hashlib.sha256(content).hexdigest()
        blobs = self.folder / "blobs/sha256"
        blobs.mkdir(parents=True, exist_ok=True)
        (blobs / digest).write_bytes(content)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}

    def seal(self, descriptor: Json, name: str) -> str:
        """Make a blob the layout's only entry, under a name; its digest."""
        entry = {**descriptor, "annotations": {_NAME: name}}
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}
        (self.folder / "index.json").write_bytes(as_bytes(index))
        (self.folder / "oci-layout").write_bytes(as_bytes({"imageLayoutVersion": "1.0.0"}))
        return str(descriptor["digest"])

    def entries(self) -> list[Json]:
        """The descriptors in the layout's index."""
        index: Json = json.loads((self.folder / "index.json").read_bytes())
        return list(index["manifests"])

    def path(self, descriptor: Json) -> Path:
        algorithm, _, digest = str(descriptor["digest"]).partition(":")
        return self.folder / "blobs" / algorithm / digest

    def document(self, descriptor: Json) -> Json:
        found: Json = json.loads(self.path(descriptor).read_bytes())
        return found

    def reachable(self, descriptor: Json) -> Iterator[Json]:
        """A descriptor and all below it, each checked. Raises `Failed` for a blob that differs."""
        path = self.path(descriptor)
        if not path.exists():
            raise Failed(f"{path} is missing")
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != path.name or path.stat().st_size != descriptor["size"]:
            raise Failed(f"{path} is not what its name and size state")
        yield descriptor
        if descriptor["mediaType"] in (INDEX, MANIFEST):
            body = self.document(descriptor)
            configuration = [body["config"]] if "config" in body else []
            for each in (*body.get("manifests", ()), *configuration, *body.get("layers", ())):
                yield from self.reachable(each)
