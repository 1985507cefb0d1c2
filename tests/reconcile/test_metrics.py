"""The metrics of an operator, as Prometheus reads them, and the audit's report of wrong books."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text

from gateway_operator.apply.object_locks import ObjectLocks
from gateway_operator.cluster import ClusterUnavailable
from gateway_operator.metrics import OperatorMetrics
from gateway_operator.resources.apikey import changed_at
from tests.reconcile.objects import api_key, credit_grant
from tests.reconcile.spending import read_metrics, spend
from tests.reconcile.world import FLEET, Operator, World

_BALANCE = "faregate_account_balance_credits"
_GRANTED = "faregate_account_granted_credits"
_MARKED = ("faregate_revocation_propagation_seconds_count", "stage=marked")


def test_the_books_and_the_objects_are_in_the_metrics(world: World) -> None:
    operator = world.operator(balance_seconds="1", audit_seconds="1", sweep_seconds="2")
    found = read_metrics(operator)
    for state in ("live", "suspended", "expired", "revoked"):
        assert found["faregate_keys", f"state={state}"] == 0
    for state in ("live", "spent", "expired", "voided"):
        assert found["faregate_grants", f"state={state}"] == 0
    for kind in ("ApiKey", "CreditAllowance", "CreditGrant", "GatewayFleet"):
        assert found["faregate_reconcile_queue", f"kind={kind}"] == 0
    assert found[_MARKED] == 0
    assert found["faregate_database_up",] == 1
    world.team.apply(api_key("alice"))
    world.team.apply(api_key("bob"))
    world.team.apply(credit_grant("welcome", credits=1000))
    world.team.apply(credit_grant("conflict", credits=7, reference="same"))
    world.wait_up_to_date()
    world.team.apply(credit_grant("other", credits=8, reference="same"))
    world.check()
    spend(world, "alice", 5)
    account = f"account={world.team.namespace}/alice"
    until_metrics(operator, {(_BALANCE, account): 1002, (_GRANTED, account): 1007})
    until_metrics(
        operator,
        {
            ("faregate_keys", "state=live"): 2,
            ("faregate_grants", "state=live"): 2,
            ("faregate_objects", "kind=ApiKey", "reason=Issued"): 2,
            ("faregate_objects", "kind=CreditGrant", "reason=Posted"): 2,
            ("faregate_objects", "kind=CreditGrant", "reason=IdempotencyConflict"): 1,
            ("faregate_fleet_ready", f"fleet={FLEET}"): 0,
            ("faregate_fleet_replicas", f"fleet={FLEET}", "state=wanted"): 2,
            ("faregate_fleet_replicas", f"fleet={FLEET}", "state=ready"): 0,
            ("faregate_ledger_drift_credits",): 0,
            ("faregate_open_holds",): 0,
        },
    )
    found = read_metrics(operator)
    for moment in (
        "faregate_sweep_timestamp_seconds",
        "faregate_ledger_audit_timestamp_seconds",
        "faregate_usage_counted_timestamp_seconds",
    ):
        assert abs(found[moment,] - time.time()) < 30
    assert found["faregate_reconcile_duration_seconds_count", "kind=ApiKey"] >= 2
    assert found["process_resident_memory_bytes",] > 0
    assert any(name[0] == "faregate_build_info" for name in found)
    world.team.delete("ApiKey", "bob")
    world.team.wait_gone("ApiKey", "bob")
    until_metrics(
        operator,
        {
            ("faregate_keys", "state=revoked"): 1,
            ("faregate_objects", "kind=ApiKey", "reason=Issued"): 1,
            _MARKED: 1,
        },
    )
    spend(world, "alice", 1002)
    world.team.delete("ApiKey", "alice")
    world.team.wait_gone("ApiKey", "alice")
    gone = (_BALANCE, account)
    world.team.eventually(lambda: gone not in read_metrics(operator), "the account's series to go")
    until_metrics(operator, {("faregate_grants", "state=spent"): 2})


def until_metrics(operator: Operator, wanted: dict[tuple[str, ...], float]) -> None:
    deadline = time.monotonic() + 60
    while True:
        found = read_metrics(operator)
        wrong = {name: found.get(name) for name in wanted if found.get(name) != wanted[name]}
        if not wrong:
            return
        assert time.monotonic() < deadline, f"{wrong} instead of {wanted}"
        time.sleep(0.2)


def test_books_that_are_wrong_are_reported_once_in_each_place(world: World) -> None:
    operator = world.operator(audit_seconds="0.5")
    world.team.apply(credit_grant("welcome", credits=1000))
    world.check()
    drift = ("faregate_ledger_drift_credits",)
    until_metrics(operator, {drift: 0})
    with world.database.write() as session:
        session.execute(text("UPDATE account SET balance = balance - 17"))
    until_metrics(operator, {drift: 17})
    rounds = ("faregate_ledger_audit_timestamp_seconds",)
    later = time.time() + 2
    world.team.eventually(lambda: read_metrics(operator)[rounds] > later, "more rounds")
    seen = f"the books are wrong: {world.team.namespace}/alice has a balance of 983 but"
    assert operator.log_text().count(seen) == 1
    found = [one for one in world.system.list("Event") if one["reason"] == "LedgerDrift"]
    assert [one["involvedObject"]["name"] for one in found] == ["faregate-installation"]
    assert "wrong by 17 credits" in found[0]["message"]
    with world.database.write() as session:
        session.execute(text("UPDATE account SET balance = balance + 17"))
    until_metrics(operator, {drift: 0})
    assert "the books are right again" in operator.log_text()


def test_one_object_is_worked_on_by_one_at_a_time() -> None:
    async def story() -> None:
        metrics = OperatorMetrics()
        locks = ObjectLocks(metrics)
        at_work: list[str] = []
        go_on = asyncio.Event()

        async def work(who: str, name: str) -> None:
            async with locks.hold("ApiKey", "team", name):
                assert name not in at_work, f"{who} and another one worked on {name}"
                at_work.append(name)
                await go_on.wait()
                await asyncio.sleep(0)
                at_work.remove(name)

        names = ("alice", "bob") * 5
        tasks = [asyncio.create_task(work(f"worker {n}", name)) for n, name in enumerate(names)]
        for _ in range(20):
            await asyncio.sleep(0)
        assert sorted(at_work) == ["alice", "bob"], "different objects do not wait for each other"
        assert b'faregate_reconcile_queue{kind="ApiKey"} 10.0' in metrics.exposition()
        go_on.set()
        await asyncio.gather(*tasks)
        with pytest.raises(ClusterUnavailable):
            async with locks.hold("ApiKey", "team", "alice"):
                raise ClusterUnavailable("away")
        with pytest.raises(ValueError, match="a bug"):
            async with locks.hold("ApiKey", "team", "alice"):
                raise ValueError("a bug")
        exposed = metrics.exposition().decode()
        assert 'faregate_reconcile_queue{kind="ApiKey"} 0.0' in exposed
        errors = 'faregate_reconcile_errors_total{kind="ApiKey",reason='
        assert f'{errors}"ClusterUnavailable"}} 1.0' in exposed
        assert f'{errors}"Failed"}} 1.0' in exposed
        assert 'faregate_reconcile_duration_seconds_count{kind="ApiKey"} 12.0' in exposed

    asyncio.run(story())


def test_many_accounts_are_exposed_within_a_second() -> None:
    from gateway.store.balances import AccountBalance

    metrics = OperatorMetrics()
    metrics.read_accounts([AccountBalance(f"team/a-{n}", n, 10_000) for n in range(10_001)])
    began = time.perf_counter()
    exposed = metrics.exposition()
    assert time.perf_counter() - began < 1
    assert exposed.count(b"faregate_account_balance_credits{") == 10_001


def managed(**fields: Any) -> dict[str, Any]:
    return {"fieldsV1": {f"f:{name}": {} for name in fields}, "time": fields.popitem()[1]}


def test_the_moment_of_a_change_is_that_of_the_spec() -> None:
    spec, status = "2026-11-23T12:00:00Z", "2026-11-23T12:00:09Z"
    body = {
        "metadata": {
            "generation": 2,
            "managedFields": [managed(spec=spec), managed(status=status)],
        },
        "status": {"observedGeneration": 1},
    }
    assert changed_at(body) == datetime(2026, 11, 23, 12, tzinfo=UTC)
    body["status"] = {"observedGeneration": 2}
    assert changed_at(body) is None, "it was not the spec that made the difference"
    assert changed_at({"metadata": {"generation": 1}}) is None
