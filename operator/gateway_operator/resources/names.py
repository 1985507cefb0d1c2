"""Names that the operator puts on objects: part of the interface, so they never change."""

from typing import Any

#: an object's namespace and name
Name = tuple[str, str]

GROUP = "faregate.dev"
VERSION = "v1alpha1"
FIELD_MANAGER = "faregate-operator"
#: of the fields of a status that change by themselves
BALANCE_FIELD_MANAGER = "faregate-operator-balances"
FINALIZER = f"{GROUP}/revoke"
#: the prefix of annotations that the operator reads and writes
ANNOTATIONS = f"operator.{GROUP}"

MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
#: on every Secret that holds a key, generated or brought along: the only Secrets that are watched
KEY_LABEL = f"{GROUP}/key"
#: on a generated Secret: the name of its ApiKey
APIKEY_LABEL = f"{GROUP}/apikey"
#: on every object that belongs to a fleet: its name
FLEET_LABEL = f"{GROUP}/fleet"
#: on every object that belongs to the console of a fleet: the fleet's name
CONSOLE_LABEL = f"{GROUP}/console"
#: on the Secret by which the operator notices that its watch is alive
HEARTBEAT_LABEL = f"{GROUP}/heartbeat"
HEARTBEAT_ANNOTATION = f"{ANNOTATIONS}/heartbeat"
#: on the installation Secret: the number of orphaned keys that an administrator lets go
CONFIRM_ORPHANS_ANNOTATION = f"{ANNOTATIONS}/confirm-orphans"


def name_of(body: dict[str, Any]) -> Name:
    """The name of an object, as the API server gives it."""
    return body["metadata"]["namespace"], body["metadata"]["name"]
