"""When an upstream may be asked: pure, with time handed in, in seconds.

    closed ── failures in a row ──▶ open ── a trial is answered ──▶ closed
                                     └── a trial fails ──▶ open, for twice as long

While it is open one request may go after each pause, with any outcome of the one before: so a trial
that is slow, or whose client left, closes the way to nobody. An upstream that asked for a pause of
its own is given it in either state, and after it everybody may go.

One account may bring about nearly every failure, by what it sends. So no account closes the way to
another. Its failures are half of a row at most. Its failed trials make the pause longer for itself
alone. A pause that an upstream asks of it is its own, until the upstream asks another account for
one, too. A failure that no client can cause, handed in without an account, needs no second one.
"""

from collections.abc import Hashable

PAUSE_SECONDS_MIN = 1.0
PAUSE_SECONDS_MAX = 30.0
#: no upstream is left alone for longer, for any pause that it asked for
ASKED_SECONDS_MAX = 60.0


class CircuitBreaker:
    """One upstream's, as one replica sees it. `failures_max` in a row open it; 0 never does."""

    __slots__ = (
        "_asked_account",
        "_asked_alone_until",
        "_asked_until",
        "_failures_max",
        "_pause",
        "_probe_account",
        "_probe_at",
        "_row",
        "_share",
        "failures",
        "is_open",
    )  # fmt: skip

    def __init__(self, failures_max: int) -> None:
        self._failures_max = failures_max
        #: the part of a row that may be one account's
        self._share = (failures_max + 1) // 2
        #: failures in a row by account, None for those that no account can cause
        self._row: dict[Hashable, int] = {}
        #: those of the row that count
        self.failures = 0
        self.is_open = False
        self._pause = PAUSE_SECONDS_MIN
        self._probe_at = 0.0
        #: whose trial was the last to fail: others go before it
        self._probe_account: Hashable = None
        #: until when everybody was asked to wait: two accounts were, for that long at least
        self._asked_until = 0.0
        #: the account that was asked to wait for longest, and until when
        self._asked_account: Hashable = None
        self._asked_alone_until = 0.0

    @property
    def is_closed(self) -> bool:
        """True if the breaker is closed and no pause is active."""
        return not (self.is_open or self._asked_alone_until)

    def wait_seconds(self, now: float) -> float:
        """Seconds until some account's request may go; 0.0 when one may."""
        return max(0.0, self._asked_until - now, self._probe_at - now if self.is_open else 0.0)

    def wait_seconds_of(self, account: Hashable, now: float) -> float:
        """Seconds until a request of this account may go; 0.0 when it may."""
        seconds = self.wait_seconds(now)
        if self._asked_alone_until and now >= self._asked_alone_until:
            self._asked_until = self._asked_alone_until = 0.0
        if account == self._asked_account:
            seconds = max(seconds, self._asked_alone_until - now)
        if self.is_open and account == self._probe_account:
            seconds = max(seconds, self._probe_at + self._pause - now)
        return seconds

    def try_probe(self, now: float) -> bool:
        """A request goes, as `wait_seconds` allowed; returns True if it is a probe."""
        if self.is_open:
            self._probe_at = now + self._pause
        return self.is_open

    def succeed(self) -> None:
        """The upstream answered."""
        self._row.clear()
        self.failures = 0
        self.is_open = False
        self._pause = PAUSE_SECONDS_MIN
        self._probe_account = None

    def fail(
        self, now: float, account: Hashable, was_probe: bool, asked_seconds: float | None
    ) -> None:
        """The upstream failed a request of `account`, and perhaps asked for a pause.

        A failure of a request that went out before the circuit opened changes nothing.
        """
        if not self._failures_max:
            return
        if asked_seconds:
            self._pause_for(now, account, now + min(asked_seconds, ASKED_SECONDS_MAX))
        if self.is_open:
            if was_probe:
                self._fail_probe(now, account)
            return
        counted = self._row.get(account, 0)
        if account is None or counted < self._share:
            self._row[account] = counted + 1
            self.failures += 1
        if self.failures >= self._failures_max and (None in self._row or len(self._row) > 1):
            self.is_open = True
            self._probe_at = now + self._pause

    def _pause_for(self, now: float, account: Hashable, until: float) -> None:
        """An account was asked to wait; everybody waits for as long as another was, too."""
        if now < self._asked_alone_until and account != self._asked_account:
            self._asked_until = max(self._asked_until, min(until, self._asked_alone_until))
        if until > self._asked_alone_until:
            self._asked_account, self._asked_alone_until = account, until

    def _fail_probe(self, now: float, account: Hashable) -> None:
        if account is None or self._probe_account not in (None, account):
            self._pause = min(2 * self._pause, PAUSE_SECONDS_MAX)
        self._probe_account = account
        self._probe_at = now + self._pause
