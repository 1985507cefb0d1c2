"""The Secret of a generated key: what is in it, how it is written, and how it is read.

A rotation puts the successor beside the key first, under `.next`. So an attempt after a crash, or
at the same time, goes on with the same successor.
"""

import base64
import binascii
from typing import Any

from gateway.core.keys import secret_values
from gateway_operator.resources.names import (
    APIKEY_LABEL,
    FIELD_MANAGER,
    GROUP,
    KEY_LABEL,
    MANAGED_BY_LABEL,
    VERSION,
)

_PLAINTEXTS = ("OPENAI_API_KEY", "ANTHROPIC_AUTH_TOKEN")
_SUCCESSOR = ".next"


def is_labelled(secret: dict[str, Any]) -> bool:
    """True if the Secret is labelled as holding a key."""
    return _labels(secret).get(KEY_LABEL) == "true"


def is_made_for(secret: dict[str, Any], name: str) -> bool:
    """True if the operator made the Secret for the ApiKey of this name."""
    labels = _labels(secret)
    return labels.get(MANAGED_BY_LABEL) == FIELD_MANAGER and labels.get(APIKEY_LABEL) == name


def is_made(secret: dict[str, Any]) -> bool:
    """True if the operator made the Secret, for any purpose; one sign of it is enough.

    For a Secret that should have been brought along: labels are taken away easily.
    """
    labels = _labels(secret)
    owners = secret["metadata"].get("ownerReferences") or ()
    return (
        labels.get(MANAGED_BY_LABEL) == FIELD_MANAGER
        or APIKEY_LABEL in labels
        or any(owner.get("apiVersion", "").startswith(f"{GROUP}/") for owner in owners)
    )


def is_owned_by(secret: dict[str, Any], uid: str) -> bool:
    """True if it goes when this very object goes."""
    owners = secret["metadata"].get("ownerReferences") or ()
    return any(owner.get("uid") == uid for owner in owners)


def read_value(secret: dict[str, Any], key: str) -> str | None:
    """One value as text; None where it is missing or is no text."""
    try:
        return base64.b64decode((secret.get("data") or {})[key], validate=True).decode()
    except (KeyError, binascii.Error, UnicodeDecodeError):
        return None


def read_plaintexts(secret: dict[str, Any]) -> list[str]:
    """The keys that the Secret gives out: the same twice, unless somebody edited it."""
    return [value for value in (read_value(secret, key) for key in _PLAINTEXTS) if value]


def read_successor(secret: dict[str, Any]) -> str | None:
    """The key that a rotation under way has made, and not given out yet."""
    return read_value(secret, _SUCCESSOR)


def has_values(secret: dict[str, Any], plaintext: str, client_url: str | None) -> bool:
    """True if it gives out this key, at this address where there is one."""
    return all(
        read_value(secret, key) == value for key, value in _values(plaintext, client_url).items()
    )


def make_secret(
    apikey: dict[str, Any], name: str, plaintext: str, client_url: str
) -> dict[str, Any]:
    """A new Secret for an ApiKey object."""
    secret: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": {"namespace": apikey["metadata"]["namespace"], "name": name},
    }
    return rewrite_secret(secret, apikey, plaintext, client_url)


def rewrite_secret(
    secret: dict[str, Any],
    apikey: dict[str, Any],
    plaintext: str,
    client_url: str | None,
    successor: str | None = None,
) -> dict[str, Any]:
    """The Secret with this key in it and this object as its owner; what else it holds stays."""
    values = _values(plaintext, client_url)
    if successor is not None:
        values[_SUCCESSOR] = successor
    kept = {key: value for key, value in (secret.get("data") or {}).items() if key != _SUCCESSOR}
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    owned = apikey["metadata"]
    labels = {
        **_labels(secret),
        MANAGED_BY_LABEL: FIELD_MANAGER,
        APIKEY_LABEL: owned["name"],
        KEY_LABEL: "true",
    }
    owner = {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "ApiKey",
        "name": owned["name"],
        "uid": owned["uid"],
        "controller": True,
    }
    metadata = {**secret["metadata"], "labels": labels, "ownerReferences": [owner]}
    metadata.pop("managedFields", None)
    return {**secret, "metadata": metadata, "data": {**kept, **encoded}}


def _labels(secret: dict[str, Any]) -> dict[str, str]:
    return secret["metadata"].get("labels") or {}


def _values(plaintext: str, client_url: str | None) -> dict[str, str]:
    values = secret_values(plaintext, client_url or "")
    if client_url is None:  # no address is known: the present one stays
        return {key: value for key, value in values.items() if key in _PLAINTEXTS}
    return values
