"""The configuration file: GatewayFleet, ApiKey and CreditGrant documents in YAML."""

from pathlib import Path

import yaml
from msgspec import Struct
from msgspec.structs import replace

from gateway.core.spec import (
    ApiKey,
    CreditGrant,
    GatewayFleet,
    ModelSpec,
    SpecError,
    UpstreamSpec,
    parse_document,
)
from gateway.settings import UpstreamOverride

SIMULATED = "simulated:"


class Documents(Struct, frozen=True):
    """Everything that one file says."""

    fleet: GatewayFleet
    keys: tuple[ApiKey, ...]
    grants: tuple[CreditGrant, ...]


def read_documents(path: Path) -> Documents:
    """Read and check a file. Raises `SpecError` with the file's name and the object's."""
    try:
        with path.open(encoding="utf-8") as stream:
            raw = [document for document in yaml.safe_load_all(stream) if document is not None]
    except OSError as error:
        raise SpecError(f"{path}: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise SpecError(f"{path} is not YAML: {error}") from None
    try:
        documents = [parse_document(document) for document in raw]
    except SpecError as error:
        raise SpecError(f"{path}: {error}") from None
    fleets = [document for document in documents if isinstance(document, GatewayFleet)]
    if len(fleets) != 1:
        raise SpecError(f"{path}: expected one GatewayFleet, found {len(fleets)}")
    keys = tuple(document for document in documents if isinstance(document, ApiKey))
    grants = tuple(document for document in documents if isinstance(document, CreditGrant))
    _refuse_twins(path, keys)
    _refuse_twins(path, grants)
    return Documents(fleets[0], keys, grants)


def simulated_names(fleet: GatewayFleet) -> set[str]:
    """The upstreams that the simulated one stands in for."""
    return {upstream.name for upstream in fleet.spec.upstreams if upstream.url == SIMULATED}


def put_real_upstream(fleet: GatewayFleet, override: UpstreamOverride) -> GatewayFleet:
    """The fleet with a real provider where it says `simulated:`, if one is given."""
    if override.base_url is None:
        return fleet
    simulated = simulated_names(fleet)

    def real(upstream: UpstreamSpec) -> UpstreamSpec:
        return replace(upstream, url=override.base_url) if upstream.name in simulated else upstream

    def told(model: ModelSpec) -> ModelSpec:
        fallbacks = [
            replace(each, upstream_model=override.model, profile=None)
            if each.upstream in simulated
            else each
            for each in model.fallbacks
        ]
        model = replace(model, fallbacks=fallbacks)
        if model.upstream not in simulated:
            return model
        # The profile follows from the provider's model unless the file insists on one.
        return replace(model, upstream_model=override.model or model.id, profile=None)

    spec = replace(
        fleet.spec,
        upstreams=[real(upstream) for upstream in fleet.spec.upstreams],
        models=[told(model) for model in fleet.spec.models],
    )
    return replace(fleet, spec=spec)


def _refuse_twins(path: Path, objects: tuple[ApiKey, ...] | tuple[CreditGrant, ...]) -> None:
    seen: set[tuple[str, str]] = set()
    for document in objects:
        name = (document.metadata.namespace, document.metadata.name)
        if name in seen:
            raise SpecError(f"{path}: {'/'.join(name)} is there twice")
        seen.add(name)
