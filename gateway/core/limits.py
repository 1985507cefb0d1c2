"""Limits that one replica keeps in memory, pure: time is handed in, in seconds."""

from collections import Counter, deque


class RateLimit:
    """At most `per_minute` admissions a minute, as a bucket that refills steadily."""

    __slots__ = ("_filled_at", "_left", "per_minute")

    def __init__(self, per_minute: int, now: float) -> None:
        self.per_minute = per_minute
        self._left = float(per_minute)
        self._filled_at = now

    def admit(self, now: float) -> float:
        """Take one admission; 0.0 when there was one, else the seconds until there is."""
        rate = self.per_minute / 60
        left = self._left + (now - self._filled_at) * rate
        self._left = min(float(self.per_minute), left)
        self._filled_at = now
        if self._left >= 1.0:
            self._left -= 1.0
            return 0.0
        return (1.0 - self._left) / rate


class Window:
    """At most `most` admissions in any stretch of so many seconds."""

    __slots__ = ("_admitted", "_seconds")

    def __init__(self, most: int, seconds: float) -> None:
        self._seconds = seconds
        self._admitted: deque[float] = deque(maxlen=most)

    def admit(self, now: float) -> bool:
        """Take one admission; whether there was one."""
        admitted = self._admitted
        if len(admitted) == admitted.maxlen and now - admitted[0] < self._seconds:
            return False
        admitted.append(now)
        return True


class RefusalThrottle:
    """The delay of refusals: a client that goes on asking must not keep the loop from others.

    So many of one account in a second are answered at once, each further one a second later.
    """

    AT_ONCE = 200
    PAUSE_SECONDS = 1.0

    __slots__ = ("_refused", "_second")

    def __init__(self) -> None:
        self._second = 0
        #: in this second, by account
        self._refused: Counter[str] = Counter()

    def pause(self, account: str, now: float) -> float:
        """Seconds that the next refusal of an account waits; "" stands for all who have no key."""
        if int(now) != self._second:
            self._second = int(now)
            self._refused.clear()
        self._refused[account] += 1
        return 0.0 if self._refused[account] <= self.AT_ONCE else self.PAUSE_SECONDS
