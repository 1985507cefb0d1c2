"""The provenance: an in-toto statement with SLSA's predicate.

It states the source and the command. The forge's workflow signs a statement of its own with the
forge's identity; this one is for a reader without the forge, and is covered by the signature on the
checksums. Formats: https://in-toto.io/Statement/v1 and https://slsa.dev/provenance/v1
"""

from collections.abc import Iterable

from release.layout import Json
from release.source import Source
from release.subjects import Subject

STATEMENT, PREDICATE = "https://in-toto.io/Statement/v1", "https://slsa.dev/provenance/v1"
_KIND = "https://faregate.dev/release/v1"


def statement(source: Source, subjects: Iterable[Subject]) -> Json:
    """The statement for all parts of a release."""
    commit = {"name": "source", "digest": {"gitCommit": source.revision}}
    name, _, digest = source.base.partition("@sha256:")
    base = {"uri": f"oci://{name}", **({"digest": {"sha256": digest}} if digest else {})}
    return {
        "_type": STATEMENT,
        "subject": [{"name": each.name, "digest": {"sha256": each.sha256}} for each in subjects],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": _KIND,
                "externalParameters": {"version": source.version, "image": source.image},
                "internalParameters": {"SOURCE_DATE_EPOCH": str(source.epoch)},
                "resolvedDependencies": [commit, base],
            },
            "runDetails": {
                "builder": {"id": "https://faregate.dev/release/make"},
                "metadata": {"invocationId": f"{source.version}@{source.revision}"},
            },
        },
    }


def stated(provenance: Json) -> set[Subject]:
    """The parts that a statement is about."""
    return {Subject(each["name"], each["digest"]["sha256"]) for each in provenance["subject"]}
