"""The ConfigMap: one GatewayFleet document, as `--config` names it to a gateway or a console."""

import msgspec
import yaml

from gateway.core.spec import API_VERSION
from gateway_operator.render.names import CONFIG_FILE, Child
from gateway_operator.render.overlay import without_nothing
from gateway_operator.render.workload import Workload
from gateway_operator.resources.fleet import KIND


def config(workload: Workload) -> Child:
    """The ConfigMap of a Deployment."""
    data = {CONFIG_FILE: _text(workload)}
    return {**workload.child("v1", "ConfigMap", workload.config_name), "data": data}


def _text(workload: Workload) -> str:
    """The part of the spec that its processes read, with defaults; equal specs give equal bytes."""
    fleet = workload.fleet
    document = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": fleet.name, "namespace": fleet.namespace},
        "spec": without_nothing(msgspec.to_builtins(workload.config)),
    }
    text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    return text
