"""OpenTelemetry: a span and three measures for each charged request, where a collector is named.

Loaded only then. The exporter sends in threads of its own; what it cannot send it drops.
Source: W3C Trace Context; OpenTelemetry's semantic conventions for generative AI ("Spans",
"Metrics"), and its specification of environment variables.
"""

import time
from collections.abc import Collection, Mapping

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import Span, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from gateway import __version__

_FAILED = 500
_REFUSED = 400
_CARRIED = ("traceparent", "tracestate")
_UNNAMED = "unknown_service"
#: as the conventions advise them
_TOKENS = [4**power for power in range(14)]
_SECONDS = [0.01 * 2**power for power in range(14)]
#: our names of what is known of a request, and those of the conventions
_ATTRIBUTES = {
    "model": "gen_ai.request.model",
    "upstream": "gen_ai.provider.name",
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "status": "http.response.status_code",
    "request_id": "faregate.request_id",
    "key": "faregate.key",
    "account": "faregate.account",
    "route": "faregate.route",
    "credits": "faregate.credits",
}


class Traces:
    """Spans and measures for a collector; everything else about it is the environment's
    `OTEL_…`."""

    def __init__(self, signals: Collection[str]) -> None:
        resource = Resource.create()
        if str(resource.attributes[SERVICE_NAME]).startswith(_UNNAMED):
            resource = resource.merge(Resource({SERVICE_NAME: "faregate"}))
        self._spans = TracerProvider(resource=resource, shutdown_on_exit=False)
        if "traces" in signals:
            self._spans.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        measured = "metrics" in signals
        readers = [PeriodicExportingMetricReader(OTLPMetricExporter())] if measured else []
        self._measures = MeterProvider(readers, resource, shutdown_on_exit=False)
        self._tracer = self._spans.get_tracer("faregate", __version__)
        self._carrier = TraceContextTextMapPropagator()
        meter = self._measures.get_meter("faregate", __version__)
        self._tokens = meter.create_histogram(
            "gen_ai.client.token.usage",
            unit="{token}",
            explicit_bucket_boundaries_advisory=_TOKENS,
        )
        self._duration = meter.create_histogram(
            "gen_ai.server.request.duration", unit="s", explicit_bucket_boundaries_advisory=_SECONDS
        )
        self._first_byte = meter.create_histogram(
            "gen_ai.server.time_to_first_token",
            unit="s",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )

    def start(self, headers: list[tuple[bytes, bytes]]) -> Span:
        """The span of a request, below its client's where it named one."""
        carried = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
        parent = self._carrier.extract({name: carried.get(name, "") for name in _CARRIED})
        span = self._tracer.start_span("chat", context=parent, kind=SpanKind.SERVER)
        assert isinstance(span, Span) or not span.is_recording(), "a span of the SDK's"
        return span  # type: ignore[return-value]  # one that is not sampled has the same methods

    def carried(self, span: Span) -> dict[str, str]:
        """The headers by which an upstream goes on with the trace."""
        headers: dict[str, str] = {}
        self._carrier.inject(headers, set_span_in_context(span))
        return headers

    def end(self, span: Span, fields: Mapping[str, object]) -> None:
        """End it with what is known of the request now."""
        known = {ours: fields[ours] for ours in _ATTRIBUTES if fields.get(ours) not in (None, "")}
        attributes = {_ATTRIBUTES[ours]: value for ours, value in known.items()}
        span.update_name(f"chat {known['model']}" if "model" in known else "chat")
        span.set_attribute("gen_ai.operation.name", "chat")
        for name, value in attributes.items():
            span.set_attribute(name, value)  # type: ignore[arg-type]  # numbers and texts
        status = int(str(fields["status"]))
        labels: dict[str, str] = {"gen_ai.operation.name": "chat"}
        for ours in ("model", "upstream"):
            if ours in known:
                labels[_ATTRIBUTES[ours]] = str(known[ours])
        if status >= _REFUSED:
            labels["error.type"] = str(status)
            span.set_attribute("error.type", str(status))
        if status >= _FAILED:
            span.set_status(StatusCode.ERROR)
        span.end(time.time_ns())
        self._measure(fields, labels)

    def close(self) -> None:
        """Send what is waiting; it may take seconds, and blocks."""
        self._spans.shutdown()
        self._measures.shutdown()

    def _measure(self, fields: Mapping[str, object], labels: dict[str, str]) -> None:
        self._duration.record(float(str(fields["duration_seconds"])), labels)
        if fields.get("first_byte_seconds") is not None:
            self._first_byte.record(float(str(fields["first_byte_seconds"])), labels)
        for kind in ("input", "output"):
            tokens = fields.get(f"{kind}_tokens")
            if tokens is not None:
                of_kind = {**labels, "gen_ai.token.type": kind}
                self._tokens.record(int(str(tokens)), of_kind)
