"""A fleet as the API server gives it, and what is rendered of it."""

from typing import Any

from gateway_operator.render.digest import Rendered, render
from gateway_operator.resources.fleet import Fleet, read_fleet
from gateway_operator.settings import OperatorSettings

Json = dict[str, Any]
NAMESPACE = "system"
NAME = "gateways"
UID = "11111111-2222-3333-4444-555555555555"
_SECRETS = {"database": "d1", "faregate-installation": "i1"}
CONSOLE = f"{NAME}-console"
#: hashes of Secrets, by the Deployment
SECRETS = {NAME: _SECRETS, CONSOLE: _SECRETS}


def settings(namespace: str = NAMESPACE, **more: Any) -> OperatorSettings:
    return OperatorSettings(
        database_url="postgresql://nowhere/none",
        database_secret_name="database",
        namespace=namespace,
        image="registry.example/faregate:1",
        **more,
    )


def spec(**more: Any) -> Json:
    """The least that a fleet needs, and `more`."""
    return {
        "pricing": {"chatCreditsPerMessage": 2},
        "upstreams": [{"name": "main", "url": "simulated:"}],
        "models": [{"id": "kimi-k2.5", "upstream": "main"}],
        **more,
    }


def body(**more: Any) -> Json:
    return {
        "metadata": {"name": NAME, "namespace": NAMESPACE, "uid": UID, "generation": 1},
        "spec": spec(**more),
    }


def fleet(**more: Any) -> Fleet:
    return read_fleet(body(**more))


def rendered(secrets: dict[str, dict[str, str]] | None = None, **more: Any) -> Rendered:
    return render(fleet(**more), settings(), SECRETS if secrets is None else secrets)


def child(kind: str, name: str = "", **more: Any) -> Json:
    """The rendered child of a kind, of the gateways or of this name."""
    wanted = name or (f"{NAME}-config" if kind == "ConfigMap" else NAME)
    (found,) = [
        one
        for one in rendered(**more).children
        if (one["kind"], one["metadata"]["name"]) == (kind, wanted)
    ]
    return found


def kinds(**more: Any) -> list[str]:
    return [one["kind"] for one in rendered(**more).children]


def pod(**more: Any) -> Json:
    found: Json = child("Deployment", **more)["spec"]["template"]
    return found


def container(**more: Any) -> Json:
    (found,) = pod(**more)["spec"]["containers"]
    assert isinstance(found, dict)
    return found


def with_credential(name: str = "moonshot", key: str = "api-key") -> Json:
    """An upstream that wants a credential."""
    return {
        "name": "main",
        "url": "https://upstream.example/v1",
        "credential": {"secretRef": {"name": name, "key": key}},
    }
