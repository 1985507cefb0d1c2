"""ApiKey: the closed set of its reasons, and the status that is reported of it."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from gateway.core.spec import ApiKey
from gateway.store.key_rows import KeyState
from gateway_operator.conditions import ConditionState, build_status
from gateway_operator.resources.names import FINALIZER

KIND = "ApiKey"


class ApiKeyReason(StrEnum):
    """Why an ApiKey is Ready, or is not."""

    ISSUED = "Issued"
    SUSPENDED = "Suspended"
    EXPIRED = "Expired"
    SECRET_LOST = "SecretLost"
    SECRET_CONFLICT = "SecretConflict"
    SECRET_NOT_FOUND = "SecretNotFound"
    INVALID_KEY = "InvalidKey"
    DUPLICATE_CREDENTIAL = "DuplicateCredential"
    FLEET_NOT_FOUND = "FleetNotFound"
    FLEET_AMBIGUOUS = "FleetAmbiguous"
    PEOPLES_NAMESPACE = "PeoplesNamespace"
    INVALID_SPEC = "InvalidSpec"
    FINALIZER_REFUSED = "FinalizerRefused"
    DATABASE_UNAVAILABLE = "DatabaseUnavailable"


def stalled(reason: ApiKeyReason, message: str) -> ConditionState:
    return ConditionState("stalled", reason.value, message)


def missing(reason: ApiKeyReason, message: str) -> ConditionState:
    """The key waits for another object, which some controller may be making at this moment."""
    return ConditionState("waiting", reason.value, message)


def condition_of_row(row: KeyState) -> ConditionState:
    """The condition of a key of which nothing is wrong except what its row states."""
    if row.suspended:
        return stalled(ApiKeyReason.SUSPENDED, "spec.suspended is true: the key is refused")
    if row.expired:
        return stalled(
            ApiKeyReason.EXPIRED, f"the key expired at {row.expires_at:%Y-%m-%dT%H:%M:%SZ}"
        )
    return ConditionState("ready", ApiKeyReason.ISSUED.value, "the key works")


def status_of_key(
    body: dict[str, Any], key: ApiKey | None, row: KeyState | None, condition: ConditionState
) -> dict[str, Any]:
    """The status of an ApiKey; `row` only counts where it is this very object's."""
    issued = row if row is not None and row.uid == body["metadata"]["uid"] else None
    return build_status(
        body,
        condition,
        keyId=issued and issued.key_id,
        prefix=issued and issued.prefix,
        secretName=issued and key and secret_name(key),
    )


def finalizers_of(body: dict[str, Any]) -> list[str]:
    return list(body["metadata"].get("finalizers") or ())


def is_held(body: dict[str, Any]) -> bool:
    """True if the object cannot go before we let it."""
    return FINALIZER in finalizers_of(body)


def deleted_at(body: dict[str, Any]) -> datetime | None:
    """When somebody asked for the end of an object, to the second."""
    moment = body["metadata"].get("deletionTimestamp")
    return datetime.fromisoformat(moment) if moment else None


def changed_at(body: dict[str, Any]) -> datetime | None:
    """When somebody last changed a spec that was not worked on yet, to the second."""
    metadata, seen = body["metadata"], (body.get("status") or {}).get("observedGeneration")
    if metadata.get("generation") == seen:
        return None  # it is not the spec that made the difference
    changes = (
        each["time"]
        for each in metadata.get("managedFields") or ()
        if "f:spec" in each.get("fieldsV1", {}) and "time" in each
    )
    return max((datetime.fromisoformat(each) for each in changes), default=None)


def secret_name(key: ApiKey) -> str:
    """The Secret that holds the key: generated, or brought along."""
    if key.spec.secret_name is not None:
        return key.spec.secret_name
    assert key.spec.value_from is not None, "one of secretName and valueFrom is given"
    return key.spec.value_from.secret_key_ref.name
