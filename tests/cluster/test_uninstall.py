"""Taking Faregate away, in every way that people do: nothing hangs, and the money stays."""

import json
import time
from collections.abc import Callable

from tests.cluster.harness import objects
from tests.cluster.harness.clients import Client
from tests.cluster.harness.installation import Installation
from tests.cluster.harness.kube import Document, Kube, wait_until
from tests.cluster.harness.team import Team

Teams = Callable[[str], Team]
_DEFINITIONS = ("accounts", "apikeys", "creditallowances", "creditgrants", "gatewayfleets")


def test_a_namespace_with_keys_is_deleted(
    team: Teams, client: Client, faregate: Installation
) -> None:
    place = team("leaving")
    key = place.with_key()
    place.kube.delete("namespace", place.name)
    faregate.forget(key)
    assert client.status(key) == 401
    faregate.check()


def test_uninstalled_with_keys_present_and_installed_again(
    team: Teams, client: Client, faregate: Installation
) -> None:
    """Keys and grants stay; one that is deleted meanwhile is just gone; the books go on."""
    faregate.kube.wait_calm()  # an object that is deleted without an operator becomes an orphan
    place = team("staying")
    kept = place.with_key("kept", credits=100)
    gone = place.with_key("gone", credits=100)
    assert client.ask(kept).status_code == 200
    seconds = faregate.uninstall()
    print(f"\nuninstalled in {seconds:.0f} s")
    for name in _DEFINITIONS:
        assert place.kube.get("crd", f"{name}.faregate.dev") is not None
    assert "finalizers" not in place.get("apikey", "kept")["metadata"]
    assert place.key("kept") == kept
    began = time.monotonic()
    place.delete_key("gone")
    assert time.monotonic() - began < 20
    faregate.install()
    wait_until(lambda: client.status(kept) == 200, "the key to work again", 60)
    assert client.balance(kept) == 99
    place.wait("apikey", "kept")
    wait_until(lambda: client.status(gone) in (401, 403), "the other one's end", 90)
    faregate.forget(gone)
    faregate.check()


def test_the_operators_own_namespace_is_deleted(
    team: Teams, client: Client, faregate: Installation
) -> None:
    """With a key of its own in it. The installation secret comes back from its backup."""
    faregate.kube.wait_calm()
    place = team("surviving")
    kept = place.with_key("kept", credits=100)
    faregate.kube.apply(
        objects.api_key("inside", "inside"),
        objects.credit_grant("inside", "inside"),
        namespace=faregate.namespace,
    )
    for kind in ("apikey", "creditgrant"):
        faregate.kube.wait_ready(kind, faregate.namespace, "inside")
    inside = faregate.key(faregate.namespace, "inside")
    backup = _backup(faregate.kube, faregate.namespace)
    began = time.monotonic()
    faregate.kube.delete("namespace", faregate.namespace)
    print(f"\nthe operator's namespace was gone after {time.monotonic() - began:.0f} s")
    for name in _DEFINITIONS:
        assert faregate.kube.get("crd", f"{name}.faregate.dev") is not None
    faregate.prepare()
    faregate.kube.apply(backup)
    faregate.install()
    wait_until(lambda: client.status(kept) == 200, "the key to work again", 60)
    assert client.balance(kept) == 100
    place.delete_key("kept")
    wait_until(lambda: client.status(inside) in (401, 403), "the end of the key inside", 90)
    faregate.forget(kept, inside)
    faregate.check()


def _backup(kube: Kube, namespace: str) -> Document:
    """The installation secret, as NOTES asks to keep it."""
    found = kube.get("secret", "faregate-installation", namespace)
    assert found is not None
    kept: Document = json.loads(json.dumps(found))
    kept["metadata"] = {"name": found["metadata"]["name"], "namespace": namespace}
    return kept
