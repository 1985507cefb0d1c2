"""The SBOM in SPDX 2.3: the parts of a release, and the packages in its image.

Format: https://spdx.github.io/spdx-spec/v2.3/ — a package of Python comes from the lock, one of
Debian from the base image's own list.
"""

import hashlib
import io
import re
import tarfile
from collections.abc import Iterable, Iterator
from urllib.parse import quote

from packaging.markers import Marker

from release.layout import INDEX, Json, Layout, as_bytes
from release.source import Source
from release.subjects import Subject

_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)(?: *; *([^\\\n]+?))? *\\?$", re.MULTILINE)
_DEBIAN = re.compile(r"^Package: (\S+)\n(?:.+\n)*?Version: (\S+)$", re.MULTILINE)
_STATUS = {"var/lib/dpkg/status", "./var/lib/dpkg/status"}
_WHERE = {"python_full_version": "3.13.0", "python_version": "3.13", "sys_platform": "linux",
          "platform_system": "Linux", "os_name": "posix", "implementation_name": "cpython",
          "platform_python_implementation": "CPython"}  # fmt: skip


def document(source: Source, subjects: Iterable[Subject], image: Layout | None) -> Json:
    """The whole SBOM; without an image, the packages that its lock names."""
    described = [_subject(source, each) for each in subjects]
    contained = [*_python(source), *_debian(image)]
    holder = next(
        (each for each in described if each["primaryPackagePurpose"] == "CONTAINER"), None
    )
    root = holder or described[0]
    relations = [_relation("SPDXRef-DOCUMENT", "DESCRIBES", each) for each in described]
    kind = "CONTAINS" if holder else "DEPENDS_ON"
    relations += [_relation(root["SPDXID"], kind, each) for each in contained]
    packages = [*described, *contained]
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": f"faregate-{source.version}",
        "documentNamespace": f"https://faregate.dev/spdx/{source.version}/{_hash(packages)}",
        "creationInfo": {"created": source.created, "creators": ["Tool: faregate-release"]},
        "packages": packages,
        "relationships": relations,
    }


def _hash(packages: list[Json]) -> str:
    return hashlib.sha256(as_bytes({"packages": packages})).hexdigest()


def _package(name: str, version: str, purl: str, purpose: str = "LIBRARY") -> Json:
    identity = re.sub(
        r"[^A-Za-z0-9.-]", "-", f"{purl.split(':')[1].split('/')[0]}-{name}-{version}"
    )
    reference = {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl"}
    return {
        "SPDXID": f"SPDXRef-{identity}",
        "name": name,
        "versionInfo": version,
        "downloadLocation": "NOASSERTION",
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": "NOASSERTION",
        "copyrightText": "NOASSERTION",
        "filesAnalyzed": False,
        "primaryPackagePurpose": purpose,
        "externalRefs": [{**reference, "referenceLocator": purl}],
    }


def _subject(source: Source, subject: Subject) -> Json:
    if not subject.is_artefact:
        purl = f"pkg:generic/{quote(subject.name)}@{source.version}"
        made = _package(subject.name, source.version, purl, "ARCHIVE")
    else:
        name = subject.name.rpartition("/")[2]
        digest = quote(f"sha256:{subject.sha256}", safe="")
        purl = f"pkg:oci/{name}@{digest}?repository_url={quote(subject.name, safe='/')}"
        purpose = "CONTAINER" if subject.name == source.image else "ARCHIVE"
        made = _package(subject.name, source.version, purl, purpose)
    checksum = {"algorithm": "SHA256", "checksumValue": subject.sha256}
    return {**made, "licenseDeclared": "Apache-2.0", "checksums": [checksum]}


def _python(source: Source) -> Iterator[Json]:
    for name, version, marker in _PIN.findall(
        (source.root / ".locks/image.txt").read_text("utf-8")
    ):
        if not marker or Marker(marker).evaluate(_WHERE):
            yield _package(name, version, f"pkg:pypi/{name}@{version}")


def _debian(image: Layout | None) -> list[Json]:
    """The packages of the base image, of all kinds of processor together."""
    if image is None:
        return []
    (entry,) = image.entries()
    found = {pair for each in _manifests(image, entry) for pair in _status(image, each)}
    return [
        _package(name, version, f"pkg:deb/debian/{name}@{quote(version, safe='.-')}")
        for name, version in sorted(found)
    ]


def _manifests(image: Layout, entry: Json) -> list[Json]:
    body = image.document(entry)
    return (
        [image.document(each) for each in body["manifests"]]
        if entry["mediaType"] == INDEX
        else [body]
    )


def _status(image: Layout, manifest: Json) -> list[tuple[str, str]]:
    """Name and version of each package, from the last layer that has Debian's list."""
    for layer in reversed(manifest["layers"]):
        with tarfile.open(image.path(layer)) as archive:
            for member in archive:
                if member.name in _STATUS and (file := archive.extractfile(member)):
                    return _DEBIAN.findall(io.TextIOWrapper(file, "utf-8").read())
    return []


def described(sbom: Json) -> set[Subject]:
    """The parts that an SBOM describes, with their checksums."""
    roots = {
        each["relatedSpdxElement"]
        for each in sbom["relationships"]
        if each["relationshipType"] == "DESCRIBES"
    }
    return {
        Subject(each["name"], each["checksums"][0]["checksumValue"])
        for each in sbom["packages"]
        if each["SPDXID"] in roots
    }


def _relation(element: str, kind: str, other: Json) -> Json:
    return {
        "spdxElementId": element,
        "relationshipType": kind,
        "relatedSpdxElement": other["SPDXID"],
    }
