"""The operator's process: what it refuses to start with, and what its probes report."""

import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from gateway.store import migrate
from gateway.store.database import Database
from tests.harness.apiserver import ApiServer
from tests.harness.gateway import wait_until
from tests.harness.postgres import PostgresServer
from tests.reconcile.objects import api_key, credit_grant
from tests.reconcile.resources import allow, remove_definition
from tests.reconcile.world import MakeWorld, World


def _starts_not(world: World, **settings: Any) -> str:
    """The last words of an operator that ends instead of starting."""
    with pytest.raises(AssertionError):
        world.operator(**settings)
    operator = world.operators[-1]
    assert operator.wait() != 0
    return operator.log_text()


def test_another_installation_secret_stops_the_start(world: World) -> None:
    world.operator().kill()
    other = {"stringData": {"secret": secrets.token_hex(32)}}
    world.system.patch("Secret", "faregate-installation", other)
    verdict = _starts_not(world)
    assert "installation secret" in verdict
    assert "Traceback" not in verdict


def test_a_lost_installation_secret_is_not_made_anew(world: World) -> None:
    world.operator().kill()
    world.system.delete("Secret", "faregate-installation")
    verdict = _starts_not(world)
    assert "faregate-installation" in verdict
    assert world.system.get("Secret", "faregate-installation") is None


def test_a_setting_that_does_not_exist_stops_the_start(world: World) -> None:
    assert "FAREGATE_SWEEP_MINUTES" in _starts_not(world, sweep_minutes="5")


def test_probes_know_a_living_operator(world: World) -> None:
    operator = world.operator(sweep_seconds="1")
    assert operator.probe("healthz") == httpx.codes.OK
    assert operator.probe("readyz") == httpx.codes.OK
    assert operator.stop() == 0


def test_a_step_of_the_schema_that_takes_long_is_left_to_end(
    world: World, postgres_server: PostgresServer
) -> None:
    """It waits here for somebody else's; three sweeps' time is all that a silent operator has."""
    world.url = postgres_server.create_database()
    world.change_url(world.url)
    lock = text("SELECT pg_advisory_xact_lock(:lock)")
    # Only what migrates may sit in a transaction for as long as that.
    patient = Database(world.url, timeouts=False)
    with ThreadPoolExecutor() as threads, patient.engine.connect() as other:
        other.execute(lock, {"lock": migrate._LOCK})
        started = threads.submit(world.operator, sweep_seconds="1")
        wait_until(
            lambda: bool(world.operators) and world.operators[-1].probe("readyz") is not None,
            "the probes to answer",
        )
        late = time.monotonic() + 4  # the first answer of liveness is given again for a while
        wait_until(lambda: time.monotonic() > late, "the sweep to be late")
        assert world.operators[-1].probe("healthz") == httpx.codes.OK
        assert world.operators[-1].probe("readyz") != httpx.codes.OK
        other.commit()
        started.result()
    patient.close()


def test_liveness_fails_when_the_watch_brings_nothing(world: World) -> None:
    """The heartbeat is a Secret: one who may write but not watch it does not see it come back."""
    kubeconfig = allow(world.server, "blind-operator", blind=True)
    operator = world.operator(kubeconfig=kubeconfig, sweep_seconds="1", silence_seconds="3")
    wait_until(lambda: operator.probe("healthz") not in (None, 200), "liveness to fail", 30)
    assert operator.probe("readyz") == httpx.codes.OK, "a blind operator has compared everything"


def test_an_api_server_that_is_away_is_no_reason_to_start_anew(
    own_api_server: ApiServer, postgres_server: PostgresServer, make_world: MakeWorld
) -> None:
    world = make_world(own_api_server, postgres_server)
    operator = world.operator(sweep_seconds="1", silence_seconds="15")
    own_api_server.stop()
    silent = time.monotonic() + 5
    wait_until(lambda: time.monotonic() > silent, "five sweeps to fail")
    assert operator.probe("healthz") == httpx.codes.OK
    own_api_server.start()
    world.team.apply(api_key("alice"))
    world.check()


def test_finalizers_are_released_and_keys_stay_valid(world: World) -> None:
    operator = world.operator()
    world.team.apply(api_key("alice"))
    world.team.apply(credit_grant("welcome"))
    world.check()
    plaintext = world.plaintext("alice-key")
    found = world.team.get("ApiKey", "alice")
    assert found is not None
    assert found["metadata"]["finalizers"] == ["faregate.dev/revoke"]
    grant = world.team.get("CreditGrant", "welcome")
    assert grant is not None
    assert "finalizers" not in grant["metadata"]
    operator.kill()
    world.release_finalizers()
    found = world.team.get("ApiKey", "alice")
    assert found is not None
    assert "finalizers" not in found["metadata"]
    assert world.is_usable("alice", plaintext)
    world.team.delete("ApiKey", "alice")
    world.team.wait_gone("ApiKey", "alice", 5)


def test_without_the_definitions_it_reports_it_and_ends(
    own_api_server: ApiServer, postgres_server: PostgresServer, make_world: MakeWorld
) -> None:
    """It would watch nothing, even when they come: a restarted one begins again."""
    world = make_world(own_api_server, postgres_server)
    remove_definition(own_api_server, "creditgrants")
    verdict = _starts_not(world)
    assert "the API server knows no CreditGrant" in verdict
    assert "Traceback" not in verdict
