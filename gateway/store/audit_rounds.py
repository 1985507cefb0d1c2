"""The audit beside running gateways: each round counts what was booked since the round before.

A checkpoint states of an account: its entries up to this id have this sum. A round looks, in one
snapshot, at each account's entries beyond its checkpoint, and compares with its balance.

No entry can appear below a checkpoint: a transaction that books an entry locks the account's row
before the entry gets its id, and holds the lock until the commit (`ledger_postgres`, `accounts`,
`leases`). So of *one* account the order of the ids is the order of the commits, and a snapshot that
sees an entry sees all entries of the account with lower ids. Over several accounts that does not
hold, so the checkpoint is the account's own. Entry and balance change in one transaction: a
snapshot sees both or none of them, and never a difference that is none.

Entries are counted in slices, and what is counted is kept: one account may have more of them than
any statement or round has time for. A slice of each comes first, so none waits for the largest.
Entries below a checkpoint are counted again from zero, a few accounts a round, in slices as well.
An entry that is wrong is found by each round: no checkpoint moves beyond it. An account that is
wrong as a whole is counted from zero by the next round, and until it is right.

Only for PostgreSQL: a database of one process is audited as a whole (`gateway.store.audit`).
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from time import monotonic

from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import text
from sqlmodel import Session

from gateway.store.audit_slices import (
    ACCOUNTS_AT_ONCE,
    Checkpoint,
    Finding,
    Slice,
    check_accounts,
    check_holds,
    check_slices,
    count_again_soon,
    forget,
    keep_again,
    keep_news,
    pages_of_news,
    read_due,
    read_slices,
)
from gateway.store.database import Database


class AuditRound(Struct, frozen=True):
    """The findings and the counts of one round. `entries` is how many it read, `recounted` the
    accounts from zero."""

    findings: tuple[Finding, ...]
    accounts: int
    recounted: int
    entries: int
    open_holds: int

    @property
    def drift(self) -> int:
        """Credits by which the books are wrong; 0 when they are right."""
        return sum(finding.credits for finding in self.findings)


#: each account reads its own piece of the index; other plans would read the whole ledger, and to
#: compile one would take longer than to carry it out
_PLAN = tuple(
    f"SET LOCAL {way} = off"
    for way in ("enable_seqscan", "enable_hashjoin", "enable_mergejoin", "jit")
)

#: of one statement; others that audit or change the schema are waited for as long
_STATEMENT_SECONDS = 60
_LOCK_SECONDS = 10
#: the most that a round may spend on counting, however seldom there is one: its snapshot keeps the
#: database from tidying up, and an operator that ends waits for it
_COUNT_SECONDS = 30

_SIZES = """
SELECT (SELECT count(*) FROM account WHERE installation = :installation),
       (SELECT count(*) FROM hold h JOIN account a ON a.id = h.account_id
        WHERE a.installation = :installation)
