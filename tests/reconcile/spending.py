"""Credits spent as a gateway spends them, and an operator's metrics as Prometheus reads them."""

import asyncio
import itertools

from prometheus_client.parser import text_string_to_metric_families

from gateway.store.key_rows import KeyState
from gateway.store.key_uses import note_use
from gateway.store.ledger import Charge, End
from gateway.store.ledger_postgres import PostgresLedger
from tests.harness.plain import get
from tests.reconcile.world import Operator, World

_NUMBERS = itertools.count(1)


def spend(world: World, name: str, credits: int) -> None:
    """One request by a key, charged and ended, and the key noted as used."""
    row = world.row(name)
    assert row is not None
    asyncio.run(_spend(world, row, credits))
    note_use(world.database, [row.id])


async def _spend(world: World, row: KeyState, credits: int) -> None:
    asked = "SELECT account_id FROM api_key WHERE id = :id"
    assert row.newest_hash is not None
    charge = Charge(
        request_id=f"req_spent_{next(_NUMBERS)}",
        account_id=world.scalar(asked, id=row.id),
        api_key_id=row.id,
        key_hash=row.newest_hash,
        credits=credits,
        model="kimi-k2.5",
        route="chat",
    )
    ledger = PostgresLedger(world.url, "replica_spending", behind_seconds=0.01)
    condition = await ledger.charge(charge)
    assert condition.outcome == "charged", condition
    ledger.end(End(charge.request_id, None))
    await ledger.drain()


def read_metrics(operator: Operator) -> dict[tuple[str, ...], float]:
    """All samples: the name, and `label=value` in order."""
    answer = get(f"http://127.0.0.1:{operator.port}/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    found: dict[tuple[str, ...], float] = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            labels = sorted(f"{name}={value}" for name, value in sample.labels.items())
            found[sample.name, *labels] = sample.value
    return found
