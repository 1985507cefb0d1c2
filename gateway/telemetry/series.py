"""The series of one request and of one upstream: values that are ready to be added to.

Seconds, credits and tokens. To add is no call: a request counts a dozen of them.
"""

from collections.abc import Callable

from msgspec import Struct

from gateway.core.errors import Failure
from gateway.core.events import Usage
from gateway.telemetry.instruments import Histogram, Value


class RequestSeries(Struct, frozen=True):
    """The series of a charged request."""

    charge: Value
    refund: Value
    first_byte: Histogram
    duration: Histogram
    in_flight: Value
    input: Value
    cached: Value
    cache_write: Value
    output: Value
    reasoning: Value

    def used(self, usage: Usage) -> None:
        """Count the tokens of one answer."""
        self.input.value += usage.input
        self.output.value += usage.output
        self.cached.value += usage.cached
        self.cache_write.value += usage.cache_write
        self.reasoning.value += usage.reasoning


class UpstreamSeries(Struct, frozen=True):
    """The series of one upstream. `circuit_open` shows 1 or 0, the other gauges are sums."""

    in_flight: Value
    waiting: Value
    first_byte: Callable[[float], None]
    circuit_open: Value
    fell_back: Value
    answered: Callable[[str], Value]
    failed: Callable[[Failure], Value]
