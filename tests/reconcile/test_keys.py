"""The life of an ApiKey: issued, rotated, suspended, lost, issued again, revoked."""

import secrets

from sqlalchemy import text

from gateway.core.keys import generate_key
from tests.harness.gateway import PLAINTEXTS, wait_until
from tests.reconcile.objects import api_key, brought_secret, condition, fleet
from tests.reconcile.world import FLEET, World, later


def test_a_key_works_as_soon_as_its_object_is_ready(shared: World) -> None:
    shared.team.apply(api_key("alice"))
    found = shared.team.wait("ApiKey", "alice", "Issued")
    assert condition(found, "Ready")["status"] == "True"
    assert condition(found, "Stalled")["status"] == "False"
    plaintext = shared.plaintext("alice-key")
    assert shared.is_usable("alice", plaintext)
    address = f"http://{FLEET}.{shared.system.namespace}.svc.cluster.local"
    assert shared.team.values("alice-key") == {
        "OPENAI_API_KEY": plaintext,
        "OPENAI_BASE_URL": f"{address}/api/openai/v1",
        "ANTHROPIC_AUTH_TOKEN": plaintext,
        "ANTHROPIC_BASE_URL": f"{address}/api/anthropic",
    }
    row = shared.row("alice")
    assert row is not None
    status = found["status"]
    assert (status["keyId"], status["prefix"]) == (row.key_id, plaintext[:10])
    assert status["secretName"] == "alice-key"
    assert "Issued" in shared.team.reasons_of_events("alice")
    shared.check()


def test_an_object_shows_no_more_than_the_prefix_of_its_key(world: World) -> None:
    operator = world.operator(log_level="DEBUG")
    world.team.apply(api_key("alice"))
    world.team.wait("ApiKey", "alice", "Issued")
    plaintext = world.plaintext("alice-key")
    shown = str([world.team.get("ApiKey", "alice"), world.team.list("Event")])
    assert plaintext not in shown
    assert plaintext not in operator.log_text()


def test_a_rotated_key_and_its_successor_both_work_for_the_overlap(shared: World) -> None:
    shared.team.apply(api_key("alice"))
    shared.team.wait("ApiKey", "alice", "Issued")
    first = shared.plaintext("alice-key")
    shared.team.apply(api_key("alice", rotation={"generation": 1, "overlap": "1h"}))
    shared.team.eventually(lambda: shared.plaintext("alice-key") != first, "a new key")
    second = shared.plaintext("alice-key")
    assert shared.is_usable("alice", first)
    assert shared.is_usable("alice", second)
    assert "Rotated" in shared.team.reasons_of_events("alice")
    # The answer to a leak: the next one ends all others at once.
    shared.team.apply(api_key("alice", rotation={"generation": 2, "overlap": "0s"}))
    shared.team.eventually(lambda: shared.plaintext("alice-key") != second, "a third key")
    wait_until(lambda: not shared.is_usable("alice", second), "the second key to end")
    assert not shared.is_usable("alice", first)
    assert shared.is_usable("alice", shared.plaintext("alice-key"))
    shared.check()


def test_a_suspended_key_comes_back(shared: World) -> None:
    shared.team.apply(api_key("alice"))
    shared.team.wait("ApiKey", "alice", "Issued")
    plaintext = shared.plaintext("alice-key")
    shared.team.apply(api_key("alice", suspended=True))
    shared.team.wait("ApiKey", "alice", "Suspended")
    assert not shared.is_usable("alice", plaintext)
    shared.team.apply(api_key("alice"))
    shared.team.wait("ApiKey", "alice", "Issued")
    assert shared.is_usable("alice", plaintext)
    shared.check()


def test_an_expired_key_reports_it_by_itself(shared: World) -> None:
    shared.team.apply(api_key("alice", expiresAt=later(6)))
    shared.team.wait("ApiKey", "alice", "Issued")
    shared.team.wait("ApiKey", "alice", "Expired")
    shared.check()


def test_a_row_that_nobody_can_read_is_repaired_by_its_object(shared: World) -> None:
    """And keeps nobody else waiting: the sweep that finds it goes on with all others."""
    shared.team.apply(api_key("alice"))
    shared.team.wait("ApiKey", "alice", "Issued")
    spoil = (
        "UPDATE api_key SET expires_at = '9999-12-31T23:59:59-12:00', version = 0"
        " WHERE namespace = :namespace RETURNING 1"
    )
    with shared.database.write() as session:
        session.execute(text(spoil), {"namespace": shared.team.namespace})
    shared.team.apply(api_key("bob"))
    shared.team.wait("ApiKey", "bob", "Issued")
    asked = "SELECT count(*) FROM api_key WHERE namespace = :namespace AND expires_at IS NULL"
    shared.team.eventually(
        lambda: shared.scalar(asked, namespace=shared.team.namespace) == 2, "the row to be mended"
    )
    shared.team.wait("ApiKey", "alice", "Issued")
    shared.check()


