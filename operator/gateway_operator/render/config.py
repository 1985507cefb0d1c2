"""The ConfigMap: one GatewayFleet document, as `python -m gateway serve --config` reads it."""

from typing import Any

import msgspec
import yaml

from gateway.core.spec import API_VERSION
from gateway_operator.render.names import CONFIG_FILE, Child, child, config_name
from gateway_operator.resources.fleet import KIND, Fleet


def config(fleet: Fleet) -> Child:
    """The ConfigMap of a fleet."""
    text = config_text(fleet)
    return {**child(fleet, "v1", "ConfigMap", config_name(fleet)), "data": {CONFIG_FILE: text}}


def config_text(fleet: Fleet) -> str:
    """The gateway's part of the spec, defaults filled in; equal specs give equal bytes.

    `clientURL` is not in it: it is for the Secrets of keys, and no reason for a roll-out.
    """
    spec = msgspec.structs.replace(fleet.gateway, client_url=None)
    document = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": fleet.name, "namespace": fleet.namespace},
        "spec": _without_nothing(msgspec.to_builtins(spec)),
    }
    text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    return text


def _without_nothing(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nothing(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nothing(item) for item in value]
    return value
