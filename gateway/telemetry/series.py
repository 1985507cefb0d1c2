"""What one request and one upstream count: functions that are ready to be called.

Seconds, credits and tokens; a gauge is given what changes it, or what it shows.
"""

from collections.abc import Callable

from msgspec import Struct

from gateway.core.events import Usage
from gateway.errors import Failure

Count = Callable[[float], None]


class RequestSeries(Struct, frozen=True):
    """What a charged request counts."""

    charge: Count
    refund: Count
    first_byte: Count
    duration: Count
    in_flight: Count
    input: Count
    cached: Count
    output: Count
    reasoning: Count

    def used(self, usage: Usage) -> None:
        """Count the tokens of one answer."""
        self.input(usage.input)
        self.output(usage.output)
        if usage.cached:
            self.cached(usage.cached)
        if usage.reasoning:
            self.reasoning(usage.reasoning)


class UpstreamSeries(Struct, frozen=True):
    """What one upstream counts. `circuit_open` shows 1 or 0, the other gauges take changes."""

    in_flight: Count
    waiting: Count
    first_byte: Count
    circuit_open: Count
    fell_back: Count
    answered: Callable[[str], None]
    failed: Callable[[Failure], None]