"""


def audit_round(
    database: Database, installation: str, *, round_seconds: float, recount_seconds: float
) -> AuditRound:
    """One round over the accounts of an installation, in one snapshot.

    Rounds are `round_seconds` apart; each account is counted from zero once in `recount_seconds`.
    A round counts for half of its time, or `_COUNT_SECONDS`. Raises `DatabaseUnavailable`, also
    where another auditor is at work.
    """
    until = monotonic() + min(round_seconds / 2, _COUNT_SECONDS)
    with database.write(snapshot=True) as session:
        # Neither of these takes the snapshot: it is newer than the last round's checkpoints.
        database.allow(session, _STATEMENT_SECONDS)
        session.execute(text(f"SET LOCAL lock_timeout = '{_LOCK_SECONDS}s'"))
        session.execute(text("LOCK TABLE audit_checkpoint IN SHARE ROW EXCLUSIVE MODE"))
        for setting in _PLAN:
            session.execute(text(setting))
        count = _Count(session, until)
        if count.count_news(installation):  # else no account's balance could be compared
            share = round_seconds / recount_seconds
            due = read_due(session, installation, seconds=recount_seconds, share=share)
            count.count_again(due)
        count.note(check_accounts(session, count.recounted))
        count.note(check_holds(session, installation))
        count.mark_wrong()
        accounts, holds = session.execute(text(_SIZES), {"installation": installation}).one()
        return AuditRound(
            findings=(*count.differing.values(), *count.findings),
            accounts=accounts,
            recounted=len(count.recounted),
            entries=count.entries,
            open_holds=holds,
        )


class _Count:
    """One round's counting."""

    def __init__(self, session: Session, until: float) -> None:
        self._session = session
        self._until = until
        self.entries = 0
        #: accounts whose balance is not the sum of their entries, and what else is wrong
        self.differing: dict[int, Finding] = {}
        self.findings: list[Finding] = []
        self._wrong: set[int] = set()
        #: accounts whose count from zero has come to its end, and those where it began just now
        self.recounted: set[int] = set()
        self._from_zero: set[int] = set()

    @property
    def _is_late(self) -> bool:
        return monotonic() > self._until

    def note(self, findings: Iterable[Finding]) -> None:
        for finding in findings:
            self.findings.append(finding)
            self._wrong.add(finding.account_id)

    def count_news(self, installation: str) -> bool:
        """Count what lies beyond the checkpoints; whether there was time for all of it.

        Of each account a slice first, then the rest of those that have more.
        """
        waiting: deque[Checkpoint] = deque()
        for page in pages_of_news(self._session, installation):
            self._from_zero.update(one.account_id for one in page if not one.is_known)
            for batch in _batches(page):
                waiting.extend(self._count_news(batch))
                if self._is_late:
                    return False
        while waiting:
            waiting.extend(self._count_news(_take(waiting)))
            if self._is_late:
                return not waiting
        return True

    def count_again(self, due: Iterable[Checkpoint]) -> None:
        """Go on with counting accounts from zero, up to their checkpoints; always with some.

        Not where the checkpoint stays before an entry that is wrong.
        """
        waiting = deque(one for one in due if one.account_id not in self._wrong)
        self._from_zero.update(one.account_id for one in waiting if not one.again_id)
        while waiting:
            waiting.extend(self._count_again(_take(waiting)))
            if self._is_late:
                return

    def mark_wrong(self) -> None:
        """Have the next rounds count the wrong accounts from zero, until they are right."""
        wrong = self._wrong | self.differing.keys()
        whole = wrong & self._from_zero & self.recounted
        forget(self._session, whole)
        count_again_soon(self._session, wrong - whole)

    def _count_news(self, places: Sequence[Checkpoint]) -> list[Checkpoint]:
        """A slice of each, kept where nothing is wrong in it; those of which there is more."""
        slices = self._read(places, again=False)
        more: list[Checkpoint] = []
        kept: list[Checkpoint] = []
        for before, one in zip(places, slices, strict=True):
            place = replace(before, entry_id=one.last, credits=before.credits + one.credits)
            if one.account_id not in self._wrong:
                kept.append(place)
            if not one.is_last:
                more.append(place)
                continue
            if not place.is_known:
                self.recounted.add(place.account_id)
            self._compare(place, place.credits)
        keep_news(self._session, kept)
        return more

    def _count_again(self, places: Sequence[Checkpoint]) -> list[Checkpoint]:
        """The same, once more; where something is wrong, the checkpoint falls back to before it."""
        slices = self._read(places, again=True)
        more: list[Checkpoint] = []
        ended: list[Checkpoint] = []
        for before, one in zip(places, slices, strict=True):
            place = replace(
                before, again_id=one.last, again_credits=before.again_credits + one.credits
            )
            if one.is_last:
                self.recounted.add(place.account_id)
                self._compare(place, place.again_credits, place.credits)
            if one.account_id in self._wrong:
                ended.append(before)
            elif one.is_last:
                ended.append(replace(place, again_id=place.entry_id))
            else:
                more.append(place)
        keep_again(self._session, more)
        keep_again(self._session, ended, ended=True)
        return more

    def _read(self, places: Sequence[Checkpoint], *, again: bool) -> list[Slice]:
        slices = read_slices(self._session, places, again=again)
        self.entries += sum(one.entries for one in slices)
        self.note(check_slices(self._session, slices))
        return slices

    def _compare(self, place: Checkpoint, credits: int, before: int | None = None) -> None:
        """Hold an account's balance against all of its entries, `before` what they were once."""
        self.differing.pop(place.account_id, None)
        if place.balance != credits:
            sentence = f"{place.account} has a balance of {place.balance} but entries of {credits}"
            wrong = abs(place.balance - credits)
        elif before is not None and before != credits:
            sentence = (
                f"old entries of {place.account} were changed, and its balance with them:"
                f" they were {before} credits and are {credits}"
            )
            wrong = abs(before - credits)
        else:
            return
        self.differing[place.account_id] = Finding(place.account_id, wrong, sentence)


def _batches(places: Sequence[Checkpoint]) -> Iterator[Sequence[Checkpoint]]:
    for start in range(0, len(places), ACCOUNTS_AT_ONCE):
        yield places[start : start + ACCOUNTS_AT_ONCE]


def _take(waiting: deque[Checkpoint]) -> list[Checkpoint]:
    return [waiting.popleft() for _ in range(min(len(waiting), ACCOUNTS_AT_ONCE))]