def test_a_lost_secret_is_not_replaced_before_somebody_asks_for_it(shared: World) -> None:
    shared.team.apply(api_key("alice"))
    shared.team.wait("ApiKey", "alice", "Issued")
    plaintext = shared.plaintext("alice-key")
    shared.team.delete("Secret", "alice-key")
    shared.team.wait("ApiKey", "alice", "SecretLost")
    assert shared.team.get("Secret", "alice-key") is None
    assert shared.is_usable("alice", plaintext), "whoever has it goes on"
    shared.team.apply(api_key("alice", rotation={"generation": 1, "overlap": "0s"}))
    shared.team.wait("ApiKey", "alice", "Issued")
    assert not shared.is_usable("alice", plaintext)
    shared.check()


def test_a_secret_of_somebody_else_is_left_alone(shared: World) -> None:
    mine = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "alice-key"}}
    shared.team.apply({**mine, "stringData": {"password": "mine"}})
    shared.team.apply(api_key("alice"))
    shared.team.wait("ApiKey", "alice", "SecretConflict")
    assert shared.team.values("alice-key") == {"password": "mine"}
    shared.team.delete("Secret", "alice-key")
    shared.team.wait("ApiKey", "alice", "Issued")
    shared.check()


def test_an_edited_secret_is_repaired(shared: World) -> None:
    shared.team.apply(api_key("alice"))
    shared.team.wait("ApiKey", "alice", "Issued")
    before = shared.team.values("alice-key")
    edited = {"data": {"OPENAI_BASE_URL": None, "ANTHROPIC_BASE_URL": "aHR0cDovL2Vsc2V3aGVyZQ=="}}
    shared.team.patch("Secret", "alice-key", edited)
    shared.team.eventually(lambda: shared.team.values("alice-key") == before, "the Secret mended")
    shared.check()


def test_a_new_address_of_the_fleet_reaches_the_secrets(world: World) -> None:
    world.operator(sweep_seconds="1")
    world.team.apply(api_key("alice"))
    world.team.wait("ApiKey", "alice", "Issued")
    plaintext = world.plaintext("alice-key")
    world.system.apply(fleet(FLEET, clientURL="https://llm.example.com"))
    world.team.eventually(
        lambda: (
            world.team.values("alice-key").get("OPENAI_BASE_URL")
            == "https://llm.example.com/api/openai/v1"
        ),
        "the new address",
    )
    assert world.plaintext("alice-key") == plaintext
    world.check()


def test_a_key_needs_one_fleet_and_not_two(world: World) -> None:
    world.operator(sweep_seconds="1")
    world.team.apply(api_key("stray", fleet="nowhere"))
    world.team.wait("ApiKey", "stray", "FleetNotFound")
    world.system.apply(fleet("second"))
    world.team.apply(api_key("torn"))
    world.team.wait("ApiKey", "torn", "FleetAmbiguous")
    world.team.apply(api_key("torn", fleet="second"))
    world.team.wait("ApiKey", "torn", "Issued")
    world.check()


def test_the_namespace_of_people_s_accounts_takes_no_keys_but_keeps_those_it_has(
    world: World,
) -> None:
    world.operator(sweep_seconds="1")
    world.team.apply(api_key("early"))
    world.team.wait("ApiKey", "early", "Issued")
    plaintext = world.plaintext("early-key")
    console = {"url": "https://llm.example", "namespace": world.team.namespace}
    world.system.apply(fleet(FLEET, console=console))
    world.team.wait("ApiKey", "early", "PeoplesNamespace")
    world.team.apply(api_key("late"))
    world.team.wait("ApiKey", "late", "PeoplesNamespace")
    assert (world.row("late"), world.team.values("late-key")) == (None, {})
    assert world.is_usable("early", plaintext)
    world.system.apply(fleet(FLEET, console={**console, "accounts": "shared"}))
    world.team.wait("ApiKey", "late", "Issued")
    world.check()


