"""A statement with what the accounts below were charged: from the sums of usage, not the ledger."""

from datetime import UTC, datetime

from msgspec.structs import replace

from gateway.core.statement import Below, BelowLine, Period, PeriodError, Statement, stamp
from gateway.core.usage import UsageLine, read_query
from gateway.store.database import Database
from gateway.store.statement_reader import StatementReader
from gateway.store.usage_reader import GROUPS_MAX, UsageReader


class TreeStatementReader:
    """One statement being read, then the accounts below, in the tree as it is then.

    Raises `PeriodError` for a period of which usage keeps no sums.
    """

    def __init__(self, account_id: int, account: str, period: Period) -> None:
        query = read_query(
            datetime.now(UTC),
            begin=stamp(period.begin),
            end=stamp(period.end),
            group_by="account",
        )
        self._account = account
        self._own = StatementReader(account_id, account, period)
        self._usage = UsageReader(account_id, query)
        self._statement: Statement | None = None
        self._lines: list[BelowLine] = []

    def advance(self, database: Database) -> Statement | None:
        """Read one slice more; the statement when there is none left.

        Raises `PeriodError`, also for too many accounts below, and `DatabaseUnavailable`; then the
        slice may be read once more.
        """
        if self._statement is None:
            self._statement = self._own.advance(database)
            return None
        lines = self._usage.advance(database)
        if lines is not None:
            self._add(lines)
            return None
        below = Below(
            self._usage.complete_until, sorted(self._lines, key=lambda line: line.account)
        )
        return replace(self._statement, below=below)

    def _add(self, lines: list[UsageLine]) -> None:
        for line in lines:
            if line.account is not None and line.account != self._account:
                sums = line.sums
                self._lines.append(BelowLine(line.account, -sums.charged, sums.refunded))
        if len(self._lines) > GROUPS_MAX:
            raise PeriodError(
                f"more than {GROUPS_MAX} accounts below were charged: ask for their usage, by day"
                " and account and as CSV",
                "below",
            )
