"""A gateway that looks as if three teams had used it for a month."""

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import bindparam, text
from sqlmodel import Session, col, select, update

from gateway.store.columns import UtcDateTime
from gateway.store.console_tables import BindingRow
from gateway.store.database import Database
from gateway.store.people import Identity, keep_person
from gateway.store.request_tables import RequestUsage
from gateway.store.tables import Account, ApiKeyRow, ApiKeyUse, CreditGrantRow, Entry
from gateway.store.usage_rounds import count_usage
from tests.harness.books import INSTALLATION
from tests.harness.dialects import PATHS, body
from tests.harness.gateway import (
    NAMESPACE,
    GatewayProcess,
    Simulated,
    api_key,
    credit_grant,
    fleet,
)

_DAYS = 30
_MODELS = ("kimi-k2.5", "kimi-k2-thinking", "qwen3-coder")
_ROUTES = ("chat", "chat", "messages", "responses")
#: one in so many requests fails, and is given back
_FAILS = 40
_PEOPLE = (
    ("Chen Wei", "chen.wei@example.com", "research"),
    ("Tina Okafor", "tina.okafor@example.com", "research"),
    ("Marek Nowak", "marek.nowak@example.com", "support"),
)


@contextmanager
def lived_in(folder: Path) -> Iterator[GatewayProcess]:
    """A running gateway, for `live_a_month`; people may make keys in it before."""
    upstream = Simulated(folder)
    gateway = GatewayProcess(folder, _documents(upstream.url))
    try:
        upstream.start()
        gateway.start()
        yield gateway
    finally:
        gateway.kill()
        upstream.kill()


def _documents(upstream_url: str) -> list[dict[str, Any]]:
    models = [{"id": each, "upstream": "main", "upstreamModel": each} for each in _MODELS]
    soon = f"{datetime.now().astimezone() + timedelta(days=19):%Y-%m-%dT00:00:00Z}"
    return [
        fleet(upstream_url, models=models, console={"grants": True}),
        api_key("agents", "research", limits={"creditsPerDay": 5000}),
        api_key("batch", "research", models=["kimi-k2.5"]),
        api_key("helpdesk", "support"),
        api_key("newcomer", "playground"),
        credit_grant("q4", "research", credits=60_000, reason="Fourth quarter", expiresAt=soon),
        credit_grant("seed", "research", credits=20_000, reason="Seed of the new project"),
        credit_grant("support", "support", credits=18_000, reason="Fourth quarter"),
    ]


def live_a_month(gateway: GatewayProcess) -> None:
    """Write what a month leaves behind, as the ledger writes it; then answer some requests."""
    chance = random.Random(4)
    database = Database(gateway.database_url)
    with database.write() as session:
        now = database.now(session)
        start = now - timedelta(days=_DAYS)
        session.execute(update(ApiKeyRow).values(created_at=start))
        session.execute(update(CreditGrantRow).values(posted_at=start))
        session.execute(update(Entry).values(created_at=start))
        _charge(session, _requests(session, "research", 1400, start, now, chance))
        _charge(session, _requests(session, "support", 500, start, now, chance))
        _sign_in_people(session, now)
    database.close()
    for name in ("agents", "helpdesk"):
        headers = {"authorization": f"Bearer {gateway.key(name)}"}
        answer = gateway.http.post(PATHS["chat"], json=body("chat", "Hello"), headers=headers)
        assert answer.status_code == 200, answer.text


def count(gateway: GatewayProcess) -> None:
    """Bring the sums of usage up to the last entry."""
    database = Database(gateway.database_url)
    while not count_usage(database, INSTALLATION).is_complete:
        pass
    database.close()


def _requests(
    session: Session,
    account: str,
    number: int,
    start: datetime,
    now: datetime,
    chance: random.Random,
) -> list[dict[str, Any]]:
    """Requests of an account, oldest first; fewer on some days than on others."""
    row = session.exec(select(Account).where(Account.name == account)).one()
    keys = session.exec(select(ApiKeyRow).where(ApiKeyRow.account_id == row.id)).all()
    busy = [0.25 if (start + timedelta(days=day)).weekday() > 4 else 1.0 for day in range(_DAYS)]
    days = sorted(chance.choices(range(_DAYS), busy, k=number))
    moments = sorted(start + timedelta(days=day + chance.betavariate(3, 3)) for day in days)
    return [
        {
            "account": row.id,
            "request": f"req_{chance.getrandbits(80):020x}",
            "key": _one(chance, keys),
            "model": _one(chance, _MODELS),
            "route": chance.choice(_ROUTES),
            "credits": chance.randint(4, 60),
            "input": chance.randint(200, 9000),
            "output": chance.randint(40, 1800),
            "at": moment,
            "fails": chance.randrange(_FAILS) == 0,
        }
        for moment in moments
        if moment < now
    ]


def _one(chance: random.Random, things: Sequence[Any]) -> Any:
    """One of these; the first are the likeliest."""
    weights = [3.0 / (place + 1) for place in range(len(things))]
    (thing,) = chance.choices(things, weights)
    return thing.id if isinstance(thing, ApiKeyRow) else thing


def _charge(session: Session, requests: list[dict[str, Any]]) -> None:
    entries = []
    used = 0
    for each in requests:
        entries.append({**each, "kind": "charge", "credits": -each["credits"]})
        if each["fails"]:
            entries.append({**each, "kind": "refund"})
            continue
        used += each["credits"]
        session.add(
            RequestUsage(
                request_id=each["request"],
                input_tokens=each["input"],
                cached_tokens=each["input"] // 3,
                output_tokens=each["output"],
                reasoning_tokens=each["output"] // 4,
            )
        )
    insert = text(
        "INSERT INTO entry (account_id, kind, credits, request_id, api_key_id, model, route,"
        " created_at) VALUES (:account, :kind, :credits, :request, :key, :model, :route, :at)"
    ).bindparams(bindparam("at", type_=UtcDateTime()))
    session.execute(insert, entries)
    for key in {each["key"] for each in requests}:
        last = max(each["at"] for each in requests if each["key"] == key)
        session.add(ApiKeyUse(api_key_id=key, used_at=last))
    account = requests[0]["account"]
    session.execute(
        update(Account).where(col(Account.id) == account).values(balance=Account.balance - used)
    )
    # The grant that expires next is used first, and it is large enough.
    lots = select(CreditGrantRow).where(CreditGrantRow.account_id == account)
    first = session.exec(lots.order_by(col(CreditGrantRow.expires_at).is_(None))).first()
    assert first is not None
    assert first.remaining > used
    first.remaining -= used


def _sign_in_people(session: Session, now: datetime) -> None:
    for number, (name, email, account) in enumerate(_PEOPLE):
        identity = Identity("https://id.example.com", f"u-{number}", name, email)
        before = now - timedelta(hours=7 * number + 1)
        person = keep_person(session, INSTALLATION, identity, before)
        session.add(
            BindingRow(
                person_id=person,
                namespace=NAMESPACE,
                account=account,
                role="member",
                made_at=before,
                made_by="example",
            )
        )