def test_a_key_of_ones_own_is_taken_and_its_change_is_a_rotation(shared: World) -> None:
    first, second = secrets.token_urlsafe(40), secrets.token_urlsafe(40)
    PLAINTEXTS.update((first, second))
    reference = {"secretKeyRef": {"name": "own", "key": "value"}}
    wanted = api_key("alice", valueFrom=reference, rotation={"overlap": "1h"})
    shared.team.apply(wanted)
    shared.team.wait("ApiKey", "alice", "SecretNotFound")
    shared.team.apply(brought_secret("own", first, labelled=False))
    shared.team.wait("ApiKey", "alice", "SecretNotFound")
    shared.team.apply(brought_secret("own", first))
    shared.team.wait("ApiKey", "alice", "Issued")
    assert shared.is_usable("alice", first)
    shared.team.apply(brought_secret("own", second))
    wait_until(lambda: shared.is_usable("alice", second), "the changed key")
    assert shared.is_usable("alice", first), "the old one has its overlap"
    shared.team.apply(brought_secret("own", "short"))
    shared.team.wait("ApiKey", "alice", "InvalidKey")
    shared.check()


def test_a_key_of_ones_own_is_none_that_others_know(shared: World) -> None:
    """The address in a generated Secret is long enough, and known to the whole cluster."""
    shared.team.apply(api_key("alice"))
    shared.team.wait("ApiKey", "alice", "Issued")
    url = shared.team.values("alice-key")["OPENAI_BASE_URL"]
    reference = {"secretKeyRef": {"name": "alice-key", "key": "OPENAI_BASE_URL"}}
    shared.team.apply(api_key("bob", valueFrom=reference))
    found = shared.team.wait("ApiKey", "bob", "InvalidKey")
    assert "was made by the operator" in condition(found, "Ready")["message"]
    copy = brought_secret("copy", url)
    shared.team.apply(copy)
    reference = {"secretKeyRef": {"name": "copy", "key": "value"}}
    shared.team.apply(api_key("carol", valueFrom=reference))
    found = shared.team.wait("ApiKey", "carol", "InvalidKey")
    assert "URL" in condition(found, "Ready")["message"]
    shared.team.apply(brought_secret("copy", secrets.token_urlsafe(40)))
    shared.team.wait("ApiKey", "carol", "Issued")
    for label in ("app.kubernetes.io/managed-by", "faregate.dev/apikey"):
        mark = {"app.kubernetes.io/managed-by": "faregate-operator"}.get(label, "somebody")
        labels = {"faregate.dev/key": "true", label: mark}
        shared.team.apply({**copy, "metadata": {"name": "copy", "labels": labels}})
        shared.team.wait("ApiKey", "carol", "InvalidKey")
        shared.team.apply(brought_secret("copy", secrets.token_urlsafe(40)))
        shared.team.wait("ApiKey", "carol", "Issued")
    assert shared.row("bob") is None
    assert not shared.is_usable("carol", url)
    shared.check()


def test_a_secret_of_ones_own_that_becomes_a_generated_one_is_not_read_any_more(
    shared: World,
) -> None:
    reference = {"secretKeyRef": {"name": "own", "key": "OPENAI_API_KEY"}}
    own = brought_secret("own", "")
    own["stringData"] = {"OPENAI_API_KEY": secrets.token_urlsafe(40)}
    shared.team.apply(own)
    shared.team.apply(api_key("alice", valueFrom=reference))
    shared.team.wait("ApiKey", "alice", "Issued")
    shared.team.delete("Secret", "own")
    shared.team.wait("ApiKey", "alice", "SecretNotFound")
    shared.team.apply(api_key("bob", secretName="own"))
    shared.team.wait("ApiKey", "bob", "Issued")
    shared.team.wait("ApiKey", "alice", "InvalidKey")
    assert not shared.is_usable("alice", shared.plaintext("own"))
    shared.check()


def test_one_key_belongs_to_one_object(shared: World) -> None:
    plaintext = generate_key()
    PLAINTEXTS.add(plaintext)
    shared.team.apply(brought_secret("own", plaintext))
    reference = {"secretKeyRef": {"name": "own", "key": "value"}}
    shared.team.apply(api_key("alice", valueFrom=reference))
    shared.team.wait("ApiKey", "alice", "Issued")
    shared.team.apply(api_key("bob", account="bob", valueFrom=reference))
    found = shared.team.wait("ApiKey", "bob", "DuplicateCredential")
    assert f"{shared.team.namespace}/alice" in condition(found, "Ready")["message"]
    shared.check()


