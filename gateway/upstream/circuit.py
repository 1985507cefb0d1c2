"""When an upstream may be asked: pure, with time handed in, in seconds.

    closed ── failures in a row ──▶ open ── a trial is answered ──▶ closed
                                     └── a trial fails ──▶ open, for twice as long

While it is open one request may go after each pause, whatever became of the one before: so a trial
that is slow, or whose client left, closes the way to nobody. An upstream that asked for a pause of
its own is given it in either state, and after it everybody may go.
"""

PAUSE_SECONDS_MIN = 1.0
PAUSE_SECONDS_MAX = 30.0
#: no upstream is left alone for longer, whatever it asked for
ASKED_SECONDS_MAX = 60.0


class Circuit:
    """One upstream's, as one replica sees it. `failures_max` in a row open it; 0 never does."""

    __slots__ = ("_asked_until", "_failures_max", "_pause", "_trial_at", "failures", "is_open")

    def __init__(self, failures_max: int) -> None:
        self._failures_max = failures_max
        #: in a row
        self.failures = 0
        self.is_open = False
        self._pause = PAUSE_SECONDS_MIN
        self._trial_at = 0.0
        self._asked_until = 0.0

    @property
    def is_calm(self) -> bool:
        """Whether anybody may go, so that nothing else needs to be looked at."""
        return not (self.is_open or self._asked_until)

    def wait(self, now: float) -> float:
        """Seconds until a request may go; 0.0 when one may."""
        if self._asked_until and now >= self._asked_until:
            self._asked_until = 0.0
        return max(0.0, self._asked_until - now, self._trial_at - now if self.is_open else 0.0)

    def admit(self, now: float) -> bool:
        """A request goes, as `wait` allowed; says whether it is a trial."""
        if self.is_open:
            self._trial_at = now + self._pause
        return self.is_open

    def succeed(self) -> None:
        """The upstream answered."""
        self.failures = 0
        self.is_open = False
        self._pause = PAUSE_SECONDS_MIN

    def fail(self, now: float, was_trial: bool, asked_seconds: float | None) -> None:
        """The upstream failed, and perhaps asked for a pause.

        What fails of those that went before it opened changes nothing.
        """
        if not self._failures_max:
            return
        if asked_seconds:
            until = now + min(asked_seconds, ASKED_SECONDS_MAX)
            self._asked_until = max(self._asked_until, until)
        self.failures += 1
        if self.is_open and was_trial:
            self._pause = min(2 * self._pause, PAUSE_SECONDS_MAX)
            self._trial_at = now + self._pause
        elif not self.is_open and self.failures >= self._failures_max:
            self.is_open = True
            self._trial_at = now + self._pause
