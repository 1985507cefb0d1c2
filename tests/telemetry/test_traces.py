"""Trace context and OpenTelemetry: a gateway process, a collector that reads what it is sent."""

import gzip
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.harness.dialects import PATHS
from tests.harness.gateway import (
    NAMESPACE,
    GatewayProcess,
    Simulated,
    api_key,
    credit_grant,
    fleet,
)

_TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
_SPAN = "00f067aa0ba902b7"
_PARENT = f"00-{_TRACE}-{_SPAN}-01"


class Collector:
    """Receives OTLP over HTTP and decodes it."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.resources: list[dict[str, str]] = []
        self.measures: dict[str, Any] = {}
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                collector.take(self.path, body)
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing: the suite's output is for the suite."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def take(self, path: str, body: bytes) -> None:
        if path == "/v1/traces":
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                self.resources.append(attributes(resource.resource))
                for scope in resource.scope_spans:
                    self.spans += scope.spans
        elif path == "/v1/metrics":
            for found in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                for scope in found.scope_metrics:
                    self.measures.update({metric.name: metric for metric in scope.metrics})

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def attributes(found: Any) -> dict[str, str]:
    values = {}
    for one in found.attributes:
        kind = one.value.WhichOneof("value")
        values[one.key] = str(getattr(one.value, kind))
    return values


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.close()


def started(
    simulated: Simulated, factory: pytest.TempPathFactory, **environment: str
) -> GatewayProcess:
    documents = [fleet(simulated.url), api_key("alice"), credit_grant("alice")]
    return GatewayProcess(factory.mktemp("traces"), documents, environment=environment).start()


def ask(gateway: GatewayProcess, text: str, **headers: str) -> int:
    body = {"model": "kimi-k2.5", "messages": [{"role": "user", "content": text}]}
    named = {"x-api-key": gateway.key("alice"), **headers}
    return gateway.http.post(PATHS["chat"], headers=named, json=body).status_code


def parent_that_arrived(simulated: Simulated) -> str | None:
    found: str | None = simulated.requests()[-1]["headers"].get("traceparent")
    return found


def has_loaded_opentelemetry(gateway: GatewayProcess) -> bool:
    """True if the process has loaded the library that its messages are encoded with."""
    return "google/_upb" in Path(f"/proc/{gateway.pid}/maps").read_text()


def test_without_a_collector_the_clients_trace_goes_through_and_none_is_made_up(
    simulated: Simulated, tmp_path_factory: pytest.TempPathFactory
) -> None:
    gateway = started(simulated, tmp_path_factory)
    assert ask(gateway, "!answer four", traceparent=_PARENT, tracestate="a=b") == 200
    assert parent_that_arrived(simulated) == _PARENT
    assert simulated.requests()[-1]["headers"]["tracestate"] == "a=b"
    for parent in (
        None,
        "",
        f"ff-{_TRACE}-{_SPAN}-01",
        f"00-{'0' * 32}-{_SPAN}-01",
        f"{_PARENT}-x",
    ):
        carried = {} if parent is None else {"traceparent": parent, "tracestate": "a=b"}
        assert ask(gateway, "!answer four", **carried) == 200
        assert parent_that_arrived(simulated) is None, parent
        assert "tracestate" not in simulated.requests()[-1]["headers"]
    later = f"01-{_TRACE}-{_SPAN}-01-more"
    assert ask(gateway, "!answer four", traceparent=later) == 200
    assert parent_that_arrived(simulated) == later
    assert not has_loaded_opentelemetry(gateway)
    assert gateway.stop() == 0


def test_each_charged_request_is_reported_to_a_collector(
    simulated: Simulated, collector: Collector, tmp_path_factory: pytest.TempPathFactory
) -> None:
    gateway = started(simulated, tmp_path_factory, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)
    assert ask(gateway, "!answer four", traceparent=_PARENT) == 200
    assert has_loaded_opentelemetry(gateway)
    sent = parent_that_arrived(simulated)
    assert ask(gateway, "!error 500") == 502
    assert gateway.stop() == 0, gateway.log_text()
    served, failed = collector.spans
    assert served.name == "chat kimi-k2.5"
    assert served.trace_id.hex() == _TRACE
    assert served.parent_span_id.hex() == _SPAN
    assert sent == f"00-{_TRACE}-{served.span_id.hex()}-01", "the upstream goes on below our span"
    found = attributes(served)
    assert found["gen_ai.operation.name"] == "chat"
    assert found["gen_ai.request.model"] == "kimi-k2.5"
    assert int(found["gen_ai.usage.input_tokens"]) > 0
    assert found["faregate.key"] == f"{NAMESPACE}/alice"
    assert found["http.response.status_code"] == "200"
    assert attributes(failed)["error.type"] == "502"
    assert failed.trace_id != served.trace_id
    assert collector.resources[0]["service.name"] == "faregate"
    assert gateway.key("alice") not in str(collector.spans)
    assert collector.measures.keys() >= {
        "gen_ai.client.token.usage",
        "gen_ai.server.request.duration",
        "gen_ai.server.time_to_first_token",
    }
    durations = collector.measures["gen_ai.server.request.duration"].histogram.data_points
    assert sum(point.count for point in durations) == 2


def test_a_collector_may_want_only_one_kind(
    simulated: Simulated, collector: Collector, tmp_path_factory: pytest.TempPathFactory
) -> None:
    only = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{collector.url}/v1/traces"}
    gateway = started(simulated, tmp_path_factory, **only)
    assert ask(gateway, "!answer four") == 200
    assert gateway.stop() == 0, gateway.log_text()
    assert len(collector.spans) == 1
    assert collector.measures == {}


def test_a_collector_that_is_away_harms_nobody(
    simulated: Simulated, collector: Collector, tmp_path_factory: pytest.TempPathFactory
) -> None:
    collector.close()
    gateway = started(
        simulated,
        tmp_path_factory,
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
        OTEL_EXPORTER_OTLP_TIMEOUT="1",
    )
    assert ask(gateway, "!answer four") == 200
    assert gateway.stop() == 0, gateway.log_text()


def test_a_collector_is_named_and_switched_off_as_everywhere(
    simulated: Simulated, collector: Collector, tmp_path_factory: pytest.TempPathFactory
) -> None:
    gateway = started(
        simulated,
        tmp_path_factory,
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
        OTEL_SDK_DISABLED="true",
    )
    assert ask(gateway, "!answer four") == 200
    assert gateway.stop() == 0
    assert collector.spans == []
