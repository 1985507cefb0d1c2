"""The ledger's record of each request, account and capped key in the end."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import date

from msgspec import Struct
from sqlalchemy import text
from sqlmodel import Session

from gateway.store.audit import audit
from gateway.store.database import Database
from tests.chaos.records import number_of

_ENTRIES = """
SELECT e.id, a.name, e.kind, e.credits, e.request_id, e.idempotency_key, e.retry_count, k.name,
       CAST(e.created_at AT TIME ZONE 'UTC' AS date), EXTRACT(EPOCH FROM e.created_at)
FROM entry e JOIN account a ON a.id = e.account_id LEFT JOIN api_key k ON k.id = e.api_key_id
ORDER BY e.id
"""
_STANDING = "SELECT request_id, credits, EXTRACT(EPOCH FROM created_at) FROM standing_charge"
_RETRIES = "SELECT request_id, earlier_id, credits FROM retry"


class Booked(Struct):
    """A request's charge, its refund, and the charge of an earlier attempt that stands for it."""

    request_id: str
    account: str
    key: str
    charged: int
    charged_at: float
    refunded: int | None = None
    refunded_at: float | None = None
    #: credits that it costs less, and the number of the attempt whose charge stands for it
    covered: int = 0
    earlier: int | None = None
    #: since when its own charge stands, with how many credits and for how many attempts
    stands_at: float | None = None
    stands_with: int = 0
    stands_for: int = 0

    @property
    def net(self) -> int:
        return self.charged - (self.refunded or 0)


class Ledger:
    """Read once, when nothing is open any more."""

    def __init__(self, database: Database) -> None:
        self.findings = audit(database)
        #: by the number of the client's request
        self.booked: dict[int, Booked] = {}
        self._balances: dict[str, int] = defaultdict(int)
        self._days: dict[tuple[str, date], int] = defaultdict(int)
        self._by_id: dict[str, Booked] = {}
        self._numbers: dict[str, int] = {}
        self._charged_on: dict[str, date] = {}
        #: the most that a key had charged on one day, at any moment
        self.most_of_a_day: dict[str, int] = defaultdict(int)
        with database.read() as session:
            for row in session.execute(text(_ENTRIES)):
                self._enter(*row)
            granted = text(
                "SELECT g.name FROM credit_grant g JOIN entry e ON e.grant_id = g.id"
                " WHERE e.kind = 'grant'"
            )
            self.granted = {name for (name,) in session.execute(granted)}
            self._note_retries(session)
            self.holds = session.execute(text("SELECT count(*) FROM hold")).scalar_one()

    def _enter(
        self,
        entry_id: int,
        account: str,
        kind: str,
        credits: int,
        request_id: str | None,
        idempotency_key: str | None,
        retry_count: int | None,
        key: str,
        day: date,
        at: float,
    ) -> None:
        self._balances[account] += credits
        if self._balances[account] < 0:
            self.findings.append(f"account {account} was below zero after entry {entry_id}")
        if request_id is None:
            return
        at = float(at)
        if kind == "charge":
            number = number_of(idempotency_key, retry_count)
            if number is None:
                self.findings.append(f"{request_id} was charged, but no client sent it")
                return
            if number in self.booked:
                self.findings.append(f"{request_id} charges a request that was charged before")
            booked = Booked(request_id, account, key, -credits, at)
            self.booked[number] = self._by_id[request_id] = booked
            self._numbers[request_id] = number
            self._charged_on[request_id] = day
            self._note_day(key, day, -credits)
        elif request_id in self._by_id:
            booked = self._by_id[request_id]
            booked.refunded, booked.refunded_at = credits, at
            self._note_day(key, self._charged_on[request_id], -credits)

    def _note_retries(self, session: Session) -> None:
        for request_id, credits, at in session.execute(text(_STANDING)):
            if (booked := self._by_id.get(request_id)) is None:
                self.findings.append(f"{request_id} stands for retries and has no charge")
            else:
                booked.stands_at, booked.stands_with = float(at), credits
        for request_id, earlier_id, credits in session.execute(text(_RETRIES)):
            if (earlier := self._by_id.get(earlier_id)) is not None:
                earlier.stands_for += 1
            if (retry := self._by_id.get(request_id)) is not None:  # else it was refused
                retry.covered, retry.earlier = credits, self._numbers.get(earlier_id, -1)

    def _note_day(self, key: str, day: date, credits: int) -> None:
        self._days[key, day] += credits
        self.most_of_a_day[key] = max(self.most_of_a_day[key], self._days[key, day])

    def entries(self, number: int) -> Iterator[str]:
        """A request's entries, for its story."""
        booked = self.booked.get(number)
        if booked is None:
            yield "no entry"
            return
        yield f"charge of {booked.charged} at {booked.charged_at:.3f} as {booked.request_id}"
        if booked.earlier is not None:
            yield f"{booked.covered} credits less, since request {booked.earlier} has paid them"
        if booked.stands_at is not None:
            yield f"stands for {booked.stands_for} retries since {booked.stands_at:.3f}"
        if booked.refunded is not None:
            yield f"refund of {booked.refunded} at {booked.refunded_at:.3f}"
