"""Observers of single requests: the access log, and a collector of traces. Often nobody."""

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from gateway.telemetry.logs import AccessLog

if TYPE_CHECKING:  # loaded only where there is a collector
    from opentelemetry.sdk.trace import Span

    from gateway.telemetry.traces import Traces

Fields = dict[str, object]


class RequestObserver:
    """Sees each charged request begin and end."""

    def __init__(self, access_log: AccessLog | None, traces: "Traces | None") -> None:
        self._access_log = access_log
        self._traces = traces

    def begin(self, headers: list[tuple[bytes, bytes]]) -> "Span | None":
        """The span of a request, where there are traces."""
        return None if self._traces is None else self._traces.start(headers)

    def carried(self, span: "Span") -> dict[str, str]:
        """The headers by which an upstream goes on with the trace."""
        assert self._traces is not None, "a span comes from traces"
        return self._traces.carried(span)

    def end(self, span: "Span | None", status: int, read_fields: Callable[[], Fields]) -> None:
        """A request has ended; `read_fields` is called only if somebody observes it."""
        logged = self._access_log is not None and self._access_log.wants(status)
        if not logged and span is None:
            return
        fields = read_fields()
        if logged and self._access_log is not None:
            self._access_log.write(fields)
        if span is not None and self._traces is not None:
            self._traces.end(span, fields)


def open_observer(
    access_log: float, signals: Collection[str]
) -> tuple[RequestObserver | None, Callable[[], None]]:
    """The observer that the settings ask for, if any, and how to close it.

    `signals` are those for which there is a collector, of `traces` and `metrics`. Raises
    `ImportError` where there is one and OpenTelemetry is not installed.
    """
    if not access_log and not signals:
        return None, lambda: None
    log = AccessLog(access_log) if access_log else None
    if not signals:
        return RequestObserver(log, None), lambda: None
    from gateway.telemetry.traces import Traces

    traces = Traces(signals)
    return RequestObserver(log, traces), traces.close
