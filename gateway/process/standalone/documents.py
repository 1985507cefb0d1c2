"""The configuration file: GatewayFleet and the documents of keys, accounts and credits in YAML.

Owns what an API server would have refused before anybody read it: unknown fields, a field given
twice, an object given twice.
"""

import logging
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import yaml
from msgspec import Struct
from msgspec.structs import replace

from gateway.core.groups import check_accounts
from gateway.core.spec import (
    AccountObject,
    ApiKey,
    CreditAllowance,
    CreditGrant,
    Document,
    GatewayFleet,
    ModelSpec,
    UpstreamSpec,
    parse_document,
)
from gateway.core.spec_fields import SpecError
from gateway.process.settings import UpstreamOverride
from gateway.process.standalone.unknown_fields import unknown_fields

_log = logging.getLogger(__name__)

SIMULATED = "simulated:"


class Documents(Struct, frozen=True):
    """Everything in one file."""

    fleet: GatewayFleet
    keys: tuple[ApiKey, ...]
    grants: tuple[CreditGrant, ...]
    allowances: tuple[CreditAllowance, ...] = ()
    accounts: tuple[AccountObject, ...] = ()
    #: the file's name, for the log of changes
    source: str = "file"


def read_documents(path: Path, *, strict: bool = True) -> Documents:
    """Read and check a file. Raises `SpecError` with the file's name and the object's.

    With `strict=False` unknown fields are only logged: a file that an operator wrote has been
    checked by an API server, and may be for a later release.
    """
    try:
        with path.open(encoding="utf-8") as stream:
            loaded = yaml.load_all(stream, _Loader)  # it is a SafeLoader
            raw = [document for document in loaded if document is not None]
    except OSError as error:
        raise SpecError(f"{path}: {error.strerror}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise SpecError(f"{path} is not YAML: {error}") from None
    except RecursionError:
        raise SpecError(f"{path} is nested too deeply") from None
    try:
        documents = [_read(document, strict) for document in raw]
    except SpecError as error:
        raise SpecError(f"{path}: {error}") from None
    fleets = [document for document in documents if isinstance(document, GatewayFleet)]
    if len(fleets) != 1:
        raise SpecError(f"{path}: expected one GatewayFleet, found {len(fleets)}")
    keys = tuple(document for document in documents if isinstance(document, ApiKey))
    grants = tuple(document for document in documents if isinstance(document, CreditGrant))
    allowances = tuple(one for one in documents if isinstance(one, CreditAllowance))
    accounts = tuple(one for one in documents if isinstance(one, AccountObject))
    for objects in (keys, grants, allowances, accounts):
        _refuse_duplicates(path, objects)
    _refuse_shared_secrets(path, keys)
    try:
        check_accounts(accounts)
    except SpecError as error:
        raise SpecError(f"{path}: {error}") from None
    return Documents(fleets[0], keys, grants, allowances, accounts, f"file {path.name}")


class _Loader(yaml.SafeLoader):
    """One that does not take the last of two values for the only one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for name, _ in node.value:
            if isinstance(name, yaml.ScalarNode) and name.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{name.value} is there twice", name.start_mark
                )
            if isinstance(name, yaml.ScalarNode):
                seen.add(name.value)
        return super().construct_mapping(node, deep)


def _read(raw: Any, strict: bool) -> Document:
    document = parse_document(raw)
    name = f"{raw['kind']} {document.metadata.shown}"
    for sentence in unknown_fields(raw, document):
        if strict:
            raise SpecError(f"{name}: {sentence}")
        _log.warning("%s: %s", name, sentence)
    return document


def simulated_names(fleet: GatewayFleet) -> set[str]:
    """The upstreams that the simulated one stands in for."""
    return {upstream.name for upstream in fleet.spec.upstreams if upstream.url == SIMULATED}


def put_real_upstream(fleet: GatewayFleet, override: UpstreamOverride) -> GatewayFleet:
    """The fleet with a real provider in place of `simulated:`, if one is given."""
    if override.base_url is None:
        return fleet
    simulated = simulated_names(fleet)

    def real(upstream: UpstreamSpec) -> UpstreamSpec:
        return replace(upstream, url=override.base_url) if upstream.name in simulated else upstream

    def with_model(model: ModelSpec) -> ModelSpec:
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
        models=[with_model(model) for model in fleet.spec.models],
    )
    return replace(fleet, spec=spec)


def _refuse_duplicates(
    path: Path, objects: Sequence[ApiKey | CreditGrant | CreditAllowance | AccountObject]
) -> None:
    seen: set[str] = set()
    for document in objects:
        name = document.metadata.shown
        if name in seen:
            raise SpecError(
                f"{path}: {name} is there twice; objects of one kind need different names"
            )
        seen.add(name)


def _refuse_shared_secrets(path: Path, keys: tuple[ApiKey, ...]) -> None:
    owners: dict[tuple[str, str], str] = {}
    for key in keys:
        namespace, name = key.metadata.namespace, key.metadata.name
        if key.spec.secret_name is None:
            continue
        owner = owners.setdefault((namespace, key.spec.secret_name), name)
        if owner != name:
            raise SpecError(
                f"{path}: ApiKeys {namespace}/{owner} and {namespace}/{name} have the same"
                f" secretName, {key.spec.secret_name}"
            )
