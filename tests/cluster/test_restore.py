"""Another cluster, or an older database: keys and credits are what the books and objects state."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from tests.cluster.harness import objects
from tests.cluster.harness.books import Books
from tests.cluster.harness.clients import Client
from tests.cluster.harness.installation import Installation
from tests.cluster.harness.kube import Kube, condition, names, wait_until
from tests.cluster.harness.team import Team

Teams = Callable[[str], Team]


def test_the_same_manifests_in_a_fresh_cluster_with_the_old_database(
    team: Teams, client: Client, faregate: Installation
) -> None:
    """New objects of old names. Grants are not paid twice. A key is issued again where its Secret
    is gone, and goes on where the Secret came along.

    The cluster is made fresh by taking everything of the team away behind the operator's back: what
    the database knows stays, and every object that comes back has another UID.
    """
    place = team("moved")
    manifests = [
        objects.api_key("alice", "alice"),
        objects.api_key("bob", "bob"),
        objects.credit_grant("alice", "alice", credits=100),
        objects.credit_grant("bob", "bob", credits=50, reference="invoice-7"),
    ]
    place.apply(*manifests)
    place.wait("apikey", "alice", "bob")
    place.wait("creditgrant", "alice", "bob")
    alice, bob = place.key("alice"), place.key("bob")
    assert client.ask(alice).status_code == 200
    kept = place.get("secret", "bob-key")
    with _without_operator(faregate):
        _forget_namespace(faregate.kube, place.name)
        place.apply(objects.namespace(place.name))
        place.apply(_fresh(kept), *manifests)
    place.wait("apikey", "alice", "bob", seconds=90)
    place.wait("creditgrant", "alice", "bob", seconds=90)
    for name in ("alice", "bob"):
        ready = condition(place.get("creditgrant", name), "Ready")
        assert ready["reason"] == "AlreadyPosted", ready
    again = place.key("alice")
    assert again != alice
    assert place.key("bob") == bob
    wait_until(lambda: client.status(again) == 200, "the new key to work", 30)
    assert client.balance(again) == 99
    assert client.balance(bob) == 50
    assert "Reissued" in {event["reason"] for event in place.kube.events(place.name)}
    faregate.forget(alice)
    faregate.check()


def test_a_database_restored_to_an_older_point(
    team: Teams, client: Client, faregate: Installation
) -> None:
    """Grants made since are posted again, keys made since work again, and a key that was
    revoked since is not alive for long."""
    faregate.kube.wait_calm()  # else a backup would bring back keys that nobody wants any more
    place = team("restored")
    early = place.with_key("early", credits=100)
    revoked = place.with_key("revoked", credits=10)
    backup = Books(faregate.kube).dump()
    late = place.with_key("late", credits=50)
    place.apply(objects.credit_grant("more", "early", credits=25))
    place.wait("creditgrant", "more")
    assert client.ask(early).status_code == 200
    assert client.balance(early) == 124
    place.delete_key("revoked")
    Books(faregate.kube).restore(backup)
    for key, credits in ((early, 125), (late, 50)):
        _wait_for_balance(client, key, credits)
        wait_until(partial(_is_served, client, key), "both replicas to know the key", 30)
    wait_until(lambda: client.status(revoked) in (401, 403), "the end of the revoked key", 120)
    faregate.forget(revoked)
    faregate.check()


def _wait_for_balance(client: Client, key: str, credits: int) -> None:
    """Until a key works and its account has so much."""

    def has_it() -> bool:
        found = client.ask_account(key)
        return found.status_code == 200 and int(found.json()["balance"]) == credits

    wait_until(has_it, f"a key that works and {credits} credits", 120)


def _is_served(client: Client, key: str) -> bool:
    """True if a request is answered by each of two replicas, which have turns."""
    return {client.ask(key).status_code for _ in range(2)} == {200}


@contextmanager
def _without_operator(faregate: Installation) -> Iterator[None]:
    found = faregate.kube.all(
        "deployment", faregate.namespace, "app.kubernetes.io/component=operator"
    )
    scale = ("scale", f"deployment/{names(found)[0]}", "-n", faregate.namespace)
    labels = "app.kubernetes.io/component=operator"
    faregate.kube(*scale, "--replicas=0")
    wait_until(lambda: not faregate.kube.all("pod", faregate.namespace, labels), "its end", 60)
    yield
    faregate.kube(*scale, "--replicas=1")
    faregate.operator_pod()


def _forget_namespace(kube: Kube, name: str) -> None:
    """Delete a namespace, letting go of what would wait for the operator."""
    for key in kube.all("apikey", name):
        kube.patch("apikey", key["metadata"]["name"], name, {"metadata": {"finalizers": None}})
    kube.delete("namespace", name)


def _fresh(secret: dict[str, object]) -> dict[str, object]:
    """A Secret as a backup keeps it: without what the old cluster noted on it."""
    metadata = secret["metadata"]
    assert isinstance(metadata, dict)
    kept = {key: metadata[key] for key in ("name", "labels", "annotations") if key in metadata}
    return {**secret, "metadata": kept}
