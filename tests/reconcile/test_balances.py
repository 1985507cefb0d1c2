"""ApiKeys show credits and use, Events report that few are left, and both cost little."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from sqlalchemy import text

from gateway.store.balances import KeyBalance, mark_of
from gateway.store.migrate import migrate
from gateway_operator.apply.balances import Balances
from gateway_operator.plan.balances import ShownFigures, choose_writes, is_worth_writing
from tests.reconcile.objects import api_key, condition, credit_grant
from tests.reconcile.parts import open_context
from tests.reconcile.spending import read_metrics, spend
from tests.reconcile.world import Operator, World

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def reported(world: World, name: str = "alice") -> list[str]:
    """The Events on credits that an ApiKey has, in any order."""
    return sorted(
        event["reason"]
        for event in world.team.list("Event")
        if event["involvedObject"]["name"] == name and event["reason"].startswith("Credits")
    )


def key(balance: int = 1000, used_at: datetime | None = None, name: str = "alice") -> KeyBalance:
    return KeyBalance("team", name, "uid", 1, balance, 1000, used_at)


@pytest.mark.parametrize(
    ("balance", "granted", "mark"),
    [
        (201, 1000, 0),
        (200, 1000, 80),
        (50, 1000, 95),
        (51, 1000, 80),
        (1, 1000, 95),
        (0, 1000, 100),
        (0, 0, 0),
        (7, 0, 0),
        (1, 3, 0),
        (1200, 1000, 0),
        (10**17, 10**18, 80),
    ],
)
def test_the_marks_of_what_is_used(balance: int, granted: int, mark: int) -> None:
    assert mark_of(balance, granted) == mark


@pytest.mark.parametrize(
    ("now", "shown", "worth"),
    [
        (key(), ShownFigures("uid"), True),
        (key(), ShownFigures("uid", 1000), False),
        (key(991), ShownFigures("uid", 1000), False),
        (key(990), ShownFigures("uid", 1000), True),
        (key(199), ShownFigures("uid", 201), True),
        (key(0), ShownFigures("uid", 1), True),
        (key(used_at=NOW), ShownFigures("uid", 1000), True),
        (key(used_at=NOW), ShownFigures("uid", 1000, NOW - timedelta(seconds=59)), False),
        (key(used_at=NOW), ShownFigures("uid", 1000, NOW - timedelta(seconds=60)), True),
        (key(used_at=NOW), ShownFigures("uid", 1000, NOW), False),
    ],
)
def test_what_is_worth_a_write(now: KeyBalance, shown: ShownFigures, worth: bool) -> None:
    assert is_worth_writing(now, shown) is worth


def test_who_is_at_a_mark_comes_first_and_then_who_waited_longest() -> None:
    names = [("team", name) for name in ("recent", "never", "mark", "same")]
    keys = [key(500, name="recent"), key(500, name="never"), key(5, name="mark")]
    keys += [key(1000, name="same"), key(1, name="gone")]
    shown = {name: ShownFigures("uid", 1000) for name in names}
    chosen = choose_writes(keys, shown, {("team", "recent"): 9.0, ("team", "mark"): 10.0})
    assert [one.key.name for one in chosen] == ["mark", "never", "recent"]


def test_an_object_does_not_show_what_another_one_of_its_name_had() -> None:
    assert choose_writes([key()], {("team", "alice"): ShownFigures("new")}, {}) == []


def test_a_key_shows_its_balance_and_its_last_use_and_nobody_minds(world: World) -> None:
    operator = world.operator(balance_seconds="1", sweep_seconds="1")
    world.team.apply(api_key("alice"))
    world.team.apply(credit_grant("welcome", credits=1000))
    world.check()
    shows(world, 1000)
    sweeps(world, operator)  # the key's own Secret comes back through the watch, and is looked at
    worked = ("faregate_reconcile_duration_seconds_count", "kind=ApiKey")
    before = read_metrics(operator)[worked]
    handled = annotations(world)
    spend(world, "alice", 100)
    shows(world, 900)

    def was_used() -> bool:
        return "lastUsedTime" in (world.team.get("ApiKey", "alice") or {})["status"]

    world.team.eventually(was_used, "the last use to be shown", 30)
    found = world.team.get("ApiKey", "alice")
    assert found is not None
    used = datetime.fromisoformat(found["status"]["lastUsedTime"])
    assert abs(datetime.now(UTC) - used) < timedelta(minutes=1)
    assert condition(found, "Ready")["reason"] == "Issued"
    assert found["status"]["keyId"]
    spend(world, "alice", 5)  # less than one in a hundred
    sweeps(world, operator)
    again = world.team.get("ApiKey", "alice")
    assert again is not None
    assert again["metadata"]["resourceVersion"] == found["metadata"]["resourceVersion"]
    assert annotations(world) == handled
    assert read_metrics(operator)[worked] == before, "no handler and no sweep took it for work"
    world.team.patch("ApiKey", "alice", {"spec": {"suspended": True}})
    stopped = world.team.wait("ApiKey", "alice", "Suspended")
    assert stopped["status"]["balance"] == 900, "what is shown stays when a handler reports"
    marked = ("faregate_revocation_propagation_seconds_count", "stage=marked")
    assert read_metrics(operator)[marked] == 1


def sweeps(world: World, operator: Operator) -> None:
    """Wait for some sweeps that begin now."""
    swept = ("faregate_sweep_timestamp_seconds",)
    until = time.time() + 3
    world.team.eventually(lambda: read_metrics(operator)[swept] > until, "more sweeps")


def shows(world: World, balance: int) -> None:
    def holds() -> bool:
        found = world.team.get("ApiKey", "alice")
        return found is not None and found["status"].get("balance") == balance

    world.team.eventually(holds, f"a balance of {balance} to be shown")


def annotations(world: World) -> dict[str, str]:
    found = world.team.get("ApiKey", "alice")
    assert found is not None
    return dict(found["metadata"].get("annotations") or {})


def test_each_mark_is_reported_once_for_each_grant(world: World) -> None:
    operator = world.operator(balance_seconds="1")
    world.team.apply(api_key("alice"))
    world.team.apply(credit_grant("welcome", credits=1000))
    world.check()
    spend(world, "alice", 790)
    shows(world, 210)
    assert reported(world) == []
    spend(world, "alice", 10)
    world.team.eventually(lambda: reported(world) == ["CreditsLow"], "the first Event")
    operator.kill()
    spend(world, "alice", 150)
    world.operator(balance_seconds="1")
    world.team.eventually(lambda: "CreditsVeryLow" in reported(world), "the second Event")
    spend(world, "alice", 50)
    shows(world, 0)
    world.team.eventually(lambda: "CreditsUsedUp" in reported(world), "the third Event")
    assert reported(world) == ["CreditsLow", "CreditsUsedUp", "CreditsVeryLow"], "none twice"
    (event,) = (e for e in world.team.list("Event") if e["reason"] == "CreditsLow")
    assert event["message"] == (
        f"80 % of the credits of {world.team.namespace}/alice are used: 200 of 1000 are left"
    )
    world.team.apply(credit_grant("more", credits=100))
    shows(world, 100)
    spend(world, "alice", 100)
    shows(world, 0)
    world.team.eventually(
        lambda: reported(world).count("CreditsUsedUp") == 2, "a new grant's Event"
    )
    assert reported(world).count("CreditsLow") == 1, (
        "of several at once only the highest is reported"
    )
    world.check()


class Crowd:
    """Ten thousand keys in a database; some of them have objects."""

    KEYS = 10_000
    OBJECTS = 60

    def __init__(self, world: World) -> None:
        self.world = world
        migrate(world.database)
        namespace = world.team.namespace
        with world.database.write() as session:
            for statement in (
                "INSERT INTO account (installation, namespace, name, balance, granted, created_at)"
                " SELECT 'default', :namespace, 'account-' || n, 500, 1000, now()"
                " FROM generate_series(1, :keys) AS n",
                "INSERT INTO entry (account_id, kind, credits, grant_id)"
                " SELECT id, 'grant', 500, id FROM account",
                "INSERT INTO credit_grant (installation, identity, namespace, name, uid, credits,"
                " account_id, remaining, reason, payload_hash, posted_at) SELECT 'default',"
                " namespace || '/name:' || id, namespace, 'grant-' || id, '', 500, id, 500, '', '',"
                " now() FROM account ORDER BY id",
                "INSERT INTO api_key (key_id, installation, namespace, name, uid, account_id,"
                " prefix, models, suspended, generation, version, created_at)"
                " SELECT 'key_' || id, 'default', namespace, replace(name, 'account', 'key'), '',"
                " id, 'sk-', '[]', false, 0, 0, now() FROM account ORDER BY id",
                "INSERT INTO api_key_use SELECT id, now() FROM api_key",
            ):
                session.execute(text(statement), {"namespace": namespace, "keys": self.KEYS})
        for number in range(1, self.OBJECTS + 1):
            world.team.apply(api_key(f"key-{number}"))
        self.shown = {(namespace, f"key-{n}"): ShownFigures("") for n in range(1, self.KEYS + 1)}

    def status_writes(self) -> int:
        """The number of requests that the API server reports as served."""
        with self.world.server.client() as client:
            lines = client.get("/metrics", timeout=httpx.Timeout(30)).text.splitlines()
        mine = ('resource="apikeys"', 'subresource="status"', 'verb="APPLY"')
        return sum(
            int(float(line.rsplit(" ", 1)[1]))
            for line in lines
            if line.startswith("apiserver_request_total{") and all(part in line for part in mine)
        )

    async def look(self, looks: int, **settings: str) -> None:
        async with open_context(self.world, **settings) as parts:
            balances = Balances(parts, lambda: self.shown)
            for _ in range(looks):
                await balances.check()


@pytest.fixture
def crowd(world: World) -> Crowd:
    return Crowd(world)


def test_ten_thousand_keys_in_use_cost_a_few_writes_a_second(
    crowd: Crowd, capsys: pytest.CaptureFixture[str]
) -> None:
    before, began = crowd.status_writes(), time.monotonic()
    asyncio.run(crowd.look(2, balance_seconds="6", status_writes_per_second="20"))
    seconds = time.monotonic() - began
    writes = crowd.status_writes() - before
    with capsys.disabled():
        print(f"\n{crowd.KEYS} keys in use: {writes} status writes in {seconds:.1f} s")
    assert crowd.OBJECTS < writes <= 20 * seconds + 2
    assert seconds < 2 * 6 + 3, "a look ends when it is time for the next one"
    written = [one for one in crowd.world.team.list("ApiKey") if "balance" in one.get("status", {})]
    assert len(written) == crowd.OBJECTS