def test_a_key_of_another_namespace_is_not_named(shared: World) -> None:
    plaintext = generate_key()
    PLAINTEXTS.add(plaintext)
    reference = {"secretKeyRef": {"name": "own", "key": "value"}}
    other = shared.with_team()
    try:
        for place, name in ((shared.team, "secret-project"), (other.team, "curious")):
            place.apply(brought_secret("own", plaintext))
            place.apply(api_key(name, valueFrom=reference))
            place.wait("ApiKey", name, "Issued" if place is shared.team else "DuplicateCredential")
        seen = [*other.team.list("ApiKey"), *other.team.list("Event")]
        assert "another ApiKey of the installation has the same key" in str(seen)
        assert "secret-project" not in str(seen)
        assert shared.team.namespace not in str(seen)
    finally:
        other.leave()


def test_a_deleted_key_is_revoked_before_its_object_goes(shared: World) -> None:
    shared.team.apply(api_key("alice"))
    shared.team.wait("ApiKey", "alice", "Issued")
    plaintext = shared.plaintext("alice-key")
    shared.team.delete("ApiKey", "alice")
    shared.team.wait_gone("ApiKey", "alice")
    assert not shared.is_usable("alice", plaintext)
    row = shared.row("alice")
    assert row is not None
    assert row.revoked
    shared.check()


def test_an_object_made_anew_has_a_new_key(shared: World) -> None:
    shared.team.apply(api_key("alice"))
    shared.team.wait("ApiKey", "alice", "Issued")
    first = shared.plaintext("alice-key")
    shared.team.delete("ApiKey", "alice")
    shared.team.wait_gone("ApiKey", "alice")
    shared.team.apply(api_key("alice"))
    shared.team.wait("ApiKey", "alice", "Issued")
    assert shared.plaintext("alice-key") != first, "a revoked key never comes back"
    assert not shared.is_usable("alice", first)
    shared.check()


def test_a_key_that_lost_its_object_is_suspended_and_comes_back(world: World) -> None:
    """As after a restored backup: the finalizer never ran."""
    operator = world.operator(sweep_seconds="1")
    world.team.apply(api_key("alice"))
    world.team.wait("ApiKey", "alice", "Issued")
    plaintext = world.plaintext("alice-key")
    operator.kill()
    world.team.patch("ApiKey", "alice", {"metadata": {"finalizers": None}})
    world.team.delete("ApiKey", "alice")
    world.team.wait_gone("ApiKey", "alice")
    world.operator(sweep_seconds="1")
    wait_until(lambda: not world.is_usable("alice", plaintext), "the orphan to be suspended")
    row = world.row("alice")
    assert row is not None
    assert not row.revoked, "it is not revoked: its object may come back"
    world.team.apply(api_key("alice"))
    world.team.wait("ApiKey", "alice", "Issued")
    assert world.is_usable("alice", world.plaintext("alice-key"))
    world.check()


def test_many_keys_without_objects_wait_for_a_word(world: World) -> None:
    operator = world.operator(sweep_seconds="1")
    names = [f"key-{number}" for number in range(5)]
    for name in names:
        world.team.apply(api_key(name))
    for name in names:
        world.team.wait("ApiKey", name, "Issued")
    plaintexts = {name: world.plaintext(f"{name}-key") for name in names}
    for name in ("calm", "calm-too"):
        world.system.apply(api_key(name))
        world.system.wait("ApiKey", name, "Issued")
    operator.kill()
    world.system.patch("ApiKey", "calm", {"metadata": {"finalizers": None}})
    world.system.delete("ApiKey", "calm")
    for name in names[:3]:
        world.team.patch("ApiKey", name, {"metadata": {"finalizers": None}})
        world.team.delete("ApiKey", name)
    world.operator(sweep_seconds="1")
    world.system.eventually(
        lambda: "OrphanedKeys" in {one["reason"] for one in world.system.list("Event")},
        "the operator to ask",
    )
    suspended = "SELECT string_agg(name, ' ') FROM api_key WHERE suspended"
    assert world.scalar(suspended) == "calm", "another namespace does not wait for them"
    assert all(world.is_usable(name, plaintexts[name]) for name in names)
    confirmed = {"metadata": {"annotations": {"operator.faregate.dev/confirm-orphans": "3"}}}
    world.system.patch("Secret", "faregate-installation", confirmed)
    wait_until(
        lambda: not any(world.is_usable(name, plaintexts[name]) for name in names[:3]),
        "the orphans to be suspended",
    )
    assert all(world.is_usable(name, plaintexts[name]) for name in names[3:])
    world.check()
